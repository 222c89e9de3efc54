package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
)

// pinned reports a time.AfterFunc that arms itself again for ever, with nobody to stop it: it holds on to its owner. One that
// main makes is there for ever anyway.
func pinned(p *Program) {
	for _, f := range p.functions {
		owner := f.pins()
		if owner == nil || p.testCode(f.pkg, f.body.Pos()) || p.madeOnce(owner) {
			continue
		}
		for _, g := range p.functions {
			if g != f && g.outermost() != f {
				continue
			}
			for _, call := range g.calls {
				if f.rearms(g, call) {
					p.report(Finding{Rule: RulePinned, Pos: call.Pos(),
						Message: fmt.Sprintf("this timer calls %s again for ever, and nothing can stop it: its %s is never collected", f.selfName(), owner.Name()),
					})
				}
			}
		}
	}
}

// pins returns the type of what a timer that calls f holds on to: the receiver of a method, or a struct in a variable around a
// literal that has a name. It is nil if there is none.
func (f *function) pins() types.Object {
	switch {
	case f.decl != nil && f.decl.Recv != nil:
		return f.pkg.prog.ownType(f.obj.Signature().Recv().Type())
	case f.self() == nil || f.outermost().runsOnce(nil):
		return nil
	}
	var owner types.Object
	ast.Inspect(f.body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && owner == nil {
			if v, ok := f.pkg.Info.Uses[id].(*types.Var); ok && f.isLocal(v) && v.Pos() < f.lit.Pos() {
				owner = f.pkg.prog.ownType(v.Type())
			}
		}
		return true
	})
	return owner
}

// ownType returns the name of a type of the program that a variable is of, or points to; nil if it is none.
func (p *Program) ownType(t types.Type) types.Object {
	named, ok := deref(t).(*types.Named)
	if !ok || !p.added[named.Obj().Pkg()] {
		return nil
	}
	return named.Obj()
}

// self returns the local variable that a literal is called by; nil if there is none.
func (f *function) self() *types.Var {
	for v, g := range f.locals {
		if g == f {
			return v
		}
	}
	return nil
}

func (f *function) selfName() string {
	if f.obj != nil {
		return f.name()
	}
	return f.self().Name()
}

// rearms reports whether a call in f, or in the literal g of it, is a time.AfterFunc of f whose timer is dropped, or put where
// nothing stops it, and which nothing keeps from being called.
func (f *function) rearms(g *function, call *ast.CallExpr) bool {
	if !g.isCallOf(call, "time", "AfterFunc") || len(call.Args) != 2 || !f.callsItself(call.Args[1]) {
		return false
	}
	dropped := false
	for n := range g.enclosing(call.Pos()) {
		switch n := n.(type) {
		case *ast.ExprStmt:
			dropped = n.X == call
		case *ast.AssignStmt:
			dropped = len(n.Lhs) == 1 && n.Rhs[0] == call && g.unstopped(n.Lhs[0])
		case *ast.IfStmt, *ast.SwitchStmt, *ast.SelectStmt:
			return false
		}
	}
	if !dropped {
		return false
	}
	stoppable := false
	ast.Inspect(f.body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && r.Pos() < call.Pos() {
			stoppable = true
		}
		return true
	})
	return !stoppable
}

// unstopped reports whether a timer is put into a field that nothing in the program stops, and that nothing else reaches.
func (f *function) unstopped(to ast.Expr) bool {
	field := f.pkg.variable(to)
	return field != nil && field.IsField() && !field.Exported() && len(f.pkg.prog.stops[field]) == 0
}

// callsItself reports whether a function value is f, or a literal that calls it.
func (f *function) callsItself(e ast.Expr) bool {
	self := f.self()
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			switch obj := f.pkg.Info.Uses[id].(type) {
			case *types.Func:
				found = found || obj.Origin() == f.obj
			case *types.Var:
				found = found || obj == self
			}
		}
		return !found
	})
	return found
}
