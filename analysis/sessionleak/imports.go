package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// usesTime reports whether the packages time and sessionmap can be imported, and named so, where the map is made.
func (r *rewrite) usesTime(made ast.Expr) bool {
	return canImport(r.fileOf(made), r.c.pkg, "time") && !shadowed(r.c.pkg, "time", made.Pos()) && !shadowed(r.c.pkg, "sessionmap", made.Pos())
}

// canImport reports whether a package can be imported by a file, and named as it is called itself.
func canImport(file *ast.File, pi *packageInfo, path string) bool {
	name := path[strings.LastIndex(path, "/")+1:]
	if pi.Types.Scope().Lookup(name) != nil {
		return false
	}
	if obj := pi.Info.Scopes[file].Lookup(name); obj != nil {
		pkg, ok := obj.(*types.PkgName)
		return ok && pkg.Imported().Path() == path
	}
	return !slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool {
		imported, _ := strconv.Unquote(s.Path.Value)
		return imported == path || imported == "C" // whose declaration has to stay as it is
	})
}

// shadowed reports whether a name is something else than a package at a position.
func shadowed(pi *packageInfo, name string, pos token.Pos) bool {
	scope := pi.Types.Scope().Innermost(pos)
	if scope == nil {
		return true
	}
	_, obj := scope.LookupParent(name, pos)
	_, isPackage := obj.(*types.PkgName)
	return obj != nil && !isPackage
}

// importEdits adds the imports that are not there: those of the standard library before the others.
func importEdits(file *ast.File, paths ...string) []Edit {
	var own, others string
	for _, path := range paths {
		quoted := strconv.Quote(path)
		switch {
		case slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == quoted }):
		case strings.Contains(path, "."):
			others += "\n\n" + quoted
		default:
			own += quoted + "\n"
		}
	}
	if own+others == "" {
		return nil
	}
	if len(file.Imports) == 0 {
		var edits []Edit // one for each, as another fix may need fewer
		for path := range strings.FieldsSeq(own + others) {
			edits = append(edits, Edit{file.Name.End(), file.Name.End(), "\n\nimport " + path})
		}
		return edits
	}
	decl := importsOf(file)
	first, last := decl.Specs[0], decl.Specs[len(decl.Specs)-1]
	edits := []Edit{{first.Pos(), first.Pos(), own}, {last.End(), last.End(), others}}
	if !decl.Lparen.IsValid() {
		edits = []Edit{{first.Pos(), first.Pos(), "("}, {first.Pos(), first.Pos(), "\n" + own}, {last.End(), last.End(), others}, {last.End(), last.End(), "\n)"}}
	}
	return slices.DeleteFunc(edits, func(e Edit) bool { return e.Text == "" })
}

// importsOf returns the first declaration of imports.
func importsOf(file *ast.File) *ast.GenDecl {
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT && len(g.Specs) > 0 {
			return g
		}
	}
	return nil
}
