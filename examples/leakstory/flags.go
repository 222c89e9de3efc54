package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type options struct {
	plan plan
	out  string
}

// A flagError tells which flag was refused, what it was given, and what it takes.
type flagError struct {
	flag    string
	value   string
	allowed string
}

func (e *flagError) Error() string {
	return fmt.Sprintf("leakstory: %s %q: want %s", e.flag, e.value, e.allowed)
}

// parseFlags checks all that can be wrong before the first round, for the wait is long.
func parseFlags(args []string, usage io.Writer) (options, error) {
	flags := flag.NewFlagSet("leakstory", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is told once, by main
	var (
		lost   = flags.String("lost", "100%", "the `share` of session.deleted events lost, 0 to 1 or in percent")
		rounds = flags.Int("rounds", 0, "the number of rounds (default 20, with -quick 8)")
		full   = flags.Bool("full", false, "the report's own scale: 700 MB a round, 6 GB of memory needed")
		quick  = flags.Bool("quick", false, "a three second version")
		out    = flags.String("out", "leakstory.html", "the `file` to write the page to")
	)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(usage, "Usage: leakstory [flags]")
			flags.SetOutput(usage)
			flags.PrintDefaults()
		}
		return options{}, fmt.Errorf("leakstory: %w", err)
	}
	if flags.NArg() > 0 {
		return options{}, &flagError{"argument", flags.Arg(0), "flags only"}
	}
	p := defaultPlan
	switch {
	case *full && *quick:
		return options{}, errors.New("leakstory: -full with -quick: want one of the two")
	case *full:
		p = fullPlan
	case *quick:
		p = quickPlan
	}
	if given(flags, "rounds") {
		if *rounds < minimum {
			return options{}, &flagError{"-rounds", strconv.Itoa(*rounds), fmt.Sprintf("%d or more, to tell growth from warming up", minimum)}
		}
		p.Rounds = *rounds
	}
	share, ok := parseShare(*lost)
	if !ok {
		return options{}, &flagError{"-lost", *lost, "a share from 0 to 1, or a percentage such as 50%"}
	}
	p.Lost = share
	if err := checkOut(*out); err != nil {
		return options{}, err
	}
	return options{p, *out}, nil
}

func given(flags *flag.FlagSet, name string) (found bool) {
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func parseShare(s string) (share float64, ok bool) {
	number, percent := strings.CutSuffix(s, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	return share, err == nil && share >= 0 && share <= 1
}

func checkOut(path string) error {
	allowed := "a file in a directory that exists"
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		return &flagError{"-out", path, allowed}
	}
	file, err := os.Stat(path)
	if path == "" || err == nil && file.IsDir() || err != nil && !errors.Is(err, os.ErrNotExist) {
		return &flagError{"-out", path, allowed}
	}
	return nil
}
