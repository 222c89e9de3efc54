package sessionleak

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/cfg"
)

// returns reports functions that insert what they remove themselves before they end, but for some returns in between, or
// for a panic of a function, or of an HTTP handler, that they were given. They may do either by a function of their own.
func returns(p *Program) {
	for _, v := range p.verdicts {
		for _, in := range v.growth {
			p.returnsAfter(in, ownRemovals(v.c.accesses, in), v.c)
		}
		called := p.atCalls(v.c)
		for _, in := range called {
			outs := ownRemovals(called, in)
			if in.what == grow && !p.duringSetup(in.at) && slices.ContainsFunc(append(outs, in), func(a access) bool { return a.byCall }) {
				p.returnsAfter(in, outs, v.c)
			}
		}
	}
}

func (p *Program) returnsAfter(in access, outs []access, c *container) {
	if len(outs) == 0 || p.evidence(c, in) != session {
		return
	}
	f := in.at.in
	if missed := f.missed(in, outs); missed != nil {
		p.report(Finding{Rule: RuleReturn, Pos: in.at.pos, Container: c.id,
			Message: fmt.Sprintf("%s[%s] is removed at the end of %s (%s), but not before the return at line %d: defer the removal",
				c.name(), keyName(in.expr), f.name(), p.at([]Related{{Pos: outs[0].at.pos}}), p.Position(missed.Pos()).Line),
			Related: []Related{{missed.Pos(), "returns without the removal"}, {outs[0].at.pos, "removes"}},
		})
	} else if call := f.calledBetween(in, outs); call != nil {
		p.report(Finding{Rule: RuleReturn, Pos: in.at.pos, Container: c.id,
			Message: fmt.Sprintf("%s[%s] is removed at the end of %s (%s), but not if %s panics: defer the removal",
				c.name(), keyName(in.expr), f.name(), p.at([]Related{{Pos: outs[0].at.pos}}), types.ExprString(call.Fun)),
			Related: []Related{{call.Pos(), "may panic"}, {outs[0].at.pos, "removes"}},
		})
	}
}

// atCalls returns the accesses of a container, with those of functions that insert or remove what they are given put where these
// are called, if all their calls are known.
func (p *Program) atCalls(c *container) []access {
	var all []access
	for _, a := range c.accesses {
		if calls, ok := a.atCalls(); ok && (a.what == grow || a.what == remove) {
			all = append(all, calls...)
		} else {
			all = append(all, a)
		}
	}
	return all
}

// atCalls returns an access for each call of the function that a is in; false if there may be others. A function that tells
// whether it has inserted is none of these: its caller may return because it has not.
func (a access) atCalls() ([]access, bool) {
	g := a.at.in
	if g.obj == nil || g.exported() || a.expr == nil || len(g.runs) == 0 {
		return nil, false
	}
	if a.what == grow {
		for v := range g.obj.Signature().Results().Variables() {
			if t := v.Type().Underlying(); types.Implements(v.Type(), errorType) || types.Identical(t, types.Typ[types.Bool]) {
				return nil, false
			}
		}
	}
	var all []access
	for _, e := range g.runs {
		call := e.at.in.callOf(g, e.at.pos)
		if call == nil || e.how != called && e.how != deferred {
			return nil, false
		}
		key := g.asCalled(a.expr, call)
		if key == nil {
			return nil, false
		}
		moved := a
		moved.at, moved.node, moved.expr, moved.byCall = e.at, call, key, true
		all = append(all, moved)
	}
	return all, true
}

// callOf returns the call of g at a position in f; nil if it is called otherwise, as by an interface.
func (f *function) callOf(g *function, pos token.Pos) *ast.CallExpr {
	for n := range f.enclosing(pos) {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn := f.callee(call); fn != nil && fn.Origin() == g.obj {
				return call
			}
		}
	}
	return nil
}

// asCalled returns what a parameter of g, or a field of one, is to who calls it; nil for any other expression.
func (g *function) asCalled(e ast.Expr, call *ast.CallExpr) ast.Expr {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v := g.variable(e)
		at := slices.Index(g.params, v)
		if v == nil || at < 0 {
			return nil
		}
		if at -= g.offset(g.obj); at >= 0 && at < len(call.Args) {
			return call.Args[at]
		} else if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && at < 0 {
			return sel.X
		}
	case *ast.SelectorExpr:
		if x := g.asCalled(e.X, call); x != nil {
			return &ast.SelectorExpr{X: x, Sel: e.Sel}
		}
	}
	return nil
}

// ownRemovals returns the removals of what in inserts, if they are all in the same function and none is deferred.
func ownRemovals(all []access, in access) []access {
	var outs []access
	for _, a := range all {
		switch {
		case a.what == escape, a.what == bound, a.what == empty && a.at.in.outermost() != in.at.in.outermost() && !tearsDown(a.at.in) && !isMade(a.value):
			return nil
		case a.what != remove:
		case a.at.in != in.at.in || a.at.in.defers(a.at.pos) || a.at.pos < in.at.pos || in.expr == nil || a.expr == nil ||
			types.ExprString(a.expr) != types.ExprString(in.expr) || !withinScopes(in.at.scopes, a.at.scopes) || a.byCall && in.byCall && a.receiver() != in.receiver():
			return nil
		default:
			outs = append(outs, a)
		}
	}
	return outs
}

// receiver names what the call of an access is a method of.
func (a access) receiver() string {
	if call, ok := a.node.(*ast.CallExpr); ok {
		if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
			return types.ExprString(sel.X)
		}
	}
	return ""
}

// withinScopes reports whether all scopes of the insertion are also around the removal, so that both are of one case.
func withinScopes(in, out []scope) bool {
	for _, s := range in {
		if (s.kind == event || s.kind == received) && !slices.ContainsFunc(out, func(o scope) bool { return o.node == s.node }) {
			return false
		}
	}
	return !slices.ContainsFunc(out, func(o scope) bool {
		return (o.kind == event || o.kind == received || o.kind == expired) && !slices.ContainsFunc(in, func(s scope) bool { return s.node == o.node })
	})
}

// missed returns a return that comes after in and not after any of outs, where the function's last exit does come after one.
func (f *function) missed(in access, outs []access) *ast.ReturnStmt {
	g := cfg.New(f.body, func(*ast.CallExpr) bool { return true })
	isOut := func(n ast.Node) bool {
		return slices.ContainsFunc(outs, func(a access) bool { return n.Pos() <= a.at.pos && a.at.pos < n.End() })
	}
	inserted, _ := in.value.(*ast.Ident) // which is not nil until it is set again
	var missed []*ast.ReturnStmt
	endMissed := false
	type reached struct {
		block *cfg.Block
		same  bool // inserted is what it was
	}
	seen := make(map[reached]bool)
	var follow func(b *cfg.Block, from int, same bool)
	follow = func(b *cfg.Block, from int, same bool) {
		for _, n := range b.Nodes[from:] {
			if isOut(n) {
				return
			}
			if r, ok := n.(*ast.ReturnStmt); ok {
				missed = append(missed, r)
				return
			}
			if as, ok := n.(*ast.AssignStmt); ok && same {
				same = !f.sets(as, inserted)
			}
		}
		if len(b.Succs) == 0 && b.Live {
			endMissed = true
		}
		for i, next := range b.Succs {
			if same && i == f.sideOfNil(b, inserted) || seen[reached{next, same}] {
				continue
			}
			seen[reached{next, same}] = true
			follow(next, 0, same)
		}
	}
	for _, b := range g.Blocks {
		for i, n := range b.Nodes {
			if n.Pos() <= in.at.pos && in.at.pos < n.End() {
				follow(b, i+1, inserted != nil)
			}
		}
	}
	if endMissed || len(missed) == 0 {
		return nil
	}
	last := f.body.List[len(f.body.List)-1]
	lastOut := outs[len(outs)-1].at.pos
	for _, r := range missed {
		if r == last || r.Pos() > lastOut {
			return nil // what is missed on the way to success is meant to stay
		}
		if f.handsOver(r) || f.endsBranch(in, r) {
			return nil
		}
	}
	return missed[0]
}

// sideOfNil returns which successor of a block is reached only if a variable is nil, by the comparison that the block ends with;
// -1 if there is none.
func (f *function) sideOfNil(b *cfg.Block, v *ast.Ident) int {
	if len(b.Nodes) == 0 || len(b.Succs) != 2 {
		return -1
	}
	cond, ok := b.Nodes[len(b.Nodes)-1].(*ast.BinaryExpr)
	if !ok || !isNil(cond.Y) {
		return -1
	}
	id, ok := ast.Unparen(cond.X).(*ast.Ident)
	if !ok || f.variable(id) == nil || f.variable(id) != f.variable(v) {
		return -1
	}
	switch cond.Op {
	case token.EQL:
		return 0
	case token.NEQ:
		return 1
	}
	return -1
}

// endsBranch reports whether a return ends the branch that the insertion is in: what is inserted there is meant to stay.
func (f *function) endsBranch(in access, r *ast.ReturnStmt) bool {
	_, list := f.block(in.at.pos)
	return len(list) > 0 && list[len(list)-1] == r
}

// block returns the innermost block, or case, around a position, and its statements.
func (f *function) block(pos token.Pos) (block ast.Node, list []ast.Stmt) {
	for n := range f.enclosing(pos) {
		switch n := n.(type) {
		case *ast.BlockStmt:
			block, list = n, n.List
		case *ast.CaseClause:
			block, list = n, n.Body
		case *ast.CommClause:
			block, list = n, n.Body
		}
	}
	return block, list
}

// handsOver reports whether a return has a result that is neither nil nor an error: whoever gets it may remove the entry.
func (f *function) handsOver(r *ast.ReturnStmt) bool {
	for _, e := range r.Results {
		t := f.pkg.Info.TypeOf(e)
		if t == nil || isNil(e) || f.pkg.Info.Types[e].Value != nil || isZero(e) {
			continue
		}
		if !types.Implements(t, errorType) {
			return true
		}
	}
	return false
}

func isZero(e ast.Expr) bool {
	lit, ok := ast.Unparen(e).(*ast.CompositeLit)
	return ok && len(lit.Elts) == 0
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// calledBetween returns a call, between the insertion and the first removal, of a function that f was given, or of an HTTP
// handler, whose panics the server catches.
func (f *function) calledBetween(in access, outs []access) *ast.CallExpr {
	for _, call := range f.calls {
		if call.Pos() < in.node.End() || call.End() > outs[0].at.pos {
			continue
		}
		if name, _ := f.calleeName(call); name == "ServeHTTP" && !f.inGo(call.Pos()) {
			return call
		}
		id, ok := ast.Unparen(call.Fun).(*ast.Ident)
		if !ok {
			continue
		}
		if v := f.variable(id); v != nil && f.isParameter(v) && !f.inGo(call.Pos()) {
			return call
		}
	}
	return nil
}

// inGo reports whether a position is in a go statement.
func (f *function) inGo(pos token.Pos) bool {
	for n := range f.enclosing(pos) {
		if _, ok := n.(*ast.GoStmt); ok {
			return true
		}
	}
	return false
}
