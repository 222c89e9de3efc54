package main

import (
	"fmt"
	"slices"
	"strings"
)

// columns are what is told of a contestant in every round, in the terminal and on the page.
var columns = [...]string{"sessions", "heap", "RSS", "gorout."}

// cells returns the figures of one round, as many as there are columns.
func (r result) cells(round int) []string {
	if round > len(r.Samples) {
		return []string{"stopped", "–", "–", "–"}
	}
	s := r.Samples[round-1]
	return []string{fmt.Sprint(s.Sessions), mb(s.Heap), mb(s.RSS), fmt.Sprint(s.Goroutines)}
}

// rows returns the cells of all contestants, round by round.
func (s story) rows() [][]string {
	var rows [][]string
	for round := 1; round <= s.Plan.Rounds; round++ {
		row := []string{fmt.Sprint(round)}
		for _, r := range s.Results {
			row = append(row, r.cells(round)...)
		}
		rows = append(rows, row)
	}
	return rows
}

// table is for the terminal.
func (s story) table() string {
	const cell = "%9s%6s%6s%8s"
	const width = 9 + 6 + 6 + 8
	var b strings.Builder
	line := func(first string, groups []string) {
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("%5s │", first)+strings.Join(groups, " │"), " "))
	}
	group := func(cells []string) string {
		return fmt.Sprintf(cell, cells[0], cells[1], cells[2], cells[3])
	}
	var names, heads []string
	for _, r := range s.Results {
		names = append(names, fmt.Sprintf(" %-*s", width-1, r.Contestant.Name))
		heads = append(heads, group(columns[:]))
	}
	line("", names)
	line("round", heads)
	for _, row := range s.rows() {
		var groups []string
		for cells := range slices.Chunk(row[1:], len(columns)) {
			groups = append(groups, group(cells))
		}
		line(row[0], groups)
	}
	b.WriteString("heap: in use after a garbage collection; heap and RSS in MB\n")
	return b.String()
}

// summary is a line for each contestant.
func (s story) summary() string {
	var lines []string
	for _, r := range s.Results {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}
