package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// endsSoon reports whether a container is in commands only that run to their end, which ends it: in package main, or in one that
// nobody but these can import.
func (p *Program) endsSoon(c *container) bool {
	some := false
	for _, pi := range p.packages {
		if pi.Types.Name() != "main" || !slices.Contains(imports(pi.Types), c.pkg.Types) {
			continue
		}
		if !p.runsToEnd(pi) {
			return false
		}
		some = true
	}
	return some && (c.pkg.Types.Name() == "main" || p.whole && internal(c.pkg.Types.Path()))
}

// imports returns a package, and those that it imports, directly or not.
func imports(pkg *types.Package) []*types.Package {
	all := []*types.Package{pkg}
	for i := 0; i < len(all); i++ {
		for _, next := range all[i].Imports() {
			if !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

// runsToEnd reports whether a command, all of whose code is seen but for the standard library, has neither a server nor a loop
// that goes on for as long as something comes.
func (p *Program) runsToEnd(main *packageInfo) bool {
	ends, known := p.toEnd[main]
	if known {
		return ends
	}
	linked := imports(main.Types)
	ends = !slices.ContainsFunc(linked, func(pkg *types.Package) bool { return !p.added[pkg] && !p.standard(pkg) })
	for _, f := range p.functions {
		ends = ends && !(slices.Contains(linked, f.pkg.Types) && f.goesOn())
	}
	p.toEnd[main] = ends
	return ends
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
