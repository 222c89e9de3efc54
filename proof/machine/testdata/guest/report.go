//go:build linux

package main

import (
	"fmt"
	"strings"
)

// mark begins the lines that are the guest's, for the kernel writes to the console as well.
const mark = "@ "

// A report is what there is to tell of one scene, check by check; a check is about all subjects.
type report struct {
	checks, failed int

	scene  string
	names  []string
	counts map[string]int
	faults map[string][]string
	open   map[string]int
}

// tell takes down what became of s, fault being "" if all was right.
func (r *report) tell(s *subject, name, fault string) {
	if r.counts == nil {
		r.counts, r.faults = make(map[string]int), make(map[string][]string)
	}
	if r.counts[name] == 0 {
		r.names = append(r.names, name)
	}
	r.counts[name]++
	if fault != "" {
		r.faults[name] = append(r.faults[name], s.name+": "+fault)
	}
}

// sum writes the scene's checks and begins the next.
func (r *report) sum() {
	for _, name := range r.names {
		r.check(fmt.Sprintf("%s (%d)", name, r.counts[name]), strings.Join(r.faults[name], "; "))
	}
	for text, n := range r.open {
		r.note("%s (%d)", text, n)
	}
	r.names, r.counts, r.faults, r.open = nil, nil, nil, nil
}

func (r *report) check(name, fault string) {
	r.checks++
	if fault == "" {
		fmt.Printf("%sok %s: %s\n", mark, r.scene, name)
		return
	}
	r.failed++
	fmt.Printf("%sFAIL %s: %s: %s\n", mark, r.scene, name, fault)
}

// leftOpen takes down what became of a session in a case that the contract leaves open.
func (r *report) leftOpen(what string) {
	if r.open == nil {
		r.open = make(map[string]int)
	}
	r.open[what]++
}

// note is of what no check is about.
func (r *report) note(format string, args ...any) {
	fmt.Printf("%snote %s: %s\n", mark, r.scene, fmt.Sprintf(format, args...))
}

func faultIf(bad bool, format string, args ...any) string {
	if !bad {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
