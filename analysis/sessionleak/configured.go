package sessionleak

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// configured reports whether the key of an insertion is one of a list in the configuration of the container's owner: there are no
// more entries than the list has.
func (p *Program) configured(c *container, a access) bool {
	owner, _, _ := strings.Cut(c.owner, ".")
	return a.expr != nil && owner != "" && a.at.in.ofList(a.expr, owner, 3)
}

// ofList reports whether an expression in f is an element of such a list, be it that all calls of f are given one. As many calls
// are looked through as depth says.
func (f *function) ofList(e ast.Expr, owner string, depth int) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	if !ok {
		return false
	}
	v := f.variable(id)
	for n := range f.enclosing(id.Pos()) {
		if loop, ok := n.(*ast.RangeStmt); ok && v != nil && f.element(loop) == v {
			return f.inConfiguration(loop.X, owner)
		}
	}
	return depth > 0 && f.obj != nil && !f.exported() && len(f.runs) > 0 && slices.Contains(f.params, v) &&
		!slices.ContainsFunc(f.runs, func(e edge) bool {
			call := e.at.in.callOf(f, e.at.pos)
			if call == nil {
				return true
			}
			arg := f.asCalled(id, call)
			return arg == nil || !e.at.in.ofList(arg, owner, depth-1)
		})
}

// element returns the variable that a loop over a slice sets to its elements.
func (f *function) element(loop *ast.RangeStmt) *types.Var {
	id, ok := loop.Value.(*ast.Ident)
	if _, isSlice := under(f.pkg.Info.TypeOf(loop.X)).(*types.Slice); !ok || !isSlice {
		return nil
	}
	return f.variable(id)
}

// inConfiguration reports whether a list is in a field for the configuration of f's receiver, which is the owner.
func (f *function) inConfiguration(list ast.Expr, owner string) bool {
	sel, ok := ast.Unparen(list).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	in, ok := ast.Unparen(sel.X).(*ast.SelectorExpr)
	if !ok || !hasWord(in.Sel.Name, "config", "configuration", "conf", "cfg", "options", "option", "opts", "settings") {
		return false
	}
	id, ok := ast.Unparen(in.X).(*ast.Ident)
	g := f.outermost()
	if !ok || g.obj == nil || g.obj.Signature().Recv() == nil || g.params[0] != f.variable(id) {
		return false
	}
	named, ok := deref(g.params[0].Type()).(*types.Named)
	return ok && named.Obj().Name() == owner
}
