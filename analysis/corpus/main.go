// Corpus runs sessionmapvet over pinned versions of well-known modules, and compares what it reports with reports.md, where
// each report has been judged by reading the code: true, arguable or false.
//
//	go run ./corpus              # all modules; needs the module proxy and takes minutes
//	go run ./corpus mcp-go scs   # those whose path has one of these words
//	go run ./corpus -speed       # how long it takes, beside go vet
//
// Its status is 1 if the command crashes, or if a report has not been judged, or if one that was is not made any more.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	list := flag.String("list", "corpus/reports.md", "the table of modules and of reports")
	timed := flag.Bool("speed", false, "time the command and go vet over the modules")
	flag.Parse()
	if err := run(*list, *timed, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

// A report is a row of the table, or what the command has printed.
type report struct{ module, place, rule, container, verdict string }

func run(list string, timed bool, words []string) error {
	modules, judged, err := parse(list)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "corpus")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tool := filepath.Join(dir, "sessionmapvet.exe")
	if out, err := exec.Command("go", "build", "-o", tool, "./cmd/sessionmapvet").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if len(words) > 0 {
		modules = slices.DeleteFunc(modules, func(module string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(module, w) })
		})
	}
	if timed {
		return speed(tool, dir, modules)
	}
	var bad []error
	counts, looked := make(map[string]int), 0
	for _, module := range modules {
		found, err := vet(tool, filepath.Join(dir, "src"), module)
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", module, err))
			continue
		}
		looked++
		bad = append(bad, compare(module, found, judged, counts)...)
		fmt.Printf("%s: %d reports\n", module, len(found))
	}
	all := counts["true"] + counts["arguable"] + counts["false"]
	fmt.Printf("%d modules, %d reports: %d true, %d arguable, %d false; true or arguable: %d of %d\n",
		looked, all, counts["true"], counts["arguable"], counts["false"], counts["true"]+counts["arguable"], all)
	return errors.Join(bad...)
}

// parse reads the rows of the two tables: a module alone, and a report.
func parse(list string) (modules []string, judged []report, err error) {
	data, err := os.ReadFile(list)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.Contains(cells[0], "@"):
		case len(cells) == 2:
			modules = append(modules, cells[0])
		case len(cells) == 6:
			if !slices.Contains([]string{"true", "arguable", "false"}, cells[4]) {
				return nil, nil, fmt.Errorf("%s: %q is no verdict: %s", list, cells[4], line)
			}
			judged = append(judged, report{cells[0], cells[1], cells[2], cells[3], cells[4]})
		default:
			return nil, nil, fmt.Errorf("%s: a row with %d cells: %s", list, len(cells), line)
		}
	}
	return modules, judged, nil
}

// copyModule puts the sources of a module into a directory, which it replaces.
func copyModule(dir, module string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	download := exec.Command("go", "mod", "download", "-json", module)
	download.Dir = os.TempDir()
	out, err := download.Output()
	var info struct{ Dir, Error string }
	if unreadable := json.Unmarshal(out, &info); unreadable != nil || info.Dir == "" {
		return errors.Join(err, unreadable, errors.New(info.Error))
	}
	if err := os.CopyFS(dir, os.DirFS(info.Dir)); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error { return errors.Join(err, os.Chmod(name, 0o755)) })
}

// moduleEnv is the environment in which a module is looked at on its own.
func moduleEnv() []string { return append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod") }

// vet runs the command in a copy of a module.
func vet(tool, dir, module string) ([]report, error) {
	if err := copyModule(dir, module); err != nil {
		return nil, err
	}
	cmd := exec.Command(tool, "-format=json", "./...")
	cmd.Dir = dir
	cmd.Env = moduleEnv()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var printed []struct{ Rule, Container, Position string }
	if unreadable := json.Unmarshal(out, &printed); unreadable != nil {
		return nil, fmt.Errorf("%w: %s", errors.Join(err, unreadable), stderr.String())
	}
	if strings.Contains(stderr.String(), "panic:") {
		return nil, errors.New(stderr.String())
	}
	var found []report
	for _, p := range printed {
		place := p.Position[:strings.LastIndex(p.Position, ":")] // without the column
		_, container := filepath.Split(p.Container)
		_, container, _ = strings.Cut(container, ".")
		found = append(found, report{module: module, place: filepath.ToSlash(place), rule: p.Rule, container: container})
	}
	return found, nil
}

// compare counts the verdicts on what was found, and returns what differs from the table.
func compare(module string, found, judged []report, counts map[string]int) (bad []error) {
	for _, f := range found {
		i := slices.IndexFunc(judged, func(j report) bool { return j.module == module && j.place == f.place && j.rule == f.rule })
		if i < 0 {
			bad = append(bad, fmt.Errorf("not judged: | %s | %s | %s | %s |", module, f.place, f.rule, f.container))
			continue
		}
		counts[judged[i].verdict]++
	}
	for _, j := range judged {
		if j.module == module && !slices.ContainsFunc(found, func(f report) bool { return j.place == f.place && j.rule == f.rule }) {
			bad = append(bad, fmt.Errorf("not reported any more: %s %s %s", module, j.place, j.rule))
		}
	}
	return bad
}
