module github.com/sessionmap/sessionmap/proof

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/sessionmap/sessionmap v0.0.0
)

require golang.org/x/sync v0.25.0

replace github.com/sessionmap/sessionmap => ../
