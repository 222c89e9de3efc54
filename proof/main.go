// Proof runs what holds the library's promises at length, and writes RELIABILITY.md.
//
//	go run ./proof                    # everything: seven hours on two cores
//	go run ./proof -only model,fuzz   # these parts
//	go run ./proof -list              # what there is
//	go run ./proof -check             # that RELIABILITY.md says what was found, and how, and names tests that exist
//	go run ./proof -write             # RELIABILITY.md anew, of what was found when the parts were run
//
// A part is a command, given in parts.go. Its figures are in its output, as name=number, and are kept in figures.json,
// with the command as it was run and a hash of the library's sources at that time; reliability.md.tmpl is the text around
// them. Short forms of most parts are in .ci/run.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

const (
	figuresFile = "proof/figures.json"
	report      = "RELIABILITY.md"
)

//go:embed reliability.md.tmpl
var text string

func main() {
	log.SetFlags(0)
	only := flag.String("only", "", "these `parts`, with commas between")
	list := flag.Bool("list", false, "tell the parts and their commands")
	check := flag.Bool("check", false, "see whether "+report+" is up to date")
	write := flag.Bool("write", false, "write "+report+" of the figures that there are")
	flag.Parse()
	var err error
	switch {
	case *list:
		for _, p := range parts {
			fmt.Printf("%-16s %s\n", p.name, p.command)
		}
	case *check:
		err = checkReport()
	case *write:
		err = writeReport()
	default:
		err = prove(*only)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A result is what a part found when it last passed.
type result struct {
	Figures map[string]float64
	Command string // as it was run
	Sources string // of the library; empty where that is not known

	Survivors []string `json:",omitempty"` // of the mutants, by name
	Seconds   float64
	Go        string
	Date      string
}

// prove runs the parts and keeps what those found that pass.
func prove(only string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	for _, p := range chosen {
		if p.needs != "" {
			if _, e := exec.LookPath(p.needs); e != nil {
				fmt.Printf("==> %s: left out: %v\n", p.name, e)
				if only != "" {
					err = errors.Join(err, fmt.Errorf("%s: %w", p.name, e))
				}
				continue
			}
		}
		fmt.Printf("==> %s: %s\n", p.name, p.command)
		r, e := p.run()
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, e))
			continue
		}
		if e := keep(p.name, r); e != nil {
			return e
		}
	}
	return err
}

func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q; -list tells which there are", name)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

func (p part) run() (result, error) {
	began := time.Now()
	sources, err := p.hashOfSources()
	if err != nil {
		return result{}, err
	}
	log, err := os.Create(filepath.Join(os.TempDir(), "proof-"+p.name+".log"))
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	fmt.Printf("its output goes to %s\n", log.Name())
	command := p.expanded()
	var out strings.Builder
	c := exec.Command("bash", "-e", "-o", "pipefail", "-c", command)
	c.Stdout = io.MultiWriter(log, &out)
	c.Stderr = c.Stdout
	if err := c.Run(); err != nil {
		lines := strings.SplitAfter(out.String(), "\n")
		fmt.Print(strings.Join(lines[max(0, len(lines)-50):], ""))
		return result{}, err
	}
	switch after, err := p.hashOfSources(); {
	case err != nil:
		return result{}, err
	case after != sources:
		return result{}, errors.New("the sources have changed meanwhile")
	}
	figures := figuresIn(out.String())
	fmt.Println(figures)
	if len(figures) == 0 {
		return result{}, errors.New("no figures in the output")
	}
	var survivors []string
	for _, found := range survivor.FindAllStringSubmatch(out.String(), -1) {
		survivors = append(survivors, found[1])
	}
	return result{Figures: figures, Survivors: survivors, Command: command, Sources: sources, Seconds: time.Since(began).Round(time.Second).Seconds(), Go: runtime.Version(), Date: time.Now().Format(time.DateOnly)}, nil
}

// A variable is what the environment may say otherwise, as in ${FUZZTIME:-1h}.
var variable = regexp.MustCompile(`\$\{([A-Z]+):-([^}]*)\}`)

// expanded returns the command with the variables of the environment in it.
func (p part) expanded() string {
	return variable.ReplaceAllStringFunc(p.command, func(s string) string {
		named := variable.FindStringSubmatch(s)
		return cmp.Or(os.Getenv(named[1]), named[2])
	})
}

// ran reports whether command is that of the part, whatever the environment said.
func (p part) ran(command string) bool {
	var pattern strings.Builder
	at := 0
	for _, found := range variable.FindAllStringIndex(p.command, -1) {
		pattern.WriteString(regexp.QuoteMeta(p.command[at:found[0]]) + `\S+`)
		at = found[1]
	}
	pattern.WriteString(regexp.QuoteMeta(p.command[at:]))
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(command)
}

// hashOfSources returns a hash of the sources that the part is about, without tests and comments.
func (p part) hashOfSources() (string, error) {
	var files []string
	for _, dir := range append([]string{"."}, p.also...) {
		found, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	h := sha256.New()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, file)
		var tokens scanner.Scanner
		tokens.Init(token.NewFileSet().AddFile(file, -1, len(source)), source, nil, 0)
		for tok := token.ILLEGAL; tok != token.EOF; {
			var literal string
			_, tok, literal = tokens.Scan()
			fmt.Fprintln(h, tok, literal)
		}
	}
	return fmt.Sprintf("%.5x", h.Sum(nil)), nil
}

var (
	pairs = regexp.MustCompile(`(?m)(?:^|: )((?:[a-z]+=\S+ ?)+)$`)
	execs = regexp.MustCompile(`(?m)^fuzz: elapsed: (\S+), execs: (\d+) `)
	fuzzy = regexp.MustCompile(`(?m)^(ok|PASS)`)
	okays = regexp.MustCompile(`(?m)^--- PASS: `)

	survivor = regexp.MustCompile(`(?m)^survivor: (.+)$`)
)

// figuresIn adds up the figures in the output of a command. In kind=full calls=3 the figure is that of "full calls".
func figuresIn(out string) map[string]float64 {
	figures := make(map[string]float64)
	for _, line := range pairs.FindAllStringSubmatch(out, -1) {
		label := ""
		for _, pair := range strings.Fields(line[1]) {
			name, value, _ := strings.Cut(pair, "=")
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				figures[label+name] += n
			} else {
				label += value + " "
			}
		}
	}
	// The fuzzer counts up, for one target after the other.
	for target := range slices.Values(fuzzy.Split(out, -1)) {
		if counts := execs.FindAllStringSubmatch(target, -1); len(counts) > 0 {
			last := counts[len(counts)-1]
			if elapsed, err := time.ParseDuration(last[1]); err == nil {
				figures["seconds"] += elapsed.Seconds()
			}
			if n, err := strconv.ParseFloat(last[2], 64); err == nil {
				figures["executions"] += n
			}
		}
	}
	if n := len(okays.FindAllString(out, -1)); n > 0 {
		figures["tests"] = float64(n)
	}
	return figures
}

func readResults() (map[string]result, error) {
	content, err := os.ReadFile(figuresFile)
	if err != nil {
		return nil, fmt.Errorf("run it in the root of the repository: %w", err)
	}
	var results map[string]result
	if err := json.Unmarshal(content, &results); err != nil {
		return nil, fmt.Errorf("%s: %w", figuresFile, err)
	}
	return results, nil
}

// keep adds what a part found to the results, and writes the report of them if there are those of all parts.
func keep(name string, r result) error {
	results, err := readResults()
	if err != nil {
		return err
	}
	results[name] = r
	content, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(figuresFile, append(content, '\n'), 0o666); err != nil {
		return err
	}
	for _, p := range parts {
		if _, ok := results[p.name]; !ok {
			fmt.Printf("(%s is not written yet: %s has not been run)\n", report, p.name)
			return nil
		}
	}
	return writeReport()
}

func writeReport() error {
	results, err := readResults()
	if err != nil {
		return err
	}
	rendered, err := render(results)
	if err != nil {
		return err
	}
	return os.WriteFile(report, rendered, 0o666)
}

// render returns the report of the results.
func render(results map[string]result) ([]byte, error) {
	functions := template.FuncMap{
		"figure": func(part, name string) (string, error) {
			n, ok := results[part].Figures[name]
			if !ok {
				return "", fmt.Errorf("%s: %q is not among the figures of %s: %v", figuresFile, name, part, slices.Sorted(maps.Keys(results[part].Figures)))
			}
			return grouped(n), nil
		},
		"commands": func() string {
			var b strings.Builder
			for _, p := range parts {
				r := results[p.name]
				fmt.Fprintf(&b, "%s # %s, %s, %s, sources %s\n", r.Command, p.name, r.Go, r.Date, cmp.Or(r.Sources, "unknown"))
			}
			return b.String()
		},
		"survivors": func(part string) string {
			survivors := results[part].Survivors
			switch {
			case results[part].Figures["survived"] == 0:
				return "- none\n"
			case len(survivors) == 0:
				return "- (the last run did not keep their names)\n"
			}
			return "- `" + strings.Join(survivors, "`\n- `") + "`\n"
		},
		"grouped": func(n int) string { return grouped(float64(n)) },
		"took":    func(part string) string { return (time.Duration(results[part].Seconds) * time.Second).String() },
	}
	t, err := template.New(report).Funcs(functions).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, nil)
	return out.Bytes(), err
}

// grouped writes 1234567 as 1,234,567.
func grouped(n float64) string {
	s := strconv.FormatFloat(n, 'f', -1, 64)
	whole, _, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// checkReport reports whether the report is that of the results, the results those of the commands in parts.go, and all
// named tests there. It tells which parts were run on other sources than those that are there now.
func checkReport() error {
	results, err := readResults()
	if err != nil {
		return err
	}
	var others []string
	for _, p := range parts {
		r := results[p.name]
		sources, e := p.hashOfSources()
		if e != nil {
			return e
		}
		if !p.ran(r.Command) {
			err = errors.Join(err, fmt.Errorf("%s: the figures of %s are of the command\n\t%s\nand in parts.go there is\n\t%s", figuresFile, p.name, r.Command, p.command))
		}
		if r.Sources != sources {
			others = append(others, fmt.Sprintf("%s (%s)", p.name, r.Date))
		}
	}
	if err != nil {
		return err
	}
	if len(others) > 0 {
		fmt.Printf("run on other sources than these: %s\n", strings.Join(others, ", "))
	}
	want, err := render(results)
	if err != nil {
		return err
	}
	got, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not what the template and %s say: run go run ./proof -write", report, figuresFile)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		return err
	}
	more, err := filepath.Glob("*/*_test.go")
	if err != nil {
		return err
	}
	var tests bytes.Buffer
	for _, file := range append(files, more...) {
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		tests.Write(source)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(want), -1)
	if len(named) == 0 {
		return fmt.Errorf("%s names no tests", report)
	}
	for _, name := range named {
		if !bytes.Contains(tests.Bytes(), []byte("func "+name[1]+"(")) {
			err = errors.Join(err, fmt.Errorf("%s: there is no test %s", report, name[1]))
		}
	}
	return err
}
