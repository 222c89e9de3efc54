package sessionleak

import (
	"go/token"
	"go/types"
	"strings"
)

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
