package main

import (
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

// load reads the packages that the patterns name, with what they import as the compiler left it. An error that comes with a
// program says what could not be read.
func load(dir string, patterns []string, words sessionleak.Words) (*sessionleak.Program, error) {
	fset := token.NewFileSet()
	pkgs, err := packagesOf(fset, dir, patterns, nil)
	if err != nil {
		return nil, err
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("no packages match %s", strings.Join(patterns, " "))
	}
	p := sessionleak.NewProgram(fset, words, true)
	p.Covers = make(map[string]bool)
	for _, pkg := range pkgs {
		p.Covers[pkg.PkgPath] = true
	}
	var broken []error
	for _, pkg := range inOrder(pkgs) {
		for _, err := range complaints(pkg) { // what can be read of it is looked at all the same
			broken = append(broken, fmt.Errorf("%s: %w", pkg.PkgPath, err))
		}
		if pkg.Types == nil || pkg.TypesInfo == nil {
			continue
		}
		version := ""
		if pkg.Module != nil {
			version = pkg.Module.GoVersion
		}
		p.Add(pkg.Syntax, pkg.Types, pkg.TypesInfo, version)
	}
	return p, errors.Join(broken...)
}

// complaints returns what is wrong with a package. What go list quotes of the compiler is left out where the places are told.
func complaints(pkg *packages.Package) []packages.Error {
	placed := slices.DeleteFunc(slices.Clone(pkg.Errors), func(err packages.Error) bool { return err.Pos == "" || err.Pos == "-" })
	if len(placed) > 0 {
		return placed
	}
	return pkg.Errors
}

// packagesOf reads packages, with the files in changed as they are there.
func packagesOf(fset *token.FileSet, dir string, patterns []string, changed map[string][]byte) ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedTypes |
			packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes | packages.NeedModule | packages.NeedExportFile,
		Dir:     dir,
		Fset:    fset,
		Overlay: changed,
	}, patterns...)
}

// inOrder returns the packages with each after those it imports.
func inOrder(pkgs []*packages.Package) []*packages.Package {
	var ordered []*packages.Package
	chosen := make(map[*packages.Package]bool)
	for _, pkg := range pkgs {
		chosen[pkg] = true
	}
	packages.Visit(pkgs, nil, func(pkg *packages.Package) {
		if chosen[pkg] {
			ordered = append(ordered, pkg)
		}
	})
	return ordered
}
