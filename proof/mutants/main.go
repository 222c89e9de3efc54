// Mutants breaks the library on purpose, in one place at a time, and tells which of its tests finds that.
//
//	go run ./proof/mutants                 # all: half an hour on two cores
//	go run ./proof/mutants -only lease     # those with this in their name or file
//	go run ./proof/mutants -check          # that each can still be applied; a second
//
// The faults are in mutants.txt. It exits with 1 when one survives: then a test is missing, or the fault is none.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed mutants.txt
var list string

// A mutant is a fault.
type mutant struct {
	name, file string
	old, new   string
}

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "the `directory` of the library")
	only := flag.String("only", "", "those mutants with this `text` in their name or file")
	check := flag.Bool("check", false, "only see whether each can be applied")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many to run at once")
	flag.Parse()
	mutants, err := parse(list)
	if err != nil {
		log.Fatal(err)
	}
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool {
		return !strings.Contains(m.name, *only) && !strings.Contains(m.file, *only)
	})
	if err := applicable(*dir, mutants); err != nil {
		log.Fatal(err)
	}
	if *check {
		fmt.Printf("%d mutants can be applied\n", len(mutants))
		return
	}
	if survived := runAll(*dir, mutants, *jobs); survived > 0 {
		os.Exit(1)
	}
}

// parse reads the list.
func parse(text string) (all []mutant, err error) {
	var file string
	var m *mutant
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			file, m = line[2:], nil
		case strings.HasPrefix(line, "@ "):
			all = append(all, mutant{name: line[2:], file: file})
			m = &all[len(all)-1]
		case m == nil || line == "":
		case line[0] == ' ':
			m.old += line[1:] + "\n"
			m.new += line[1:] + "\n"
		case line[0] == '-':
			m.old += line[1:] + "\n"
		case line[0] == '+':
			m.new += line[1:] + "\n"
		default:
			return nil, fmt.Errorf("mutants.txt:%d: want a line that begins with a space, - or +: %q", n+1, line)
		}
	}
	return all, nil
}

// apply returns the source with the fault in it.
func (m mutant) apply(source string) (string, error) {
	source = "\n" + source // so that only whole lines are found
	switch n := strings.Count(source, "\n"+m.old); {
	case m.old == m.new:
		return "", fmt.Errorf("%s: %s: changes nothing", m.file, m.name)
	case n != 1:
		return "", fmt.Errorf("%s: %s: found %d times, want 1", m.file, m.name, n)
	}
	return strings.Replace(source, "\n"+m.old, "\n"+m.new, 1)[1:], nil
}

func applicable(dir string, mutants []mutant) (err error) {
	for _, m := range mutants {
		source, e := os.ReadFile(filepath.Join(dir, m.file))
		if e == nil {
			_, e = m.apply(string(source))
		}
		err = errors.Join(err, e)
	}
	return err
}

// runAll runs all mutants, prints what becomes of them, and returns how many survived.
func runAll(dir string, mutants []mutant, jobs int) (survived int) {
	began := time.Now()
	var mu sync.Mutex
	var work sync.WaitGroup
	queue := make(chan mutant)
	for range jobs {
		work.Go(func() {
			for m := range queue {
				verdict, err := m.run(dir)
				if err != nil {
					log.Fatal(err)
				}
				mu.Lock()
				fmt.Printf("%-14s %-44s %s\n", m.file, m.name, verdict)
				if verdict == survives || strings.HasPrefix(verdict, doesNotBuild) {
					survived++
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	work.Wait()
	fmt.Printf("\n%d mutants, %d killed, %d survived, in %v\n", len(mutants), len(mutants)-survived, survived, time.Since(began).Round(time.Second))
	return survived
}

const (
	survives     = "SURVIVES"
	doesNotBuild = "DOES NOT BUILD"
)

// timeout is how long the tests may take, which do in a tenth of it without a fault.
const timeout = 90 * time.Second

// run builds and runs the library's tests with the fault in it, and returns which of them failed first.
func (m mutant) run(dir string) (verdict string, err error) {
	copied, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(copied)
	if err := copyPackage(dir, copied); err != nil {
		return "", err
	}
	file := filepath.Join(copied, m.file)
	source, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	mutated, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, []byte(mutated), 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(copied, "mutant.test")
	if out, err := command(context.Background(), copied, "go", "test", "-c", "-vet=off", "-o", binary, "."); err != nil {
		return doesNotBuild + ":\n" + out, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	out, err := command(ctx, copied, binary, "-test.failfast")
	switch {
	case err == nil:
		return survives, nil
	case ctx.Err() != nil:
		return "hangs", nil
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			return strings.Fields(name)[0], nil
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line), nil
		}
	}
	return "fails", nil
}

func command(ctx context.Context, dir, name string, args ...string) (out string, err error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off")
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err = c.Run()
	return b.String(), err
}

// copyPackage copies the files of the package in dir, and its go.mod.
func copyPackage(dir, to string) error {
	for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
