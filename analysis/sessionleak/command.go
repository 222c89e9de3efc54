package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// A command is a package main with all that it imports, directly or not.
type command struct {
	linked map[*types.Package]bool
	ends   bool // it runs to its end
}

// endsSoon reports whether a container is in commands only that run to their end, which ends it: in package main, or in one that
// nobody but these can import.
func (p *Program) endsSoon(c *container) bool {
	if c.pkg.Types.Name() != "main" && !(p.whole && internal(c.pkg.Types.Path())) {
		return false
	}
	if p.commands == nil {
		p.commands = p.allCommands()
	}
	some, all := false, true
	for _, m := range p.commands {
		if m.linked[c.pkg.Types] {
			some, all = true, all && m.ends
		}
	}
	return some && all
}

func (p *Program) allCommands() []command {
	all := []command{}
	for _, pi := range p.packages {
		if pi.Types.Name() == "main" {
			m := command{linked: make(map[*types.Package]bool)}
			m.link(pi.Types)
			m.ends = p.runsToEnd(m)
			all = append(all, m)
		}
	}
	return all
}

func (m command) link(pkg *types.Package) {
	if !m.linked[pkg] {
		m.linked[pkg] = true
		for _, imported := range pkg.Imports() {
			m.link(imported)
		}
	}
}

// runsToEnd reports whether a command, all of whose code is seen but for the standard library, has neither a server nor a loop
// that goes on for as long as something comes.
func (p *Program) runsToEnd(m command) bool {
	for pkg := range m.linked {
		if !p.added[pkg] && !p.standard(pkg) {
			return false
		}
	}
	return !slices.ContainsFunc(p.functions, func(f *function) bool { return m.linked[f.pkg.Types] && f.goesOn() })
}

// goesOn reports whether a function has a loop that may have no end, waits in main, or calls something that serves. A main that
// does nothing is that of a library for another language.
func (f *function) goesOn() bool {
	found := f.isMain() && len(f.body.List) == 0
	ast.Inspect(f.body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ForStmt:
			found = found || !counts(n)
		case *ast.RangeStmt:
			_, isChan := under(f.pkg.Info.TypeOf(n.X)).(*types.Chan)
			found = found || isChan
		case *ast.SelectStmt:
			found = found || len(n.Body.List) == 0
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW && f.isMain()
		case *ast.CallExpr:
			fn := f.callee(n)
			found = found || fn != nil && f.pkg.prog.standard(fn.Pkg()) && hasWord(fn.Name(), goingOn...)
		}
		return !found
	})
	return found
}

// goingOn are the words of what goes on for as long as something comes, in the standard library.
var goingOn = []string{"serve", "listen", "accept", "handle", "dial", "notify", "tick", "ticker", "run", "start"}

// counts reports whether a loop goes on while a number is less, or more, than another.
func counts(loop *ast.ForStmt) bool {
	return loop.Cond != nil && slices.ContainsFunc(parts(loop.Cond, token.LAND), func(cond ast.Expr) bool {
		b, ok := cond.(*ast.BinaryExpr)
		return ok && isComparison(b.Op) && b.Op != token.EQL && b.Op != token.NEQ
	})
}
