package sessionleak

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
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

// Findings decides about all containers, and returns the findings in the order of their positions.
func (p *Program) Findings() []Finding {
	p.finish()
	slices.SortStableFunc(p.findings, func(a, b Finding) int {
		x, y := p.Position(a.Pos), p.Position(b.Pos)
		return cmp3(strings.Compare(x.Filename, y.Filename), x.Offset-y.Offset, strings.Compare(a.Rule, b.Rule))
	})
	return p.findings
}

func cmp3(order ...int) int {
	for _, o := range order {
		if o != 0 {
			return o
		}
	}
	return 0
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

// report adds a finding unless a remark silences it.
func (p *Program) report(f Finding) {
	at := []token.Pos{f.Pos}
	for _, r := range f.Related {
		at = append(at, r.Pos)
	}
	if !p.remarks.silence(p.fset, at) {
		p.findings = append(p.findings, f)
	}
}

// verdict is a Verdict with what it was made of.
type verdict struct {
	Verdict
	c      *container
	growth []access
	found  layers
	beside *container // whose cleanup forgets this one
}

// decide says what becomes of a container; false if it is none to speak of.
func (p *Program) decide(c *container) (verdict, bool) {
	if c.kind != goMap && c.kind != syncMap && c.kind != wrapper || forTests(c.pkg) || !p.longLived(c) {
		return verdict{}, false
	}
	v := verdict{c: c, found: make(layers)}
	v.Container, v.Type, v.Pos = c.id, types.TypeString(c.typ, types.RelativeTo(c.pkg.Types)), c.v.Pos()
	var escaped, limited *access
	for i, a := range c.accesses {
		switch a.what {
		case grow:
			v.growth = append(v.growth, a)
			v.Growth = append(v.Growth, Related{a.at.pos, a.at.in.name()})
		case remove, empty:
			if a.what == empty && p.setup(a.at.in) && isMade(a.value) {
				continue // made for the first time
			}
			if a.what == empty && !isFresh(a.value) && a.node != nil && a.value != nil {
				escaped = &c.accesses[i] // it is another map from here on
				continue
			}
			found := p.layersOf(a.at)
			if a.what == empty && tearsDown(a.at.in) {
				found = layers{byTeardown: a.at.in.name()}
			}
			v.found.add(found)
			v.Removals = append(v.Removals, Related{a.at.pos, describe(found)})
		case bound:
			limited = &c.accesses[i]
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

func isFresh(value ast.Expr) bool { return value == nil || isMade(value) || isNil(value) }

func isNil(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "nil"
}

// isMade reports whether an expression is a new container.
func isMade(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		return isMade(e.X)
	case *ast.CallExpr:
		id, ok := e.Fun.(*ast.Ident)
		return ok && (id.Name == "make" || id.Name == "new")
	}
	return false
}

func tearsDown(f *function) bool {
	return hasWord(f.outermost().name(), "close", "stop", "shutdown", "destroy", "teardown", "dispose")
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

// judge returns the rule that a container breaks, or "" and why it breaks none.
func (p *Program) judge(c *container, v *verdict, limited, escaped *access) (rule, reason string) {
	var seen []access
	for _, a := range v.growth {
		if !p.setup(a.at.in) && p.evidence(c, a) == session {
			seen = append(seen, a)
		}
	}
	switch {
	case len(seen) == 0:
		return "", "its keys are not those of sessions"
	case limited != nil:
		return "", "it is bounded"
	}
	v.growth = seen
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
	case p.leavesWith(c) != nil:
		return "", "its " + c.owner + " leaves " + p.leavesWith(c).name()
	case !lost:
		return RuleGrows, "nothing removes from it"
	}
	if _, ok := v.found[byEvent]; ok {
		return RuleEventOnly, "only an event removes from it"
	}
	return RuleLookup, "what has expired is removed only when it is asked for again"
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

// closed reports whether the program has all the code that can reach a container.
func (p *Program) closed(c *container) bool {
	if !c.v.Exported() || c.pkg.Types.Name() == "main" {
		return true
	}
	if c.owner != "" && !token.IsExported(c.owner) {
		return true
	}
	return p.whole && internal(c.v.Pkg().Path())
}

// longLived reports whether a container is a package variable, or in a struct that several goroutines share.
func (p *Program) longLived(c *container) bool {
	if !c.v.IsField() {
		return c.v.Pkg() != nil && c.v.Parent() == c.v.Pkg().Scope()
	}
	if c.v.Pkg() == nil || c.owner == "" {
		return false
	}
	if !p.added[c.v.Pkg()] {
		return false
	}
	if c.kind == syncMap || c.kind == wrapper {
		return true
	}
	top, _, _ := strings.Cut(c.owner, ".")
	obj := c.v.Pkg().Scope().Lookup(top)
	if obj == nil {
		return false
	}
	if _, isVar := obj.(*types.Var); isVar {
		return true
	}
	return shared(obj.Type(), 2) && !p.inContext[obj]
}

// shared reports whether a struct has what only those need that several goroutines use.
func shared(t types.Type, depth int) bool {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for v := range s.Fields() {
		ft := deref(v.Type())
		if _, ok := ft.Underlying().(*types.Chan); ok {
			return true
		}
		if named, ok := ft.(*types.Named); ok {
			if pkg := named.Obj().Pkg(); pkg != nil && (pkg.Path() == "sync" && named.Obj().Name() != "Once" || pkg.Path() == "sync/atomic") {
				return true
			}
			if depth > 0 && v.Embedded() && shared(named, depth-1) {
				return true
			}
		}
	}
	return false
}

// forTests reports whether a package is for tests, such as httptest: what it holds is there to be looked at.
func forTests(pi *packageInfo) bool {
	for element := range strings.SplitSeq(pi.Types.Path(), "/") {
		if strings.HasSuffix(element, "test") || hasWord(element, "e2e", "tests", "testing", "testdata", "testutil", "testutils", "mock", "mocks",
			"fake", "fakes", "benchmark", "benchmarks", "interop") {
			return true
		}
	}
	return false
}

// leavesWith returns a container of the structs that c is a field of, if something removes from it: c ends with its struct.
func (p *Program) leavesWith(c *container) *container {
	if c.owner == "" {
		return nil
	}
	top, _, _ := strings.Cut(c.owner, ".")
	obj, ok := c.v.Pkg().Scope().Lookup(top).(*types.TypeName)
	if !ok {
		return nil
	}
	for _, outer := range p.order {
		removes, holds := false, false
		for _, a := range outer.accesses {
			removes = removes || a.what == remove
			holds = holds || a.what == grow && a.value != nil && holdsOwner(a.at.in.pkg.Info.TypeOf(a.value), obj.Type())
		}
		if removes && (holds || holdsOwner(elemType(outer.typ), obj.Type())) {
			return outer
		}
	}
	return nil
}

// holdsOwner reports whether a value of type t may be an owner.
func holdsOwner(t, owner types.Type) bool {
	if t == nil {
		return false
	}
	if named, ok := deref(t).(*types.Named); ok && types.Identical(named.Origin(), owner) {
		return true
	}
	i, ok := t.Underlying().(*types.Interface)
	return ok && i.NumMethods() > 0 && types.Implements(types.NewPointer(owner), i)
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

// satellites finds the maps that a cleanup of their neighbours forgets: the same struct, or package, and the same keys.
func (p *Program) satellites() {
	for i := range p.verdicts {
		v := &p.verdicts[i]
		if v.Rule != RuleGrows || v.c.level > 0 {
			continue
		}
		for _, w := range p.verdicts {
			if w.c == v.c || w.c.level > 0 || w.c.owner != v.c.owner || w.c.pkg != v.c.pkg || !sameKeys(v, &w) {
				continue
			}
			if by := p.cleaner(w.c); by != nil && !growsIn(v.c, by.at.in.outermost()) {
				v.Rule = RuleSatellite
				v.Reason = fmt.Sprintf("%s grows with %s, and %s (%s), which removes it from %s, forgets it here",
					v.c.name(), keyName(v.growth[0].expr), by.at.in.outermost().name(), p.at([]Related{{Pos: by.at.pos}}), w.c.v.Name())
				v.Removals = append(v.Removals, Related{by.at.pos, by.at.in.name() + ", from " + w.c.v.Name() + " only"})
				v.beside = w.c
				break
			}
		}
	}
}

// growsIn reports whether a function inserts into a container.
func growsIn(c *container, f *function) bool {
	return slices.ContainsFunc(c.accesses, func(a access) bool { return a.what == grow && a.at.in.outermost() == f })
}

// sameKeys reports whether two containers have the same type of key and the same sort of key.
func sameKeys(a, b *verdict) bool {
	ka, kb := keyType(a.c.typ), keyType(b.c.typ)
	if ka != nil && kb != nil && !types.Identical(ka, kb) {
		return false
	}
	for _, x := range a.growth {
		for _, y := range b.growth {
			if sameKey(x, y) {
				return true
			}
		}
	}
	return false
}

// sameKey reports whether two accesses have a key of the same name; if it says no more than id, of the same struct too.
func sameKey(x, y access) bool {
	if x.expr == nil || y.expr == nil {
		return false
	}
	nameX, fieldX := x.at.in.keyField(x.expr)
	nameY, fieldY := y.at.in.keyField(y.expr)
	switch {
	case fieldX != nil && fieldX == fieldY:
		return true
	case isID(x.expr) && len(split(nameX)) == 1 && (fieldX != nil || fieldY != nil):
		return false
	}
	return strings.EqualFold(nameX, nameY) && len(nameX) > 1
}

// keyField returns the name of a key, and the field that it is if it is one.
func (f *function) keyField(e ast.Expr) (string, *types.Var) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return e.Name, nil
	case *ast.SelectorExpr:
		v, _ := f.pkg.Info.Uses[e.Sel].(*types.Var)
		return e.Sel.Name, v
	}
	return types.ExprString(e), nil
}

// cleaner returns a removal of a single key from c, in a function that does not insert it.
func (p *Program) cleaner(c *container) *access {
	for i, a := range c.accesses {
		if a.what == remove && !slices.ContainsFunc(c.accesses, func(b access) bool { return b.what == grow && b.at.in == a.at.in }) {
			return &c.accesses[i]
		}
	}
	return nil
}

// Verdicts returns what becomes of each long-lived container that grows.
func (p *Program) Verdicts() []Verdict {
	p.finish()
	var all []Verdict
	for _, v := range p.verdicts {
		all = append(all, v.Verdict)
	}
	return all
}
