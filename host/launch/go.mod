module waterbear/launch

go 1.19
