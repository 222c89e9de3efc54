package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// withC is a program that the compiler sees as cgo has rewritten it.
const withC = `
-- go.mod --
module example.com/app

go 1.26
-- main.go --
package main

// int one(void) { return 1; }
import "C"
import "sync"

type registry struct {
	mu    sync.Mutex
	conns map[string]int
}

func (r *registry) Add(connID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[connID] = int(C.one())
}

func main() {
	r := &registry{conns: map[string]int{}}
	for {
		r.Add("a")
	}
}
`

// TestCgo: what is written beside C is looked at, at its own lines, and no fix is made of what cgo has put in its place.
func TestCgo(t *testing.T) {
	env, err := exec.Command("go", "env", "CGO_ENABLED", "CC").Output()
	require.NoError(t, err)
	enabled := strings.Fields(string(env))
	if _, err := exec.LookPath(enabled[1]); err != nil || enabled[0] != "1" {
		t.Skip("there is no compiler for C")
	}
	archive := txtar.Parse([]byte(withC))
	dir, _, _ := unpack(t, archive)
	var out, errors strings.Builder
	status := run([]string{"-fix", "./..."}, dir, &out, &errors)
	assert.Equal(t, "main.go:15:2: grows: registry.conns grows with connID and nothing removes from it\n", out.String())
	assert.Empty(t, errors.String())
	assert.Equal(t, found, status)
	require.Equal(t, string(archive.Files[1].Data), read(t, filepath.Join(dir, "main.go")))
}
