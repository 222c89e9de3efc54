package sessionleak

import (
	"go/ast"
	"go/types"
	"slices"
)

// structAllows reports whether the struct of a rewritten field has its map wherever it is made, and whether nothing but the
// uses of the field can tell that it is another type: no conversion, no encoder, and no copy whose map is made anew.
func (r *rewrite) structAllows() bool {
	for _, pi := range r.p.packages {
		for id, inst := range pi.Info.Instances {
			_, isFunc := pi.Info.Uses[id].(*types.Func)
			for t := range inst.TypeArgs.Types() {
				if r.isStruct(t) || isFunc && r.leadsTo(t) {
					return false
				}
			}
		}
		for _, file := range pi.Syntax {
			r.pi, r.file = pi, file
			if !walkStacks(file, r.allows) {
				return false
			}
		}
	}
	return true
}

// isStruct reports whether t is the struct of the field.
func (r *rewrite) isStruct(t types.Type) bool {
	s, ok := t.Underlying().(*types.Struct)
	return ok && slices.ContainsFunc(slices.Collect(s.Fields()), func(v *types.Var) bool { return v.Origin() == r.c.v })
}

// leadsTo reports whether one comes from a value of type t to the struct.
func (r *rewrite) leadsTo(t types.Type) bool {
	seen := make(map[types.Type]bool)
	var leads func(t types.Type) bool
	leads = func(t types.Type) bool {
		if seen[t] {
			return false
		}
		seen[t] = true
		switch u := t.Underlying().(type) {
		case *types.Struct:
			return r.isStruct(t) || slices.ContainsFunc(slices.Collect(u.Fields()), func(v *types.Var) bool { return leads(v.Type()) })
		case *types.Map:
			return leads(u.Key()) || leads(u.Elem())
		case interface{ Elem() types.Type }: // a pointer, a slice, an array, a channel
			return leads(u.Elem())
		}
		return false
	}
	return leads(t)
}

// allows judges the expression at the end of a stack.
func (r *rewrite) allows(stack []ast.Node) bool {
	e, ok := stack[len(stack)-1].(ast.Expr)
	tv, known := r.pi.Info.Types[e]
	if !ok || !known || len(stack) < 2 {
		return true
	}
	if lit, ok := e.(*ast.CompositeLit); ok && r.isStruct(deref(tv.Type)) && !slices.ContainsFunc(lit.Elts, r.isElement) {
		return false
	}
	if call, ok := e.(*ast.CallExpr); ok && r.isStruct(deref(tv.Type)) && r.pi.Info.Types[call.Fun].IsType() && !isNil(call.Args[0]) &&
		!r.isStruct(deref(r.pi.Info.TypeOf(call.Args[0]))) {
		return false // one that had the same fields before
	}
	switch up := stack[:len(stack)-1]; {
	case tv.IsType():
		return !r.isStruct(tv.Type) || !mayBeZero(e, up)
	case r.isStruct(tv.Type) && len(r.cleared) > 0 && copied(e, up[len(up)-1]):
		return false
	case tv.IsValue() && !types.IsInterface(tv.Type) && r.leadsTo(tv.Type):
		target, ok := r.pi.target(e, up)
		return !ok || r.allowsAs(tv.Type, target)
	}
	return true
}

// allowsAs judges the use of a value, which leads to the struct, as one of a type: it must not be another struct, which had the
// same fields before, nor an interface that an encoder or a printer takes. Those take what is exported by any.
func (r *rewrite) allowsAs(t, target types.Type) bool {
	switch u := deref(target).Underlying().(type) {
	case *types.Interface:
		return !r.c.v.Exported() && u.NumMethods() > 0
	case *types.Struct:
		return r.isStruct(u) || !r.isStruct(deref(t))
	}
	return true
}

// isElement reports whether an element of a literal sets the field by its name.
func (r *rewrite) isElement(e ast.Expr) bool {
	kv, ok := e.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	id, ok := kv.Key.(*ast.Ident)
	return ok && r.is(id)
}

// mayBeZero reports whether a value of a type comes to be where it is named, unless that is by a literal with its elements.
func mayBeZero(e ast.Expr, up []ast.Node) bool {
	switch parent := up[len(up)-1].(type) {
	case *ast.StarExpr, *ast.CompositeLit, *ast.SelectorExpr, *ast.TypeSpec, *ast.CaseClause:
		return false
	case *ast.IndexExpr: // with type arguments
		return parent.X != e
	case *ast.IndexListExpr:
		return parent.X != e
	case *ast.ValueSpec:
		return len(parent.Values) == 0
	case *ast.Field:
		switch f := up[len(up)-3].(type) {
		case *ast.FuncDecl: // the receiver
			return false
		case *ast.FuncType:
			return f.Results != nil && slices.Contains(f.Results.List, parent) && len(parent.Names) > 0
		}
	}
	return true
}

// copied reports whether a struct is copied rather than looked at.
func copied(e ast.Expr, parent ast.Node) bool {
	switch e.(type) {
	case *ast.CompositeLit, *ast.CallExpr, *ast.ParenExpr:
		return false // new, or looked at already
	}
	switch parent.(type) {
	case *ast.SelectorExpr, *ast.UnaryExpr, *ast.ParenExpr:
		return false
	}
	return true
}

// target returns the type that an expression is converted to where it is used; false if it is the expression's, or not known.
func (pi *packageInfo) target(e ast.Expr, up []ast.Node) (types.Type, bool) {
	var t types.Type
	switch parent := up[len(up)-1].(type) {
	case *ast.CallExpr:
		if i := slices.Index(parent.Args, e); i >= 0 {
			t = pi.parameter(parent, i)
		}
	case *ast.AssignStmt:
		if i := slices.Index(parent.Rhs, e); i >= 0 && len(parent.Lhs) == len(parent.Rhs) {
			t = pi.Info.TypeOf(parent.Lhs[i])
		}
	case *ast.ValueSpec:
		if i := slices.Index(parent.Values, e); i >= 0 && len(parent.Names) == len(parent.Values) {
			t = pi.Info.TypeOf(parent.Names[i])
		}
	case *ast.SendStmt:
		if c, ok := under(pi.Info.TypeOf(parent.Chan)).(*types.Chan); ok {
			t = c.Elem()
		}
	case *ast.KeyValueExpr:
		lit := under(deref(pi.Info.TypeOf(up[len(up)-2].(ast.Expr))))
		if _, ok := lit.(*types.Struct); ok {
			t = pi.Info.TypeOf(parent.Key)
		} else if c, ok := lit.(interface{ Elem() types.Type }); ok {
			t = c.Elem()
		}
	case *ast.CompositeLit:
		lit := under(deref(pi.Info.TypeOf(parent)))
		if s, ok := lit.(*types.Struct); ok && parent.Type != e {
			t = s.Field(slices.Index(parent.Elts, e)).Type()
		} else if c, ok := lit.(interface{ Elem() types.Type }); ok {
			t = c.Elem()
		}
	case *ast.ReturnStmt:
		if sig := pi.signature(up); sig != nil && sig.Results().Len() == len(parent.Results) {
			t = sig.Results().At(slices.Index(parent.Results, e)).Type()
		}
	}
	return t, t != nil
}

// parameter returns the type of what a call, or a conversion, makes of its argument i.
func (pi *packageInfo) parameter(call *ast.CallExpr, i int) types.Type {
	fun := pi.Info.Types[call.Fun]
	sig, ok := under(fun.Type).(*types.Signature)
	switch {
	case fun.IsType():
		return fun.Type
	case !ok:
		return nil
	case sig.Variadic() && !call.Ellipsis.IsValid() && i >= sig.Params().Len()-1:
		return sig.Params().At(sig.Params().Len() - 1).Type().(*types.Slice).Elem()
	case i < sig.Params().Len():
		return sig.Params().At(i).Type()
	}
	return nil
}

// signature returns the one of the function around a stack.
func (pi *packageInfo) signature(stack []ast.Node) *types.Signature {
	for _, n := range slices.Backward(stack) {
		switch n := n.(type) {
		case *ast.FuncLit:
			sig, _ := pi.Info.TypeOf(n).(*types.Signature)
			return sig
		case *ast.FuncDecl:
			sig, _ := pi.Info.TypeOf(n.Name).(*types.Signature)
			return sig
		}
	}
	return nil
}
