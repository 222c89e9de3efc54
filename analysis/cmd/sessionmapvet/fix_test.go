package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

var update = flag.Bool("update", false, "write what the fixes make to testdata")

// TestFix applies the fixes to the programs in testdata/fix, compares what they make with the files under want, or with what was
// there, and has it built and tested with the library. Nothing but what is named in left may be reported afterwards.
func TestFix(t *testing.T) {
	archives, err := filepath.Glob("testdata/fix/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			dir, want, left := unpack(t, archive)
			var out, errors bytes.Buffer
			run([]string{"-fix", "./..."}, dir, &out, &errors)
			require.Empty(t, errors.String())
			if *update {
				write(t, name, archive, dir)
				return
			}
			for file, text := range want {
				assert.Equal(t, text, read(t, filepath.Join(dir, file)), file)
			}
			goTool(t, dir, "vet", "./...")
			goTool(t, dir, "test", "./...")
			assert.Equal(t, left, reports(out.String()))
			out.Reset()
			run([]string{"./..."}, dir, &out, io.Discard)
			assert.Equal(t, left, reports(out.String()), "after the fixes")
		})
	}
}

// TestNoFix looks at the programs in testdata/refused.txtar, which report what is named in left and get no fix for it: the
// analyzer would offer it where nothing is compiled.
func TestNoFix(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/refused.txtar")
	require.NoError(t, err)
	dir, _, left := unpack(t, archive)
	p, err := load(dir, []string{"./..."}, sessionleak.DefaultWords())
	require.NoError(t, err)
	var found strings.Builder
	for _, f := range p.Findings() {
		name, _, _ := strings.Cut(f.Message, " ")
		in := filepath.Base(filepath.Dir(p.Written(f.Pos).Filename))
		fmt.Fprintf(&found, "%s: %s\n", in, name)
		assert.Empty(t, f.Fixes, in)
	}
	assert.Equal(t, left, found.String())
}

// TestFixWithoutLibrary fixes a program whose go.mod does not have the library yet.
func TestFixWithoutLibrary(t *testing.T) {
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	dir := t.TempDir()
	goTool(t, dir, "mod", "init", "example.com/app")
	source := `package app

import "sync"

type hub struct {
	mu    sync.Mutex
	users map[string]int
}

func newHub() *hub { return &hub{users: make(map[string]int)} }

func (h *hub) hit(userID string) { h.users[userID]++ }
`
	name := filepath.Join(dir, "hub.go")
	require.NoError(t, os.WriteFile(name, []byte(source), 0o666))
	var out, errors bytes.Buffer
	assert.Equal(t, nothing, run([]string{"-fix", "."}, dir, &out, &errors))
	assert.Empty(t, out.String())
	assert.Equal(t, "sessionmapvet: what is rewritten needs the library: go get github.com/sessionmap/sessionmap\n", errors.String())
	assert.Contains(t, read(t, name), "sessionmap.MustNew[string, int]")
}

// unpack writes a program to a module that uses the library as it is in this repository.
func unpack(t *testing.T, archive *txtar.Archive) (dir string, want map[string]string, left string) {
	dir, want = t.TempDir(), make(map[string]string)
	for _, f := range archive.Files {
		fixed, isFixed := strings.CutPrefix(f.Name, "want/")
		switch {
		case f.Name == "left":
			left = string(f.Data)
		case isFixed:
			want[fixed] = string(f.Data)
		default:
			want[f.Name] = string(f.Data)
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(f.Name)), 0o777))
			require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o666))
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		module(t, dir)
	}
	return dir, want, left
}

// module writes a go.mod that requires the library.
func module(t *testing.T, dir string) {
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	goTool(t, dir, "mod", "init", "example.com/app")
	goTool(t, dir, "mod", "edit", "-require", "github.com/sessionmap/sessionmap@v0.0.0", "-replace", "github.com/sessionmap/sessionmap="+root)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), []byte(read(t, filepath.Join(root, "go.sum"))), 0o666))
}

func goTool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), out)
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}

var reportLine = regexp.MustCompile(`(?m)^\S+: (\w+: \S+) .*$`)

// reports leaves the rule and the container of each report.
func reports(out string) string { return reportLine.ReplaceAllString(out, "$1") }

// write adds the files that the fixes have changed to an archive.
func write(t *testing.T, name string, archive *txtar.Archive, dir string) {
	var files []txtar.File
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want/") && f.Name != "left" {
			files = append(files, f)
		}
	}
	for _, f := range files {
		if now := read(t, filepath.Join(dir, f.Name)); now != string(f.Data) {
			files = append(files, txtar.File{Name: "want/" + f.Name, Data: []byte(now)})
		}
	}
	for _, f := range archive.Files {
		if f.Name == "left" {
			files = append(files, f)
		}
	}
	require.NoError(t, os.WriteFile(name, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: files}), 0o666))
}
