package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/format"
	"os"
	"slices"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

// apply writes the first fix of each finding to the files, and returns the findings that have none, or whose fix would touch
// what another has changed already. If a file cannot be made, none is written.
func (c *command) apply(p *sessionleak.Program, findings []sessionleak.Finding) (left []sessionleak.Finding, err error) {
	edits := make(map[string][]edit)
	for _, f := range findings {
		if len(f.Fixes) == 0 || !merge(edits, editsOf(p, f.Fixes[0])) {
			left = append(left, f)
		}
	}
	fixed := make(map[string][]byte)
	for name, list := range edits {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if fixed[name], err = format.Source(replace(source, list)); err != nil {
			return nil, fmt.Errorf("the fix of %s does not parse, and nothing has been written: %w", name, err)
		}
	}
	for name, source := range fixed {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, source, info.Mode()); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// An edit puts text in place of the bytes of a file between two offsets.
type edit struct {
	file     string
	from, to int
	text     string
}

func editsOf(p *sessionleak.Program, fix sessionleak.Fix) []edit {
	var list []edit
	for _, e := range fix.Edits {
		from, to := p.Written(e.Pos), p.Written(e.End)
		list = append(list, edit{from.Filename, from.Offset, to.Offset, e.Text})
	}
	return list
}

// merge adds the edits of a fix to those of others, unless one of them meets one of the others. Equal ones, such as those of
// an import, are made once.
func merge(to map[string][]edit, fix []edit) bool {
	for _, e := range fix {
		for _, other := range to[e.file] {
			if e != other && e.from < other.to && other.from < e.to {
				return false
			}
		}
	}
	for _, e := range fix {
		if !slices.Contains(to[e.file], e) {
			to[e.file] = append(to[e.file], e)
		}
	}
	return true
}

// replace makes the edits, which do not overlap. Those at the same place are made in their order.
func replace(source []byte, edits []edit) []byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(source[at:e.from])
		out.WriteString(e.text)
		at = e.to
	}
	out.Write(source[at:])
	return out.Bytes()
}
