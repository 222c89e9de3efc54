package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// A Program is what is known of some packages: in which functions their containers grow and shrink, and how these functions
// come to run. Add each package after those that it imports, then ask for the Findings.
type Program struct {
	Words  Words
	Covers map[string]bool // the paths of the packages that will be added

	fset  *token.FileSet
	whole bool // all packages of the program are here, not one only

	// What has been added, and what it says.
	packages   []*packageInfo
	added      map[*types.Package]bool
	functions  []*function
	named      map[string]*function   // by types.Func.FullName
	methods    map[string][]*function // by name
	containers map[string]*container
	order      []*container // containers as found
	sends      map[string][]place
	assigned   map[*types.Var][]assignment // to fields
	makes      map[types.Object][]making   // of named structs
	stops      map[*types.Var][]stopping   // of fields of timers, tickers, cancel functions and channels
	uses       []use
	passed     []pass
	inContext  map[types.Object]bool    // types of values of contexts, which live as long as these
	captured   map[*types.Var]*function // local variables of these that handlers of requests hold on to
	instances  []instance
	generated  map[string]bool // files that are read for what they remove only
	remarks    remarks
	imported   func(*types.Func) *Effects // what functions outside do to their parameters; may be nil

	// Answers that have been found once.
	companions  map[*container]bool // that have the same keys as one of sessions
	runBy       map[*function]layers
	setsUp      map[*function]bool
	commands    []command                     // nil until one has been asked for
	structsWith map[types.Object][]types.Type // see partOf
	unseenIn    map[string][]*ast.File        // by directory; see unseen

	// What is to be told.
	done     bool
	findings []Finding
	reported map[*types.Var]bool
	verdicts []verdict // on maps
	others   []Verdict // on slices and caches
}

// NewProgram returns an empty program. If it is whole, all packages of a program are to be added; otherwise what other
// packages could do is left open.
func NewProgram(fset *token.FileSet, words Words, whole bool) *Program {
	return &Program{
		Words: words, fset: fset, whole: whole,
		added: make(map[*types.Package]bool), named: make(map[string]*function), methods: make(map[string][]*function),
		containers: make(map[string]*container), sends: make(map[string][]place), assigned: make(map[*types.Var][]assignment),
		makes: make(map[types.Object][]making), stops: make(map[*types.Var][]stopping), inContext: make(map[types.Object]bool),
		captured: make(map[*types.Var]*function), generated: make(map[string]bool), remarks: make(remarks),
		companions: make(map[*container]bool), runBy: make(map[*function]layers), setsUp: make(map[*function]bool),
		unseenIn: make(map[string][]*ast.File), reported: make(map[*types.Var]bool),
	}
}

// packageInfo is a package with its types.
type packageInfo struct {
	prog   *Program
	Types  *types.Package
	Info   *types.Info
	Files  []*ast.File                    // that are looked at
	Syntax []*ast.File                    // all
	owners map[*types.Var]string          // the struct that a field belongs to
	local  map[*types.Var]*types.TypeName // of the fields of structs that are declared in functions
	goMod  string                         // the version of Go in go.mod, as 1.22
}

// A function is a declared one, a literal, or what sets package variables.
type function struct {
	pkg     *packageInfo
	obj     *types.Func // nil for those that are not declared
	decl    *ast.FuncDecl
	lit     *ast.FuncLit
	body    *ast.BlockStmt
	parent  *function // of a literal
	params  []*types.Var
	aliases map[*types.Var]ref
	defined map[*types.Var]ast.Expr // what local variables are first set to
	locals  map[*types.Var]*function
	runs    []edge
	calls   []*ast.CallExpr
}

func (f *function) name() string {
	switch {
	case f.obj != nil:
		return f.obj.Name()
	case f.parent != nil:
		return "a function in " + f.outermost().name()
	}
	return "a package variable"
}

func (f *function) outermost() *function {
	for f.parent != nil {
		f = f.parent
	}
	return f
}

// initial reports whether f is what sets package variables.
func (f *function) initial() bool { return f.obj == nil && f.parent == nil }

// exported reports whether code that is not in the program may call f.
func (f *function) exported() bool {
	if f.obj == nil || !f.obj.Exported() || f.pkg.Types.Name() == "main" {
		return false
	}
	return !f.pkg.prog.whole || !internal(f.pkg.Types.Path())
}

func internal(path string) bool {
	return strings.HasPrefix(path, "internal/") || strings.Contains(path, "/internal/") || strings.HasSuffix(path, "/internal")
}

// A place is where something happens: in a function, within scopes of it, the innermost last.
type place struct {
	in     *function
	pos    token.Pos
	scopes []scope
}

// An edge is one way in which a function comes to run.
type edge struct {
	how   way
	at    place
	label string
}

type way int

const (
	called   way = iota // by a plain call
	spawned             // by one in a goroutine of its own, which may go on for long
	handed              // by what it is an argument of, before that returns
	kept                // by what it is an argument of, which may keep it
	deferred            // when the function at the place ends
	timed               // by a timer
	finally             // when a context, a connection or an object ends
	handler             // when an event comes
	stored              // by whoever finds it in a field or is given it
)

// A scope is a statement that decides whether and when what is in it runs.
type scope struct {
	kind  scopeKind
	label string
	node  ast.Node
}

type scopeKind int

const (
	ticks    scopeKind = iota // on the tick of a timer
	ended                     // after a context or a blocking loop has ended
	received                  // when a message comes from the channel in label
	event                     // in the case of an event
	bounded                   // if the container has reached a size
	expired                   // if something is older than that
	present                   // if the key is already there
	looped                    // for each of some elements
)

// An assignment is a value given to a field.
type assignment struct {
	at      place
	value   ast.Expr
	literal bool // where the struct is made
}

// A making is an expression that makes a struct.
type making struct {
	at   place
	expr ast.Expr
}

// A container is a field or package variable that may grow, or the inner level of one.
type container struct {
	id       string
	v        *types.Var
	typ      types.Type
	kind     kind
	owner    string // the struct's name; "" for a package variable
	pkg      *packageInfo
	level    int
	accesses []access
}

// An access is what a function does to a container.
type access struct {
	what  action
	at    place
	key   evidence
	expr  ast.Expr // the key, or what is inserted into a slice
	value ast.Expr // what is inserted
	node  ast.Node

	byCall bool // node is a call of the function that does it
}

type action int

const (
	grow   action = iota
	remove        // one element
	empty         // all elements at once
	read
	bound  // compares its length
	escape // out of sight
)

// A ref names a container in an expression; level counts how often it is indexed.
type ref struct {
	v     *types.Var
	level int
}

// Position returns where a finding is.
func (p *Program) Position(pos token.Pos) token.Position { return p.fset.Position(pos) }

// Written returns where a position is in the file that was read, whatever //line says.
func (p *Program) Written(pos token.Pos) token.Position { return p.fset.PositionFor(pos, false) }

// Add takes up a package.
func (p *Program) Add(files []*ast.File, pkg *types.Package, info *types.Info, goVersion string) {
	pi := &packageInfo{prog: p, Types: pkg, Info: info, Syntax: files, owners: make(map[*types.Var]string), local: make(map[*types.Var]*types.TypeName), goMod: goVersion}
	p.packages, p.added[pkg] = append(p.packages, pi), true
	for _, name := range pkg.Scope().Names() {
		pi.fields(pkg.Scope().Lookup(name))
	}
	pi.localFields()
	pi.addInstances()
	for _, file := range files {
		if strings.HasSuffix(p.fset.Position(file.Package).Filename, "_test.go") {
			continue
		}
		if ast.IsGenerated(file) && !byCgo(file) {
			p.generated[p.fset.Position(file.Package).Filename] = true
		}
		pi.Files = append(pi.Files, file)
		p.remarks.add(p.fset, file)
		pi.declare(file)
	}
	for _, f := range p.functions {
		if f.pkg == pi && f.parent == nil {
			f.walk()
		}
	}
}

// byCgo reports whether cgo has made a file of one that was written by hand: its first lines say so.
func byCgo(file *ast.File) bool {
	return len(file.Comments) > 0 && strings.HasPrefix(file.Comments[0].List[0].Text, "// Code generated by cmd/cgo;")
}

// fields notes whose fields these are.
func (pi *packageInfo) fields(obj types.Object) {
	if v, ok := obj.(*types.Var); ok {
		if s, ok := v.Type().(*types.Struct); ok {
			pi.fieldsOf(s, v.Name())
		}
		return
	}
	tn, ok := obj.(*types.TypeName)
	if !ok || tn.IsAlias() {
		return
	}
	if s, ok := tn.Type().Underlying().(*types.Struct); ok {
		pi.fieldsOf(s, tn.Name())
	}
}

// localFields notes the fields of structs that are declared in functions.
func (pi *packageInfo) localFields() {
	for _, obj := range pi.Info.Defs {
		tn, ok := obj.(*types.TypeName)
		if !ok || tn.IsAlias() || tn.Parent() == pi.Types.Scope() {
			continue
		}
		if s, ok := tn.Type().Underlying().(*types.Struct); ok {
			pi.fieldsOf(s, tn.Name())
			for v := range s.Fields() {
				pi.local[v] = tn
			}
		}
	}
}

func (pi *packageInfo) fieldsOf(s *types.Struct, owner string) {
	for v := range s.Fields() {
		if _, known := pi.owners[v]; known {
			continue
		}
		pi.owners[v] = owner
		t := v.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if inner, ok := t.(*types.Struct); ok {
			pi.fieldsOf(inner, owner+"."+v.Name())
		}
	}
}

func (pi *packageInfo) declare(file *ast.File) {
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			body := &ast.BlockStmt{Lbrace: g.Pos(), List: []ast.Stmt{&ast.DeclStmt{Decl: g}}, Rbrace: g.End() - 1}
			pi.prog.functions = append(pi.prog.functions, &function{pkg: pi, body: body})
			continue
		}
		decl, ok := d.(*ast.FuncDecl)
		if !ok || decl.Body == nil {
			continue
		}
		obj, ok := pi.Info.Defs[decl.Name].(*types.Func)
		if !ok {
			continue
		}
		f := &function{pkg: pi, obj: obj, decl: decl, body: decl.Body}
		if decl.Recv != nil {
			f.parameters(decl.Recv)
			pi.prog.methods[obj.Name()] = append(pi.prog.methods[obj.Name()], f)
		}
		f.parameters(decl.Type.Params)
		pi.prog.named[obj.FullName()] = f
		pi.prog.functions = append(pi.prog.functions, f)
	}
}

// parameters notes the parameters, the receiver first.
func (f *function) parameters(list *ast.FieldList) {
	for _, field := range list.List {
		if len(field.Names) == 0 {
			f.params = append(f.params, nil)
		}
		for _, name := range field.Names {
			v, _ := f.pkg.Info.Defs[name].(*types.Var)
			f.params = append(f.params, v)
		}
	}
}

// container returns the container that r names, which it makes up to now unknown.
func (p *Program) container(pi *packageInfo, r ref, typ types.Type) *container {
	v := r.v.Origin()
	id := p.id(v, r.level)
	if c := p.containers[id]; c != nil {
		if c.v.Pos() != v.Pos() { // the same name in another scope
			id = p.Position(v.Pos()).String() + id
			if c := p.containers[id]; c != nil {
				return c
			}
		} else {
			return c
		}
	}
	c := &container{id: id, v: v, typ: typ, kind: kindOf(typ), level: r.level, pkg: pi}
	if f := p.captured[v]; f != nil {
		c.owner = f.name()
	} else if v.IsField() {
		c.owner = p.ownerOf(v)
	}
	p.containers[id] = c
	p.order = append(p.order, c)
	return c
}

func (p *Program) id(v *types.Var, level int) string {
	path := ""
	if v.Pkg() != nil {
		path = v.Pkg().Path() + "."
	}
	owner := ""
	switch {
	case v.IsField():
		owner = p.ownerOf(v) + "."
	case p.captured[v] != nil:
		owner = p.captured[v].name() + "."
	case v.Pkg() == nil || v.Parent() != v.Pkg().Scope():
		owner = p.Position(v.Pos()).String() + "." // a parameter or a local variable
	}
	return path + owner + v.Name() + strings.Repeat("[]", level)
}

func (p *Program) ownerOf(v *types.Var) string {
	for _, pi := range p.packages {
		if pi.Types == v.Pkg() {
			return pi.owners[v]
		}
	}
	return ""
}
