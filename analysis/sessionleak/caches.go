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
	context           bool           // it ends with the context that is its first argument
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
	{path: "github.com/allegro/bigcache/v3", constructor: "New", context: true, stop: []string{"Close"}},
	{path: "github.com/karlseguin/ccache/v3", constructor: "New", stop: []string{"Stop"}},
	{path: "github.com/alexedwards/scs/v2/memstore", constructor: "New", stop: []string{"StopCleanup"}},
	{path: "github.com/alexedwards/scs/v2/memstore", constructor: "NewWithCleanupInterval", stop: []string{"StopCleanup"}},
}

// filling are the methods of caches that insert.
var filling = slices.Concat(inserting, []string{"Add", "SetDefault", "SetWithTTL", "Commit"})

// caches reports caches that are made without a bound, or whose goroutine nothing stops.
func caches(p *Program) {
	for _, f := range p.functions {
		for _, call := range f.calls {
			p.cache(f, call)
		}
	}
}

var major = regexp.MustCompile(`/v\d+$`)

// cache notes a call that makes a cache, and reports it if the cache lacks something.
func (p *Program) cache(f *function, call *ast.CallExpr) {
	fn := f.callee(call)
	if fn == nil || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return
	}
	for _, k := range cacheKinds {
		if fn.Pkg().Path() != k.path || fn.Name() != k.constructor || f.pkg.Types == fn.Pkg() || k.context && !f.background(call.Args[0]) {
			continue
		}
		held := p.holders(f, call)
		v := Verdict{Pos: call.Pos(), Type: k.name(), Reason: "it is bounded, or swept, by its own options",
			Growth: p.callsOf(k.path, filling, held), Removals: p.callsOf(k.path, slices.Concat(removing, emptying), held)}
		if len(held.vars) > 0 {
			v.Container = p.id(held.vars[len(held.vars)-1], 0)
		}
		if message := p.cacheLacks(k, f, call, held); message != "" {
			v.Rule, v.Reason = RuleCache, message
			p.report(Finding{Rule: RuleCache, Pos: call.Pos(), Message: message})
		}
		p.others = append(p.others, v)
	}
}

// cacheLacks tells what is wrong with a cache; "" if nothing is.
func (p *Program) cacheLacks(k cacheKind, f *function, call *ast.CallExpr, held holders) string {
	if lacking := k.lacks(f, call); lacking != "" && !p.setsEach(k, held) {
		return fmt.Sprintf("this %s is made without %s", k.name(), lacking)
	}
	if len(k.start) > 0 && !p.callsMethod(k.path, k.start, held) {
		return fmt.Sprintf("%s is never called on this %s: what has expired is never removed", k.start[0], k.name())
	}
	if len(k.stop) > 0 && !f.runsOnce(nil) && !p.callsMethod(k.path, k.stop, held) {
		return fmt.Sprintf("%s is never called on this %s: its goroutine, and all it holds, stay for ever", k.stop[0], k.name())
	}
	return ""
}

// name is that of the library.
func (k cacheKind) name() string {
	path := major.ReplaceAllString(k.path, "")
	return path[strings.LastIndex(path, "/")+1:]
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

// background reports whether a context is one without an end.
func (f *function) background(ctx ast.Expr) bool {
	call, ok := ast.Unparen(ctx).(*ast.CallExpr)
	return ok && f.isCallOf(call, "context", "Background", "TODO")
}

func (pi *packageInfo) isZeroOrLess(e ast.Expr) bool {
	v := pi.Info.Types[e].Value
	return v != nil && (v.String() == "0" || strings.HasPrefix(v.String(), "-"))
}
