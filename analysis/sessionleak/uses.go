package sessionleak

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// mentions notes a function that is used as a value, and fields that hold what has to be stopped.
func (f *function) mentions(e ast.Expr, stack []ast.Node, outer []scope) {
	var obj types.Object
	switch e := e.(type) {
	case *ast.Ident:
		if len(stack) >= 2 {
			if sel, ok := stack[len(stack)-2].(*ast.SelectorExpr); ok && sel.Sel == e {
				return
			}
		}
		obj = f.pkg.Info.Uses[e]
		if v, ok := obj.(*types.Var); ok {
			if g := f.locals[v]; g != nil && !isAssigned(stack) {
				if e, ok := f.use(stack, outer); ok {
					g.runs = append(g.runs, e)
				}
			}
			return
		}
	case *ast.SelectorExpr:
		obj = f.pkg.Info.Uses[e.Sel]
		if v, ok := obj.(*types.Var); ok && v.IsField() && (isStoppable(v.Type()) || isSignal(v.Type())) && !isAssigned(stack) && !waitsFor(stack) {
			v = v.Origin()
			f.pkg.prog.stops[v] = append(f.pkg.prog.stops[v], stopping{f, f.stopsHere(stack)})
		}
	}
	fn, ok := obj.(*types.Func)
	if !ok {
		return
	}
	f.runsNamed(fn, stack, outer)
}

// waitsFor reports whether the timer, or the channel, that ends the stack is only waited for, or armed again.
func waitsFor(stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	switch parent := stack[len(stack)-2].(type) {
	case *ast.SelectorExpr:
		return parent.Sel.Name == "C" || parent.Sel.Name == "Reset"
	case *ast.UnaryExpr:
		return parent.Op == token.ARROW
	case *ast.RangeStmt:
		return true
	}
	return false
}

func isAssigned(stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	switch parent := stack[len(stack)-2].(type) {
	case *ast.AssignStmt:
		e, ok := stack[len(stack)-1].(ast.Expr)
		return ok && slices.Contains(parent.Lhs, e)
	case *ast.BinaryExpr: // compared with nil
		return parent.Op == token.EQL || parent.Op == token.NEQ
	}
	return false
}

// runsNamed notes a call or a use of a declared function, or of all methods that an interface's may stand for.
func (f *function) runsNamed(fn *types.Func, stack []ast.Node, outer []scope) {
	fn = fn.Origin()
	p := f.pkg.prog
	if fn.Pkg() == nil || !p.covers(fn.Pkg()) {
		return
	}
	e, ok := f.use(stack, outer)
	if !ok { // it is in a variable
		e = edge{how: stored, at: f.placeOf(stack, outer)}
	}
	u := use{run: e, of: fn.FullName()}
	if recv := fn.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
		u.method, u.params = fn.Name(), fn.Signature().Params().Len()
	}
	p.uses = append(p.uses, u)
}

// A use is a mention of a declared function, which may be known later only.
type use struct {
	run    edge
	of     string
	method string // of an interface
	params int
}

// link gives the functions their uses.
func (p *Program) link() {
	for _, u := range p.uses {
		if u.method == "" {
			if g := p.named[u.of]; g != nil {
				g.runs = append(g.runs, u.run)
			}
			continue
		}
		for _, g := range p.methods[u.method] {
			if g.obj.Signature().Params().Len() == u.params {
				g.runs = append(g.runs, u.run)
			}
		}
	}
	p.uses = nil
}

// covers reports whether a package is, or will be, in the program.
func (p *Program) covers(pkg *types.Package) bool {
	return p.Covers[pkg.Path()] || p.added[pkg]
}

// use tells how a function comes to run that is mentioned by the last node of the stack.
func (f *function) use(stack []ast.Node, outer []scope) (edge, bool) {
	n, ok := stack[len(stack)-1].(ast.Expr)
	if !ok {
		return edge{}, false
	}
	e := edge{how: stored, at: f.placeOf(stack, outer)}
	for i := len(stack) - 2; i >= 0; i-- {
		switch parent := stack[i].(type) {
		case *ast.ParenExpr:
			n = parent
			continue
		case *ast.IndexExpr: // type arguments
			n = parent
			continue
		case *ast.CallExpr:
			if parent.Fun == n {
				e.how = f.callWay(stack[:i+1])
			} else if f.pkg.Info.Types[parent.Fun].IsType() {
				n = parent
				continue
			} else {
				e.how, e.label = f.handedTo(parent)
			}
		case *ast.KeyValueExpr:
			if how, label, ok := f.handlerOf(parent.Key); ok {
				e.how, e.label = how, label
			} else if id, ok := parent.Key.(*ast.Ident); ok {
				e.how, e.label = wayOfName(id.Name)
			}
		case *ast.AssignStmt:
			if f.assignedTo(stack[:i+2]) != nil {
				return edge{}, false // its uses tell
			}
			switch to := parent.Lhs[0].(type) {
			case *ast.SelectorExpr:
				e.how, e.label = wayOfName(to.Sel.Name)
			case *ast.IndexExpr:
				if how, label, ok := f.handlerOf(to.Index); ok {
					e.how, e.label = how, label
				}
			}
		case *ast.ValueSpec:
			return edge{}, false
		}
		break
	}
	return e, true
}

// callWay tells whether the call that ends the stack is deferred, or in a goroutine.
func (f *function) callWay(stack []ast.Node) way {
	if len(stack) >= 2 {
		switch stack[len(stack)-2].(type) {
		case *ast.DeferStmt:
			return deferred
		case *ast.GoStmt:
			return spawned
		}
	}
	return called
}

// wayOfName tells what a function is for that is stored under a name.
func wayOfName(name string) (way, string) {
	switch {
	case !strings.HasPrefix(name, "On") && !strings.HasPrefix(name, "on") && !hasWord(name, "handler", "hook", "callback"):
		return stored, ""
	case connectionEnds(name):
		return finally, ""
	case !ends(name):
		return stored, ""
	}
	return handler, name
}

// handlerOf tells what a function is for that a map has under a key, if the key is the name of an event that ends something.
func (f *function) handlerOf(key ast.Expr) (how way, label string, ok bool) {
	label = f.eventLabel(key)
	if label == "" {
		return 0, "", false
	}
	return wayOfEvent("", label), label, true
}

// wayOfEvent tells what a function is for that is registered by a function of this name, for the event of a label. That something
// in this process ends is not lost, unless the label is one of events that have the names of what they happen to.
func wayOfEvent(name, label string) way {
	if connectionEnds(name) || connectionEnds(strings.Map(letters, label)) && !strings.ContainsAny(label, ".:") {
		return finally
	}
	return handler
}

// connectionEnds reports whether a hook's name says that it comes when something in this process ends, which is not lost.
func connectionEnds(name string) bool {
	return hasWord(name, "close", "closed", "disconnect", "disconnected", "done", "exit", "shutdown", "evict", "evicted", "eviction",
		"expire", "expired", "finish", "finished", "cleanup", "finalizer", "cleanups")
}

// handedTo tells what becomes of a function that is an argument of the call.
func (f *function) handedTo(call *ast.CallExpr) (how way, label string) {
	name, pkg := f.calleeName(call)
	switch {
	case name == "AfterFunc" && pkg == "time":
		return timed, ""
	case name == "Go":
		return spawned, ""
	case name == "AfterFunc" || name == "SetFinalizer" || name == "AddCleanup" || name == "Cleanup" || name == "RegisterOnShutdown":
		return finally, ""
	case f.handlesHTTP(call):
		return handler, f.eventOf(call, name)
	}
	for _, prefix := range []string{"On", "on", "Subscribe", "subscribe", "Listen", "AddListener", "AddEventListener", "Handle", "Watch", "AddHandler", "Bind", "QueueSubscribe", "RegisterHandler"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (rest == "" || !isLower(rest)) && name != "Once" {
			label = f.eventOf(call, name)
			if how = wayOfEvent(name, label); how == finally {
				label = ""
			}
			return how, label
		}
	}
	if f.callsAtOnce(name, pkg) {
		return handed, ""
	}
	return kept, ""
}

// callsAtOnce reports whether what is called calls the function that it is given before it returns, and does not keep it.
func (f *function) callsAtOnce(name, pkg string) bool {
	switch pkg {
	case "slices", "sort", "maps", "strings", "path/filepath", "io/fs", "go/ast":
		return true
	}
	return hasWord(name, "range", "each", "do", "walk", "visit", "iterate", "map", "filter", "with", "must", "if", "view", "tx", "transaction")
}

func isLower(s string) bool { return s[0] >= 'a' && s[0] <= 'z' }

// eventOf returns what names the event in the arguments of a registration; the function's name where nothing does.
func (f *function) eventOf(call *ast.CallExpr, name string) string {
	for _, arg := range call.Args {
		if v := f.pkg.Info.Types[arg].Value; v != nil && v.Kind() == constant.String && constant.StringVal(v) != "" {
			return constant.StringVal(v)
		}
		if id, ok := arg.(*ast.SelectorExpr); ok && ends(id.Sel.Name) {
			return id.Sel.Name
		}
	}
	return name
}

func (f *function) handlesHTTP(call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if t := f.pkg.Info.TypeOf(arg); t != nil && isHTTPHandler(t) {
			return true
		}
	}
	return false
}

// isHTTPHandler reports whether a type is that of a function that serves requests, of the standard library or of a framework.
func isHTTPHandler(t types.Type) bool {
	sig, ok := t.Underlying().(*types.Signature)
	if !ok || sig.Params().Len() == 0 {
		return false
	}
	first := types.TypeString(deref(sig.Params().At(0).Type()), nil)
	switch sig.Params().Len() {
	case 1:
		return framework.MatchString(first)
	case 2:
		return first == "net/http.ResponseWriter"
	}
	return false
}

var framework = regexp.MustCompile(`^github\.com/(gin-gonic/gin\.Context|labstack/echo(/v\d+)?\.Context|gofiber/fiber(/v\d+)?\.Ctx)$`)
