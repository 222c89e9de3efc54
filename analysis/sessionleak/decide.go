package sessionleak

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Findings decides about all containers, and returns the findings in the order of their positions.
func (p *Program) Findings() []Finding {
	p.finish()
	slices.SortStableFunc(p.findings, func(a, b Finding) int {
		x, y := p.Position(a.Pos), p.Position(b.Pos)
		return cmp.Or(strings.Compare(x.Filename, y.Filename), x.Offset-y.Offset, strings.Compare(a.Rule, b.Rule))
	})
	return p.findings
}

func (p *Program) finish() {
	if p.done {
		return
	}
	p.done = true
	p.link()
	p.resolvePasses()
	p.findCompanions()
	for _, c := range p.order {
		if v, ok := p.decide(c); ok {
			p.verdicts = append(p.verdicts, v)
		}
	}
	p.satellites()
	for _, v := range p.verdicts {
		p.reportVerdict(v)
	}
	for _, rule := range []func(*Program){returns, stops, appends, created, pinned, caches} {
		rule(p)
	}
	p.findings = append(p.findings, p.remarks.unreasoned()...)
}

// verdict is a Verdict with what it was made of.
type verdict struct {
	Verdict
	c      *container
	growth []access
	found  layers
	beside *container // whose cleanup forgets this one
}

// onlySetup is why a container does not grow with sessions.
const onlySetup = "it is filled in set-up only"

func newVerdict(c *container) verdict {
	v := verdict{c: c, found: make(layers)}
	v.Container, v.Type, v.Pos = c.id, types.TypeString(c.typ, types.RelativeTo(c.pkg.Types)), c.v.Pos()
	return v
}

// decide says what becomes of a container; false if it is none to speak of.
func (p *Program) decide(c *container) (verdict, bool) {
	if c.kind != goMap && c.kind != syncMap && c.kind != wrapper || p.forTests(c) || !p.longLived(c) {
		return verdict{}, false
	}
	v := newVerdict(c)
	var escaped, limited *access
	for i, a := range c.accesses {
		switch a.what {
		case grow:
			if p.inGenerated(a.at.pos) {
				continue
			}
			v.growth = append(v.growth, a)
			v.Growth = append(v.Growth, Related{a.at.pos, a.at.in.name()})
		case remove, empty:
			if a.what == empty && p.firstMade(c, a) {
				continue
			}
			if a.what == empty && !isFresh(a.value) && a.node != nil && a.value != nil {
				escaped = &c.accesses[i] // it is another map from here on
				continue
			}
			found := p.layersOf(a.at)
			if a.what == empty && tearsDown(a.at.in) {
				found = layers{byTeardown: a.at.in.name()}
			}
			if c.growsBeside(a.at) {
				found = layers{byCaller: a.at.in.name()}
			}
			v.found.add(found)
			v.Removals = append(v.Removals, Related{a.at.pos, describe(found)})
		case bound:
			if !p.unheeded(a) {
				limited = &c.accesses[i]
			}
		case escape:
			escaped = &c.accesses[i]
		}
	}
	if len(v.growth) == 0 {
		return v, false
	}
	v.Rule, v.Reason = p.judge(c, &v, limited, escaped)
	return v, true
}

// unheeded reports whether a comparison of a length is but the result of a function, of which nothing that calls it takes notice.
func (p *Program) unheeded(a access) bool {
	f := a.at.in
	if f.obj == nil || f.exported() || len(f.runs) == 0 {
		return false
	}
	returned := false
	for n := range f.enclosing(a.node.Pos()) {
		if n == a.node {
			break
		}
		switch n.(type) {
		case *ast.ReturnStmt:
			returned = true
		case *ast.CallExpr, *ast.FuncLit:
			returned = false
		}
	}
	return returned && !slices.ContainsFunc(f.runs, func(e edge) bool { return e.how != called || !e.at.in.drops(f, e.at.pos) })
}

// drops reports whether a call of g at a position in f is a statement: its results are not looked at.
func (f *function) drops(g *function, pos token.Pos) bool {
	for n := range f.enclosing(pos) {
		if s, ok := n.(*ast.ExprStmt); ok && s.X == f.callOf(g, pos) {
			return true
		}
	}
	return false
}

// growsBeside reports whether what removes at a place also inserts, as a handler does that ends what it begins: that its event
// comes is certain then.
func (c *container) growsBeside(at place) bool {
	return slices.ContainsFunc(c.accesses, func(a access) bool {
		return a.what == grow && a.at.in == at.in && withinScopes(a.at.scopes, at.scopes)
	})
}

func tearsDown(f *function) bool {
	return hasWord(f.outermost().name(), "close", "stop", "shutdown", "destroy", "teardown", "dispose")
}

// judge returns the rule that a container breaks, or "" and why it breaks none.
func (p *Program) judge(c *container, v *verdict, limited, escaped *access) (rule, reason string) {
	later := slices.DeleteFunc(slices.Clone(v.growth), func(a access) bool { return p.duringSetup(a.at) })
	var seen []access
	for _, a := range later {
		if p.evidence(c, a) == session {
			seen = append(seen, a)
		}
	}
	switch {
	case len(later) == 0:
		return "", onlySetup
	case len(seen) == 0:
		return "", "its keys are not those of sessions"
	case limited != nil:
		return "", "it is bounded"
	}
	v.growth = seen
	if _, ok := v.found[byNothing]; ok && !slices.ContainsFunc(seen, func(a access) bool { return !p.byNothing(a.at) }) {
		return "", "nothing calls what inserts, nor what removes"
	}
	reliable, lost := false, false
	for l := range v.found {
		reliable = reliable || !l.lost()
		lost = lost || l == byEvent || l == byLookup
	}
	switch {
	case reliable:
		return "", "it is emptied by: " + describe(v.found)
	case escaped != nil:
		return "", "it is handed on, so that others may empty it"
	case !p.closed(c):
		return "", "other packages may empty it"
	}
	if c.level > 0 {
		if outer := p.containers[p.id(c.v, c.level-1)]; outer != nil && p.shrinks(outer) {
			return "", "it leaves with its key of " + outer.name()
		}
	}
	if outer := p.leavesWith(c); outer != nil {
		return "", "its " + c.owner + " leaves " + outer.name()
	}
	if !lost {
		return RuleGrows, "nothing removes from it"
	}
	if _, ok := v.found[byEvent]; ok {
		return RuleEventOnly, "only an event removes from it"
	}
	return RuleLookup, "what has expired is removed only when it is asked for again"
}

// byNothing reports whether nothing makes a place run.
func (p *Program) byNothing(at place) bool {
	found := p.layersOf(at)
	_, ok := found[byNothing]
	return ok && len(found) == 1
}

func keyType(t types.Type) types.Type {
	if m, ok := t.Underlying().(*types.Map); ok {
		return m.Key()
	}
	return nil
}

func elemType(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	switch t := t.Underlying().(type) {
	case *types.Map:
		return t.Elem()
	case *types.Slice:
		return t.Elem()
	}
	return nil
}

// Verdicts returns what becomes of each long-lived container that grows, and of each cache of another library: the maps, then
// the slices, then the caches.
func (p *Program) Verdicts() []Verdict {
	p.finish()
	var all []Verdict
	for _, v := range p.verdicts {
		all = append(all, v.Verdict)
	}
	return append(all, p.others...)
}
