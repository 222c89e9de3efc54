package sessionleak

import (
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// longLived reports whether a container is a package variable, or in a struct that is one or that several goroutines share, of a
// program that goes on.
func (p *Program) longLived(c *container) bool {
	if p.endsSoon(c) {
		return false
	}
	if !c.v.IsField() {
		return c.v.Pkg() != nil && c.v.Parent() == c.v.Pkg().Scope() || p.keptByHandler(c.v)
	}
	if c.v.Pkg() == nil || c.owner == "" {
		return false
	}
	if !p.added[c.v.Pkg()] {
		return false
	}
	if local := c.pkg.local[c.v]; local != nil {
		return (c.locked() || shared(local.Type(), 2)) && p.madeOnce(local)
	}
	top, _, _ := strings.Cut(c.owner, ".")
	obj := c.v.Pkg().Scope().Lookup(top)
	if obj == nil {
		return c.locked()
	}
	if _, isVar := obj.(*types.Var); isVar {
		return true
	}
	return p.lasting(obj, c.locked()) || p.partOfLasting(obj)
}

// lasting reports whether the structs of a type last: several goroutines share them, or they are package variables, and they are
// not those of a context, of a request or of a connection.
func (p *Program) lasting(obj types.Object, locked bool) bool {
	return (locked || shared(obj.Type(), 2) || isVariable(obj)) && !p.inContext[obj] && !p.madeByRequest(obj) && !p.madeByConnection(obj)
}

// partOfLasting reports whether the structs of a type are but fields of others, which last.
func (p *Program) partOfLasting(obj types.Object) bool {
	wholes := p.wholes(obj.Type())
	outermost := slices.DeleteFunc(slices.Clone(wholes), func(part types.Type) bool {
		return slices.ContainsFunc(wholes, func(whole types.Type) bool { return hasPart(whole, part) })
	})
	return len(wholes) > 1 && len(outermost) > 0 && !slices.ContainsFunc(outermost, func(whole types.Type) bool {
		named, ok := whole.(*types.Named)
		return !ok || !p.lasting(named.Obj(), false) || p.madeInPassing(named.Obj())
	}) && !slices.ContainsFunc(p.makes[obj], func(m making) bool {
		held := p.holders(m.at.in, m.expr)
		return held.handedOn || slices.ContainsFunc(held.vars, func(v *types.Var) bool { return !v.IsField() })
	})
}

// locked reports whether a container can do without a lock: it is there for several goroutines.
func (c *container) locked() bool { return c.kind == syncMap || c.kind == wrapper }

// shared reports whether a struct has what only those need that several goroutines use.
func shared(t types.Type, depth int) bool {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for v := range s.Fields() {
		ft := deref(v.Type())
		if array, ok := ft.Underlying().(*types.Array); ok {
			ft = deref(array.Elem())
		}
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
