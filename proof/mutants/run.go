package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sessionmap/sessionmap/proof/overlay"
)

// A library is the package's files, by name.
type library struct {
	dir   string
	files map[string]string // without tests
	rest  map[string]string // tests, go.mod, go.sum and package shaky
}

func readLibrary(dir string) (*library, error) {
	l := &library{dir: dir, files: make(map[string]string), rest: make(map[string]string)}
	for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			name := filepath.Base(path)
			if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				l.files[name] = string(content)
			} else {
				l.rest[name] = string(content)
			}
		}
	}
	shaky, err := os.ReadFile(filepath.Join(dir, "proof", "shaky", "shaky.go"))
	l.rest["shaky/shaky.go"] = string(shaky)
	return l, err
}

// build builds the tests of the library with some files changed or added. The returned directory has the test binary.
func (l *library) build(changed map[string]string) (dir, complaints string, err error) {
	dir, err = os.MkdirTemp("", "mutants-")
	if err != nil {
		return "", "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "shaky"), 0o700); err != nil {
		return dir, "", err
	}
	for _, files := range []map[string]string{l.rest, l.files, changed} {
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				return dir, "", err
			}
		}
	}
	out, err := command(context.Background(), dir, 0, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-o", binary, ".")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return dir, out, nil
	}
	return dir, "", err
}

const binary = "./mutants.test"

// runTogether grafts the mutants into one binary and runs each.
func (l *library) runTogether(mutants []mutant, jobs int, t *tally) error {
	numbered := make(map[int]mutant)
	for i, m := range mutants {
		numbered[i+1] = m
	}
	dir, err := l.buildTogether(numbered, t)
	defer os.RemoveAll(dir)
	if err != nil {
		return err
	}
	// Some tests do not run beside grafts: those of what is inlined, and so of what is allocated.
	began := time.Now()
	out, err := command(context.Background(), dir, 0, binary)
	limit := limitAfter(began)
	if err != nil {
		skipped := strings.Join(failed(out), "|")
		if skipped == "" {
			return fmt.Errorf("the tests fail with no mutant selected: %w\n%s", err, out)
		}
		fmt.Printf("(beside grafts: without %s)\n", skipped)
		return l.runEach(dir, numbered, jobs, t, limit, "-test.skip", "^("+skipped+")$")
	}
	return l.runEach(dir, numbered, jobs, t, limit)
}

// buildTogether drops those mutants of which the compiler complains.
func (l *library) buildTogether(mutants map[int]mutant, t *tally) (dir string, err error) {
	for {
		files, err := l.graft(mutants)
		if err != nil {
			return "", err
		}
		files["mutant.go"] = selector
		dir, complaints, err := l.build(files)
		if err != nil || complaints == "" {
			return dir, err
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
		blamed := make(map[int]bool)
		for _, match := range regexp.MustCompile(complaint+`(\d+):`).FindAllStringSubmatch(complaints, -1) {
			n, err := strconv.Atoi(match[1])
			if err != nil {
				return "", err
			}
			blamed[n] = true
		}
		if len(blamed) == 0 {
			return "", fmt.Errorf("the grafts do not build:\n%s", complaints)
		}
		for n := range blamed {
			t.tell(mutants[n], doesNotBuild)
			delete(mutants, n)
		}
	}
}

func (l *library) runEach(dir string, mutants map[int]mutant, jobs int, t *tally, limit time.Duration, args ...string) error {
	var work errgroup.Group
	work.SetLimit(jobs)
	for _, n := range slices.Sorted(maps.Keys(mutants)) {
		work.Go(func() error {
			verdict, err := run(dir, n, limit, args...)
			switch {
			case err != nil:
				return err
			case verdict == survives:
				t.retry(mutants[n])
			default:
				t.tell(mutants[n], verdict)
			}
			return nil
		})
	}
	return work.Wait()
}

// runAlone gives each mutant a binary of its own.
func (l *library) runAlone(mutants []mutant, jobs int, t *tally) error {
	var limits struct{ plain, shaken time.Duration }
	var err error
	if limits.plain, err = l.limit(nil); err != nil {
		return err
	}
	if limits.shaken, err = l.limit(l.shaken(nil), shakenly...); err != nil {
		return err
	}
	var work errgroup.Group
	work.SetLimit(jobs)
	for _, m := range mutants {
		work.Go(func() error {
			verdict, err := l.tryAll(m, limits.plain, limits.shaken)
			if err == nil {
				t.tell(m, verdict)
			}
			return err
		})
	}
	return work.Wait()
}

// tryAll builds the tests with a mutant in the place of the original. One that survives is given a second try, in which all
// atomics are shaken (see package shaky): then a race is likely that is rare otherwise. In a third all interleavings of some
// calls are tried (see proof/explore).
func (l *library) tryAll(m mutant, plain, shaken time.Duration) (verdict string, err error) {
	changed := map[string]string{m.file: m.source}
	if verdict, err = l.verdict(changed, plain); err != nil || verdict != survives {
		return verdict, err
	}
	verdict, err = l.verdict(l.shaken(changed), shaken, shakenly...)
	switch {
	case err != nil || verdict == doesNotBuild:
		return verdict, err
	case verdict != survives:
		return "shaken: " + verdict, nil
	}
	return l.explored(m)
}

// How the tests run with all atomics shaken.
var shakenly = []string{"-test.skip", overlay.NotShaken}

// shaken returns the files of the library, some changed, with the atomics of package shaky.
func (l *library) shaken(changed map[string]string) map[string]string {
	all := make(map[string]string)
	for name, source := range l.files {
		source = cmp.Or(changed[name], source)
		all[name] = strings.Replace(source, `"sync/atomic"`, `atomic "github.com/sessionmap/sessionmap/shaky"`, 1)
	}
	return all
}

// limit returns how long the tests may take with a mutant, with some files changed besides. It measures how long they take
// without one.
func (l *library) limit(changed map[string]string, args ...string) (time.Duration, error) {
	dir, complaints, err := l.build(changed)
	defer os.RemoveAll(dir)
	if err != nil || complaints != "" {
		return 0, errors.Join(errors.New("without a mutant the tests do not build: "+complaints), err)
	}
	began := time.Now()
	if out, err := command(context.Background(), dir, 0, binary, args...); err != nil {
		return 0, fmt.Errorf("without a mutant: %w\n%s", err, out)
	}
	return limitAfter(began), nil
}

// limitAfter returns how long the tests may take that have taken since began without a mutant. Others run at the same time.
func limitAfter(began time.Time) time.Duration {
	return max(5*time.Since(began), 30*time.Second).Round(time.Second)
}

// explored runs proof/explore on the library with a mutant in it.
func (l *library) explored(m mutant) (verdict string, err error) {
	dir, err := os.MkdirTemp("", "mutants-")
	defer os.RemoveAll(dir)
	if err != nil {
		return "", err
	}
	for _, files := range []map[string]string{l.rest, l.files, {m.file: m.source}} {
		for name, content := range files {
			if !strings.Contains(name, "/") {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
			}
		}
	}
	err = errors.Join(err, os.CopyFS(filepath.Join(dir, "proof"), os.DirFS(filepath.Join(l.dir, "proof"))))
	if err != nil {
		return "", err
	}
	out, err := command(context.Background(), dir, 0, "go", "-C", "proof", "run", "./explore", "-dir", "..")
	if err == nil {
		return survives, nil
	}
	if found := regexp.MustCompile(`(?m)^panic: ([^:]+)`).FindStringSubmatch(out); found != nil {
		return "explored: " + found[1], nil
	}
	return "", fmt.Errorf("exploring %s: %w\n%s", m.name, err, out)
}

// verdict builds the tests with files changed, and runs them.
func (l *library) verdict(changed map[string]string, limit time.Duration, args ...string) (verdict string, err error) {
	dir, complaints, err := l.build(changed)
	defer os.RemoveAll(dir)
	if complaints != "" {
		return doesNotBuild, nil
	}
	if err != nil {
		return "", err
	}
	return run(dir, 0, limit, args...)
}

// run runs the tests with mutant n selected, and returns which failed first. Those that take longer than the limit hang.
func run(dir string, n int, limit time.Duration, args ...string) (verdict string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	out, err := command(ctx, dir, n, binary, append(args, "-test.failfast", "-test.timeout", limit.String())...)
	var exit *exec.ExitError
	switch hanging := regexp.MustCompile(`running tests:\s+(\w+)`).FindStringSubmatch(out); {
	case err == nil:
		return survives, nil
	case hanging != nil:
		return hangs + " in " + hanging[1], nil
	case ctx.Err() != nil:
		return hangs, nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("running the tests: %w", err)
	}
	if tests := failed(out); len(tests) > 0 {
		return tests[0], nil
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line), nil
		}
	}
	return exit.String(), nil // as when the system kills what takes too much memory
}

// failed returns the tests that failed.
func failed(out string) (names []string) {
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	return names
}

func command(ctx context.Context, dir string, mutant int, name string, args ...string) (out string, err error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off", fmt.Sprintf("%s=%d", selection, mutant))
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err = c.Run()
	return b.String(), err
}
