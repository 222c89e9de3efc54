package sessionleak

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// What a fix bounds a map by: the limits are for whoever reads the fix to choose.
const (
	limits  = "sessionmap.WithTTL(30*time.Minute), sessionmap.WithMaxSize(10_000)"
	library = "github.com/sessionmap/sessionmap"
)

// fixes returns the changes that would mend what v says; none where the map is used in a way that they do not know.
func (p *Program) fixes(v verdict) []Fix {
	if v.c.kind != goMap || v.c.level > 0 || v.c.v.Exported() && v.c.pkg.Types.Name() != "main" {
		return nil // what is exported may be used where nothing has been read
	}
	var all []Fix
	if v.beside != nil {
		if edits, ok := p.groupFix(v); ok {
			all = append(all, Fix{fmt.Sprintf("Keep %s and its neighbours in a sessionmap.Group, which ends them together", v.c.name()), once(edits)})
		}
	}
	if edits, ok := p.mapFix(v.c); ok {
		all = append(all, Fix{
			fmt.Sprintf("Keep %s in a sessionmap.RobustSessionMap with an idle timeout of 30 minutes and at most 10,000 entries", v.c.name()), once(edits),
		})
	}
	return all
}

// once leaves out edits that are there already, such as those of an import.
func once(edits []Edit) []Edit {
	var list []Edit
	for _, e := range edits {
		if !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// mapFix turns a map into a RobustSessionMap.
func (p *Program) mapFix(c *container) ([]Edit, bool) {
	r := p.rewriteOf(c)
	r.typ, r.keys, r.clears = "RobustSessionMap", "Keys", true
	r.constructor = func(*ast.MapType) (string, bool, string) { return "sessionmap.MustNew[", true, "](" + limits + ")" }
	if !r.all() {
		return nil, false
	}
	for _, m := range r.made {
		if !r.usesTime(m) {
			return nil, false
		}
		r.edits = append(r.edits, importEdits(r.fileOf(m), "time", library)...)
	}
	return r.edits, true
}

// groupFix turns a map that a cleanup forgets, and those that it does not, into the attributes of one Group.
func (p *Program) groupFix(v verdict) ([]Edit, bool) {
	cleaner := p.cleaner(v.beside)
	in := cleaner.at.in
	members, deletes := p.members(v, cleaner)
	if !in.together(deletes) {
		return nil, false
	}
	g := &group{p: p, name: members[0].v.Name() + "Group"}
	var edits []Edit
	for _, c := range members {
		r := p.rewriteOf(c)
		r.typ, r.keys = "Attribute", "All"
		r.constructor = func(*ast.MapType) (string, bool, string) {
			return "sessionmap.NewAttribute[", false, fmt.Sprintf("](%s, %q)", g.name, c.v.Name())
		}
		r.skip = deletes
		if !r.all() || len(r.made) != 1 || r.decl == nil || !g.add(r) {
			return nil, false
		}
		edits = append(edits, r.edits...)
	}
	more, ok := g.edits()
	if !ok {
		return nil, false
	}
	edits = append(edits, more...)
	return append(edits, in.deletesTogether(deletes, g.name)...), true
}

// members returns the maps that a cleanup removes one key from, and those that it forgets, as they are declared; and its
// deletes.
func (p *Program) members(v verdict, cleaner *access) (members []*container, deletes []*ast.CallExpr) {
	in, key := cleaner.at.in, exprString(cleaner.expr)
	for _, w := range p.verdicts {
		c := w.c
		if c.owner != v.c.owner || c.pkg != v.c.pkg || c.level > 0 || c.kind != goMap {
			continue
		}
		member := c == v.c || w.beside != nil && p.cleaner(w.beside).at.in == in
		for _, a := range c.accesses {
			if a.what == remove && a.at.in == in && exprString(a.expr) == key {
				if call, ok := a.node.(*ast.CallExpr); ok {
					member, deletes = true, append(deletes, call)
				}
			}
		}
		if member {
			members = append(members, c)
		}
	}
	slices.SortFunc(members, func(a, b *container) int { return cmp.Compare(a.v.Pos(), b.v.Pos()) })
	slices.SortFunc(deletes, func(a, b *ast.CallExpr) int { return cmp.Compare(a.Pos(), b.Pos()) })
	return members, deletes
}

// together reports whether deletes of the maps of one struct are statements that follow each other, so that nothing leaves, and
// nothing looks at the maps, between them.
func (f *function) together(deletes []*ast.CallExpr) bool {
	_, list := f.block(deletes[0].Pos())
	first := slices.IndexFunc(list, func(s ast.Stmt) bool { return calls(s, deletes[0]) })
	if first < 0 || len(list)-first < len(deletes) {
		return false
	}
	for i, call := range deletes {
		if !calls(list[first+i], call) || i > 0 && !(sameText(owner(call), owner(deletes[0])) && f.pkg.constant(call.Args[0]) && f.pkg.constant(call.Args[1])) {
			return false
		}
	}
	return true
}

func calls(s ast.Stmt, call *ast.CallExpr) bool {
	e, ok := s.(*ast.ExprStmt)
	return ok && e.X == call
}

// owner returns the struct whose map a delete is from; nil for a package variable.
func owner(call *ast.CallExpr) ast.Expr {
	if sel, ok := call.Args[0].(*ast.SelectorExpr); ok {
		return sel.X
	}
	return nil
}

// deletesTogether replaces the first of some deletes by one of the group, and takes the others away, with the line breaks
// before them if there is nothing else in between.
func (f *function) deletesTogether(deletes []*ast.CallExpr, group string) []Edit {
	var edits []Edit
	for i, call := range deletes[1:] {
		from := deletes[i].End()
		if f.pkg.commented(from, call.Pos()) {
			from = call.Pos()
		}
		edits = append(edits, Edit{from, call.End(), ""})
	}
	first := deletes[0]
	from := first.Args[0].Pos()
	if of := owner(first); of != nil {
		from, group = of.End(), "."+group
	}
	return append(edits, Edit{first.Pos(), first.Args[0].Pos(), ""}, Edit{from, first.Args[1].Pos(), group + ".Delete("})
}

// commented reports whether there is a comment between two positions.
func (pi *packageInfo) commented(from, to token.Pos) bool {
	for _, file := range pi.Files {
		for _, c := range file.Comments {
			if from <= c.Pos() && c.Pos() < to {
				return true
			}
		}
	}
	return false
}

// A group is what several maps become.
type group struct {
	p       *Program
	name    string
	members []*rewrite
	literal *ast.CompositeLit // where all are made
}

// add takes a member, which has to be declared and made where the others are.
func (g *group) add(r *rewrite) bool {
	if g.members != nil {
		if first := g.members[0]; r.c.owner != first.c.owner || !sameText(r.key(), first.key()) {
			return false
		}
	}
	g.members = append(g.members, r)
	if r.c.owner == "" {
		return true
	}
	lit := r.literalOf(r.made[0])
	if lit == nil || g.literal != nil && lit != g.literal {
		return false
	}
	g.literal = lit
	return true
}

func sameText(a, b ast.Expr) bool { return exprString(a) == exprString(b) }

// edits declares the group, and makes it where its attributes are made.
func (g *group) edits() ([]Edit, bool) {
	first := g.members[0]
	key := exprString(first.key())
	made := fmt.Sprintf("sessionmap.MustNewGroup[%s](%s)", key, limits)
	if !first.usesTime(first.made[0]) || strings.Contains(key, ".") && !g.inOneFile() || g.known() {
		return nil, false
	}
	edits := importEdits(first.fileOf(first.made[0]), "time", library)
	if g.literal == nil {
		return append(edits, Edit{first.declStart, first.declStart, "var " + g.name + " = " + made + "\n\n"}), true
	}
	before, ok := first.statementOf(g.literal)
	if !ok || !first.means(key, keyType(first.c.pkg.Info.TypeOf(first.made[0])), before) {
		return nil, false
	}
	element := g.literal.Elts[0].Pos()
	return append(edits,
		Edit{first.declStart, first.declStart, g.name + " *sessionmap.Group[" + key + "]\n"},
		Edit{before, before, g.name + " := " + made + "\n"},
		Edit{element, element, g.name + ": " + g.name + ",\n"}), true
}

// inOneFile reports whether all is declared and made in the same file, with the same imports.
func (g *group) inOneFile() bool {
	file := g.members[0].fileOf(g.members[0].made[0])
	return !slices.ContainsFunc(g.members, func(r *rewrite) bool {
		return r.fileOf(r.made[0]) != file || r.decl.Pos() < file.Pos() || file.End() < r.decl.End()
	})
}

// known reports whether the package has the group's name already, be it of a field or a method.
func (g *group) known() bool {
	c := g.members[0].c
	named := func(stack []ast.Node) bool {
		id, ok := stack[len(stack)-1].(*ast.Ident)
		return ok && id.Name == g.name
	}
	return g.p.unseen(c, named) || slices.ContainsFunc(c.pkg.Files, func(file *ast.File) bool {
		return !walkStacks(file, func(stack []ast.Node) bool { return !named(stack) })
	})
}
