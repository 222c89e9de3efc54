package sessionleak

import (
	"fmt"
	"go/types"
)

// appends reports slices that are histories or sets of sessions, are shared, and only grow.
func appends(p *Program) {
	for _, c := range p.order {
		if c.kind != slice || c.level > 0 || p.forTests(c) || !p.longLived(c) || !p.closed(c) || !historical(c) {
			continue
		}
		var grown *access
		only := true
		for i, a := range c.accesses {
			switch a.what {
			case grow:
				if !p.duringSetup(a.at) && !p.inGenerated(a.at.pos) {
					grown = &c.accesses[i]
				}
			case empty:
				if !p.firstMade(c, a) {
					only = false
				}
			case remove, bound, escape:
				only = false
			}
		}
		if grown == nil || !only {
			continue
		}
		p.report(Finding{Rule: RuleAppend, Pos: grown.at.pos, Container: c.id,
			Message: fmt.Sprintf("%s is only appended to: it grows as long as its owner lives", c.name()),
			Related: []Related{{c.v.Pos(), c.name() + " is declared here"}},
		})
	}
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
