package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// call notes what a call does to containers.
func (f *function) call(n *ast.CallExpr, stack []ast.Node, here func() place) {
	info := f.pkg.Info
	if info.Types[n.Fun].IsType() {
		return
	}
	f.calls = append(f.calls, n)
	if id, ok := ast.Unparen(n.Fun).(*ast.Ident); ok {
		if _, ok := info.Uses[id].(*types.Builtin); ok {
			f.builtin(id.Name, n, here)
			return
		}
	}
	if f.publishes(n, here) {
		return
	}
	sel, _ := ast.Unparen(n.Fun).(*ast.SelectorExpr)
	if sel != nil && f.method(sel, n, stack, here) {
		return
	}
	fn := f.callee(n)
	if fn != nil && fn.FullName() == "context.WithValue" && len(n.Args) == 3 {
		if named, ok := deref(info.TypeOf(n.Args[2])).(*types.Named); ok {
			f.pkg.prog.inContext[named.Obj()] = true
		}
	}
	if fn != nil && fn.Pkg() != nil && fn.Pkg().Path() == "maps" && len(n.Args) > 0 {
		c := f.containerOf(n.Args[0])
		switch {
		case c == nil:
		case fn.Name() == "DeleteFunc":
			c.add(access{what: remove, at: sweeping(here(), n), node: n})
		case fn.Name() == "Copy" || fn.Name() == "Insert":
			c.add(access{what: grow, at: here(), key: neutral, node: n})
		}
		return
	}
	for i, arg := range n.Args {
		f.passes(fn, f.offset(fn)+i, arg, n, here)
	}
	if sel != nil && fn != nil && fn.Signature().Recv() != nil {
		f.passes(fn, 0, sel.X, n, here)
	}
}

// sweeping marks a place as one that looks at all elements.
func sweeping(at place, n ast.Node) place {
	at.scopes = append(slices.Clone(at.scopes), scope{kind: looped, node: n}, scope{kind: expired, node: n})
	return at
}

func (f *function) offset(fn *types.Func) int {
	if fn != nil && fn.Signature().Recv() != nil {
		return 1
	}
	return 0
}

func (f *function) callee(n *ast.CallExpr) *types.Func {
	fun := ast.Unparen(n.Fun)
	switch x := fun.(type) {
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		fn, _ := f.pkg.Info.Uses[fun].(*types.Func)
		return fn
	case *ast.SelectorExpr:
		fn, _ := f.pkg.Info.Uses[fun.Sel].(*types.Func)
		return fn
	}
	return nil
}

func (f *function) builtin(name string, n *ast.CallExpr, here func() place) {
	switch name {
	case "delete":
		if c := f.containerOf(n.Args[0]); c != nil {
			c.add(access{what: remove, at: here(), key: f.key(n.Args[1], 3), expr: n.Args[1], node: n})
		}
	case "clear":
		if c := f.containerOf(n.Args[0]); c != nil {
			c.add(access{what: empty, at: here(), node: n})
		}
	case "new":
		f.makes(n, here)
	case "append", "copy":
		for _, arg := range n.Args[1:] {
			f.escapes(arg, n, here)
		}
	}
}

// method notes a call of a method of a container that is no plain map.
func (f *function) method(sel *ast.SelectorExpr, n *ast.CallExpr, stack []ast.Node, here func() place) bool {
	c := f.containerOf(sel.X)
	if c == nil || c.kind != wrapper && (c.kind != syncMap || f.ofCopy(sel.X)) {
		return false
	}
	a := access{at: here(), node: n}
	if len(n.Args) > 0 {
		a.expr, a.key = n.Args[0], f.key(n.Args[0], 3)
	}
	if len(n.Args) > 1 {
		a.value = n.Args[1]
	}
	switch name := sel.Sel.Name; {
	case slices.Contains(inserting, name):
		a.what = grow
		if f.ranged(c, stack) {
			return true
		}
	case slices.Contains(removing, name):
		a.what = remove
	case slices.Contains(emptying, name):
		a.what = empty
	default:
		a.what = read
	}
	c.add(a)
	return true
}

// ofCopy reports whether an expression is a field of a struct that f was given as a value: what is done to it is done to a copy.
func (f *function) ofCopy(e ast.Expr) bool {
	for {
		sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
		if !ok {
			break
		}
		if s, ok := f.pkg.Info.Selections[sel]; !ok || s.Indirect() || isPointer(s.Type()) {
			return false
		}
		e = sel.X
	}
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && f.variable(id) != nil && f.isParameter(f.variable(id)) && !isPointer(f.variable(id).Type())
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

// ranged reports whether the stack is within a Range over the container: what it stores there replaces what there is.
func (f *function) ranged(c *container, stack []ast.Node) bool {
	return slices.ContainsFunc(stack[:len(stack)-1], func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Range" && f.containerOf(sel.X) == c
	})
}

// passes notes that a container is an argument.
func (f *function) passes(fn *types.Func, index int, arg ast.Expr, n ast.Node, here func() place) {
	c := f.containerOf(arg)
	if c == nil || c.kind == slice {
		return
	}
	if c.kind == wrapper && fn != nil && fn.Signature().Recv() != nil && index == 0 {
		return
	}
	if fn == nil {
		c.add(access{what: escape, at: here(), node: n})
		return
	}
	fn = fn.Origin()
	if harmless(fn) {
		return
	}
	f.pkg.prog.passed = append(f.pkg.prog.passed, pass{c: c, at: here(), fn: fn, index: index, node: n})
}

// harmless reports whether a function of the standard library leaves a map as it is.
func harmless(fn *types.Func) bool {
	if fn.Pkg() == nil {
		return true
	}
	switch fn.Pkg().Path() {
	case "fmt", "maps", "slices", "sort", "log", "log/slog", "encoding/json", "strings", "errors", "reflect", "bytes", "encoding/gob":
		return !strings.HasPrefix(fn.Name(), "Unmarshal") && !strings.HasPrefix(fn.Name(), "Decode") && !strings.HasPrefix(fn.Name(), "ValueOf")
	}
	return false
}

// A pass is a container as an argument of a declared function.
type pass struct {
	c     *container
	at    place
	fn    *types.Func
	index int
	node  ast.Node
}

// Effects says what a function does to those of its parameters that are containers, the receiver being the first. It is the
// fact that is kept of functions of other packages.
type Effects struct {
	Grows, Removes, Empties, Bounds, HandsOn []int
}

// AFact marks Effects as a fact.
func (*Effects) AFact() {}

// String names what is done to which parameters.
func (e *Effects) String() string {
	var parts []string
	for i, list := range [][]int{e.Grows, e.Removes, e.Empties, e.Bounds, e.HandsOn} {
		if len(list) > 0 {
			parts = append(parts, []string{"grows", "removes", "empties", "bounds", "hands on"}[i]+" "+strings.Trim(fmt.Sprint(list), "[]"))
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func (e *Effects) of(what action) *[]int {
	switch what {
	case grow:
		return &e.Grows
	case remove:
		return &e.Removes
	case empty:
		return &e.Empties
	case bound:
		return &e.Bounds
	case escape:
		return &e.HandsOn
	}
	return nil
}

// resolvePasses turns arguments into accesses at the place of the call. It does so a few times, as functions hand on what
// they are given.
func (p *Program) resolvePasses() {
	for range 4 {
		var left []pass
		for _, s := range p.passed {
			if !p.resolvePass(s) {
				left = append(left, s)
			}
		}
		if len(left) == len(p.passed) {
			break
		}
		p.passed = left
	}
	for _, s := range p.passed {
		s.c.add(access{what: escape, at: s.at, node: s.node})
	}
	p.passed = nil
}

func (p *Program) resolvePass(s pass) bool {
	g := p.named[s.fn.FullName()]
	if g == nil {
		var e *Effects
		if p.imported != nil {
			e = p.imported(s.fn)
		}
		if e == nil {
			s.c.add(access{what: escape, at: s.at, node: s.node})
			return true
		}
		for what := grow; what <= escape; what++ {
			if list := e.of(what); list != nil && slices.Contains(*list, s.index) {
				s.c.add(access{what: what, at: s.at, node: s.node})
			}
		}
		return true
	}
	index := min(s.index, len(g.params)-1)
	if index < 0 || g.params[index] == nil {
		return true
	}
	v := g.params[index]
	for _, other := range p.passed {
		if other.c.v == v && other.c != s.c {
			return false // not known yet what g does to it
		}
	}
	for level := range 3 {
		from := p.containers[p.id(v, level)]
		if from == nil {
			continue
		}
		to := s.c
		if level > 0 {
			to = p.container(to.pkg, ref{to.v, to.level + level}, from.typ)
		}
		for _, a := range from.accesses {
			a.at = place{in: s.at.in, pos: s.at.pos, scopes: append(slices.Clone(s.at.scopes), a.at.scopes...)}
			to.add(a)
		}
	}
	return true
}

// effects returns what a function does to its parameters; nil if none is a container.
func (p *Program) effects(g *function) *Effects {
	e, some := new(Effects), false
	for i, v := range g.params {
		if v == nil || kindOf(v.Type()) == other || kindOf(v.Type()) == slice {
			continue
		}
		some = true
		if c := p.containers[p.id(v, 0)]; c != nil {
			for _, a := range c.accesses {
				if list := e.of(a.what); list != nil && !slices.Contains(*list, i) {
					*list = append(*list, i)
				}
			}
		}
	}
	if !some {
		return nil
	}
	return e
}
