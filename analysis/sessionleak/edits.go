package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

func (r *rewrite) edit(from, to token.Pos, text string) {
	r.edits = append(r.edits, Edit{from, to, text})
}

// declared edits the type of a declaration.
func (r *rewrite) declared(file *ast.File, decl ast.Node, t ast.Expr) bool {
	m, ok := t.(*ast.MapType)
	if !ok {
		return false
	}
	r.mapType, r.decl, r.files[file] = m, decl, true
	r.edit(m.Pos(), m.Key.Pos(), "*sessionmap."+r.typ+"[")
	r.edit(m.Key.End(), m.Value.Pos(), ", ")
	r.edit(m.Value.End(), m.Value.End(), "]")
	return true
}

func (r *rewrite) valueSpec(file *ast.File, spec *ast.ValueSpec, up []ast.Node, name ast.Expr) bool {
	if len(spec.Names) != 1 || spec.Names[0] != name {
		return false
	}
	r.decl = spec
	decl, ok := up[len(up)-2].(*ast.GenDecl)
	if !ok {
		return false
	}
	r.declStart = decl.Pos()
	if decl.Doc != nil {
		r.declStart = decl.Doc.Pos()
	}
	if spec.Type != nil && !r.declared(file, spec, spec.Type) {
		return false
	}
	return len(spec.Values) == 0 || r.make(file, spec.Values[0], up)
}

// make edits what makes the map.
func (r *rewrite) make(file *ast.File, value ast.Expr, up []ast.Node) bool {
	var m *ast.MapType
	switch value := value.(type) {
	case *ast.CompositeLit:
		if len(value.Elts) > 0 {
			return false
		}
		m, _ = value.Type.(*ast.MapType)
	case *ast.CallExpr:
		if nameOf(value.Fun) == "make" && len(value.Args) > 0 {
			m, _ = value.Args[0].(*ast.MapType)
		}
	}
	if m == nil {
		return false
	}
	if r.mapType == nil {
		r.mapType = m
	}
	r.files[file] = true
	r.made, r.stacks[value] = append(r.made, value), append(slices.Clone(up), value)
	before, keyToo, after := r.constructor(m)
	if keyToo {
		r.edit(value.Pos(), m.Key.Pos(), before)
		r.edit(m.Key.End(), m.Value.Pos(), ", ")
	} else {
		r.edit(value.Pos(), m.Value.Pos(), before)
	}
	r.edit(m.Value.End(), value.End(), after)
	return true
}

// assigned edits an assignment to the map as a whole: the first makes it, others empty it.
func (r *rewrite) assigned(pi *packageInfo, file *ast.File, as *ast.AssignStmt, e ast.Expr, up []ast.Node) bool {
	if len(as.Lhs) != 1 || as.Lhs[0] != e || len(as.Rhs) != 1 {
		return false
	}
	first := slices.ContainsFunc(up, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			words := split(n.Name.Name)
			return slices.Contains(setupPrefixes, words[0])
		case *ast.IfStmt:
			b, ok := n.Cond.(*ast.BinaryExpr)
			return ok && b.Op == token.EQL && (isNil(b.X) || isNil(b.Y))
		}
		return false
	})
	if first {
		return r.make(file, as.Rhs[0], up)
	}
	if !r.clears || !isEmptyMap(as.Rhs[0]) {
		return false
	}
	r.edit(e.End(), as.End(), ".Clear()")
	return true
}

// isEmptyMap reports whether an expression is a new map with nothing in it.
func isEmptyMap(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	case *ast.CallExpr:
		return nameOf(e.Fun) == "make"
	}
	return false
}

// indexed edits a look at, or an assignment to, an element.
func (r *rewrite) indexed(file *ast.File, ix *ast.IndexExpr, up []ast.Node) bool {
	switch parent := up[len(up)-1].(type) {
	case *ast.AssignStmt:
		if len(parent.Rhs) == 1 && parent.Rhs[0] == ix {
			switch len(parent.Lhs) {
			case 1:
				if _, ok := parent.Lhs[0].(*ast.Ident); !ok || parent.Tok != token.ASSIGN && parent.Tok != token.DEFINE {
					return false
				}
				r.edit(parent.Lhs[0].End(), parent.Lhs[0].End(), ", _")
			}
			r.calls(ix, "Get")
			r.edit(ix.Rbrack, ix.End(), ")")
			return true
		}
		return len(parent.Lhs) == 1 && parent.Lhs[0] == ix && len(parent.Rhs) == 1 && r.set(file, parent, ix)
	case *ast.IncDecStmt:
		return r.update(file, ix, parent.TokPos, parent.End(), strings.TrimSuffix(parent.Tok.String(), parent.Tok.String()[1:]), "1")
	case *ast.CallExpr: // append, which the assignment around it sees to
		as, ok := up[len(up)-2].(*ast.AssignStmt)
		return ok && len(as.Lhs) == 1 && r.appendsTo(as, as.Lhs[0])
	}
	return false
}

// calls turns m[ into m.Method(.
func (r *rewrite) calls(ix *ast.IndexExpr, method string) {
	r.edit(ix.Lbrack, ix.Lbrack+1, "."+method+"(")
}

func (r *rewrite) set(file *ast.File, as *ast.AssignStmt, ix *ast.IndexExpr) bool {
	rhs := as.Rhs[0]
	if as.Tok == token.ASSIGN && r.appendsTo(as, ix) {
		call := rhs.(*ast.CallExpr)
		text, ok := r.function(file, ix)
		if !ok || mentionsName(call, "old") {
			return false
		}
		r.calls(ix, "Update")
		r.edit(ix.Rbrack, call.Args[0].Pos(), text+"append(")
		r.edit(call.Args[0].Pos(), call.Args[0].End(), "old")
		r.edit(as.End(), as.End(), ", true })")
		return true
	}
	if as.Tok != token.ASSIGN {
		op := strings.TrimSuffix(as.Tok.String(), "=")
		text, ok := r.function(file, ix)
		if !ok || mentionsName(rhs, "old") || r.mentionedIn(rhs) {
			return false
		}
		r.calls(ix, "Update")
		open, end := "(", ")"
		switch rhs.(type) {
		case *ast.BasicLit, *ast.Ident, *ast.CallExpr, *ast.SelectorExpr:
			open, end = "", ""
		}
		r.edit(ix.Rbrack, rhs.Pos(), text+"old "+op+" "+open)
		r.edit(as.End(), as.End(), end+", true })")
		return true
	}
	if r.mentionedIn(rhs) {
		return false
	}
	r.calls(ix, "Set")
	r.edit(ix.Rbrack, rhs.Pos(), ", ")
	r.edit(rhs.End(), rhs.End(), ")")
	return true
}

// appendsTo reports whether an assignment is m[k] = append(m[k], …).
func (r *rewrite) appendsTo(as *ast.AssignStmt, lhs ast.Expr) bool {
	call, ok := as.Rhs[0].(*ast.CallExpr)
	if !ok || len(as.Rhs) != 1 || len(call.Args) < 2 {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "append" && sameText(call.Args[0], lhs)
}

func (r *rewrite) update(file *ast.File, ix *ast.IndexExpr, from, to token.Pos, op, operand string) bool {
	text, ok := r.function(file, ix)
	if !ok {
		return false
	}
	r.calls(ix, "Update")
	r.edit(ix.Rbrack, to, text+"old "+op+" "+operand+", true })")
	return true
}

// function returns the head of a function for Update. The type of the values has to have the same name in the file as where
// the map is declared.
func (r *rewrite) function(file *ast.File, ix *ast.IndexExpr) (string, bool) {
	if r.mentionedIn(ix.Index) {
		return "", false
	}
	m, ok := r.c.typ.Underlying().(*types.Map)
	if !ok {
		return "", false
	}
	known := true
	value := types.TypeString(m.Elem(), func(pkg *types.Package) string {
		if pkg == r.c.pkg.Types {
			return ""
		}
		for _, spec := range file.Imports {
			if strings.Trim(spec.Path.Value, `"`) == pkg.Path() {
				if spec.Name != nil {
					return spec.Name.Name
				}
				return pkg.Name()
			}
		}
		known = false
		return pkg.Name()
	})
	return ", func(old " + value + ", _ bool) (" + value + ", bool) { return ", known
}

// mentionedIn reports whether the map is used in an expression too, where the edits would meet.
func (r *rewrite) mentionedIn(e ast.Expr) bool {
	return mentionsName(e, r.c.v.Name())
}

func mentionsName(e ast.Expr, name string) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

// builtin edits delete, len and clear.
func (r *rewrite) builtin(call *ast.CallExpr, e ast.Expr, up []ast.Node) bool {
	id, ok := call.Fun.(*ast.Ident)
	if !ok || len(call.Args) == 0 || call.Args[0] != e {
		return false
	}
	switch id.Name {
	case "delete":
		if slices.Contains(r.skip, call) {
			_, plain := up[len(up)-1].(*ast.ExprStmt)
			return plain
		}
		r.edit(call.Pos(), e.Pos(), "")
		r.edit(e.End(), call.Args[1].Pos(), ".Delete(")
	case "len":
		r.edit(call.Pos(), e.Pos(), "")
		r.edit(e.End(), call.End(), ".Len()")
	case "clear":
		if !r.clears {
			return false
		}
		r.edit(call.Pos(), e.Pos(), "")
		r.edit(e.End(), call.End(), ".Clear()")
	default:
		return false
	}
	return true
}

// file returns the one that the map is made in.
func (r *rewrite) file(made ast.Expr) *ast.File { return r.stacks[made][0].(*ast.File) }

// inOneFile reports whether the map is declared and made in the same file, with the same imports.
func (r *rewrite) inOneFile() bool {
	file := r.file(r.made[0])
	return file.Pos() <= r.decl.Pos() && r.decl.End() <= file.End()
}

// literalOf returns the literal of the struct that a map is made in.
func (r *rewrite) literalOf(made ast.Expr) *ast.CompositeLit {
	stack := r.stacks[made]
	if len(stack) < 3 {
		return nil
	}
	lit, _ := stack[len(stack)-3].(*ast.CompositeLit)
	return lit
}

// statementOf returns where the statement begins that a literal is in.
func (r *rewrite) statementOf(lit *ast.CompositeLit) (token.Pos, bool) {
	stack := r.stacks[r.made[0]]
	for i, n := range slices.Backward(stack) {
		if _, ok := n.(*ast.BlockStmt); ok && i+1 < len(stack) && n.Pos() < lit.Pos() {
			return stack[i+1].Pos(), true
		}
		if _, ok := n.(*ast.FuncType); ok {
			break
		}
	}
	return 0, false
}

// taken reports whether a name means something already where the map is made.
func (r *rewrite) taken(name string, at token.Pos) bool {
	scope := r.c.pkg.Types.Scope().Innermost(at)
	if scope == nil {
		return true
	}
	_, obj := scope.LookupParent(name, token.NoPos)
	return obj != nil
}
