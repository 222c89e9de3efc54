//go:build !amd64 && !arm64

package stepped

import (
	"runtime"
	"strconv"
	"strings"
)

// getg returns the goroutine's number, which takes some microseconds.
func getg() uintptr {
	var buf [40]byte
	words := strings.Fields(string(buf[:runtime.Stack(buf[:], false)]))
	n, _ := strconv.ParseUint(words[1], 10, 0)
	return uintptr(n)
}
