package main

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
)

//go:embed mutants.txt
var list string

// A mutant is a fault: what a file of the library becomes.
type mutant struct {
	name, file string
	source     string // of the whole file
}

// planted returns the mutants that text lists.
func (l *library) planted(text string) (all []mutant, err error) {
	patches, err := parse(text)
	if err != nil {
		return nil, err
	}
	for _, p := range patches {
		mutated, e := p.apply(l.files[p.file])
		all = append(all, mutant{name: p.name, file: p.file, source: mutated})
		err = errors.Join(err, e)
	}
	return all, err
}

// A patch tells lines to find and others to put in their place.
type patch struct {
	name, file string
	old, new   string
}

// parse reads the list.
func parse(text string) (all []patch, err error) {
	var file string
	var p *patch
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			file, p = line[2:], nil
		case strings.HasPrefix(line, "@ "):
			all = append(all, patch{name: line[2:], file: file})
			p = &all[len(all)-1]
		case p == nil || line == "":
		case line[0] == ' ':
			p.old += line[1:] + "\n"
			p.new += line[1:] + "\n"
		case line[0] == '-':
			p.old += line[1:] + "\n"
		case line[0] == '+':
			p.new += line[1:] + "\n"
		default:
			return nil, fmt.Errorf("mutants.txt:%d: want a line that begins with a space, - or +: %q", n+1, line)
		}
	}
	return all, nil
}

// apply returns the source with the fault in it.
func (p *patch) apply(source string) (string, error) {
	source = "\n" + source // so that only whole lines are found
	switch n := strings.Count(source, "\n"+p.old); {
	case p.old == p.new:
		return "", fmt.Errorf("%s: %s: changes nothing", p.file, p.name)
	case n != 1:
		return "", fmt.Errorf("%s: %s: found %d times, want 1", p.file, p.name, n)
	}
	return strings.Replace(source, "\n"+p.old, "\n"+p.new, 1)[1:], nil
}
