package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// forgotten reports a removal from a map that does not stop a field of the value, where others do. It is sure of nothing that
// it does not see whole: the field is stopped nowhere but where values are removed, and the removal that forgets it does
// nothing with the value but look at it.
func (p *Program) forgotten(v verdict, field *types.Var, what string) {
	if p.reported[field] || !p.setOpenly(field) {
		return
	}
	stops := p.stops[field]
	if slices.ContainsFunc(stops, func(s stopping) bool { return !s.here || !s.in.endsWith(v.c, 3) }) {
		return
	}
	reaches := p.reaching(stops)
	for _, a := range v.c.accesses {
		f := a.at.in.outermost()
		if a.what != remove || reaches[f] || p.calledFrom(f, reaches, 3) || f.exported() || f.does(v.c, grow) || f.ends(what) || f.uses(elemType(v.c.typ)) {
			continue
		}
		found := p.layersOf(a.at)
		_, ended := found[byContext]
		_, deferred := found[byDefer]
		if ended || deferred {
			continue
		}
		p.reported[field] = true
		p.report(Finding{Rule: RuleStop, Pos: a.at.pos, Container: v.Container,
			Message: fmt.Sprintf("%s.%s is %s by %s, which removes from %s as this does, and not here", p.ownerOf(field), field.Name(), stoppedHow(what), stops[0].in.outermost().name(), v.c.name()),
			Related: []Related{{v.growth[0].at.pos, "inserts"}},
		})
		return
	}
}

// setOpenly reports whether a field is set to what goes on until it is stopped, and nobody else has that.
func (p *Program) setOpenly(field *types.Var) bool {
	return slices.ContainsFunc(p.assigned[field], func(a assignment) bool { return a.value != nil && !isNil(a.value) }) &&
		!slices.ContainsFunc(p.assigned[field], func(a assignment) bool {
			return a.value != nil && (a.at.in.keeps(a.value, a.at.pos, 3) || a.at.in.hasDeadline(a.value))
		})
}

// hasDeadline reports whether a cancel function is that of a context that ends by itself.
func (f *function) hasDeadline(e ast.Expr) bool {
	found := false
	ast.Inspect(f.outermost().body, func(n ast.Node) bool {
		as, ok := n.(*ast.AssignStmt)
		if !ok || len(as.Rhs) != 1 || len(as.Lhs) != 2 || types.ExprString(as.Lhs[1]) != types.ExprString(e) {
			return true
		}
		if call, ok := as.Rhs[0].(*ast.CallExpr); ok {
			found = found || hasWord(nameOf(call.Fun), "timeout", "deadline")
		}
		return true
	})
	return found
}

// endsWith reports whether f stops what it does as it, or each that calls it, removes from a container, or tears it down.
func (f *function) endsWith(c *container, depth int) bool {
	top := f.outermost()
	if tearsDown(top) || top.does(c, remove) {
		return true
	}
	if depth == 0 || len(top.runs) == 0 {
		return false
	}
	return !slices.ContainsFunc(top.runs, func(e edge) bool { return !e.at.in.endsWith(c, depth-1) })
}

// reaching returns the functions from which one may come to something that stops.
func (p *Program) reaching(stops []stopping) map[*function]bool {
	reaches := make(map[*function]bool)
	for _, s := range stops {
		reaches[s.in.outermost()] = true
	}
	for changed := true; changed; {
		changed = false
		for _, f := range p.functions {
			for _, e := range f.runs {
				if from := e.at.in.outermost(); reaches[f.outermost()] && !reaches[from] {
					reaches[from], changed = true, true
				}
			}
		}
	}
	return reaches
}

// calledFrom reports whether one of what calls a function, and goes on after it, is among some.
func (p *Program) calledFrom(f *function, some map[*function]bool, depth int) bool {
	return depth > 0 && slices.ContainsFunc(p.functions, func(g *function) bool {
		return g.outermost() == f && slices.ContainsFunc(g.runs, func(e edge) bool {
			from := e.at.in.outermost()
			switch e.how {
			case spawned, timed, finally, handler:
				return false
			}
			return from != f && (some[from] || p.calledFrom(from, some, depth-1))
		})
	})
}

// uses reports whether f does more with the values of a map than to look at what they are made of: it hands one on, or calls a
// method of it, or has what is in it and is no plain value.
func (f *function) uses(elem types.Type) bool {
	return !walkStacks(f.body, func(stack []ast.Node) bool {
		e, ok := stack[len(stack)-1].(ast.Expr)
		isValue := ok && len(stack) > 1 && f.pkg.Info.Types[e].IsValue() && types.Identical(deref(f.pkg.Info.TypeOf(e)), deref(elem))
		return !isValue || f.looksAt(e, stack[len(stack)-2])
	})
}

// looksAt reports whether a value that is a part of n is only put into a variable, compared, or asked for a plain value.
func (f *function) looksAt(value ast.Expr, n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		return !slices.Contains(n.Rhs, value) || !f.storesAway(n)
	case *ast.RangeStmt, *ast.BinaryExpr:
		return true
	case *ast.SelectorExpr:
		t := f.pkg.Info.TypeOf(n)
		_, basic := t.Underlying().(*types.Basic)
		name := types.TypeString(t, nil)
		return basic || name == "time.Time" || strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "sync/atomic.")
	}
	return false
}
