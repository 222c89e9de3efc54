package sessionleak

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
)

func (c *container) add(a access) { c.accesses = append(c.accesses, a) }

// visit notes what the last node of the stack does.
func (f *function) visit(n ast.Node, stack []ast.Node, outer []scope) {
	here := func() place { return f.placeOf(stack, outer) }
	switch n := n.(type) {
	case *ast.AssignStmt:
		f.assign(n, here)
	case *ast.IncDecStmt:
		if ix, ok := ast.Unparen(n.X).(*ast.IndexExpr); ok {
			f.insert(ix, nil, n, here())
		}
	case *ast.CallExpr:
		f.call(n, stack, here)
	case *ast.SendStmt:
		if r, ok := f.resolve(n.Chan); ok {
			id := f.pkg.prog.id(r.v.Origin(), 0)
			f.pkg.prog.sends[id] = append(f.pkg.prog.sends[id], here())
		}
		f.escapes(n.Value, n, here)
	case *ast.ReturnStmt:
		for _, e := range n.Results {
			f.escapes(e, n, here)
		}
	case *ast.KeyValueExpr:
		f.escapes(n.Value, n, here)
		if id, ok := n.Key.(*ast.Ident); ok {
			if v, ok := f.pkg.Info.Uses[id].(*types.Var); ok && v.IsField() {
				v = v.Origin()
				f.pkg.prog.assigned[v] = append(f.pkg.prog.assigned[v], assignment{at: here(), value: n.Value, literal: true})
			}
		}
	case *ast.UnaryExpr:
		if c := f.containerOf(n.X); n.Op == token.AND && c != nil && (c.kind == slice || c.kind == goMap && !argument(stack)) {
			c.add(access{what: escape, at: here(), node: n})
		}
	case *ast.CompositeLit:
		f.makes(n, here)
		for _, e := range n.Elts {
			f.escapes(e, n, here)
		}
	case *ast.BinaryExpr:
		f.compares(n, stack, here)
	case *ast.IndexExpr:
		if c := f.containerOf(n.X); c != nil && !assignedIndex(stack) {
			c.add(access{what: read, at: here(), key: neutral, expr: n.Index, node: n})
		}
	case *ast.Ident, *ast.SelectorExpr:
		f.mentions(n.(ast.Expr), stack, outer)
	}
}

// argument reports whether the expression at the end of the stack is an argument of a call, which tells what becomes of it.
func argument(stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	call, ok := stack[len(stack)-2].(*ast.CallExpr)
	return ok && slices.Contains(call.Args, stack[len(stack)-1].(ast.Expr))
}

// assignedIndex reports whether the index expression at the end of the stack is assigned to.
func assignedIndex(stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	as, ok := stack[len(stack)-2].(*ast.AssignStmt)
	return ok && slices.Contains(as.Lhs, stack[len(stack)-1].(ast.Expr))
}

func (f *function) assign(n *ast.AssignStmt, here func() place) {
	for i, lhs := range n.Lhs {
		var rhs ast.Expr
		if len(n.Lhs) == len(n.Rhs) {
			rhs = n.Rhs[i]
		}
		if ix, ok := ast.Unparen(lhs).(*ast.IndexExpr); ok {
			f.insert(ix, rhs, n, here())
			continue
		}
		if star, ok := lhs.(*ast.StarExpr); ok {
			f.overwritten(star, n, here)
			continue
		}
		if sel, ok := lhs.(*ast.SelectorExpr); ok {
			f.setField(sel, rhs, here)
		}
		if id, ok := lhs.(*ast.Ident); ok && f.isLocalName(id) && (n.Tok == token.DEFINE || f.pkg.prog.captured[f.variable(id)] == nil) {
			continue
		}
		c := f.containerOf(lhs)
		if c == nil || f.ofCopy(lhs) {
			continue
		}
		if a, ok := f.appends(lhs, rhs); ok {
			c.add(access{what: grow, at: here(), key: neutral, expr: a, value: a, node: n})
			continue
		}
		c.add(access{what: empty, at: here(), value: rhs, node: n})
	}
	for i, rhs := range n.Rhs {
		if f.storesAway(n) && !(len(n.Lhs) == len(n.Rhs) && f.same(n.Lhs[i], rhs)) {
			f.escapes(rhs, n, here)
		}
	}
}

// same reports whether two expressions are the same container, as where an inner map is put back.
func (f *function) same(a, b ast.Expr) bool {
	x, ok1 := f.resolve(a)
	y, ok2 := f.resolve(b)
	return ok1 && ok2 && x == y
}

func (f *function) isLocalName(id *ast.Ident) bool {
	v := f.variable(id)
	return v == nil || f.isLocal(v)
}

// storesAway reports whether an assignment has something else than local variables on its left.
func (f *function) storesAway(n *ast.AssignStmt) bool {
	return slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return !ok || !f.isLocalName(id)
	})
}

// appends reports whether rhs appends to lhs, and what.
func (f *function) appends(lhs, rhs ast.Expr) (ast.Expr, bool) {
	call, ok := ast.Unparen(rhs).(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return nil, false
	}
	if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "append" {
		return nil, false
	}
	return call.Args[1], f.same(lhs, call.Args[0])
}

func (f *function) setField(sel *ast.SelectorExpr, rhs ast.Expr, here func() place) {
	s, ok := f.pkg.Info.Selections[sel]
	if !ok || s.Kind() != types.FieldVal {
		return
	}
	v := s.Obj().(*types.Var).Origin()
	f.pkg.prog.assigned[v] = append(f.pkg.prog.assigned[v], assignment{at: here(), value: rhs})
}

// overwritten notes that a whole struct is set anew, with its containers.
func (f *function) overwritten(star *ast.StarExpr, n ast.Node, here func() place) {
	s, ok := under(f.pkg.Info.TypeOf(star)).(*types.Struct)
	if !ok {
		return
	}
	for v := range s.Fields() {
		if kindOf(v.Type()) != other {
			f.pkg.prog.container(f.pkg, ref{v, 0}, v.Type()).add(access{what: empty, at: here(), node: n})
		}
	}
}

// insert notes an assignment to an element.
func (f *function) insert(ix *ast.IndexExpr, value ast.Expr, n ast.Node, at place) {
	c := f.containerOf(ix.X)
	if c == nil || c.kind == slice {
		if one := f.containerOf(ix); one != nil && one.kind == goMap { // of an array, or a slice, of maps
			one.add(access{what: empty, at: at, value: value, node: n})
		}
		return
	}
	if inner := f.containerOf(ix); inner != nil && inner.kind == goMap && value != nil && isMade(value) && f.byClock(ix.Pos()) {
		inner.add(access{what: empty, at: at, value: value, node: n})
	}
	if f.updates(c, ix, at) {
		return
	}
	c.add(access{what: grow, at: at, key: f.key(ix.Index, 3), expr: ix.Index, value: value, node: n})
}

// beside reports whether what is ranged over is c, or a map next to it, which has the keys then.
func beside(ranged, c *container) bool {
	return ranged == c || ranged != nil && ranged.kind == goMap && ranged.owner == c.owner && ranged.pkg == c.pkg && c.owner != ""
}

// updates reports whether the key of an insertion is known to be there.
func (f *function) updates(c *container, ix *ast.IndexExpr, at place) bool {
	key := types.ExprString(ix.Index)
	for _, s := range at.scopes {
		switch n := s.node.(type) {
		case *ast.RangeStmt:
			if k, ok := n.Key.(*ast.Ident); ok && k.Name == key && beside(f.containerOf(n.X), c) {
				return true
			}
		}
	}
	for cond, is := range f.decided(ix.Pos()) {
		if f.isThere(c, ix.Index, cond, is) && !f.changes(ix.Index, cond.End(), ix.Pos()) {
			return true
		}
	}
	return false
}

// isThere reports whether a container has a key because of what has become of a condition: a look for it, or a comparison of its
// element with what a missing one would be.
func (f *function) isThere(c *container, key ast.Expr, cond ast.Expr, is bool) bool {
	cond = ast.Unparen(cond)
	switch e := cond.(type) {
	case *ast.UnaryExpr:
		return e.Op == token.NOT && f.isThere(c, key, e.X, !is)
	case *ast.BinaryExpr:
		switch {
		case e.Op == token.LAND || e.Op == token.LOR:
			return is == (e.Op == token.LAND) && (f.isThere(c, key, e.X, is) || f.isThere(c, key, e.Y, is))
		case !isComparison(e.Op) || !f.looksUp(e.X, c, key):
			return false
		case isNil(e.Y):
			return is == (e.Op == token.NEQ)
		}
		v := f.pkg.Info.Types[e.Y].Value
		return v != nil && v.Kind() == constant.Int && is != constant.Compare(constant.MakeInt64(0), e.Op, v)
	}
	return is && f.looksUp(cond, c, key)
}

// looksUp reports whether an expression is the element of a key, or a variable that is set to it or tells whether it is there.
func (f *function) looksUp(e ast.Expr, c *container, key ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.IndexExpr:
		return types.ExprString(e.Index) == types.ExprString(key) && f.containerOf(e.X) == c
	case *ast.Ident:
		found := false
		ast.Inspect(f.body, func(n ast.Node) bool {
			if as, ok := n.(*ast.AssignStmt); ok && len(as.Rhs) == 1 && as.End() <= e.Pos() {
				if ix, ok := ast.Unparen(as.Rhs[0]).(*ast.IndexExpr); ok && f.sets(as, e) {
					found = f.looksUp(ix, c, key) // the last one before it
				}
			}
			return true
		})
		return found
	}
	return false
}

// changes reports whether a variable is set between two positions.
func (f *function) changes(e ast.Expr, from, to token.Pos) bool {
	id, ok := e.(*ast.Ident)
	found := false
	ast.Inspect(f.body, func(n ast.Node) bool {
		as, isAssign := n.(*ast.AssignStmt)
		found = found || ok && isAssign && as.Pos() >= from && as.End() <= to && f.sets(as, id)
		return true
	})
	return found
}

// sets reports whether an assignment sets a variable.
func (f *function) sets(as *ast.AssignStmt, v *ast.Ident) bool {
	return slices.ContainsFunc(as.Lhs, func(lhs ast.Expr) bool {
		id, ok := lhs.(*ast.Ident)
		return ok && f.variable(id) != nil && f.variable(id) == f.variable(v)
	})
}

// decided yields the conditions that what has become of is known at a position of f, with that: those of the if statements around
// it, and of those before it that leave.
func (f *function) decided(pos token.Pos) func(yield func(cond ast.Expr, is bool) bool) {
	return func(yield func(ast.Expr, bool) bool) {
		within := func(n ast.Node) bool { return n.Pos() <= pos && pos < n.End() }
		for n := range f.enclosing(pos) {
			switch n := n.(type) {
			case *ast.IfStmt:
				inElse := n.Else != nil && within(n.Else)
				if (inElse || within(n.Body)) && !yield(n.Cond, !inElse) {
					return
				}
			case *ast.BlockStmt:
				for _, s := range n.List {
					if ifs, ok := s.(*ast.IfStmt); ok && ifs.End() <= pos && leaves(ifs.Body) && !yield(ifs.Cond, false) {
						return
					}
				}
			}
		}
	}
}

// byClock reports whether a position of f is reached because of a time.
func (f *function) byClock(pos token.Pos) bool {
	for cond, is := range f.decided(pos) {
		asks := false
		ast.Inspect(cond, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				fn := f.callee(call)
				asks = asks || fn != nil && fn.Pkg() != nil && fn.Pkg().Path() == "time"
			}
			return !asks
		})
		if is && asks {
			return true
		}
	}
	return false
}

// enclosing yields the nodes of f's body around a position, the outermost first.
func (f *function) enclosing(pos token.Pos) func(yield func(ast.Node) bool) {
	return func(yield func(ast.Node) bool) {
		more := true
		ast.Inspect(f.body, func(n ast.Node) bool {
			if n == nil || !more || pos < n.Pos() || pos >= n.End() {
				return false
			}
			more = yield(n)
			return more
		})
	}
}

// compares notes bounds on the length of a container.
func (f *function) compares(n *ast.BinaryExpr, stack []ast.Node, here func() place) {
	if !isComparison(n.Op) || n.Op == token.EQL || n.Op == token.NEQ || f.onlyTells(n, stack) {
		return
	}
	for _, pair := range [][2]ast.Expr{{n.X, n.Y}, {n.Y, n.X}} {
		call, ok := ast.Unparen(pair[0]).(*ast.CallExpr)
		if !ok || !f.isLen(call) {
			continue
		}
		if v := f.pkg.Info.Types[pair[1]].Value; v != nil && (v.String() == "0" || v.String() == "1") {
			continue // whether there is anything
		}
		var of ast.Expr
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			of = sel.X
		} else if len(call.Args) == 1 {
			of = call.Args[0]
		}
		if c := f.containerOf(of); c != nil {
			c.add(access{what: bound, at: here(), node: n})
		}
	}
}

// onlyTells reports whether a condition decides on nothing but whether something is logged.
func (f *function) onlyTells(condition ast.Expr, stack []ast.Node) bool {
	for _, n := range slices.Backward(stack) {
		ifs, ok := n.(*ast.IfStmt)
		if !ok {
			continue
		}
		return ifs.Cond.Pos() <= condition.Pos() && condition.End() <= ifs.Cond.End() && ifs.Else == nil &&
			!slices.ContainsFunc(ifs.Body.List, func(s ast.Stmt) bool { return !f.tells(s) })
	}
	return false
}

// tells reports whether a statement logs.
func (f *function) tells(s ast.Stmt) bool {
	e, ok := s.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := e.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, _ := f.calleeName(call)
	return hasWord(name, "print", "printf", "println", "log", "logf", "debug", "debugf", "info", "infof", "warn", "warnf", "warning", "error", "errorf")
}

// escapes notes that a container is handed out of sight.
func (f *function) escapes(e ast.Expr, n ast.Node, here func() place) {
	e = ast.Unparen(e)
	if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
		e = u.X
	}
	switch e.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr:
		if c := f.containerOf(e); c != nil && c.kind != slice {
			c.add(access{what: escape, at: here(), node: n})
		}
	}
}
