module waterbear/builder

go 1.19
