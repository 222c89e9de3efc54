package sessionleak

import (
	"fmt"
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
		if what := v.c.pkg.mustStop(elem); what != "" {
			if what != "channel" || hasWord(v.c.v.Name(), "stop", "stops", "done", "quit", "cancel", "cancels", "stoppers", "closers") {
				p.dropped(v, what)
			}
			continue
		}
		s, ok := deref(elem).Underlying().(*types.Struct)
		if !ok || len(v.Removals) == 0 {
			continue
		}
		for field := range s.Fields() {
			what := v.c.pkg.mustStop(field.Type())
			if what == "" || what == "channel" && !p.loopsUntil(field.Origin()) || field.Exported() && !p.closed(v.c) {
				continue
			}
			if len(p.stops[field.Origin()]) == 0 {
				p.neverStopped(v, field.Origin(), what)
			} else if what != "timer" { // which fires once, and is gone
				p.forgotten(v, field.Origin(), what)
			}
		}
	}
}

// mustStop tells what a value of a type is, if it is one that goes on until it is stopped.
func (pi *packageInfo) mustStop(t types.Type) string {
	switch types.TypeString(types.Unalias(t), nil) {
	case "*time.Timer":
		return "timer"
	case "*time.Ticker":
		if !pi.since(23) { // since then the collector takes those that nobody has
			return "ticker"
		}
	case "context.CancelFunc", "context.CancelCauseFunc":
		return "cancel function"
	}
	if isSignal(t) {
		return "channel"
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

// isSignal reports whether a channel carries nothing but that something is to end, or has ended.
func isSignal(t types.Type) bool { return types.TypeString(types.Unalias(t), nil) == "chan struct{}" }

// dropped reports removals from a map of timers that do not stop them.
func (p *Program) dropped(v verdict, what string) {
	if what == "timer" && !slices.ContainsFunc(v.growth, func(a access) bool { return a.at.in.isAfterFunc(a.value) }) {
		return // it fires once, and is gone
	}
	if slices.ContainsFunc(v.growth, func(a access) bool { return a.at.in.keeps(a.value, a.at.pos, 3) }) {
		return
	}
	for _, a := range v.c.accesses {
		if a.what != remove || a.at.in.stopsOne(what, 2) {
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

// neverStopped reports a field of a map's values that is set, and that nothing in the program stops.
func (p *Program) neverStopped(v verdict, field *types.Var, what string) {
	if p.reported[field] || what == "timer" && p.leavesByTimer(v.c) {
		return
	}
	var set *assignment
	for i, a := range p.assigned[field] {
		if a.value == nil || isNil(a.value) || a.at.in.keeps(a.value, a.at.pos, 3) {
			continue
		}
		if what == "timer" && !a.at.in.isAfterFunc(a.value) || what == "channel" && !isMade(a.at.in.first(a.value)) {
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
