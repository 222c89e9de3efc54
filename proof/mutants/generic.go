package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// generic returns the mutants that change one operator, condition or call of the files, which are separated by commas.
func (l *library) generic(names string) (all []mutant, err error) {
	files := strings.Split(names, ",")
	if names == "all" {
		files = slices.Sorted(maps.Keys(l.files))
	}
	for _, name := range files {
		source, ok := l.files[name]
		if !ok {
			return nil, fmt.Errorf("the library has no file %q", name)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, e := range editsOf(file) {
			from, to := fset.Position(e.from), fset.Position(e.to)
			old := source[from.Offset:to.Offset]
			all = append(all, mutant{
				name:   fmt.Sprintf("%d:%d %s", from.Line, from.Column, shorten(e.name+" "+strings.Join(strings.Fields(old), " "))),
				file:   name,
				source: source[:from.Offset] + strings.ReplaceAll(e.new, "OLD", old) + source[to.Offset:],
			})
		}
	}
	return all, nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 36 {
		return string(r[:35]) + "…"
	}
	return s
}

// An edit puts new, in which OLD is what was there, in the place of a piece of source.
type edit struct {
	from, to  token.Pos
	name, new string
}

var operators = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL},
	token.SHL: {token.SHR}, token.SHR: {token.SHL}, token.AND: {token.OR}, token.OR: {token.AND},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.INC: {token.DEC}, token.DEC: {token.INC},
	token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN},
}

// editsOf returns all changes to make to a file.
func editsOf(file *ast.File) (all []edit) {
	swap := func(at token.Pos, op token.Token) {
		for _, other := range operators[op] {
			all = append(all, edit{at, at + token.Pos(len(op.String())), other.String() + " for", other.String()})
		}
	}
	drop := func(n ast.Node) { all = append(all, edit{n.Pos(), n.End(), "without", ""}) }
	condition := func(cond ast.Expr) {
		if cond != nil {
			all = append(all, edit{cond.Pos(), cond.End(), "never", "false && (OLD)"}, edit{cond.Pos(), cond.End(), "always", "true || (OLD)"})
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.VAR // constants and types are not mutated
		case *ast.BinaryExpr:
			swap(n.OpPos, n.Op)
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				all = append(all, edit{n.Pos(), n.Pos() + 1, "without", ""})
			}
		case *ast.IncDecStmt:
			swap(n.TokPos, n.Tok)
			drop(n)
		case *ast.AssignStmt:
			swap(n.TokPos, n.Tok)
			if n.Tok != token.DEFINE {
				drop(n)
			}
		case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
			drop(n)
		case *ast.BranchStmt:
			drop(n)
		case *ast.IfStmt:
			condition(n.Cond)
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				switch text := fmt.Sprint(result); text {
				case "true":
					all = append(all, edit{result.Pos(), result.End(), "false for", "false"})
				case "false":
					all = append(all, edit{result.Pos(), result.End(), "true for", "true"})
				}
			}
		}
		return true
	})
	return all
}
