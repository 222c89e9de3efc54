module github.com/sessionmap/sessionmap/proof

go 1.26.0
