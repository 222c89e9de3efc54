package sessionleak

import (
	"fmt"
	"go/ast"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// A cacheKind is how a cache library is told its bounds, and how its goroutine is stopped.
type cacheKind struct {
	path, constructor string
	bounds            []string       // options, or fields of options, one of which is needed
	zero              map[int]string // arguments that leave it without what is named, where they are zero or negative
	all               bool           // of zero: they have to be zero together
	start, stop       []string       // methods; no stop where there is no goroutine or no way to stop it
	takesField        bool           // bounds are fields of a struct
	set               string         // the method that may give a value a time to live of its own, as its last argument
}

// What the libraries' documentation says of their constructors.
var cacheKinds = []cacheKind{
	{path: "github.com/jellydator/ttlcache/v3", constructor: "New", bounds: []string{"WithTTL", "WithCapacity", "WithMaxCost"}, start: []string{"Start"}, stop: []string{"Stop"}, set: "Set"},
	{path: "github.com/patrickmn/go-cache", constructor: "New", zero: map[int]string{1: "a cleanup interval: what has expired is never removed"}},
	{path: "github.com/hashicorp/golang-lru/v2/expirable", constructor: "NewLRU", zero: map[int]string{0: "a size", 2: "a time to live"}, all: true},
	{path: "github.com/maypok86/otter/v2", constructor: "New", bounds: []string{"MaximumSize", "MaximumWeight", "ExpiryCalculator"}, takesField: true},
	{path: "github.com/maypok86/otter/v2", constructor: "Must", bounds: []string{"MaximumSize", "MaximumWeight", "ExpiryCalculator"}, takesField: true},
	{path: "github.com/dgraph-io/ristretto", constructor: "NewCache", stop: []string{"Close"}},
	{path: "github.com/dgraph-io/ristretto/v2", constructor: "NewCache", stop: []string{"Close"}},
	{path: "github.com/allegro/bigcache/v3", constructor: "NewBigCache", stop: []string{"Close"}},
	{path: "github.com/karlseguin/ccache/v3", constructor: "New", stop: []string{"Stop"}},
	{path: "github.com/alexedwards/scs/v2/memstore", constructor: "New", stop: []string{"StopCleanup"}},
	{path: "github.com/alexedwards/scs/v2/memstore", constructor: "NewWithCleanupInterval", stop: []string{"StopCleanup"}},
}

// caches reports caches that are made without a bound, or whose goroutine nothing stops.
func caches(p *Program) {
	for _, f := range p.functions {
		for _, call := range f.calls {
			p.cache(f, call)
		}
	}
}

var major = regexp.MustCompile(`/v\d+$`)

// cache reports a call if it makes a cache that lacks something.
func (p *Program) cache(f *function, call *ast.CallExpr) {
	fn := f.callee(call)
	if fn == nil || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return
	}
	for _, k := range cacheKinds {
		if fn.Pkg().Path() != k.path || fn.Name() != k.constructor || f.pkg.Types == fn.Pkg() {
			continue
		}
		short := major.ReplaceAllString(k.path, "")
		short = short[strings.LastIndex(short, "/")+1:]
		held := p.holders(f, call)
		if lacking := k.lacks(f, call); lacking != "" && !p.setsEach(k, held) {
			p.report(Finding{Rule: RuleCache, Pos: call.Pos(), Message: fmt.Sprintf("this %s is made without %s", short, lacking)})
			return
		}
		if len(k.start) > 0 && !p.callsMethod(k.path, k.start, held) {
			p.report(Finding{Rule: RuleCache, Pos: call.Pos(), Message: fmt.Sprintf("%s is never called on this %s: what has expired is never removed", k.start[0], short)})
			return
		}
		if len(k.stop) > 0 && !f.runsOnce(nil) && !p.callsMethod(k.path, k.stop, held) {
			p.report(Finding{Rule: RuleCache, Pos: call.Pos(), Message: fmt.Sprintf("%s is never called on this %s: its goroutine, and all it holds, stay for ever", k.stop[0], short)})
		}
	}
}

// lacks tells what a constructor call leaves out.
func (k cacheKind) lacks(f *function, call *ast.CallExpr) string {
	switch {
	case call.Ellipsis.IsValid():
		return ""
	case k.takesField:
		return k.lacksField(call)
	case len(k.bounds) > 0:
		for _, arg := range call.Args {
			option, ok := ast.Unparen(arg).(*ast.CallExpr)
			if !ok {
				return "" // an option from elsewhere
			}
			if name, _ := f.calleeName(option); slices.Contains(k.bounds, name) {
				return ""
			}
		}
		return "any of " + strings.Join(k.bounds, ", ")
	}
	var without []string
	for i, what := range k.zero {
		if i < len(call.Args) && f.pkg.isZeroOrLess(call.Args[i]) {
			without = append(without, what)
		}
	}
	if len(without) == 0 || k.all && len(without) < len(k.zero) {
		return ""
	}
	slices.Sort(without)
	return strings.Join(without, " and ")
}

func (k cacheKind) lacksField(call *ast.CallExpr) string {
	if len(call.Args) != 1 {
		return ""
	}
	arg := ast.Unparen(call.Args[0])
	if u, ok := arg.(*ast.UnaryExpr); ok {
		arg = u.X
	}
	lit, ok := arg.(*ast.CompositeLit)
	if !ok && !isNil(arg) {
		return ""
	}
	if lit != nil {
		for _, elt := range lit.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok && slices.Contains(k.bounds, types.ExprString(kv.Key)) {
				return ""
			}
		}
	}
	return "any of " + strings.Join(k.bounds, ", ")
}

func (pi *packageInfo) isZeroOrLess(e ast.Expr) bool {
	v := pi.Info.Types[e].Value
	return v != nil && (v.String() == "0" || strings.HasPrefix(v.String(), "-"))
}
