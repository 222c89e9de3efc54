package sessionleak

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
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
	dir := filepath.Dir(p.Written(c.v.Pos()).Filename)
	files, known := p.unseenIn[dir]
	if !known {
		files = p.parseUnseen(c.pkg, dir)
		p.unseenIn[dir] = files
	}
	return slices.ContainsFunc(files, func(file *ast.File) bool {
		return file == nil || !walkStacks(file, func(stack []ast.Node) bool { return !is(stack) })
	})
}

// parseUnseen returns the files in the directory of a package that are not looked at, with nil for what cannot be read.
func (p *Program) parseUnseen(pi *packageInfo, dir string) (files []*ast.File) {
	seen := make(map[string]bool)
	for _, file := range pi.Files {
		seen[p.Written(file.Package).Filename] = true
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return []*ast.File{nil}
	}
	for _, name := range names {
		if seen[name] {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			file = nil
		}
		files = append(files, file)
	}
	return files
}
