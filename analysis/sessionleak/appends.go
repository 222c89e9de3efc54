package sessionleak

import (
	"fmt"
	"go/types"
)

// appends reports slices that are histories or sets of sessions, are shared, and only grow.
func appends(p *Program) {
	for _, c := range p.order {
		if c.kind != slice || c.level > 0 || p.forTests(c) || !p.longLived(c) {
			continue
		}
		v := p.decideSlice(c)
		if len(v.Growth) == 0 {
			continue
		}
		p.others = append(p.others, v.Verdict)
		if v.Rule != "" {
			p.report(Finding{Rule: v.Rule, Pos: v.growth[len(v.growth)-1].at.pos, Container: c.id,
				Message: fmt.Sprintf("%s is only appended to: it grows as long as its owner lives", c.name()),
				Related: []Related{{c.v.Pos(), c.name() + " is declared here"}},
			})
		}
	}
}

// decideSlice says what becomes of a slice.
func (p *Program) decideSlice(c *container) verdict {
	v := newVerdict(c)
	counted, bounded, handedOn := false, false, false
	for _, a := range c.accesses {
		switch a.what {
		case grow:
			if p.inGenerated(a.at.pos) {
				continue
			}
			v.Growth = append(v.Growth, Related{a.at.pos, a.at.in.name()})
			switch {
			case p.duringSetup(a.at):
			case p.underCount(a.at):
				counted = true
			default:
				v.growth = append(v.growth, a)
			}
		case remove, empty:
			if a.what == empty && p.firstMade(c, a) {
				continue
			}
			found := p.layersOf(a.at)
			v.found.add(found)
			v.Removals = append(v.Removals, Related{a.at.pos, describe(found)})
		case bound:
			bounded = true
		case escape:
			handedOn = true
		}
	}
	switch {
	case len(v.growth) == 0 && !counted:
		v.Reason = onlySetup
	case len(v.Removals) > 0:
		v.Reason = "it is emptied by: " + describe(v.found)
	case len(v.growth) == 0 || bounded:
		v.Reason = "it is bounded"
	case handedOn:
		v.Reason = "it is handed on, so that others may empty it"
	case !p.closed(c):
		v.Reason = "other packages may empty it"
	case !historical(c):
		v.Reason = "it is no history and no set of sessions, by its name"
	default:
		v.Rule, v.Reason = RuleAppend, "nothing takes from it"
	}
	return v
}

// historical reports whether a slice is named for what comes with sessions, and does not hold functions or channels.
func historical(c *container) bool {
	switch t := elemType(c.typ).Underlying().(type) {
	case *types.Signature, *types.Chan:
		return false
	case *types.Basic:
		if t.Kind() == types.Byte {
			return false
		}
	}
	return hasWord(c.v.Name(), "history", "messages", "sessions", "users", "clients", "conns", "connections", "transcript", "audit",
		"requests", "conversations", "visitors", "seen")
}
