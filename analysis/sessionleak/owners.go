package sessionleak

import (
	"go/types"
	"slices"
	"strings"
)

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
	owners := p.wholes(obj.Type())
	for _, outer := range p.order {
		if outer.v.Origin() != c.v.Origin() && p.shrinks(outer) && outer.holdsOne(owners) {
			return outer
		}
	}
	return nil
}

// shrinks reports whether something takes elements out of a container before its own end.
func (p *Program) shrinks(c *container) bool {
	return slices.ContainsFunc(c.accesses, func(a access) bool {
		switch {
		case a.what == remove:
			return true
		case a.what != empty || p.firstMade(c, a) || tearsDown(a.at.in):
			return false
		}
		return isFresh(a.value) || c.kind == slice && !p.setup(a.at.in)
	})
}

// holdsOne reports whether the keys or the elements of a container are, or have, one of the owners.
func (c *container) holdsOne(owners []types.Type) bool {
	held := []types.Type{keyType(c.typ), elemType(c.typ)}
	for _, a := range c.accesses {
		if a.what == grow && a.value != nil {
			held = append(held, a.at.in.pkg.Info.TypeOf(a.value))
		}
	}
	return slices.ContainsFunc(held, func(t types.Type) bool {
		return slices.ContainsFunc(owners, func(owner types.Type) bool { return holdsOwner(t, owner) })
	})
}

// holdsOwner reports whether a value of type t, or one that is in it, may be an owner.
func holdsOwner(t, owner types.Type) bool {
	for t != nil {
		t = deref(t)
		if named, ok := t.(*types.Named); ok && types.Identical(named.Origin(), owner) {
			return true
		}
		switch u := t.Underlying().(type) {
		case *types.Interface:
			return u.NumMethods() > 0 && !(u.NumMethods() == 1 && outside(t)) && types.Implements(types.NewPointer(owner), u)
		case *types.Map, *types.Slice:
			t = elemType(t)
		default:
			return false
		}
	}
	return false
}

// outside reports whether an interface is one of the standard library, such as io.Closer: what implements it may be anything.
func outside(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return true
	}
	first, _, _ := strings.Cut(named.Obj().Pkg().Path(), "/")
	return slices.Contains([]string{"io", "fmt", "net", "context", "encoding", "sync"}, first)
}

// wholes returns a struct, and those that it is a part of: it ends with them.
func (p *Program) wholes(part types.Type) []types.Type {
	all := []types.Type{part}
	for i := 0; i < len(all); i++ {
		named, ok := all[i].(*types.Named)
		if !ok {
			continue
		}
		for _, whole := range p.partOf()[named.Origin().Obj()] {
			if !slices.Contains(all, whole) {
				all = append(all, whole)
			}
		}
	}
	return all
}

// partOf returns the structs that have a field for a value of another, by the other.
func (p *Program) partOf() map[types.Object][]types.Type {
	if p.structsWith != nil {
		return p.structsWith
	}
	p.structsWith = make(map[types.Object][]types.Type)
	for _, pi := range p.packages {
		for _, name := range pi.Types.Scope().Names() {
			whole, ok := pi.Types.Scope().Lookup(name).(*types.TypeName)
			if !ok || whole.IsAlias() {
				continue
			}
			s, ok := whole.Type().Underlying().(*types.Struct)
			if !ok {
				continue
			}
			for v := range s.Fields() {
				if part, ok := types.Unalias(v.Type()).(*types.Named); ok {
					p.structsWith[part.Origin().Obj()] = append(p.structsWith[part.Origin().Obj()], whole.Type())
				}
			}
		}
	}
	return p.structsWith
}

// hasPart reports whether a struct has a field for a value of another, not for a pointer to one.
func hasPart(whole, part types.Type) bool {
	s, ok := whole.Underlying().(*types.Struct)
	return ok && slices.ContainsFunc(slices.Collect(s.Fields()), func(v *types.Var) bool {
		named, ok := types.Unalias(v.Type()).(*types.Named)
		return ok && types.Identical(named.Origin(), part)
	})
}
