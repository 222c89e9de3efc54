package sessionleak

import (
	"go/ast"
	"go/types"
	"slices"
)

// walk notes what a declared function, and the literals in it, do.
func (f *function) walk() {
	f.aliases, f.defined, f.locals = make(map[*types.Var]ref), make(map[*types.Var]ast.Expr), make(map[*types.Var]*function)
	f.capture()
	f.resolveLocals()
	f.walkBody(nil)
}

// walkBody walks f's statements. In outer are the scopes around a literal that runs where it stands.
func (f *function) walkBody(outer []scope) {
	var stack []ast.Node
	ast.Inspect(f.body, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return false
		}
		stack = append(stack, n)
		if lit, ok := n.(*ast.FuncLit); ok {
			f.literal(lit, stack, outer)
			stack = stack[:len(stack)-1]
			return false
		}
		f.visit(n, stack, outer)
		return true
	})
}

func (f *function) literal(lit *ast.FuncLit, stack []ast.Node, outer []scope) {
	g := &function{pkg: f.pkg, lit: lit, body: lit.Body, parent: f, aliases: f.aliases, defined: f.defined, locals: f.locals}
	g.parameters(lit.Type.Params)
	f.pkg.prog.functions = append(f.pkg.prog.functions, g)
	if e, ok := f.use(stack, outer); ok {
		g.runs = append(g.runs, e)
	}
	if v := f.assignedTo(stack); v != nil {
		f.locals[v] = g
	}
	g.walkBody(f.rangesBy(lit, stack))
}

// rangesBy returns the scope of a literal that a sync.Map, or another container, calls for each of its elements.
func (f *function) rangesBy(lit *ast.FuncLit, stack []ast.Node) []scope {
	if len(stack) < 2 {
		return nil
	}
	call, ok := stack[len(stack)-2].(*ast.CallExpr)
	if !ok || !slices.Contains(call.Args, ast.Expr(lit)) {
		return nil
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || f.containerOf(sel.X) == nil || !slices.Contains([]string{"Range", "ForEach", "Each", "IterCb"}, sel.Sel.Name) {
		return nil
	}
	return []scope{{kind: looped, node: call}}
}

// assignedTo returns the local variable that the last expression of the stack is assigned to.
func (f *function) assignedTo(stack []ast.Node) *types.Var {
	if len(stack) < 2 {
		return nil
	}
	if as, ok := stack[len(stack)-2].(*ast.AssignStmt); ok {
		for i, rhs := range as.Rhs {
			if rhs == stack[len(stack)-1] && i < len(as.Lhs) {
				if id, ok := as.Lhs[i].(*ast.Ident); ok {
					return f.variable(id)
				}
			}
		}
	}
	return nil
}

func (f *function) variable(id *ast.Ident) *types.Var {
	v, _ := f.pkg.Info.ObjectOf(id).(*types.Var)
	return v
}

// calleeName returns the name of what is called, and its package's if it is a package's function.
func (f *function) calleeName(call *ast.CallExpr) (name, pkg string) {
	fun := ast.Unparen(call.Fun)
	switch x := fun.(type) { // type arguments
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name, ""
	case *ast.SelectorExpr:
		if id, ok := fun.X.(*ast.Ident); ok {
			if p, ok := f.pkg.Info.Uses[id].(*types.PkgName); ok {
				return fun.Sel.Name, p.Imported().Path()
			}
		}
		return fun.Sel.Name, ""
	}
	return "", ""
}

// isCallOf reports whether a call is of one of some functions of a package.
func (f *function) isCallOf(call *ast.CallExpr, pkg string, names ...string) bool {
	name, of := f.calleeName(call)
	return of == pkg && slices.Contains(names, name)
}

// walkStacks calls ok with each node below root and those around it, until it reports false.
func walkStacks(root ast.Node, ok func(stack []ast.Node) bool) bool {
	good := true
	var stack []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return false
		}
		stack = append(stack, n)
		good = good && ok(stack)
		return true
	})
	return good
}
