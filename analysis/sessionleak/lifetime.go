package sessionleak

import (
	"go/token"
	"go/types"
	"strings"
)

// longLived reports whether a container is a package variable, or in a struct that is one or that several goroutines share, of a
// program that goes on.
func (p *Program) longLived(c *container) bool {
	if p.endsSoon(c) {
		return false
	}
	if !c.v.IsField() {
		return c.v.Pkg() != nil && c.v.Parent() == c.v.Pkg().Scope()
	}
	if c.v.Pkg() == nil || c.owner == "" {
		return false
	}
	if !p.added[c.v.Pkg()] {
		return false
	}
	top, _, _ := strings.Cut(c.owner, ".")
	obj := c.v.Pkg().Scope().Lookup(top)
	if obj == nil {
		return c.locked()
	}
	if _, isVar := obj.(*types.Var); isVar {
		return true
	}
	return (c.locked() || shared(obj.Type(), 2) || isVariable(obj)) && !p.inContext[obj] && !p.madeByRequest(obj)
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
