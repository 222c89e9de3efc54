// Shake runs the library's tests with sync/atomic replaced by package shaky, which gives way to other goroutines in the
// middle of everything, once for each of some numbers of processors. What comes after -- goes to go test.
//
//	go run ./proof/shake
//	go run ./proof/shake -procs 2 -- -run Linearizable -histories 10000
//	go run ./proof/shake -- -race -short
//
// Tests that count allocations are left out. It exits with 1 where a test fails.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"

	"github.com/sessionmap/sessionmap/proof/overlay"
)

const (
	standard = `"sync/atomic"`
	shaken   = `atomic "github.com/sessionmap/sessionmap/proof/shaky"`
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
	replaced, err := overlay.Write(dir, scratch, rewrite, nil)
	if err != nil {
		return err
	}
	for _, n := range procs {
		fmt.Printf("GOMAXPROCS=%s\n", n)
		c := exec.Command("go", append([]string{"test", "-count=1", "-overlay", replaced, "-skip", overlay.NotShaken, "."}, args...)...)
		c.Dir, c.Env = dir, append(os.Environ(), "GOMAXPROCS="+n)
		var out bytes.Buffer
		c.Stdout, c.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("with %s processors: %w", n, err)
		}
		if bytes.Contains(out.Bytes(), []byte("[no tests to run]")) {
			return errors.New("no test is called so")
		}
	}
	return nil
}

// rewrite has a file use the shaken atomics.
func rewrite(name, source string) (string, error) {
	if strings.HasSuffix(name, "_test.go") && name != "export_test.go" {
		return source, nil
	}
	return strings.Replace(source, standard, shaken, 1), nil
}
