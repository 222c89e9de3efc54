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
func (r *rewrite) declared(decl ast.Node, t ast.Expr) bool {
	m, ok := t.(*ast.MapType)
	if !ok {
		return false
	}
	r.mapType, r.decl, r.files[r.file] = m, decl, true
	r.edit(m.Pos(), m.Key.Pos(), "*sessionmap."+r.typ+"[")
	r.edit(m.Key.End(), m.Value.Pos(), ", ")
	r.edit(m.Value.End(), m.Value.End(), "]")
	return true
}

func (r *rewrite) valueSpec(spec *ast.ValueSpec, up []ast.Node, name ast.Expr) bool {
	if len(spec.Names) != 1 || spec.Names[0] != name || len(spec.Values) != 1 {
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
	if spec.Type != nil && !r.declared(spec, spec.Type) {
		return false
	}
	return r.make(spec.Values[0], up)
}

// make edits what makes the map.
func (r *rewrite) make(value ast.Expr, up []ast.Node) bool {
	m := r.pi.emptyMap(value)
	if m == nil {
		return false
	}
	if r.mapType == nil {
		r.mapType = m
	}
	r.files[r.file] = true
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

// assigned edits an assignment to the map as a whole, which has to empty it.
func (r *rewrite) assigned(as *ast.AssignStmt, e ast.Expr) bool {
	if !r.clears || len(as.Lhs) != 1 || as.Lhs[0] != e || r.pi.emptyMap(as.Rhs[0]) == nil {
		return false
	}
	r.cleared = append(r.cleared, as)
	r.edit(e.End(), as.End(), ".Clear()")
	return true
}

// emptyMap returns the type in an expression that makes a map with nothing in it, and evaluates nothing for that.
func (pi *packageInfo) emptyMap(e ast.Expr) (m *ast.MapType) {
	switch e := e.(type) {
	case *ast.CompositeLit:
		if len(e.Elts) == 0 {
			m, _ = e.Type.(*ast.MapType)
		}
	case *ast.CallExpr:
		if pi.builtin(e) == "make" && (len(e.Args) == 1 || pi.Info.Types[e.Args[1]].Value != nil) {
			m, _ = e.Args[0].(*ast.MapType)
		}
	}
	return m
}

// builtin returns the name of the function of the language that is called; "" for others.
func (pi *packageInfo) builtin(call *ast.CallExpr) string {
	id, ok := call.Fun.(*ast.Ident)
	if !ok {
		return ""
	}
	if _, ok := pi.Info.Uses[id].(*types.Builtin); !ok {
		return ""
	}
	return id.Name
}

// indexed edits a look at, or an assignment to, an element.
func (r *rewrite) indexed(ix *ast.IndexExpr, up []ast.Node) bool {
	switch parent := up[len(up)-1].(type) {
	case *ast.AssignStmt:
		if len(parent.Rhs) == 1 && parent.Rhs[0] == ix {
			switch len(parent.Lhs) {
			case 2:
				if t := r.pi.Info.TypeOf(parent.Lhs[1]); t != nil && t != types.Typ[types.Bool] && t != types.Typ[types.UntypedBool] {
					return false // of a type of its own
				}
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
		return len(parent.Lhs) == 1 && parent.Lhs[0] == ix && len(parent.Rhs) == 1 && r.set(parent, ix, up[len(up)-2])
	case *ast.IncDecStmt:
		text, ok := r.function(ix)
		if !ok {
			return false
		}
		r.calls(ix, "Update")
		r.edit(ix.Rbrack, parent.End(), text+"old "+parent.Tok.String()[:1]+" 1, true })")
		return true
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

// set edits an assignment to an element, which is a statement of the parent.
func (r *rewrite) set(as *ast.AssignStmt, ix *ast.IndexExpr, parent ast.Node) bool {
	rhs := as.Rhs[0]
	if comm, ok := parent.(*ast.CommClause); ok && comm.Comm == as {
		return false
	}
	if as.Tok == token.ASSIGN && r.appendsTo(as, ix) {
		call := rhs.(*ast.CallExpr)
		return r.update(as, ix, parent, "append(old, ", ")", call.Args[1:])
	}
	if as.Tok != token.ASSIGN {
		return r.update(as, ix, parent, "old "+strings.TrimSuffix(as.Tok.String(), "=")+" ", "", as.Rhs)
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
	return ok && len(call.Args) >= 2 && r.pi.builtin(call) == "append" && sameText(call.Args[0], lhs) && r.pi.constant(lhs)
}

// update edits an assignment of what is made of the old value and of operands. Update may call its function again, and catches
// its panics, so the operands have to be plain; one that is not is evaluated before.
func (r *rewrite) update(as *ast.AssignStmt, ix *ast.IndexExpr, parent ast.Node, before, after string, operands []ast.Expr) bool {
	text, ok := r.function(ix)
	if !ok || as.Tok == token.QUO_ASSIGN || as.Tok == token.REM_ASSIGN || as.Tok == token.SHL_ASSIGN || as.Tok == token.SHR_ASSIGN {
		return false
	}
	first, last := operands[0], operands[len(operands)-1]
	plain := true
	for _, e := range operands {
		if mentionsName(e, "old") || r.mentionedIn(e) {
			return false
		}
		plain = plain && r.pi.plain(e)
	}
	if call, ok := as.Rhs[0].(*ast.CallExpr); ok && call.Ellipsis.IsValid() && after != "" {
		after = "..." + after
	}
	if plain {
		if _, ok := last.(*ast.BinaryExpr); ok && after == "" {
			before, after = before+"(", ")"
		}
		r.calls(ix, "Update")
		r.edit(ix.Rbrack, first.Pos(), text+before)
		r.edit(last.End(), as.End(), after+", true })")
		return true
	}
	switch parent.(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
	default:
		return false
	}
	if len(operands) > 1 || !r.pi.constant(ix) || r.taken("value", as.Pos()) {
		return false
	}
	r.edit(as.Pos(), first.Pos(), "{\nvalue := ")
	r.edit(first.End(), as.End(), "\n"+exprString(ix.X)+".Update("+exprString(ix.Index)+text+before+"value"+after+", true })\n}")
	return true
}

// function returns the head of a function for Update. The type of the values has to have the same name there as where the map
// is declared.
func (r *rewrite) function(ix *ast.IndexExpr) (string, bool) {
	t := r.pi.Info.TypeOf(ix)
	text := types.TypeString(t, func(pkg *types.Package) string {
		if pkg == r.pi.Types {
			return ""
		}
		for _, spec := range r.file.Imports {
			if strings.Trim(spec.Path.Value, `"`) == pkg.Path() && spec.Name != nil {
				return spec.Name.Name
			}
		}
		return pkg.Name()
	})
	return ", func(old " + text + ", _ bool) (" + text + ", bool) { return ", !r.mentionedIn(ix.Index) && r.means(text, t, ix.Pos())
}

// means reports whether a text is that of a type at a position.
func (r *rewrite) means(text string, t types.Type, at token.Pos) bool {
	tv, err := types.Eval(r.p.fset, r.c.pkg.Types, at, text)
	return err == nil && tv.IsType() && types.Identical(tv.Type, t)
}

// constant reports whether an expression is the same each time: it calls nothing, and waits for nothing.
func (pi *packageInfo) constant(e ast.Expr) bool {
	same := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.UnaryExpr:
			same = same && n.Op != token.ARROW
		case *ast.CallExpr:
			same = same && (pi.Info.Types[n.Fun].IsType() || slices.Contains([]string{"len", "cap", "min", "max"}, pi.builtin(n)))
		}
		return same
	})
	return same
}

// plain reports whether an expression is the same each time, and cannot panic.
func (pi *packageInfo) plain(e ast.Expr) bool {
	plain := pi.constant(e)
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.IndexExpr, *ast.SliceExpr, *ast.StarExpr, *ast.TypeAssertExpr:
			plain = false
		case *ast.BinaryExpr:
			plain = plain && !slices.Contains([]token.Token{token.QUO, token.REM, token.SHL, token.SHR, token.EQL, token.NEQ}, n.Op)
		case *ast.SelectorExpr:
			sel := pi.Info.Selections[n]
			plain = plain && (sel == nil || !sel.Indirect())
		}
		return plain
	})
	return plain
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
func (r *rewrite) builtin(call *ast.CallExpr, e ast.Expr) bool {
	if len(call.Args) == 0 || call.Args[0] != e {
		return false
	}
	switch r.pi.builtin(call) {
	case "delete":
		if slices.Contains(r.skip, call) {
			return true
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

// fileOf returns the one that the map is made in.
func (r *rewrite) fileOf(made ast.Expr) *ast.File { return r.stacks[made][0].(*ast.File) }

// literalOf returns the literal of the struct that a map is made in.
func (r *rewrite) literalOf(made ast.Expr) *ast.CompositeLit {
	stack := r.stacks[made]
	if len(stack) < 3 {
		return nil
	}
	lit, _ := stack[len(stack)-3].(*ast.CompositeLit)
	return lit
}

// statementOf returns where the statement begins that a literal is in, if it runs as often.
func (r *rewrite) statementOf(lit *ast.CompositeLit) (token.Pos, bool) {
	stack := r.stacks[r.made[0]]
	for i, n := range slices.Backward(stack[:slices.Index(stack, ast.Node(lit))]) {
		if _, ok := n.(*ast.BlockStmt); ok {
			switch stack[i+1].(type) {
			case *ast.CaseClause, *ast.CommClause, *ast.ForStmt:
				return 0, false
			}
			return stack[i+1].Pos(), true
		}
	}
	return 0, false
}

// taken reports whether a name means something already at a position.
func (r *rewrite) taken(name string, at token.Pos) bool {
	scope := r.c.pkg.Types.Scope().Innermost(at)
	if scope == nil {
		return true
	}
	_, obj := scope.LookupParent(name, token.NoPos)
	return obj != nil
}
