package sessionleak

import (
	"go/ast"
	"go/types"
	"slices"
)

// A map may be behind an atomic.Pointer, and be replaced by a changed copy. Then the pointer is the container: what it loads is,
// and so is a copy that it stores. To store anything else empties it.

// pointerOf returns the atomic.Pointer to a map that a call is a method of, and the method.
func (f *function) pointerOf(call *ast.CallExpr) (ptr ast.Expr, method string) {
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return nil, ""
	}
	named, ok := deref(f.pkg.Info.TypeOf(sel.X)).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != "sync/atomic" || named.TypeArgs().Len() != 1 || kindOf(named.TypeArgs().At(0)) != goMap {
		return nil, ""
	}
	return sel.X, sel.Sel.Name
}

// stored returns what a call makes an atomic.Pointer to a map point to: the map, without the & before it.
func (f *function) stored(call *ast.CallExpr) (ptr, value ast.Expr) {
	ptr, method := f.pointerOf(call)
	if ptr == nil || len(call.Args) == 0 || !slices.Contains([]string{"Store", "Swap", "CompareAndSwap"}, method) {
		return nil, nil
	}
	value = ast.Unparen(call.Args[len(call.Args)-1])
	if u, ok := value.(*ast.UnaryExpr); ok {
		value = ast.Unparen(u.X)
	}
	return ptr, value
}

// bindCopy has a local map that a call stores in an atomic.Pointer stand for that, if it is a copy of what is there.
func (f *function) bindCopy(call *ast.CallExpr) {
	ptr, value := f.stored(call)
	if id, ok := value.(*ast.Ident); ok && f.isLocalName(id) && f.variable(id) != nil && f.isCopy(f.variable(id)) {
		if r, ok := f.resolve(ptr); ok {
			f.aliases[f.variable(id)] = r
		}
	}
}

// isCopy reports whether a local map is made by maps.Clone, or filled by maps.Copy, or by a loop that copies each element.
func (f *function) isCopy(v *types.Var) bool {
	found := false
	is := func(e ast.Expr) bool {
		id, ok := ast.Unparen(e).(*ast.Ident)
		return ok && f.variable(id) == v
	}
	ast.Inspect(f.body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i := range min(len(n.Lhs), len(n.Rhs)) {
				if call, ok := ast.Unparen(n.Rhs[i]).(*ast.CallExpr); ok && is(n.Lhs[i]) {
					found = found || f.isCallOf(call, "maps", "Clone")
				}
			}
		case *ast.CallExpr:
			found = found || f.isCallOf(n, "maps", "Copy") && len(n.Args) == 2 && is(n.Args[0])
		case *ast.RangeStmt:
			if len(n.Body.List) == 1 {
				as, ok := n.Body.List[0].(*ast.AssignStmt)
				if !ok {
					break
				}
				to, ok := as.Lhs[0].(*ast.IndexExpr)
				found = found || ok && is(to.X) && exprString(to.Index) == exprString(n.Key)
			}
		}
		return !found
	})
	return found
}

// publishes notes that a call stores a map in an atomic.Pointer, and reports whether it does.
func (f *function) publishes(call *ast.CallExpr, here func() place) bool {
	ptr, value := f.stored(call)
	if ptr == nil {
		return false
	}
	r, ok := f.resolve(ptr)
	if !ok {
		return false
	}
	if id, ok := value.(*ast.Ident); ok && f.isLocalName(id) && f.variable(id) != nil {
		if of, known := f.aliases[f.variable(id)]; known {
			return of == r
		}
		value = f.defined[f.variable(id)]
	}
	t := deref(f.pkg.Info.TypeOf(ptr)).(*types.Named).TypeArgs().At(0)
	f.pkg.prog.container(f.pkg, r, t).add(access{what: empty, at: here(), value: value, node: call})
	return true
}
