package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// A mutant that changes one function can live beside others in one binary: its function is added under another name,
// and the original begins with a switch that calls it where its number is the one asked for.
//
//	func (m *T) Len() int { switch mutant { case 7: return m.mutant7_Len() }
//		...
//	}
//
//	func (m *T) mutant7_Len() int { ... }

// selector is the file that is added to the library.
const selector = `package sessionmap

import (
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("` + selection + `"))
`

const selection = "SESSIONMAP_MUTANT"

// A function is where one lies in its file.
type function struct {
	decl              *ast.FuncDecl
	from, name, to    int // its beginning, its name's and its end
	opening, closing  int // the braces
	signature, inside string
}

// functions returns the functions of a file, and what is outside of their bodies.
func functions(source string) (all []function, outside string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	end := 0
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok || d.Body == nil {
			continue
		}
		f := function{decl: d, from: at(d.Pos()), name: at(d.Name.Pos()), to: at(d.End()), opening: at(d.Body.Lbrace), closing: at(d.Body.Rbrace)}
		f.signature, f.inside = source[f.from:f.opening], source[f.opening+1:f.closing]
		outside += source[end:f.opening]
		end = f.closing
		all = append(all, f)
	}
	return all, outside + source[end:], nil
}

// changed returns which function of original the mutant changes; false if it changes more or something else.
func (m *mutant) changed(original string) (number int, mutated function, ok bool) {
	was, wasOutside, err1 := functions(original)
	is, isOutside, err2 := functions(m.source)
	if err1 != nil || err2 != nil || wasOutside != isOutside || len(was) != len(is) {
		return 0, mutated, false
	}
	number = -1
	for i := range was {
		if was[i].inside != is[i].inside {
			if number >= 0 {
				return 0, mutated, false
			}
			number = i
		}
	}
	if number < 0 || was[number].decl.Name.Name == "init" {
		return 0, mutated, false
	}
	return number, is[number], true
}

// graftable separates the mutants that can share a binary from the others.
func (l *library) graftable(mutants []mutant) (together, alone []mutant) {
	for _, m := range mutants {
		if _, _, ok := m.changed(l.files[m.file]); ok {
			together = append(together, m)
		} else {
			alone = append(alone, m)
		}
	}
	return together, alone
}

// graft returns the files of the library that have mutants in them, each known by its number, which is not 0.
func (l *library) graft(mutants map[int]mutant) (files map[string]string, err error) {
	edits := make(map[string]map[int][]int) // the mutants' numbers, by file and function
	mutated := make(map[int]function)
	for n, m := range mutants {
		number, f, _ := m.changed(l.files[m.file])
		if edits[m.file] == nil {
			edits[m.file] = make(map[int][]int)
		}
		edits[m.file][number] = append(edits[m.file][number], n)
		mutated[n] = f
	}
	files = make(map[string]string)
	for file, byFunction := range edits {
		source := l.files[file]
		all, _, err := functions(source)
		if err != nil {
			return nil, err
		}
		var added strings.Builder
		for i, f := range slices.Backward(all) { // what comes before keeps its place
			if byFunction[i] == nil {
				continue
			}
			signature, arguments := f.named()
			source = source[:f.from] + signature + "{ switch mutant { " + f.cases(byFunction[i], arguments) + "};" + source[f.opening+1:]
			for _, n := range byFunction[i] {
				// The compiler's complaints name the mutant.
				fmt.Fprintf(&added, "\n//line %s%d:1\n%s\n", complaint, n, mutated[n].renamed(n))
			}
		}
		files[file] = source + added.String()
	}
	return files, nil
}

const complaint = "mutant-"

func (f function) alias(n int) string { return fmt.Sprintf("mutant%d_%s", n, f.decl.Name.Name) }

// renamed returns the function under the name that it has as mutant n.
func (f function) renamed(n int) string {
	name := f.name - f.from
	return f.signature[:name] + f.alias(n) + f.signature[name+len(f.decl.Name.Name):] + "{" + f.inside + "}"
}

// cases returns the cases of the switch.
func (f function) cases(numbers []int, arguments string) (text string) {
	slices.Sort(numbers)
	for _, n := range numbers {
		call := f.alias(n) + arguments
		if recv := f.decl.Recv; recv != nil {
			call = recv.List[0].Names[0].Name + "." + call
		}
		if f.decl.Type.Results != nil {
			text += fmt.Sprintf("case %d: return %s; ", n, call)
		} else {
			text += fmt.Sprintf("case %d: %s; return; ", n, call)
		}
	}
	return text
}

// named returns the signature with a name for every parameter, and the type arguments and arguments with which to call
// the same again.
func (f function) named() (signature, arguments string) {
	type edit struct {
		at   token.Pos
		skip int
		name string
	}
	var edits []edit
	var names []string
	name := func(field *ast.Field) {
		for _, ident := range field.Names {
			if ident.Name == "_" {
				names = append(names, fmt.Sprintf("unnamed%d", len(names)))
				edits = append(edits, edit{ident.Pos(), 1, names[len(names)-1]})
			} else {
				names = append(names, ident.Name)
			}
		}
		if field.Names == nil {
			names = append(names, fmt.Sprintf("unnamed%d", len(names)))
			edits = append(edits, edit{field.Type.Pos(), 0, names[len(names)-1] + " "})
		}
		if _, variadic := field.Type.(*ast.Ellipsis); variadic {
			names[len(names)-1] += "..."
		}
	}
	for _, field := range f.decl.Type.Params.List {
		name(field)
	}
	var types []string
	if params := f.decl.Type.TypeParams; params != nil {
		for _, field := range params.List {
			for _, ident := range field.Names {
				types = append(types, ident.Name)
			}
		}
		arguments = "[" + strings.Join(types, ", ") + "]"
	}
	signature = f.signature
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(b.at, a.at) })
	for _, e := range edits {
		at := int(e.at - f.decl.Pos())
		signature = signature[:at] + e.name + signature[at+e.skip:]
	}
	return signature, arguments + "(" + strings.Join(names, ", ") + ")"
}
