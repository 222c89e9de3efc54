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
		if f.parent != nil || f.decl == nil || f.decl.Recv == nil || p.testCode(f.pkg, f.decl.Pos()) || p.madeOnce(receiver(f)) {
			continue
		}
		for _, g := range p.functions {
			if g.outermost() != f {
				continue
			}
			for _, call := range g.calls {
				if f.rearms(g, call) {
					p.report(Finding{Rule: RulePinned, Pos: call.Pos(),
						Message: fmt.Sprintf("this timer calls %s again for ever, and nothing can stop it: its %s is never collected", f.name(), receiverName(f)),
					})
				}
			}
		}
	}
}

// rearms reports whether a call in f, or in the literal g of it, is a time.AfterFunc of f whose timer is dropped, and which
// nothing keeps from being called.
func (f *function) rearms(g *function, call *ast.CallExpr) bool {
	name, pkg := g.calleeName(call)
	if name != "AfterFunc" || pkg != "time" || len(call.Args) != 2 || !f.callsItself(call.Args[1]) {
		return false
	}
	dropped := false
	for n := range g.enclosing(call.Pos()) {
		switch n := n.(type) {
		case *ast.ExprStmt:
			dropped = n.X == call
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

// callsItself reports whether a function value is f, or a literal that calls it.
func (f *function) callsItself(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if fn, ok := f.pkg.Info.Uses[id].(*types.Func); ok && fn.Origin() == f.obj {
				found = true
			}
		}
		return !found
	})
	return found
}

// receiver returns the type of f's receiver.
func receiver(f *function) types.Object {
	if named, ok := deref(f.obj.Signature().Recv().Type()).(*types.Named); ok {
		return named.Obj()
	}
	return nil
}

func receiverName(f *function) string {
	if obj := receiver(f); obj != nil {
		return obj.Name()
	}
	return "owner"
}
