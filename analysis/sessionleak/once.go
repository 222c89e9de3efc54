package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// makes notes that a literal, or a call of new, makes a struct.
func (f *function) makes(e ast.Expr, here func() place) {
	if named, ok := deref(f.pkg.Info.TypeOf(e)).(*types.Named); ok {
		obj := named.Origin().Obj()
		f.pkg.prog.makes[obj] = append(f.pkg.prog.makes[obj], making{here(), e})
	}
}

// madeOnce reports whether all that there are of a struct are package variables, or made by main: their number does not grow.
func (p *Program) madeOnce(obj types.Object) bool {
	if obj == nil {
		return false
	}
	makes := p.makes[obj]
	return (len(makes) > 0 || isVariable(obj)) && !slices.ContainsFunc(makes, func(m making) bool { return m.at.in.loops(m.at) || !m.at.in.runsOnce(nil) })
}

// madeByRequest reports whether a struct is only ever made by HTTP handlers, which keep it in their variables: it ends with the
// request.
func (p *Program) madeByRequest(obj types.Object) bool {
	return p.madeWhere(obj, func(m making) bool { return m.at.in.servesHTTP() && p.keptLocal(m) })
}

// madeByConnection reports whether a struct is only ever made for a connection that was accepted, and kept in the variables of a
// function: it ends with the connection.
func (p *Program) madeByConnection(obj types.Object) bool {
	return p.madeWhere(obj, func(m making) bool { return m.at.in.accepts(m.at.pos, nil) && p.keptLocal(m) })
}

// accepts reports whether a place in f is only reached from loops that accept connections. Those that have asked are in callees.
func (f *function) accepts(pos token.Pos, callees []*function) bool {
	for n := range f.enclosing(pos) {
		if loop, ok := n.(*ast.ForStmt); ok && f.endless(pos) && f.callsAccept(loop.Body) {
			return true
		}
	}
	if f.exported() || len(f.runs) == 0 || slices.Contains(callees, f) {
		return false
	}
	callees = append(slices.Clone(callees), f)
	return !slices.ContainsFunc(f.runs, func(e edge) bool {
		return e.how != called && e.how != deferred && e.how != spawned || !e.at.in.accepts(e.at.pos, callees)
	})
}

// callsAccept reports whether statements call the method of a listener that waits for a connection.
func (f *function) callsAccept(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name, _ := f.calleeName(call)
			found = found || strings.HasPrefix(name, "Accept")
		}
		return !found
	})
	return found
}

// madeInPassing reports whether a struct is only ever made by functions that run again and again, and keep it in their variables,
// of which no function in them knows.
func (p *Program) madeInPassing(obj types.Object) bool {
	return p.madeWhere(obj, func(m making) bool {
		return !m.at.in.runsOnce(nil) && p.keptLocal(m) && !slices.ContainsFunc(p.holders(m.at.in, m.expr).vars, m.at.in.inLiteral)
	})
}

// madeWhere reports whether a struct is made, and only as is said.
func (p *Program) madeWhere(obj types.Object, so func(making) bool) bool {
	makes := p.makes[obj]
	return len(makes) > 0 && !slices.ContainsFunc(makes, func(m making) bool { return !so(m) })
}

// keptLocal reports whether what is made is kept in local variables, and not handed on.
func (p *Program) keptLocal(m making) bool {
	held := p.holders(m.at.in, m.expr)
	return !held.handedOn && !slices.ContainsFunc(held.vars, func(v *types.Var) bool { return !m.at.in.isLocal(v) })
}

// inLiteral reports whether a function in f mentions a variable.
func (f *function) inLiteral(v *types.Var) bool {
	found := false
	ast.Inspect(f.body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok {
			ast.Inspect(lit, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				found = found || ok && f.variable(id) == v
				return !found
			})
		}
		return !found
	})
	return found
}

// runsOnce reports whether a function runs once in a program, as init and main do, and what such functions call. Those that
// have asked are in callees.
func (f *function) runsOnce(callees []*function) bool {
	if f.initial() || f.isMain() || f.parent == nil && f.name() == "init" {
		return true
	}
	if len(f.runs) == 0 || slices.Contains(callees, f) {
		return false
	}
	callees = append(slices.Clone(callees), f)
	return !slices.ContainsFunc(f.runs, func(e edge) bool {
		return e.how != called && e.how != deferred && e.how != spawned || e.at.in.loops(e.at) || !e.at.in.runsOnce(callees)
	})
}

// isMain reports whether f is where a program begins.
func (f *function) isMain() bool {
	return f.obj != nil && f.decl.Recv == nil && f.obj.Name() == "main" && f.pkg.Types.Name() == "main"
}

// loops reports whether a place is in a loop of f.
func (f *function) loops(at place) bool {
	for n := range f.enclosing(at.pos) {
		switch n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			return true
		}
	}
	return false
}

// isVariable reports whether a package variable is of a type of its package, or points to one.
func isVariable(obj types.Object) bool {
	scope := obj.Pkg().Scope()
	return slices.ContainsFunc(scope.Names(), func(name string) bool {
		v, ok := scope.Lookup(name).(*types.Var)
		return ok && types.Identical(deref(v.Type()), obj.Type())
	})
}
