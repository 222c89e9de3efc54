package sessionleak

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
)

// A rewrite turns each use of a map into a call of a method.
type rewrite struct {
	p *Program
	c *container

	typ         string                                                          // the type's name in sessionmap
	keys        string                                                          // the method that goes through the keys
	clears      bool                                                            // whether the type has a method Clear
	constructor func(t *ast.MapType) (before string, keyToo bool, after string) // around the type arguments
	skip        []*ast.CallExpr                                                 // deletes that are seen to elsewhere

	edits     []Edit
	mapType   *ast.MapType
	decl      ast.Node  // the field, or the specification of the variable
	declStart token.Pos // of the declaration, with its comment
	made      []ast.Expr
	stacks    map[ast.Expr][]ast.Node // around what is in made
	files     map[*ast.File]bool      // those that need the library
}

func (p *Program) rewriteOf(c *container) *rewrite {
	return &rewrite{p: p, c: c, stacks: make(map[ast.Expr][]ast.Node), files: make(map[*ast.File]bool)}
}

func exprString(e ast.Expr) string {
	if e == nil {
		return ""
	}
	return types.ExprString(e)
}

func (r *rewrite) key() ast.Expr { return r.mapType.Key }

// all edits every use of the map, and reports whether it knew each.
func (r *rewrite) all() bool {
	if r.usedInTests() {
		return false
	}
	for _, pi := range r.p.packages {
		for _, file := range pi.Syntax {
			if !r.usesIn(pi, file) {
				return false
			}
		}
	}
	if r.mapType == nil {
		return false
	}
	for file := range r.files {
		if !canImport(file, r.c.pkg, "sessionmap") {
			return false
		}
		r.edits = append(r.edits, importEdits(file, library)...)
	}
	return true
}

// usedInTests reports whether a test file of the package mentions something of the map's name: those are not read.
func (r *rewrite) usedInTests() bool {
	dir := filepath.Dir(r.p.Position(r.c.v.Pos()).Filename)
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return true
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return true
		}
		found := false
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			found = found || ok && id.Name == r.c.v.Name()
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

func (r *rewrite) usesIn(pi *packageInfo, file *ast.File) bool {
	ok := true
	var stack []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return false
		}
		stack = append(stack, n)
		if id, isIdent := n.(*ast.Ident); isIdent && ok && r.is(pi, id) {
			ok = r.mention(pi, file, stack) && !ast.IsGenerated(file)
		}
		return true
	})
	return ok
}

func (r *rewrite) is(pi *packageInfo, id *ast.Ident) bool {
	v, ok := pi.Info.ObjectOf(id).(*types.Var)
	return ok && v.Origin() == r.c.v
}

// mention edits the use at the end of the stack.
func (r *rewrite) mention(pi *packageInfo, file *ast.File, stack []ast.Node) bool {
	e := ast.Expr(stack[len(stack)-1].(*ast.Ident))
	up := stack[:len(stack)-1]
	if sel, ok := up[len(up)-1].(*ast.SelectorExpr); ok && sel.Sel == e {
		e, up = sel, up[:len(up)-1]
	}
	parent := up[len(up)-1]
	switch parent := parent.(type) {
	case *ast.Field:
		r.declStart = parent.Pos()
		if parent.Doc != nil {
			r.declStart = parent.Doc.Pos()
		}
		return len(parent.Names) == 1 && r.declared(file, parent, parent.Type)
	case *ast.ValueSpec:
		return r.valueSpec(file, parent, up, e)
	case *ast.KeyValueExpr:
		return parent.Key == e && r.make(file, parent.Value, up)
	case *ast.AssignStmt:
		return r.assigned(pi, file, parent, e, up)
	case *ast.IndexExpr:
		return parent.X == e && r.indexed(file, parent, up[:len(up)-1])
	case *ast.CallExpr:
		return r.builtin(parent, e, up[:len(up)-1])
	case *ast.RangeStmt:
		if parent.X != e {
			return false
		}
		method := r.keys
		if parent.Value != nil {
			method = "All"
		}
		r.edit(e.End(), e.End(), "."+method+"()")
		return true
	case *ast.BinaryExpr: // with nil
		return (parent.Op == token.EQL || parent.Op == token.NEQ) && (isNil(parent.X) || isNil(parent.Y))
	}
	return false
}
