module github.com/blackdice/shipwarden/proto

go 1.26.0
