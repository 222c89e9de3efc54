package sessionleak

import (
	"cmp"
	"go/ast"
	"go/types"
	"slices"
)

// Holders are the variables and fields that a cache, or a struct, is found in. One that is also handed on may be anywhere.
type holders struct {
	vars     []*types.Var
	returned []*types.Func // that return it
	handedOn bool
}

// holders returns what holds the cache, or the struct, that an expression in f makes.
func (p *Program) holders(f *function, made ast.Expr) holders {
	var h holders
	h.follow(f.pkg, made)
	for i := 0; i < len(h.vars); i++ {
		v := h.vars[i]
		for _, pi := range p.packages {
			if v.Exported() && !p.whole {
				h.handedOn = true
			}
			for id, obj := range pi.Info.Uses {
				if used, ok := obj.(*types.Var); ok && used.Origin() == v {
					h.follow(pi, id)
				}
			}
		}
	}
	return h
}

// follow adds what a value is assigned to, and notes if it is given to something else than its methods.
func (h *holders) follow(pi *packageInfo, e ast.Expr) {
	stack := pi.stackOf(e)
	for i := len(stack) - 2; i >= 0; i-- {
		child := stack[i+1]
		switch n := stack[i].(type) {
		case *ast.ParenExpr, *ast.UnaryExpr:
			continue
		case *ast.SelectorExpr:
			if n.Sel == child {
				continue // the field of something
			}
		case *ast.AssignStmt:
			if at := slices.Index(n.Rhs, child.(ast.Expr)); at >= 0 {
				h.assigned(pi, n.Lhs[at])
			}
		case *ast.ValueSpec:
			if at := slices.Index(n.Values, child.(ast.Expr)); at >= 0 {
				h.assigned(pi, n.Names[at])
			}
		case *ast.KeyValueExpr:
			if n.Value == child {
				h.assigned(pi, n.Key)
			}
		case *ast.CompositeLit:
			s, ok := deref(pi.Info.TypeOf(n)).Underlying().(*types.Struct)
			if !ok {
				h.handedOn = true
			} else if at := slices.Index(n.Elts, child.(ast.Expr)); at >= 0 && at < s.NumFields() {
				h.add(s.Field(at).Origin())
			}
		case *ast.ReturnStmt:
			h.returns(pi, stack[:i], slices.Index(n.Results, child.(ast.Expr)))
		case *ast.CallExpr, *ast.SendStmt, *ast.IndexExpr:
			h.handedOn = true
		}
		return
	}
}

// returns follows a value that is the first result of a function to where that is called.
func (h *holders) returns(pi *packageInfo, stack []ast.Node, result int) {
	p := pi.prog
	var fn *types.Func
	for _, n := range stack {
		switch n := n.(type) {
		case *ast.FuncDecl:
			fn, _ = pi.Info.Defs[n.Name].(*types.Func)
		case *ast.FuncLit:
			fn = nil
		}
	}
	switch {
	case fn == nil || result != 0 || fn.Signature().Recv() != nil || p.named[fn.FullName()] == nil || p.named[fn.FullName()].exported():
		h.handedOn = true
		return
	case slices.Contains(h.returned, fn):
		return
	}
	h.returned = append(h.returned, fn)
	called := false
	for _, pi := range p.packages {
		for id, obj := range pi.Info.Uses {
			if used, ok := obj.(*types.Func); ok && used.Origin() == fn {
				called = true
				if call := pi.callOf(id); call != nil {
					h.follow(pi, call)
				} else {
					h.handedOn = true
				}
			}
		}
	}
	h.handedOn = h.handedOn || !called // by what is not seen
}

// callOf returns the call of a function that is mentioned; nil if it is not called there.
func (pi *packageInfo) callOf(mention *ast.Ident) *ast.CallExpr {
	stack := pi.stackOf(mention)
	for i := len(stack) - 2; i >= 0; i-- {
		switch n := stack[i].(type) {
		case *ast.SelectorExpr, *ast.IndexExpr, *ast.IndexListExpr, *ast.ParenExpr:
			continue
		case *ast.CallExpr:
			if n.Fun == stack[i+1] {
				return n
			}
		}
		return nil
	}
	return nil
}

func (h *holders) assigned(pi *packageInfo, to ast.Expr) {
	v := pi.variable(to)
	switch {
	case v != nil:
		h.add(v)
	case types.ExprString(to) != "_":
		h.handedOn = true
	}
}

func (h *holders) add(v *types.Var) {
	if !slices.Contains(h.vars, v) {
		h.vars = append(h.vars, v)
	}
}

// variable returns the variable or field that an expression is; nil if it is none.
func (pi *packageInfo) variable(e ast.Expr) *types.Var {
	var v *types.Var
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v, _ = pi.Info.ObjectOf(e).(*types.Var)
	case *ast.SelectorExpr:
		v, _ = pi.Info.ObjectOf(e.Sel).(*types.Var)
	}
	if v == nil {
		return nil
	}
	return v.Origin()
}

// stackOf returns the nodes around an expression, the file first and the expression last.
func (pi *packageInfo) stackOf(e ast.Expr) []ast.Node {
	var stack []ast.Node
	for _, file := range pi.Files {
		if e.Pos() < file.FileStart || e.Pos() >= file.FileEnd {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil || len(stack) > 0 && stack[len(stack)-1] == e || e.Pos() < n.Pos() || e.End() > n.End() {
				return false
			}
			stack = append(stack, n)
			return true
		})
	}
	return stack
}

// callsOf returns where methods of a library's types are called, or handed on, that may be those of a cache, be it through an
// interface.
func (p *Program) callsOf(path string, names []string, held holders) []Related {
	var all []Related
	for _, pi := range p.packages {
		for sel, selection := range pi.Info.Selections {
			if isMethod(selection.Obj(), path, names) && held.mayBe(pi, sel) ||
				slices.Contains(names, sel.Sel.Name) && slices.Contains(held.vars, pi.variable(sel.X)) {
				all = append(all, Related{sel.Pos(), sel.Sel.Name})
			}
		}
	}
	slices.SortFunc(all, func(a, b Related) int { return cmp.Compare(a.Pos, b.Pos) })
	return all
}

// callsMethod reports whether one of the methods of a library's types is called, or handed on, that may be that of a cache.
func (p *Program) callsMethod(path string, names []string, held holders) bool {
	if held.handedOn && !p.whole {
		return true
	}
	return len(p.callsOf(path, names, held)) > 0
}

func isMethod(obj types.Object, path string, names []string) bool {
	fn, ok := obj.(*types.Func)
	return ok && fn.Pkg() != nil && fn.Pkg().Path() == path && slices.Contains(names, fn.Name())
}

// mayBe reports whether a method is one of the cache, as far as that can be seen.
func (h holders) mayBe(pi *packageInfo, method *ast.SelectorExpr) bool {
	v := pi.variable(method.X)
	if selection := pi.Info.Selections[method]; selection != nil && len(selection.Index()) > 1 {
		return h.handedOn || slices.ContainsFunc(h.vars, (*types.Var).Embedded)
	}
	return h.handedOn || v == nil || slices.Contains(h.vars, v)
}

// setsEach reports whether each value that is put into a cache is given a time to live.
func (p *Program) setsEach(k cacheKind, held holders) bool {
	if k.set == "" {
		return false
	}
	some, each := false, true
	for _, pi := range p.packages {
		for _, file := range pi.Files {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
				if !ok || !isMethod(pi.Info.ObjectOf(sel.Sel), k.path, []string{k.set}) || !held.mayBe(pi, sel) && !pi.isParameter(sel.X) {
					return true
				}
				some, each = true, each && !pi.isZeroOrLess(call.Args[len(call.Args)-1]) // which stands for none, or for that of the cache
				return true
			})
		}
	}
	return some && each
}

// isParameter reports whether an expression is a parameter, as that of a function that loads what is missing.
func (pi *packageInfo) isParameter(e ast.Expr) bool {
	v := pi.variable(e)
	return v != nil && v.Kind() == types.ParamVar
}
