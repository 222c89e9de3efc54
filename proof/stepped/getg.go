//go:build amd64 || arm64

package stepped

// getg returns a number that tells the goroutine from all others that there are: where the runtime keeps it.
func getg() uintptr
