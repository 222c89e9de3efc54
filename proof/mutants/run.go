package main

import (
	"bytes"
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
	"sync"
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

// A way is how the tests are run.
type way struct {
	name    string                                          // before what is found so
	changed func(files map[string]string) map[string]string // files of the library, of those that a mutant changes
	skip    string                                          // the tests that do not run so
}

// plain is how they are run without further ado.
func (l *library) plain() way {
	return way{changed: func(files map[string]string) map[string]string { return files }, skip: "^$"}
}

// shaken is with all atomics shaken (see package shaky): then a race is likely that is rare otherwise.
func (l *library) shaken() way {
	return way{"shaken: ", func(files map[string]string) map[string]string {
		all := maps.Clone(l.files)
		maps.Copy(all, files)
		for name, source := range all {
			all[name] = strings.Replace(source, `"sync/atomic"`, `atomic "github.com/sessionmap/sessionmap/shaky"`, 1)
		}
		return all
	}, overlay.NotShaken}
}

// runTogether grafts the mutants into one binary and runs each. It returns those that survive.
func (l *library) runTogether(mutants []mutant, w way, jobs int, t *tally) (survivors []mutant, err error) {
	numbered := make(map[int]mutant)
	for i, m := range mutants {
		numbered[i+1] = m
	}
	dir, err := l.buildTogether(numbered, w, t)
	defer os.RemoveAll(dir)
	if err != nil {
		return nil, err
	}
	// Some tests do not run beside grafts: those of what is inlined, and so of what is allocated.
	began := time.Now()
	out, err := command(context.Background(), dir, 0, binary, "-test.skip", w.skip)
	limit := limitAfter(began)
	if err != nil {
		skipped := strings.Join(failed(out), "|")
		if skipped == "" {
			return nil, fmt.Errorf("the tests fail with no mutant selected: %w\n%s", err, out)
		}
		fmt.Printf("(beside grafts: without %s)\n", skipped)
		w.skip += "|^(" + skipped + ")$"
	}
	return w.runEach(dir, numbered, jobs, t, limit)
}

// buildTogether drops those mutants of which the compiler complains.
func (l *library) buildTogether(mutants map[int]mutant, w way, t *tally) (dir string, err error) {
	for {
		files, err := l.graft(mutants)
		if err != nil {
			return "", err
		}
		files["mutant.go"] = selector
		dir, complaints, err := l.build(w.changed(files))
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

func (w way) runEach(dir string, mutants map[int]mutant, jobs int, t *tally, limit time.Duration) (survivors []mutant, err error) {
	var work errgroup.Group
	work.SetLimit(jobs)
	var mu sync.Mutex
	for _, n := range slices.Sorted(maps.Keys(mutants)) {
		work.Go(func() error {
			verdict, err := w.run(dir, n, limit)
			switch {
			case err != nil:
				return err
			case verdict == survives:
				mu.Lock()
				survivors = append(survivors, mutants[n])
				mu.Unlock()
			default:
				t.tell(mutants[n], verdict)
			}
			return nil
		})
	}
	err = work.Wait()
	return survivors, err
}

// runAlone gives each mutant a binary of its own, for each way, one after the other. What survives them all has all
// interleavings of some calls tried (see proof/explore).
func (l *library) runAlone(mutants []mutant, ways []way, jobs int, t *tally) error {
	if len(mutants) == 0 {
		return nil
	}
	var limits []time.Duration
	for _, w := range ways {
		limit, err := l.limit(w)
		if err != nil {
			return err
		}
		limits = append(limits, limit)
	}
	var work errgroup.Group
	work.SetLimit(jobs)
	for _, m := range mutants {
		work.Go(func() error {
			for i, w := range ways {
				if verdict, err := l.verdict(m, w, limits[i]); err != nil {
					return err
				} else if verdict != survives {
					t.tell(m, verdict)
					return nil
				}
			}
			verdict, err := l.explored(m)
			if err == nil {
				t.tell(m, verdict)
			}
			return err
		})
	}
	return work.Wait()
}

// limit returns how long the tests may take with a mutant. It measures how long they take without one.
func (l *library) limit(w way) (time.Duration, error) {
	dir, complaints, err := l.build(w.changed(nil))
	defer os.RemoveAll(dir)
	if err != nil || complaints != "" {
		return 0, errors.Join(errors.New("without a mutant the tests do not build: "+complaints), err)
	}
	began := time.Now()
	if out, err := command(context.Background(), dir, 0, binary, "-test.skip", w.skip); err != nil {
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

// verdict builds the tests with a mutant in the place of the original, and runs them.
func (l *library) verdict(m mutant, w way, limit time.Duration) (verdict string, err error) {
	dir, complaints, err := l.build(w.changed(map[string]string{m.file: m.source}))
	defer os.RemoveAll(dir)
	if complaints != "" {
		return doesNotBuild, nil
	}
	if err != nil {
		return "", err
	}
	return w.run(dir, 0, limit)
}

// run runs the tests with mutant n selected, and returns which failed first. Those that take longer than the limit hang.
func (w way) run(dir string, n int, limit time.Duration) (verdict string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	out, err := command(ctx, dir, n, binary, "-test.skip", w.skip, "-test.failfast", "-test.timeout", limit.String())
	var exit *exec.ExitError
	switch hanging := regexp.MustCompile(`running tests:\s+(\w+)`).FindStringSubmatch(out); {
	case err == nil:
		return survives, nil
	case hanging != nil:
		return w.name + hangs + " in " + hanging[1], nil
	case ctx.Err() != nil:
		return w.name + hangs, nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("running the tests: %w", err)
	}
	if tests := failed(out); len(tests) > 0 {
		return w.name + tests[0], nil
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return w.name + strings.TrimSpace(line), nil
		}
	}
	return w.name + exit.String(), nil // as when the system kills what takes too much memory
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
