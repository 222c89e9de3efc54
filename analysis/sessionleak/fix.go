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
	if v.c.kind != goMap || v.c.level > 0 || !p.closed(v.c) {
		return nil
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
	if !r.all() || len(r.made) == 0 {
		return nil, false
	}
	for _, m := range r.made {
		if !r.usesTime(m) {
			return nil, false
		}
		r.edits = append(r.edits, importEdits(r.file(m), "time", library)...)
	}
	return r.edits, true
}

// groupFix turns a map that a cleanup forgets, and those that it does not, into the attributes of one Group.
func (p *Program) groupFix(v verdict) ([]Edit, bool) {
	cleaner := p.cleaner(v.beside)
	in := cleaner.at.in
	members, deletes := p.members(v, cleaner)
	if !in.inOneBlock(deletes) {
		return nil, false // not all come about together
	}
	g := &group{p: p, name: "group"}
	if v.c.owner == "" {
		g.name = members[0].v.Name() + "Group"
	}
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
	return members, deletes
}

// inOneBlock reports whether calls are in the same block, and in no other within it.
func (f *function) inOneBlock(calls []*ast.CallExpr) bool {
	return !slices.ContainsFunc(calls, func(call *ast.CallExpr) bool {
		first, _ := f.block(calls[0].Pos())
		block, _ := f.block(call.Pos())
		return block != first
	})
}

// deletesTogether replaces the first of some deletes by one of the group, and takes the others away.
func (f *function) deletesTogether(deletes []*ast.CallExpr, group string) []Edit {
	var edits []Edit
	for _, call := range deletes {
		if call.Pos() != firstPos(deletes) {
			from, to := f.statement(call)
			edits = append(edits, Edit{from, to, ""})
			continue
		}
		owner := call.Args[0].Pos() // of a package variable
		if sel, ok := call.Args[0].(*ast.SelectorExpr); ok {
			owner, group = sel.X.End(), "."+group
		}
		edits = append(edits, Edit{call.Pos(), call.Args[0].Pos(), ""}, Edit{owner, call.Args[1].Pos(), group + ".Delete("})
	}
	return edits
}

func firstPos(calls []*ast.CallExpr) token.Pos {
	first := calls[0].Pos()
	for _, c := range calls {
		first = min(first, c.Pos())
	}
	return first
}

// statement returns where the statement of a call is, with the line break before it if there is nothing else in between.
func (f *function) statement(call *ast.CallExpr) (from, to token.Pos) {
	from, to = call.Pos(), call.End()
	for n := range f.enclosing(call.Pos()) {
		block, ok := n.(*ast.BlockStmt)
		if !ok {
			continue
		}
		for i, s := range block.List {
			if i > 0 && s.Pos() == call.Pos() && !f.pkg.commented(block.List[i-1].End(), call.Pos()) {
				from = block.List[i-1].End()
			}
		}
	}
	return from, to
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
	if !first.usesTime(first.made[0]) || strings.Contains(key, ".") && !first.inOneFile() {
		return nil, false
	}
	edits := importEdits(first.file(first.made[0]), "time", library)
	if g.literal == nil {
		if first.c.pkg.Types.Scope().Lookup(g.name) != nil {
			return nil, false
		}
		return append(edits, Edit{first.declStart, first.declStart, "var " + g.name + " = " + made + "\n\n"}), true
	}
	before, ok := first.statementOf(g.literal)
	if !ok || first.taken(g.name, before) || g.hasField() {
		return nil, false
	}
	element := g.literal.Elts[0].Pos()
	return append(edits,
		Edit{first.declStart, first.declStart, g.name + " *sessionmap.Group[" + key + "]\n"},
		Edit{before, before, g.name + " := " + made + "\n"},
		Edit{element, element, g.name + ": " + g.name + ",\n"}), true
}

func (g *group) hasField() bool {
	for v, owner := range g.members[0].c.pkg.owners {
		if owner == g.members[0].c.owner && v.Name() == g.name {
			return true
		}
	}
	return false
}
