package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"go/version"
	"maps"
	"slices"
)

// A rewrite turns each use of a map into a call of a method. It gives up where it does not know a use, and where the program
// would not do the same afterwards.
type rewrite struct {
	p *Program
	c *container

	typ         string                                                          // the type's name in sessionmap
	keys        string                                                          // the method that goes through the keys
	clears      bool                                                            // whether the type has a method Clear
	constructor func(t *ast.MapType) (before string, keyToo bool, after string) // around the type arguments
	skip        []*ast.CallExpr                                                 // deletes that are seen to elsewhere

	pi   *packageInfo // what is being edited
	file *ast.File

	edits     []Edit
	mapType   *ast.MapType
	decl      ast.Node  // the field, or the specification of the variable
	declStart token.Pos // of the declaration, with its comment
	made      []ast.Expr
	cleared   []*ast.AssignStmt       // of new maps, which become Clear
	loops     []*ast.RangeStmt        // over the map
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

// all edits every use of the map, and reports whether it knew each. The new type has no use as nil, so that the map has to be
// made wherever its variable or its struct is.
func (r *rewrite) all() bool {
	if r.usedUnseen() {
		return false
	}
	for _, pi := range r.p.packages {
		for _, file := range pi.Syntax {
			r.pi, r.file = pi, file
			if !r.usesIn() {
				return false
			}
		}
	}
	if r.mapType == nil || len(r.made) == 0 || !r.loopsApart() || r.c.v.IsField() && !r.structAllows() {
		return false
	}
	for file := range r.files {
		if !canImport(file, r.c.pkg, library) {
			return false
		}
		r.edits = append(r.edits, importEdits(file, library)...)
	}
	return true
}

func (r *rewrite) usesIn() bool {
	return walkStacks(r.file, func(stack []ast.Node) bool {
		id, ok := stack[len(stack)-1].(*ast.Ident)
		return !ok || !r.is(id) || r.editable(id.Pos()) && r.mention(stack)
	})
}

func (r *rewrite) is(id *ast.Ident) bool {
	v, ok := r.pi.Info.ObjectOf(id).(*types.Var)
	return ok && v.Origin() == r.c.v
}

// editable reports whether what is at a position in the file was written there: not by a generator, nor, as //line and cgo
// tell, somewhere else. The code of a release of Go before 1.23 has no loops over functions.
func (r *rewrite) editable(pos token.Pos) bool {
	old := r.file.GoVersion != "" && version.Compare(r.file.GoVersion, "go1.23") < 0
	return !old && !ast.IsGenerated(r.file) && r.p.Position(pos).Filename == r.p.Written(pos).Filename
}

// mention edits the use at the end of the stack.
func (r *rewrite) mention(stack []ast.Node) bool {
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
		return len(parent.Names) == 1 && parent.Tag == nil && r.declared(parent, parent.Type)
	case *ast.ValueSpec:
		return r.valueSpec(parent, up, e)
	case *ast.KeyValueExpr:
		return parent.Key == e && r.make(parent.Value, up)
	case *ast.AssignStmt:
		return r.assigned(parent, e)
	case *ast.IndexExpr:
		return parent.X == e && r.indexed(parent, up[:len(up)-1])
	case *ast.CallExpr:
		return r.builtin(parent, e)
	case *ast.RangeStmt:
		if parent.X != e {
			return false
		}
		r.loops = append(r.loops, parent)
		method := r.keys
		if parent.Value != nil {
			method = "All"
		}
		r.edit(e.End(), e.End(), "."+method+"()")
		return true
	}
	return false
}

// loopsApart reports whether no loop over the map comes to where a new map takes its place: the loop would go on over the old
// one. A call through an interface is taken to be of any method of the name.
func (r *rewrite) loopsApart() bool {
	if len(r.cleared) == 0 {
		return true
	}
	info := r.c.pkg.Info
	replaces := make(map[*types.Func]bool)
	comes := func(body ast.Node) bool {
		return !walkStacks(body, func(stack []ast.Node) bool {
			id, ok := stack[len(stack)-1].(*ast.Ident)
			if !ok {
				return !slices.ContainsFunc(r.cleared, func(as *ast.AssignStmt) bool { return as == stack[len(stack)-1] })
			}
			fn, ok := info.Uses[id].(*types.Func)
			if !ok {
				return true
			}
			recv := fn.Signature().Recv()
			if recv == nil || !types.IsInterface(recv.Type()) {
				return !replaces[fn.Origin()]
			}
			return !slices.ContainsFunc(slices.Collect(maps.Keys(replaces)), func(other *types.Func) bool { return other.Name() == fn.Name() })
		})
	}
	for before := -1; before < len(replaces); {
		before = len(replaces)
		for _, file := range r.c.pkg.Files {
			for _, d := range file.Decls {
				if decl, ok := d.(*ast.FuncDecl); ok && decl.Body != nil && comes(decl.Body) {
					replaces[info.Defs[decl.Name].(*types.Func)] = true
				}
			}
		}
	}
	return !slices.ContainsFunc(r.loops, func(loop *ast.RangeStmt) bool { return comes(loop.Body) })
}
