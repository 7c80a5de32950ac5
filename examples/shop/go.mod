module github.com/blackdice/shipwarden/examples/shop

go 1.26.0
