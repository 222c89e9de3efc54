package sessionleak

import (
	"go/ast"
	"go/token"
	"strings"
)

const okay = "//sessionmap:ok"

// remarks are the comments that silence a report on their own line or, if they stand alone, on the next, by file and line.
type remarks map[string]map[int]remark

type remark struct {
	pos    token.Pos
	reason string
	alone  bool // nothing else is on its line
}

func (r remarks) add(fset *token.FileSet, file *ast.File) {
	for _, group := range file.Comments {
		for _, c := range group.List {
			rest, ok := strings.CutPrefix(c.Text, okay)
			if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
				continue
			}
			pos := fset.Position(c.Pos())
			if r[pos.Filename] == nil {
				r[pos.Filename] = make(map[int]remark)
			}
			reason, _, _ := strings.Cut(rest, "// want") // of a golden file
			r[pos.Filename][pos.Line] = remark{c.Pos(), strings.TrimSpace(reason), !codeOn(fset, file, pos.Line)}
		}
	}
}

// codeOn reports whether something else than comments is on a line.
func codeOn(fset *token.FileSet, file *ast.File, line int) bool {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case nil, *ast.Comment, *ast.CommentGroup:
			return false
		}
		found = found || fset.Position(n.Pos()).Line == line || fset.Position(n.End()).Line == line
		return !found
	})
	return found
}

// silence reports whether a remark stands at one of the places.
func (r remarks) silence(fset *token.FileSet, at []token.Pos) bool {
	for _, pos := range at {
		p := fset.Position(pos)
		for _, line := range []int{p.Line, p.Line - 1} {
			if m, ok := r[p.Filename][line]; ok && m.reason != "" && (m.alone || line == p.Line) {
				return true
			}
		}
	}
	return false
}

// unreasoned returns a finding for each remark that gives no reason, and so silences nothing.
func (r remarks) unreasoned() []Finding {
	var found []Finding
	for _, lines := range r {
		for _, m := range lines {
			if m.reason == "" {
				found = append(found, Finding{Rule: RuleRemark, Pos: m.pos, Message: okay + " gives no reason, and silences nothing"})
			}
		}
	}
	return found
}
