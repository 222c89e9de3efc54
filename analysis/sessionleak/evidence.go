package sessionleak

import (
	"go/ast"
	"go/types"
)

// evidence judges an insertion by its key; where the key says nothing, by the container's name, and by its companions.
func (p *Program) evidence(c *container, a access) evidence {
	switch {
	case a.ofAccount() || p.configured(c, a):
		return fixed
	case a.key != neutral:
		return a.key
	}
	if key := p.Words.typ(keyType(c.typ)); key != neutral {
		return key
	}
	if p.companions[c] || p.ofInstances(c) == session {
		return session
	}
	if a.expr != nil && isID(a.expr) && p.holds(c) == session {
		return session
	}
	return neutral
}

// ofAccount reports whether what is inserted is a user, under the name of that user: those of a configuration have one.
func (a access) ofAccount() bool {
	sel, ok := a.expr.(*ast.SelectorExpr)
	if !ok || a.value == nil || exprString(a.value) != exprString(sel.X) || !hasWord(sel.Sel.Name, "username", "name") {
		return false
	}
	named, ok := deref(a.at.in.pkg.Info.TypeOf(a.value)).(*types.Named)
	return ok && hasWord(named.Obj().Name(), "user", "account")
}

// holds judges a container by its name and by that of the type of its elements.
func (p *Program) holds(c *container) evidence {
	byName, byElem := neutral, neutral
	if !p.Words.one(c.v.Name()) {
		byName = p.Words.judgeType(c.v.Name())
	}
	if t := elemType(c.typ); t != nil {
		if named, ok := deref(t).(*types.Named); ok {
			byElem = p.Words.judgeType(named.Obj().Name())
		}
	}
	return either(byName, byElem)
}

// isID reports whether an expression is called id, or something of the sort.
func isID(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return hasWord(e.Name, "id", "key", "k", "uid", "ids", "guid")
	case *ast.SelectorExpr:
		return hasWord(e.Sel.Name, "id", "key", "uid")
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && hasWord(sel.Sel.Name, "id", "key", "uid")
	}
	return false
}

// findCompanions finds the maps that a function indexes with the same key as a neighbour whose keys are those of sessions.
func (p *Program) findCompanions() {
	type at struct {
		owner, key string
		pkg        *packageInfo
		in         *function
	}
	places := make(map[at][]*container)
	for _, c := range p.order {
		if c.level > 0 || c.kind != goMap && c.kind != syncMap {
			continue
		}
		for _, a := range c.accesses {
			if a.expr != nil && a.key == neutral && (a.what == grow || a.what == remove || a.what == read) {
				k := at{c.owner, exprString(a.expr), c.pkg, a.at.in.outermost()}
				places[k] = append(places[k], c)
			}
		}
	}
	sure := func(c *container) bool {
		for _, a := range c.accesses {
			if a.what == grow && p.evidence(c, a) == session {
				return true
			}
		}
		return false
	}
	for changed := true; changed; {
		changed = false
		for _, together := range places {
			some := false
			for _, c := range together {
				some = some || sure(c)
			}
			for _, c := range together {
				if some && !p.companions[c] {
					p.companions[c], changed = true, true
				}
			}
		}
	}
}
