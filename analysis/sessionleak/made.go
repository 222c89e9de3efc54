package sessionleak

import (
	"go/ast"
	"go/token"
	"slices"
)

func isFresh(value ast.Expr) bool { return value == nil || isMade(value) || isNil(value) }

func isNil(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "nil"
}

// isMade reports whether an expression is a new container: a literal, or a call of make or of a constructor.
func isMade(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		return isMade(e.X)
	case *ast.CallExpr:
		words := split(nameOf(e.Fun))
		return len(words) > 0 && (words[0] == "make" || words[0] == "new")
	}
	return false
}

// nameOf returns the name of a function in an expression.
func nameOf(fun ast.Expr) string {
	switch fun := ast.Unparen(fun).(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	case *ast.IndexExpr: // type arguments
		return nameOf(fun.X)
	case *ast.IndexListExpr:
		return nameOf(fun.X)
	}
	return ""
}

// firstMade reports whether an assignment only makes a container that there was not yet: at setup, once, or where it is nil.
func (p *Program) firstMade(c *container, a access) bool {
	return a.value != nil && isMade(a.value) && (p.setup(a.at.in) || a.at.in.doneOnce() || a.at.in.whereNil(c, a.at.pos))
}

// doneOnce reports whether f is a literal that a sync.Once runs.
func (f *function) doneOnce() bool {
	return f.lit != nil && slices.ContainsFunc(f.parent.calls, func(call *ast.CallExpr) bool {
		fn := f.parent.callee(call)
		return fn != nil && fn.FullName() == "(*sync.Once).Do" && call.Args[0] == f.lit
	})
}

// whereNil reports whether a position is reached only if a container is nil, or has nothing in it.
func (f *function) whereNil(c *container, pos token.Pos) bool {
	for cond, is := range f.decided(pos) {
		if is && f.testsNil(c, cond, token.EQL, token.LAND) || !is && f.testsNil(c, cond, token.NEQ, token.LOR) {
			return true
		}
	}
	return false
}

// testsNil reports whether a condition, or one that join joins to others, compares a container with nil, or its length with 0.
func (f *function) testsNil(c *container, cond ast.Expr, op, join token.Token) bool {
	b, ok := ast.Unparen(cond).(*ast.BinaryExpr)
	switch {
	case !ok:
		return false
	case b.Op == join:
		return f.testsNil(c, b.X, op, join) || f.testsNil(c, b.Y, op, join)
	case b.Op != op:
		return false
	}
	if call, ok := ast.Unparen(b.X).(*ast.CallExpr); ok && nameOf(call.Fun) == "len" && len(call.Args) == 1 {
		return f.containerOf(call.Args[0]) == c
	}
	return isNil(b.Y) && f.containerOf(b.X) == c
}
