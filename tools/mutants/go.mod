module github.com/blackdice/shipwarden/tools/mutants

go 1.26.0
