package sessionleak

import (
	"go/types"
	"slices"
	"strings"
)

// An instance is a type that is made of a generic one, as a registry of sessions is.
type instance struct {
	of   *types.TypeName
	args *types.TypeList
}

// addInstances notes the types that the package makes of generic ones, or that a generic function makes for it.
func (pi *packageInfo) addInstances() {
	add := func(t types.Type) {
		if named, ok := deref(t).(*types.Named); ok && named.TypeArgs().Len() > 0 {
			pi.prog.instances = append(pi.prog.instances, instance{named.Origin().Obj(), named.TypeArgs()})
		}
	}
	for id, i := range pi.Info.Instances {
		if strings.HasSuffix(pi.prog.Position(id.Pos()).Filename, "_test.go") {
			continue
		}
		add(i.Type)
		if sig, ok := i.Type.(*types.Signature); ok {
			for v := range sig.Results().Variables() {
				add(v.Type())
			}
		}
	}
}

// ofInstances judges a key of a generic struct by the types that it is made for: one that comes and goes is enough.
func (p *Program) ofInstances(c *container) evidence {
	param, ok := types.Unalias(keyType(c.typ)).(*types.TypeParam)
	if !ok || c.owner == "" {
		return neutral
	}
	of := c.v.Pkg().Scope().Lookup(c.owner)
	if of == nil || p.madeInPassing(of) {
		return neutral
	}
	if slices.ContainsFunc(p.instances, func(i instance) bool {
		return i.of == of && i.args.Len() > param.Index() && p.Words.typ(i.args.At(param.Index())) == session
	}) {
		return session
	}
	return neutral
}
