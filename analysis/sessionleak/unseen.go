package sessionleak

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// usedUnseen reports whether a file of the directory that is not looked at, a test or one for another platform, mentions the
// map's name, or makes its struct.
func (r *rewrite) usedUnseen() bool {
	owner, _, _ := strings.Cut(r.c.owner, ".")
	return r.p.unseen(r.c, func(stack []ast.Node) bool {
		id, ok := stack[len(stack)-1].(*ast.Ident)
		if !ok || len(stack) < 2 {
			return false
		}
		_, pointer := stack[len(stack)-2].(*ast.StarExpr)
		return id.Name == r.c.v.Name() || id.Name == owner && !pointer
	})
}

// unseen reports whether there is something that is so in the files that are not looked at of a container's directory, or
// whether one of them cannot be read.
func (p *Program) unseen(c *container, is func(stack []ast.Node) bool) bool {
	seen := make(map[string]bool)
	for _, file := range c.pkg.Files {
		seen[p.Written(file.Package).Filename] = true
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(p.Written(c.v.Pos()).Filename), "*.go"))
	if err != nil {
		return true
	}
	for _, name := range names {
		if seen[name] {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil || !walkStacks(file, func(stack []ast.Node) bool { return !is(stack) }) {
			return true
		}
	}
	return false
}
