// Shake runs the library's tests with sync/atomic replaced by package shaky, which gives way to other goroutines in the
// middle of everything, once for each of some numbers of processors. What comes after -- goes to go test.
//
//	go run ./proof/shake
//	go run ./proof/shake -procs 2 -- -run Linearizable -histories 10000
//	go run ./proof/shake -- -race -short
//
// Tests that count allocations, or calls of the runtime, are left out. It exits with 1 where a test fails.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	standard = `"sync/atomic"`
	shaken   = `atomic "github.com/sessionmap/sessionmap/proof/shaky"`
	skipped  = "Allocations|DoesNotGrow" // what yielding changes
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "the `directory` of the library")
	procs := flag.String("procs", "1,2,8,32", "the `numbers` of processors, one after the other")
	flag.Parse()
	if err := shake(*dir, strings.Split(*procs, ","), flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func shake(dir string, procs, args []string) error {
	scratch, err := os.MkdirTemp("", "shake-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	overlay, err := replace(dir, scratch)
	if err != nil {
		return err
	}
	for _, n := range procs {
		fmt.Printf("GOMAXPROCS=%s\n", n)
		c := exec.Command("go", append([]string{"test", "-count=1", "-overlay", overlay, "-skip", skipped, "."}, args...)...)
		c.Dir, c.Env = dir, append(os.Environ(), "GOMAXPROCS="+n)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("with %s processors: %w", n, err)
		}
	}
	return nil
}

// replace writes the library's files that use sync/atomic anew, and returns the file that tells go build of them.
func replace(dir, scratch string) (overlay string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	var all struct{ Replace map[string]string }
	all.Replace = make(map[string]string)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(file, "export_test.go") || !strings.Contains(string(source), standard) {
			continue
		}
		from, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		to := filepath.Join(scratch, filepath.Base(file))
		if err := os.WriteFile(to, []byte(strings.Replace(string(source), standard, shaken, 1)), 0o600); err != nil {
			return "", err
		}
		all.Replace[from] = to
	}
	overlay = filepath.Join(scratch, "overlay.json")
	text, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}
