package sessionleak

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
)

// The rules, by the names that they have in reports.
const (
	RuleGrows     = "grows"
	RuleEventOnly = "eventonly"
	RuleLookup    = "lookup"
	RuleSatellite = "satellite"
	RuleReturn    = "return"
	RuleStop      = "stop"
	RuleAppend    = "append"
	RuleCreated   = "created"
	RulePinned    = "pinned"
	RuleCache     = "cache"
	RuleRemark    = "remark"
)

// A Rule is what a report may be about.
type Rule struct{ Name, Doc string }

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		{RuleGrows, "A container grows with sessions, and nothing removes from it."},
		{RuleEventOnly, "A container grows with sessions, and only an event, which may be lost, removes from it."},
		{RuleLookup, "What has expired is removed only when it is asked for again."},
		{RuleSatellite, "The function that ends a session forgets one of the maps that hold something of it."},
		{RuleReturn, "A function removes what it inserted at its end, but not before each return, or not after a panic."},
		{RuleStop, "A timer, a cancel function or a channel is dropped with its entry, and not stopped."},
		{RuleAppend, "A slice that is a history or a set of sessions only grows."},
		{RuleCreated, "Entries are swept by their time of creation, though they are in use."},
		{RulePinned, "A timer arms itself for ever, and keeps its owner from being collected."},
		{RuleCache, "A cache is made without a bound, or its goroutine is never stopped."},
		{RuleRemark, "A " + okay + " gives no reason."},
	}
}

// A Finding is a leak, at the place of growth.
type Finding struct {
	Rule, Message string
	Pos           token.Pos
	Container     string
	Related       []Related
	Fixes         []Fix
}

// Related is another place that a finding is about.
type Related struct {
	Pos     token.Pos
	Message string
}

// A Fix is a change of the code, as edits of what is between two positions.
type Fix struct {
	Message string
	Edits   []Edit
}

// An Edit puts text in place of what is between two positions.
type Edit struct {
	Pos, End token.Pos
	Text     string
}

// A Verdict says what becomes of a container.
type Verdict struct {
	Container, Type  string
	Pos              token.Pos
	Growth, Removals []Related
	Rule             string // of the finding, or one of the reasons not to have one
	Reason           string
}

// inGenerated reports whether a position is in a generated file.
func (p *Program) inGenerated(pos token.Pos) bool { return p.generated[p.Position(pos).Filename] }

// report adds a finding unless a remark silences it, or it is in a generated file.
func (p *Program) report(f Finding) {
	at := []token.Pos{f.Pos}
	for _, r := range f.Related {
		at = append(at, r.Pos)
	}
	if !p.inGenerated(f.Pos) && !p.remarks.silence(p.fset, at) {
		p.findings = append(p.findings, f)
	}
}

// reportVerdict reports a container that breaks a rule.
func (p *Program) reportVerdict(v verdict) {
	if v.Rule == "" {
		return
	}
	grown := v.growth[0]
	f := Finding{Rule: v.Rule, Pos: grown.at.pos, Container: v.Container}
	name := v.c.name()
	f.Related = append(f.Related, Related{v.Pos, name + " is declared here"})
	switch v.Rule {
	case RuleGrows:
		f.Message = fmt.Sprintf("%s grows with %s and nothing removes from it", name, keyName(grown.expr))
		if by, ok := v.found[byTeardown]; ok {
			f.Message = fmt.Sprintf("%s grows with %s and nothing but %s empties it", name, keyName(grown.expr), by)
		} else if by, ok := v.found[byNothing]; ok {
			f.Message = fmt.Sprintf("%s grows with %s and nothing calls %s, which would remove from it", name, keyName(grown.expr), by)
		}
	case RuleSatellite:
		f.Message = v.Reason
	case RuleEventOnly:
		f.Message = fmt.Sprintf("%s grows with %s and shrinks only by an event (%s at %s): one that is lost leaks the entry", name, keyName(grown.expr), v.found[byEvent], p.at(v.Removals))
	case RuleLookup:
		f.Message = fmt.Sprintf("%s grows with %s, and what has expired leaves only when it is asked for again (%s): a key that is never asked for again stays", name, keyName(grown.expr), p.at(v.Removals))
	}
	for _, r := range v.Removals {
		f.Related = append(f.Related, Related{r.Pos, "removes, by " + r.Message})
	}
	f.Fixes = p.fixes(v)
	p.report(f)
}

// at names the file and line of the first place.
func (p *Program) at(places []Related) string {
	if len(places) == 0 {
		return "?"
	}
	pos := p.Position(places[0].Pos)
	return fmt.Sprintf("%s:%d", filepath.Base(pos.Filename), pos.Line)
}

// name is what a report calls a container: Hub.clients, or sessions.
func (c *container) name() string {
	name := c.v.Name() + strings.Repeat("[…]", c.level)
	if c.owner != "" {
		name = c.owner + "." + name
	}
	return name
}

func keyName(e ast.Expr) string {
	if e == nil {
		return "its keys"
	}
	s := types.ExprString(e)
	if len(s) > 40 {
		return "its keys"
	}
	return s
}

func describe(l layers) string {
	var parts []string
	for _, k := range l.sorted() {
		s := k.String()
		if l[k] != "" {
			s += " (" + l[k] + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}
