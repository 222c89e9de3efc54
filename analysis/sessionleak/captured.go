package sessionleak

import (
	"go/ast"
	"go/types"
	"slices"
)

// capture notes the local variables of a function that makes a handler of requests, or a middleware, which the handler holds on
// to: they live as long as it.
func (f *function) capture() {
	var handlers []*ast.FuncLit
	ast.Inspect(f.body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok && isHTTPHandler(f.pkg.Info.TypeOf(lit)) {
			handlers = append(handlers, lit)
			return false // one in it is of a request
		}
		return true
	})
	for _, lit := range handlers {
		ast.Inspect(lit.Body, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			v := f.variable(id)
			if v != nil && kindOf(v.Type()) != other && kindOf(v.Type()) != slice && v.Pos() > f.body.Pos() && v.Pos() < f.body.End() &&
				(v.Pos() < lit.Pos() || v.Pos() > lit.End()) && f.isLocal(v) {
				f.pkg.prog.captured[v] = f
			}
			return true
		})
	}
}

// keptByHandler reports whether a handler that is made once, not for each request, holds on to a local variable.
func (p *Program) keptByHandler(v *types.Var) bool {
	f := p.captured[v]
	return f != nil && !f.ofRequest() && !slices.ContainsFunc(f.runs, func(e edge) bool { return e.at.in.ofRequest() })
}

// ofRequest reports whether f, or a function around it, is the handler of a request.
func (f *function) ofRequest() bool {
	return f.servesHTTP() || f.parent != nil && f.parent.ofRequest()
}
