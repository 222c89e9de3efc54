package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/format"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

const library = "github.com/sessionmap/sessionmap"

// apply writes the first fix of each finding to the files, and returns the findings that have none, or whose fix would touch
// what another has changed already, or would not compile.
func (c *command) apply(p *sessionleak.Program, findings []sessionleak.Finding, patterns []string) (left []sessionleak.Finding, err error) {
	broken := make(map[string]bool) // files that must stay as they are
	for {
		edits := make(map[string][]edit)
		left = nil
		for _, f := range findings {
			if len(f.Fixes) == 0 || !merge(edits, editsOf(p, f.Fixes[0]), broken) {
				left = append(left, f)
			}
		}
		fixed, err := made(edits)
		if err != nil || len(fixed) == 0 {
			return left, err
		}
		now, missing, err := compile(c.dir, patterns, fixed)
		if err != nil {
			return nil, err
		}
		if len(now) == 0 {
			if missing {
				fmt.Fprintln(c.errors, "sessionmapvet: what is rewritten needs the library: go get "+library)
			}
			return left, rewrite(fixed)
		}
		before := len(broken)
		maps.Copy(broken, now)
		if len(broken) == before {
			return nil, fmt.Errorf("with the fixes %s would not compile, and nothing has been written", slices.Min(slices.Collect(maps.Keys(now))))
		}
	}
}

// made makes the edits.
func made(edits map[string][]edit) (fixed map[string][]byte, err error) {
	fixed = make(map[string][]byte)
	for name, list := range edits {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if fixed[name], err = format.Source(replace(source, list)); err != nil {
			return nil, fmt.Errorf("the fix of %s does not parse, and nothing has been written: %w", name, err)
		}
	}
	return fixed, nil
}

// compile returns the files that do not compile once others are fixed, and whether that may be so because the module lacks the
// library.
func compile(dir string, patterns []string, fixed map[string][]byte) (broken map[string]bool, missing bool, err error) {
	pkgs, err := packagesOf(token.NewFileSet(), dir, patterns, fixed)
	if err != nil {
		return nil, false, err
	}
	broken, missing = make(map[string]bool), len(pkgs) == 0
	for _, pkg := range pkgs {
		for _, e := range pkg.Errors {
			missing = missing || strings.Contains(e.Msg, library)
		}
	}
	for _, pkg := range pkgs {
		for _, e := range pkg.TypeErrors {
			if !missing || !strings.HasPrefix(e.Msg, "could not import") {
				broken[e.Fset.PositionFor(e.Pos, false).Filename] = true
			}
		}
	}
	return broken, missing, nil
}

func rewrite(fixed map[string][]byte) error {
	for name, source := range fixed {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, source, info.Mode()); err != nil {
			return err
		}
	}
	return nil
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

// merge adds the edits of a fix to those of others, unless one of them meets one of the others, or is in a file that is to stay
// as it is. Equal ones, such as those of an import, are made once.
func merge(to map[string][]edit, fix []edit, stay map[string]bool) bool {
	for _, e := range fix {
		if stay[e.file] {
			return false
		}
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
