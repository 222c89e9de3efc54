package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// resolveLocals finds out which local variables stand for a container.
func (f *function) resolveLocals() {
	for range 2 { // once more for what is known later only
		ast.Inspect(f.body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if len(n.Lhs) == len(n.Rhs) {
					for i := range n.Lhs {
						f.bind(n.Lhs[i], n.Rhs[i])
					}
				} else if len(n.Rhs) == 1 {
					f.bind(n.Lhs[0], n.Rhs[0])
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						f.bind(name, n.Values[i])
					}
				}
			case *ast.CallExpr:
				f.bindCopy(n)
			case *ast.RangeStmt:
				if r, ok := f.resolve(n.X); ok && n.Value != nil {
					if id, ok := n.Value.(*ast.Ident); ok {
						if v := f.variable(id); v != nil && kindOf(v.Type()) != other {
							f.aliases[v] = ref{r.v, r.level + 1}
						}
					}
				}
			}
			return true
		})
	}
}

func (f *function) bind(lhs, rhs ast.Expr) {
	id, ok := lhs.(*ast.Ident)
	if !ok {
		// A local map that is put somewhere stands for that from then on.
		if rid, ok := ast.Unparen(rhs).(*ast.Ident); ok {
			if v := f.variable(rid); v != nil && f.isLocal(v) && kindOf(v.Type()) == goMap {
				if r, ok := f.resolve(lhs); ok {
					f.aliases[v] = r
				}
			}
		}
		return
	}
	v := f.variable(id)
	if v == nil || !f.isLocal(v) {
		return
	}
	if first := f.defined[v]; first == nil || f.pkg.Info.Types[first].Value != nil { // a constant is there to be replaced
		f.defined[v] = rhs
	}
	if k := kindOf(v.Type()); (k == other || k == slice) && !pointsToMap(v.Type()) {
		return
	}
	if r, ok := f.resolve(rhs); ok {
		f.aliases[v] = r
	}
}

func pointsToMap(t types.Type) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	return ok && kindOf(p.Elem()) == goMap
}

func (f *function) isLocal(v *types.Var) bool {
	return !v.IsField() && (v.Pkg() == nil || v.Parent() != v.Pkg().Scope())
}

// resolve returns what container an expression is.
func (f *function) resolve(e ast.Expr) (ref, bool) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v := f.variable(e)
		if v == nil {
			return ref{}, false
		}
		if r, ok := f.aliases[v]; ok {
			return r, true
		}
		if !f.isLocal(v) || f.isParameter(v) || f.pkg.prog.captured[v] != nil {
			return ref{v, 0}, true
		}
		if _, isChan := v.Type().Underlying().(*types.Chan); isChan {
			return ref{v, 0}, true
		}
	case *ast.SelectorExpr:
		if sel, ok := f.pkg.Info.Selections[e]; ok {
			if sel.Kind() == types.FieldVal {
				return ref{sel.Obj().(*types.Var), 0}, true
			}
			return ref{}, false
		}
		if v, ok := f.pkg.Info.Uses[e.Sel].(*types.Var); ok {
			return ref{v, 0}, true
		}
	case *ast.StarExpr:
		return f.resolve(e.X)
	case *ast.CallExpr:
		if ptr, method := f.pointerOf(e); method == "Load" {
			return f.resolve(ptr)
		}
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return f.resolve(e.X)
		}
	case *ast.IndexExpr:
		switch under(f.pkg.Info.TypeOf(e.X)).(type) {
		case *types.Map, *types.Slice, *types.Array, *types.Pointer:
			if r, ok := f.resolve(e.X); ok {
				return ref{r.v, r.level + 1}, true
			}
		}
	}
	return ref{}, false
}

func (f *function) isParameter(v *types.Var) bool {
	for g := f; g != nil; g = g.parent {
		if slices.Contains(g.params, v) {
			return true
		}
	}
	return false
}

// containerOf returns the container that an expression is.
func (f *function) containerOf(e ast.Expr) *container {
	t := f.pkg.Info.TypeOf(e)
	if kindOf(t) == other {
		return nil
	}
	r, ok := f.resolve(e)
	if !ok {
		return nil
	}
	return f.pkg.prog.container(f.pkg, r, t)
}
