module waterbear/seal

go 1.19
