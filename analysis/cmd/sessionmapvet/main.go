// Sessionmapvet finds the containers of a Go program that grow with its sessions and are never, or not reliably, emptied.
//
//	go run github.com/sessionmap/sessionmap/analysis/cmd/sessionmapvet@latest ./...
//	sessionmapvet -audit ./...          # all long-lived containers, with what becomes of them
//	sessionmapvet -fix ./...            # rewrite the simple cases
//	go vet -vettool=$(which sessionmapvet) ./...
//
// What it reports is told in [github.com/sessionmap/sessionmap/analysis/sessionleak]. It looks at all packages that the
// patterns name as one program, so name the whole module. Its status is 0 if there is nothing to report, 1 if there is, and 2
// if the packages could not be read.
//
// What -fix writes needs the library: where the module does not require it yet, the command says so, and
//
//	go get github.com/sessionmap/sessionmap
//
// adds it. A fix is offered where the program does the same with it but for the bounds, which are for you to choose: a map that
// is nil at first, that is encoded or printed with its struct, or that files use which are not looked at (tests, and code for
// other platforms), stays as it is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

func main() {
	if byVet(os.Args[1:]) {
		unitchecker.Main(sessionleak.Analyzer) // does not return
	}
	os.Exit(run(os.Args[1:], ".", os.Stdout, os.Stderr))
}

// byVet reports whether go vet runs the command, which asks for its version and flags, and then hands it a description of
// each package.
func byVet(args []string) bool {
	return slices.Contains(args, "-V=full") || slices.Contains(args, "-flags") ||
		len(args) > 0 && strings.HasSuffix(args[len(args)-1], ".cfg")
}

// The statuses of the command.
const (
	nothing = iota
	found
	failed
)

// A command is what the flags say.
type command struct {
	words  sessionleak.Words
	format string
	audit  bool
	fix    bool
	dir    string
	out    io.Writer
	errors io.Writer
}

func run(args []string, dir string, out, errors io.Writer) int {
	c := &command{words: sessionleak.DefaultWords(), dir: dir, out: out, errors: errors}
	flags := flag.NewFlagSet("sessionmapvet", flag.ContinueOnError)
	flags.SetOutput(errors)
	flags.Usage = func() {
		fmt.Fprintln(errors, "usage: sessionmapvet [flags] packages\n\nFinds containers that grow with sessions and are not reliably emptied. The flags:")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.format, "format", "text", "how to print: text, json or sarif")
	flags.BoolVar(&c.audit, "audit", false, "print all long-lived containers that grow, with what becomes of them; text or json")
	flags.BoolVar(&c.fix, "fix", false, "rewrite the simple cases to sessionmap, and print what is left")
	flags.Func("keys", "`words` that make a key that of a session, separated by commas; with - before it, a word no longer does", func(list string) error {
		return sessionleak.Change(&c.words.Sessions, list)
	})
	flags.Func("fixed", "`words` that keep a key from being that of a session, separated by commas; with - before it, a word no longer does", func(list string) error {
		return sessionleak.Change(&c.words.Fixed, list)
	})
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		return nothing
	case err != nil:
		return failed
	}
	some, err := c.run(flags.Args())
	switch {
	case err != nil:
		fmt.Fprintln(errors, "sessionmapvet:", err)
		return failed
	case some:
		return found
	}
	return nothing
}

// check tells what is wrong with the flags.
func (c *command) check() error {
	switch {
	case !slices.Contains([]string{"text", "json", "sarif"}, c.format):
		return fmt.Errorf("-format=%s: it is text, json or sarif", c.format)
	case c.audit && c.format == "sarif":
		return errors.New("-format=sarif is for reports: -audit prints text or json")
	case c.audit && c.fix:
		return errors.New("-fix and -audit exclude each other")
	}
	return nil
}

// run reports whether there was something to report. An error that comes with reports says that they may be too few.
func (c *command) run(patterns []string) (some bool, err error) {
	if err := c.check(); err != nil {
		return false, err
	}
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	p, broken := load(c.dir, patterns, c.words)
	if p == nil {
		return false, broken
	}
	if c.audit {
		return false, errors.Join(c.printAudit(p), broken)
	}
	findings := p.Findings()
	if c.fix {
		if broken != nil {
			return false, broken // nothing is rewritten that does not compile
		}
		if findings, err = c.apply(p, findings, patterns); err != nil {
			return false, err
		}
	}
	return len(findings) > 0, errors.Join(c.print(p, findings, broken), broken)
}
