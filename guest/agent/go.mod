module waterbear/agent

go 1.19
