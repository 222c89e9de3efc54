package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// A stopping is a mention of a field that holds what has to be stopped: it is stopped there, or handed on to what may stop it.
type stopping struct {
	in   *function
	here bool
}

// stopsHere reports whether the field that ends the stack is stopped where it stands: called, closed, sent to, or by Stop.
func (f *function) stopsHere(stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	switch parent := stack[len(stack)-2].(type) {
	case *ast.CallExpr:
		return parent.Fun == stack[len(stack)-1] || nameOf(parent.Fun) == "close"
	case *ast.SendStmt:
		return parent.Chan == stack[len(stack)-1]
	case *ast.SelectorExpr:
		return parent.Sel.Name == "Stop"
	}
	return false
}

// keeps reports whether f has a value in a variable that it stops itself, or hands on, besides storing it at a position: it calls
// it later than that, or as it ends, or mentions it otherwise. If it was given the value, those that call it may keep it so.
func (f *function) keeps(value ast.Expr, stored token.Pos, depth int) bool {
	id, ok := value.(*ast.Ident)
	if !ok {
		return false
	}
	v := f.variable(id)
	if v == nil || !f.isLocal(v) {
		return false
	}
	return f.isParameter(v) && f.givenKept(v, depth-1) || !walkStacks(f.outermost().body, func(stack []ast.Node) bool {
		use, ok := stack[len(stack)-1].(*ast.Ident)
		if !ok || use == id || f.pkg.Info.Uses[use] != v || isAssigned(stack) {
			return true
		}
		call, ok := stack[len(stack)-2].(*ast.CallExpr)
		now := ok && call.Fun == use && !slices.ContainsFunc(stack, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.DeferStmt, *ast.FuncLit:
				return true
			}
			return false
		})
		return now && use.Pos() <= stored
	})
}

// givenKept reports whether one of those that call f may keep what it is given in a parameter.
func (f *function) givenKept(v *types.Var, depth int) bool {
	index := slices.Index(f.params, v)
	if depth == 0 || index < 0 || f.decl == nil || f.exported() || len(f.runs) == 0 {
		return true
	}
	index -= f.offset(f.obj)
	return slices.ContainsFunc(f.runs, func(e edge) bool {
		i := slices.IndexFunc(e.at.in.calls, func(call *ast.CallExpr) bool { return call.Fun.Pos() <= e.at.pos && e.at.pos < call.Fun.End() })
		return i < 0 || e.at.in == f || index >= len(e.at.in.calls[i].Args) || e.at.in.keeps(e.at.in.calls[i].Args[index], e.at.in.calls[i].Pos(), depth)
	})
}

// leavesByTimer reports whether all that removes from a container is called by timers: they have fired then.
func (p *Program) leavesByTimer(c *container) bool {
	return !slices.ContainsFunc(c.accesses, func(a access) bool { return a.what == remove && !a.at.in.timed(3) })
}

// timed reports whether a function comes to run by timers only.
func (f *function) timed(depth int) bool {
	return depth > 0 && len(f.runs) > 0 && !f.exported() && !slices.ContainsFunc(f.runs, func(e edge) bool {
		return e.how != timed && (e.how != called && e.how != deferred || !e.at.in.timed(depth-1))
	})
}

// loopsUntil reports whether some loop ends when a channel that is a field is closed, and not otherwise.
func (p *Program) loopsUntil(field *types.Var) bool {
	return slices.ContainsFunc(p.functions, func(f *function) bool {
		found := false
		ast.Inspect(f.body, func(n ast.Node) bool {
			loop, ok := n.(*ast.ForStmt)
			if !ok || loop.Cond != nil {
				return true
			}
			var ends *ast.CommClause
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				if c, ok := n.(*ast.CommClause); ok && f.pkg.receivesFrom(c.Comm) == field {
					ends = c
				}
				return true
			})
			if ends != nil {
				out := waysOut(loop.Body)
				found = found || len(out) > 0 && !slices.ContainsFunc(out, func(n ast.Node) bool { return n.Pos() < ends.Pos() || n.End() > ends.End() })
			}
			return true
		})
		return found
	})
}

// receivesFrom returns the variable or field of the channel that a statement receives from; nil if it does not.
func (pi *packageInfo) receivesFrom(s ast.Stmt) *types.Var {
	if e, ok := s.(*ast.ExprStmt); ok {
		if u, ok := ast.Unparen(e.X).(*ast.UnaryExpr); ok && u.Op == token.ARROW {
			return pi.variable(u.X)
		}
	}
	return nil
}

// waysOut returns what may leave a loop: a return, a break or a goto, or a call that does not return.
func waysOut(body ast.Node) []ast.Node {
	var out []ast.Node
	inner := token.NoPos // the end of a statement that a break without a label leaves instead
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ForStmt, *ast.RangeStmt, *ast.SelectStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt:
			inner = max(inner, n.End())
		case *ast.ReturnStmt:
			out = append(out, n)
		case *ast.BranchStmt:
			if n.Tok == token.GOTO || n.Tok == token.BREAK && (n.Label != nil || n.Pos() > inner) {
				out = append(out, n)
			}
		case *ast.CallExpr:
			if slices.Contains([]string{"panic", "Goexit", "Exit", "Fatal", "Fatalf"}, nameOf(n.Fun)) {
				out = append(out, n)
			}
		}
		return true
	})
	return out
}

// standard reports whether a package is one of the standard library.
func (p *Program) standard(pkg *types.Package) bool {
	if pkg == nil || p.added[pkg] {
		return false
	}
	first, _, _ := strings.Cut(pkg.Path(), "/")
	return !strings.Contains(first, ".")
}

// isAfterFunc reports whether a value comes of time.AfterFunc.
func (f *function) isAfterFunc(e ast.Expr) bool {
	call, ok := f.first(e).(*ast.CallExpr)
	return ok && f.isCallOf(call, "time", "AfterFunc")
}

// first returns what a local variable is first set to, and any other expression as it is.
func (f *function) first(e ast.Expr) ast.Expr {
	if id, ok := e.(*ast.Ident); ok {
		if v := f.variable(id); v != nil {
			return f.defined[v]
		}
	}
	return e
}

// stopsOne reports whether f, or what it belongs to or calls or is called by, stops something of the sort.
func (f *function) stopsOne(what string, depth int) bool {
	for _, e := range f.runs {
		if e.how == timed { // it has fired
			return true
		}
	}
	top := f.outermost()
	if top.ends(what) {
		return true
	}
	for _, g := range f.pkg.prog.functions {
		if g.outermost() != top || depth == 0 {
			continue
		}
		for _, e := range g.runs {
			if e.at.in.stopsOne(what, depth-1) {
				return true
			}
		}
	}
	return false
}

// ends reports whether a function, or a literal in it, stops a timer, calls a cancel function or closes a channel.
func (f *function) ends(what string) bool {
	found := false
	ast.Inspect(f.body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		name, _ := f.calleeName(call)
		if fn := f.callee(call); fn != nil && f.pkg.prog.standard(fn.Pkg()) && !(fn.Pkg().Path() == "time" && (what == "timer" || what == "ticker")) {
			return true // such as Close of a request's body
		}
		switch what {
		case "cancel function":
			t := f.pkg.Info.TypeOf(call.Fun)
			found = t != nil && (isStoppable(t) || hasWord(name, "cancel", "stop", "close"))
		case "channel":
			found = name == "close" || hasWord(name, "stop", "close")
		default:
			found = name == "Stop" || name == "Reset" || hasWord(name, "stop", "close")
		}
		return !found
	})
	return found
}
