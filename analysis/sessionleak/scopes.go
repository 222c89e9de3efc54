package sessionleak

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
)

// placeOf returns the place of the last node of the stack.
func (f *function) placeOf(stack []ast.Node, outer []scope) place {
	scopes := append([]scope(nil), outer...)
	for i := range len(stack) - 1 {
		scopes = f.scopes(scopes, stack[i], stack[i+1])
	}
	return place{in: f, pos: stack[len(stack)-1].Pos(), scopes: scopes}
}

// scopes adds those that n opens around its child.
func (f *function) scopes(to []scope, n, child ast.Node) []scope {
	add := func(k scopeKind, label string) { to = append(to, scope{kind: k, label: label, node: n}) }
	switch n := n.(type) {
	case *ast.CommClause:
		if child != n.Comm {
			if kind, label, ok := f.receives(n.Comm); ok {
				add(kind, label)
			}
			to = f.before(to, n.Body, child)
		}
	case *ast.CaseClause:
		for _, e := range n.List {
			if e == child {
				return to
			}
		}
		if label := f.caseLabel(n); label != "" {
			add(event, label)
		}
		to = f.before(to, n.Body, child)
	case *ast.BlockStmt:
		to = f.before(to, n.List, child)
	case *ast.RangeStmt:
		if child == n.Body {
			add(looped, "")
			if _, isChan := under(f.pkg.Info.TypeOf(n.X)).(*types.Chan); isChan {
				if kind, label, ok := f.channel(n.X); ok {
					add(kind, label)
				}
			}
		}
	case *ast.IfStmt:
		if child == n.Body || child == n.Else {
			to = f.condition(to, n)
		}
	}
	return to
}

func under(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	return t.Underlying()
}

// before adds what the statements before child in a list make certain: that something has ended.
func (f *function) before(to []scope, list []ast.Stmt, child ast.Node) []scope {
	for _, s := range list {
		if s == child {
			break
		}
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.AssignStmt:
			if kind, label, ok := f.receives(s); ok {
				to = append(to, scope{kind: kind, label: label, node: s})
			} else if e, ok := s.(*ast.ExprStmt); ok && f.blocks(e.X) {
				to = append(to, scope{kind: ended, node: s})
			}
		case *ast.IfStmt:
			if leaves(s.Body) {
				to = f.condition(to, s)
			}
		case *ast.SelectStmt:
			if waits(s) {
				to = append(to, scope{kind: ended, node: s})
			}
		case *ast.ForStmt:
			if s.Cond == nil {
				to = append(to, scope{kind: ended, node: s})
			}
		case *ast.RangeStmt:
			if _, isChan := under(f.pkg.Info.TypeOf(s.X)).(*types.Chan); isChan {
				to = append(to, scope{kind: ended, node: s})
			}
		}
	}
	return to
}

// waits reports whether a select waits for something to come, and does not only try, or send.
func waits(s *ast.SelectStmt) bool {
	some := false
	for _, clause := range s.Body.List {
		switch clause.(*ast.CommClause).Comm.(type) {
		case nil: // default
			return false
		case *ast.SendStmt:
		default:
			some = true
		}
	}
	return some
}

// leaves reports whether what comes after the block is not reached from it.
func leaves(b *ast.BlockStmt) bool {
	if len(b.List) == 0 {
		return false
	}
	switch last := b.List[len(b.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	case *ast.ExprStmt:
		call, ok := last.X.(*ast.CallExpr)
		id, isIdent := callee(call)
		return ok && isIdent && id.Name == "panic"
	}
	return false
}

func callee(call *ast.CallExpr) (*ast.Ident, bool) {
	if call == nil {
		return nil, false
	}
	id, ok := call.Fun.(*ast.Ident)
	return id, ok
}

// blocks reports whether a call waits for something's end.
func (f *function) blocks(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, _ := f.calleeName(call)
	return name == "Wait" || name == "Sleep"
}

// receives tells of a statement that receives from a channel what it waits for.
func (f *function) receives(s ast.Stmt) (scopeKind, string, bool) {
	var e ast.Expr
	switch s := s.(type) {
	case *ast.ExprStmt:
		e = s.X
	case *ast.AssignStmt:
		if len(s.Rhs) == 1 {
			e = s.Rhs[0]
		}
	}
	if u, ok := ast.Unparen(e).(*ast.UnaryExpr); ok && u.Op == token.ARROW {
		return f.channel(u.X)
	}
	return 0, "", false
}

// channel tells what a message on the channel means.
func (f *function) channel(x ast.Expr) (scopeKind, string, bool) {
	x = ast.Unparen(x)
	if t, ok := under(f.pkg.Info.TypeOf(x)).(*types.Chan); ok && t.Elem().String() == "time.Time" {
		return ticks, "", true
	}
	name := ""
	switch x := x.(type) {
	case *ast.CallExpr:
		name, _ = f.calleeName(x)
	case *ast.SelectorExpr:
		name = x.Sel.Name
	case *ast.Ident:
		name = x.Name
	}
	if hasWord(name, "done", "quit", "stop", "stopped", "closed", "exit", "shutdown", "ctx", "close", "closing", "closer", "finished", "die") {
		return ended, "", true
	}
	if r, ok := f.resolve(x); ok {
		return received, f.pkg.prog.id(r.v.Origin(), 0), true
	}
	return received, "", true
}

// caseLabel returns the event that a case is for.
func (f *function) caseLabel(c *ast.CaseClause) string {
	for _, e := range c.List {
		if label := f.eventLabel(e); label != "" {
			return label
		}
	}
	return ""
}

// eventLabel returns the name of the event that an expression in a comparison stands for, if it is one that ends something.
func (f *function) eventLabel(e ast.Expr) string {
	tv := f.pkg.Info.Types[e]
	if tv.IsType() {
		if named, ok := deref(tv.Type).(*types.Named); ok && ends(named.Obj().Name()) {
			return named.Obj().Name()
		}
		return ""
	}
	if tv.Value == nil {
		return ""
	}
	label := ""
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		label = e.Name
	case *ast.SelectorExpr:
		label = e.Sel.Name
	}
	if tv.Value.Kind() == constant.String && (label == "" || ends(constant.StringVal(tv.Value))) {
		label = constant.StringVal(tv.Value)
	}
	if !ends(label) {
		return ""
	}
	return label
}

func deref(t types.Type) types.Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		return types.Unalias(p.Elem())
	}
	return t
}

// condition adds what an if statement looks at.
func (f *function) condition(to []scope, n *ast.IfStmt) []scope {
	add := func(k scopeKind, label string) { to = append(to, scope{kind: k, label: label, node: n}) }
	ast.Inspect(n.Cond, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.BinaryExpr:
			if x.Op == token.EQL && !leaves(n.Body) || x.Op == token.NEQ && leaves(n.Body) {
				for _, side := range []ast.Expr{x.X, x.Y} {
					if label := f.eventLabel(side); label != "" {
						add(event, label)
					}
				}
			}
			if x.Op != token.EQL && x.Op != token.NEQ && isComparison(x.Op) && (f.isLen(x.X) || f.isLen(x.Y)) {
				add(bounded, "")
			}
		case *ast.CallExpr:
			if name, _ := f.calleeName(x); name == "Since" || name == "Until" || name == "Before" || name == "After" || name == "Sub" || name == "Unix" || name == "UnixMilli" || name == "UnixNano" || hasWord(name, "expired", "stale", "expire") {
				add(expired, "")
			}
		case *ast.Ident:
			if hasWord(x.Name, "expired", "stale", "idle", "ttl", "expires", "expiration", "expiry", "timeout", "deadline", "cutoff") && f.pkg.Info.Types[x].Value == nil {
				add(expired, "")
			}
		}
		return true
	})
	return to
}

func (f *function) isLen(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	name, _ := f.calleeName(call)
	return name == "len" || name == "Len" || name == "Count" || name == "Size"
}
