package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// stops reports timers, tickers and cancel functions that are in a session map, or in its values, and are dropped without
// being stopped.
func stops(p *Program) {
	for _, v := range p.verdicts {
		elem := elemType(v.c.typ)
		if elem == nil || !slices.ContainsFunc(v.growth, func(a access) bool { return p.evidence(v.c, a) == session }) {
			continue
		}
		if what := v.c.pkg.mustStop(elem, v.c); what != "" {
			p.dropped(v, what)
			continue
		}
		s, ok := deref(elem).Underlying().(*types.Struct)
		if !ok || len(v.Removals) == 0 {
			continue
		}
		for field := range s.Fields() {
			if what := v.c.pkg.mustStop(field.Type(), nil); what != "" {
				p.neverStopped(v, field.Origin(), what)
			}
		}
	}
}

// mustStop tells what a value of a type is, if it is one that goes on until it is stopped.
func (pi *packageInfo) mustStop(t types.Type, c *container) string {
	switch types.TypeString(types.Unalias(t), nil) {
	case "*time.Timer":
		return "timer"
	case "*time.Ticker":
		if !pi.since(23) { // since then the collector takes those that nobody has
			return "ticker"
		}
	case "context.CancelFunc", "context.CancelCauseFunc":
		return "cancel function"
	case "chan struct{}":
		if c != nil && hasWord(c.v.Name(), "stop", "stops", "done", "quit", "cancel", "cancels", "stoppers", "closers") {
			return "channel"
		}
	}
	return ""
}

// since reports whether go.mod asks for Go 1.minor at least.
func (pi *packageInfo) since(minor int) bool {
	parts := strings.Split(strings.TrimPrefix(pi.goMod, "go"), ".")
	if len(parts) < 2 {
		return true
	}
	n, err := strconv.Atoi(parts[1])
	return err != nil || n >= minor
}

// isStoppable reports whether a field may hold what has to be stopped.
func isStoppable(t types.Type) bool {
	switch types.TypeString(types.Unalias(t), nil) {
	case "*time.Timer", "*time.Ticker", "context.CancelFunc", "context.CancelCauseFunc":
		return true
	}
	return false
}

// dropped reports removals from a map of timers that do not stop them.
func (p *Program) dropped(v verdict, what string) {
	if what == "timer" && !slices.ContainsFunc(v.growth, func(a access) bool { return a.at.in.isAfterFunc(a.value) }) {
		return // it fires once, and is gone
	}
	for _, a := range v.c.accesses {
		if a.what != remove || a.at.in.stopsOne(p, v.c, what, 2) {
			continue
		}
		if slices.ContainsFunc(v.growth, func(g access) bool {
			return g.at.in.outermost() == a.at.in.outermost() && g.at.in.outermost().ends(what)
		}) {
			continue
		}
		p.report(Finding{Rule: RuleStop, Pos: a.at.pos, Container: v.Container,
			Message: fmt.Sprintf("%s holds a %s, which is dropped here without being %s", v.c.name(), what, stoppedHow(what)),
			Related: []Related{{v.growth[0].at.pos, "inserts"}},
		})
		return
	}
}

func stoppedHow(what string) string {
	switch what {
	case "cancel function":
		return "called"
	case "channel":
		return "closed"
	}
	return "stopped"
}

// isAfterFunc reports whether a value comes of time.AfterFunc.
func (f *function) isAfterFunc(e ast.Expr) bool {
	if id, ok := e.(*ast.Ident); ok {
		if v := f.variable(id); v != nil {
			e = f.defined[v]
		}
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, pkg := f.calleeName(call)
	return name == "AfterFunc" && pkg == "time"
}

// stopsOne reports whether f, or what it belongs to or calls or is called by, stops something of the sort.
func (f *function) stopsOne(p *Program, c *container, what string, depth int) bool {
	for _, e := range f.runs {
		if e.how == timed { // it has fired
			return true
		}
	}
	top := f.outermost()
	if top.ends(what) {
		return true
	}
	for _, g := range p.functions {
		if g.outermost() != top || depth == 0 {
			continue
		}
		for _, e := range g.runs {
			if e.at.in.stopsOne(p, c, what, depth-1) {
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

// neverStopped reports a field of a map's values that is set, and that nothing in the program stops.
func (p *Program) neverStopped(v verdict, field *types.Var, what string) {
	if p.stops[field] || field.Exported() && !p.closed(v.c) || p.reported[field] {
		return
	}
	var set *assignment
	for i, a := range p.assigned[field] {
		if a.value == nil || isNil(a.value) {
			continue
		}
		if what == "timer" && !a.at.in.isAfterFunc(a.value) {
			continue
		}
		set = &p.assigned[field][i]
	}
	if set == nil {
		return
	}
	p.reported[field] = true
	p.report(Finding{Rule: RuleStop, Pos: set.at.pos, Container: v.Container,
		Message: fmt.Sprintf("%s.%s is a %s that nothing has %s when its %s leaves %s", p.ownerOf(field), field.Name(), what, stoppedHow(what), p.ownerOf(field), v.c.name()),
		Related: []Related{{v.Removals[0].Pos, "removes"}},
	})
}
