package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// changes tell how a variable that may be a counter comes to its values.
type changes struct{ up, down, set bool }

// counting returns how a variable, or a field, is changed in the program after it is made.
func (p *Program) counting(v *types.Var) changes {
	var c changes
	for _, pi := range p.packages {
		for _, file := range pi.Files {
			in := pi.counting(file, v)
			c = changes{c.up || in.up, c.down || in.down, c.set || in.set}
		}
	}
	return c
}

// counting returns how a variable is changed in a part of the code.
func (pi *packageInfo) counting(in ast.Node, v *types.Var) changes {
	var c changes
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IncDecStmt:
			if pi.variable(n.X) == v {
				c.up, c.down = c.up || n.Tok == token.INC, c.down || n.Tok == token.DEC
			}
		case *ast.AssignStmt:
			for _, lhs := range n.Lhs {
				if pi.variable(lhs) == v {
					c.up, c.down = c.up || n.Tok == token.ADD_ASSIGN, c.down || n.Tok == token.SUB_ASSIGN
					c.set = c.set || n.Tok == token.ASSIGN
				}
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Add" && pi.variable(sel.X) == v { // of sync/atomic
				c.up = true
			}
		}
		return true
	})
	return c
}

// underCount reports whether a place is reached only while a counter that it counts up is below something. One that is counted
// down as well, or set anew, is no bound.
func (p *Program) underCount(at place) bool {
	pi := at.in.pkg
	counter := func(e ast.Expr) bool {
		v := pi.variable(e)
		if v == nil || !pi.counting(at.in.body, v).up {
			return false
		}
		c := p.counting(v)
		return !c.down && !c.set
	}
	for cond, is := range at.in.decided(at.pos) {
		below, above, join := []token.Token{token.LSS, token.LEQ}, []token.Token{token.GTR, token.GEQ}, token.LAND
		if !is {
			below, above, join = above, below, token.LOR
		}
		for _, part := range parts(cond, join) {
			if b, ok := part.(*ast.BinaryExpr); ok && (slices.Contains(below, b.Op) && counter(b.X) || slices.Contains(above, b.Op) && counter(b.Y)) {
				return true
			}
		}
	}
	return false
}

// parts returns the conditions that join joins.
func parts(cond ast.Expr, join token.Token) []ast.Expr {
	cond = ast.Unparen(cond)
	if b, ok := cond.(*ast.BinaryExpr); ok && b.Op == join {
		return append(parts(b.X, join), parts(b.Y, join)...)
	}
	return []ast.Expr{cond}
}
