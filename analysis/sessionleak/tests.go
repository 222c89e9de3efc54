package sessionleak

import (
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

// forTests reports whether a container is for tests, as those of httptest are: what it holds is there to be looked at. The path
// of its package tells, or the name of its file or of its struct, or that its struct has a *testing.T.
func (p *Program) forTests(c *container) bool {
	return p.testCode(c.pkg, c.v.Pos()) || double(c.owner) || c.v.IsField() && p.hasT(c)
}

// testCode reports whether what is at a place in a package is for tests, by the path of the package or the name of the file.
func (p *Program) testCode(pi *packageInfo, pos token.Pos) bool {
	for element := range strings.SplitSeq(pi.Types.Path(), "/") {
		if strings.HasSuffix(element, "test") && !slices.Contains(noTests, element) || forTests(element) {
			return true
		}
	}
	return forTests(strings.TrimSuffix(filepath.Base(p.Position(pos).Filename), ".go"))
}

// noTests end like httptest and are none.
var noTests = []string{"latest", "contest", "attest", "protest"}

// forTests reports whether an element of a path says that it is for tests.
func forTests(element string) bool {
	return strings.HasPrefix(element, "testing") || strings.HasPrefix(element, "testutil") || strings.HasPrefix(element, "testhelper") ||
		double(element) || hasWord(element, "e2e", "test", "tests", "testdata", "benchmark", "benchmarks", "interop")
}

// double reports whether a name is that of something that stands in for another in tests.
func double(name string) bool {
	return hasWord(name, "mock", "mocks", "fake", "fakes", "stub", "stubs")
}

// hasT reports whether the struct that a container is a field of has a field for the test that it is used in.
func (p *Program) hasT(c *container) bool {
	top, _, _ := strings.Cut(c.owner, ".")
	obj := c.v.Pkg().Scope().Lookup(top)
	if obj == nil {
		return false
	}
	s, ok := obj.Type().Underlying().(*types.Struct)
	return ok && slices.ContainsFunc(slices.Collect(s.Fields()), func(v *types.Var) bool {
		named, ok := deref(v.Type()).(*types.Named)
		return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "testing"
	})
}
