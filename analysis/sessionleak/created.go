package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// created reports sweeps that go by the time at which a session was made, though it is read later: those in use end too.
func created(p *Program) {
	for _, v := range p.verdicts {
		if !hasWord(v.c.v.Name(), "session", "sessions", "conn", "conns", "connections", "client", "clients", "agent", "agents", "conversations", "chats", "users", "players", "peers", "histories", "contexts") {
			continue
		}
		elem := elemType(v.c.typ)
		if elem == nil || !slices.ContainsFunc(v.growth, func(a access) bool { return p.evidence(v.c, a) == session }) || slices.ContainsFunc(v.growth, byAddress) {
			continue
		}
		for _, a := range v.c.accesses {
			if a.what != remove {
				continue
			}
			field := a.at.in.sweptBy(a, deref(elem))
			if field == nil || p.renewed(field) || usedLast(deref(elem)) || p.counts(deref(elem)) || !p.readElsewhere(v.c, a) {
				continue
			}
			p.report(Finding{Rule: RuleCreated, Pos: a.at.pos, Container: v.Container,
				Message: fmt.Sprintf("%s is swept by %s, which no access renews: a session in use ends too", v.c.name(), field.Name()),
				Related: []Related{{v.growth[0].at.pos, "inserts"}},
			})
			break
		}
	}
}

// sweptBy returns the field of the elements with the time of creation that the condition of a removal looks at.
func (f *function) sweptBy(a access, elem types.Type) *types.Var {
	s, ok := elem.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	var field *types.Var
	for _, sc := range a.at.scopes {
		ifs, ok := sc.node.(*ast.IfStmt)
		if !ok || sc.kind != expired {
			continue
		}
		look := func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			v, ok := f.pkg.Info.Uses[sel.Sel].(*types.Var)
			if ok && v.IsField() && hasWord(v.Name(), "created", "creation", "create", "started", "start", "begin", "began", "opened", "born", "since", "added", "connected", "ctime") {
				for x := range s.Fields() {
					if x == v {
						field = v.Origin()
					}
				}
			}
			return true
		}
		ast.Inspect(ifs.Cond, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok { // a method that tells whether an element has expired
				if fn := f.callee(call); fn != nil {
					if g := f.pkg.prog.named[fn.FullName()]; g != nil && g.pkg == f.pkg {
						ast.Inspect(g.body, look)
					}
				}
			}
			return look(n)
		})
	}
	return field
}

// renewed reports whether a field is set after its struct is made.
func (p *Program) renewed(field *types.Var) bool {
	return slices.ContainsFunc(p.assigned[field], func(a assignment) bool { return !a.literal })
}

// usedLast reports whether a struct has a field for the last use.
func usedLast(t types.Type) bool {
	for v := range t.Underlying().(*types.Struct).Fields() {
		if hasWord(v.Name(), "last", "seen", "access", "accessed", "active", "activity", "used", "updated", "touched", "touch", "expires", "expiry") {
			return true
		}
	}
	return false
}

// byAddress reports whether a key is an address: what is kept of one, such as how often it has called, is for a time from its
// first call.
func byAddress(a access) bool {
	return a.expr != nil && hasWord(strings.Map(letters, types.ExprString(a.expr)), "ip", "addr", "address", "host")
}

// counts reports whether a struct has nothing but times and numbers, one of which is counted up or down: it is for a window of
// time, which ends however often it is used.
func (p *Program) counts(t types.Type) bool {
	counted := false
	for v := range t.Underlying().(*types.Struct).Fields() {
		name := types.TypeString(v.Type(), nil)
		basic, ok := v.Type().Underlying().(*types.Basic)
		switch {
		case ok && basic.Info()&types.IsNumeric != 0, strings.HasPrefix(name, "sync/atomic."):
			c := p.counting(v.Origin())
			counted = counted || c.up || c.down
		case name != "time.Time" && !strings.HasPrefix(name, "sync."):
			return false
		}
	}
	return counted
}

// readElsewhere reports whether something else than the sweep looks an element up.
func (p *Program) readElsewhere(c *container, sweep access) bool {
	return slices.ContainsFunc(c.accesses, func(a access) bool { return a.what == read && a.at.in.outermost() != sweep.at.in.outermost() })
}
