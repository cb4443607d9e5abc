module gosite

go 1.19
