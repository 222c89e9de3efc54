package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// satellites finds the maps that a cleanup of their neighbours forgets: the same struct, or package, and the same keys. One that
// an event removes from is forgotten all the same where what ends its neighbours can be relied upon.
func (p *Program) satellites() {
	for i := range p.verdicts {
		v := &p.verdicts[i]
		if v.Rule != RuleGrows && v.Rule != RuleEventOnly || v.c.level > 0 {
			continue
		}
		for _, w := range p.verdicts {
			if w.c == v.c || w.c.level > 0 || w.c.owner != v.c.owner || w.c.pkg != v.c.pkg || !sameKeys(v, &w) {
				continue
			}
			if by := p.cleaner(w.c); by != nil && !by.at.in.outermost().does(v.c, grow, remove) && (v.Rule == RuleGrows || p.reliable(by.at)) {
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

// reliable reports whether a place is sure to be reached.
func (p *Program) reliable(at place) bool {
	for l := range p.layersOf(at) {
		if !l.lost() {
			return true
		}
	}
	return false
}

// does reports whether a function does one of some actions to a container.
func (f *function) does(c *container, actions ...action) bool {
	return slices.ContainsFunc(c.accesses, func(a access) bool { return slices.Contains(actions, a.what) && a.at.in.outermost() == f })
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
