package sessionleak

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// walk notes what a declared function, and the literals in it, do.
func (f *function) walk() {
	f.aliases, f.defined, f.locals = make(map[*types.Var]ref), make(map[*types.Var]ast.Expr), make(map[*types.Var]*function)
	f.resolveLocals()
	f.walkBody(nil)
}

// walkBody walks f's statements. In outer are the scopes around a literal that runs where it stands.
func (f *function) walkBody(outer []scope) {
	var stack []ast.Node
	ast.Inspect(f.body, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return false
		}
		stack = append(stack, n)
		if lit, ok := n.(*ast.FuncLit); ok {
			f.literal(lit, stack, outer)
			stack = stack[:len(stack)-1]
			return false
		}
		f.visit(n, stack, outer)
		return true
	})
}

func (f *function) literal(lit *ast.FuncLit, stack []ast.Node, outer []scope) {
	g := &function{pkg: f.pkg, lit: lit, body: lit.Body, parent: f, aliases: f.aliases, defined: f.defined, locals: f.locals}
	g.parameters(lit.Type.Params)
	f.pkg.prog.functions = append(f.pkg.prog.functions, g)
	if e, ok := f.use(stack, outer); ok {
		g.runs = append(g.runs, e)
	}
	if v := f.assignedTo(stack); v != nil {
		f.locals[v] = g
	}
	g.walkBody(nil)
}

// assignedTo returns the local variable that the last expression of the stack is assigned to.
func (f *function) assignedTo(stack []ast.Node) *types.Var {
	if len(stack) < 2 {
		return nil
	}
	if as, ok := stack[len(stack)-2].(*ast.AssignStmt); ok {
		for i, rhs := range as.Rhs {
			if rhs == stack[len(stack)-1] && i < len(as.Lhs) {
				if id, ok := as.Lhs[i].(*ast.Ident); ok {
					return f.variable(id)
				}
			}
		}
	}
	return nil
}

func (f *function) variable(id *ast.Ident) *types.Var {
	v, _ := f.pkg.Info.ObjectOf(id).(*types.Var)
	return v
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
			if id, ok := parent.Key.(*ast.Ident); ok {
				e.how, e.label = wayOfName(id.Name)
			}
		case *ast.AssignStmt:
			if f.assignedTo(stack[:i+2]) != nil {
				return edge{}, false // its uses tell
			}
			if sel, ok := parent.Lhs[0].(*ast.SelectorExpr); ok {
				e.how, e.label = wayOfName(sel.Sel.Name)
			}
		case *ast.ValueSpec:
			return edge{}, false
		}
		break
	}
	return e, true
}

// callWay tells whether the call that ends the stack is deferred.
func (f *function) callWay(stack []ast.Node) way {
	if len(stack) >= 2 {
		if _, ok := stack[len(stack)-2].(*ast.DeferStmt); ok {
			return deferred
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
	case name == "AfterFunc" || name == "SetFinalizer" || name == "AddCleanup" || name == "Cleanup" || name == "RegisterOnShutdown":
		return finally, ""
	case f.handlesHTTP(call):
		return handler, f.eventOf(call, name)
	}
	for _, prefix := range []string{"On", "on", "Subscribe", "subscribe", "Listen", "AddListener", "AddEventListener", "Handle", "Watch", "AddHandler", "Bind"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (rest == "" || !isLower(rest)) && name != "Once" {
			label = f.eventOf(call, name)
			if connectionEnds(name) || connectionEnds(strings.Map(letters, label)) && !strings.ContainsAny(label, ".:") {
				return finally, ""
			}
			return handler, label
		}
	}
	return called, ""
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

func isHTTPHandler(t types.Type) bool {
	sig, ok := t.Underlying().(*types.Signature)
	return ok && sig.Params().Len() == 2 && sig.Params().At(0).Type().String() == "net/http.ResponseWriter"
}

// calleeName returns the name of what is called, and its package's if it is a package's function.
func (f *function) calleeName(call *ast.CallExpr) (name, pkg string) {
	fun := ast.Unparen(call.Fun)
	switch x := fun.(type) { // type arguments
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name, ""
	case *ast.SelectorExpr:
		if id, ok := fun.X.(*ast.Ident); ok {
			if p, ok := f.pkg.Info.Uses[id].(*types.PkgName); ok {
				return fun.Sel.Name, p.Imported().Path()
			}
		}
		return fun.Sel.Name, ""
	}
	return "", ""
}

// placeOf returns the place of the last node of the stack.
func (f *function) placeOf(stack []ast.Node, outer []scope) place {
	scopes := append([]scope(nil), outer...)
	for i := range len(stack) - 1 {
		scopes = f.scopes(scopes, stack[i], stack[i+1])
	}
	return place{in: f, pos: stack[len(stack)-1].Pos(), scopes: scopes}
}

// scopes adds those that n opens around its child.
func (f *function) scopes(to []scope, n, child ast.Node) []scope {
	add := func(k scopeKind, label string) { to = append(to, scope{kind: k, label: label, node: n}) }
	switch n := n.(type) {
	case *ast.CommClause:
		if child != n.Comm {
			if kind, label, ok := f.receives(n.Comm); ok {
				add(kind, label)
			}
			to = f.before(to, n.Body, child)
		}
	case *ast.CaseClause:
		for _, e := range n.List {
			if e == child {
				return to
			}
		}
		if label := f.caseLabel(n); label != "" {
			add(event, label)
		}
		to = f.before(to, n.Body, child)
	case *ast.BlockStmt:
		to = f.before(to, n.List, child)
	case *ast.RangeStmt:
		if child == n.Body {
			add(looped, "")
			if _, isChan := under(f.pkg.Info.TypeOf(n.X)).(*types.Chan); isChan {
				if kind, label, ok := f.channel(n.X); ok {
					add(kind, label)
				}
			}
		}
	case *ast.IfStmt:
		if child == n.Body || child == n.Else {
			to = f.condition(to, n)
		}
	}
	return to
}

func under(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	return t.Underlying()
}

// before adds what the statements before child in a list make certain: that something has ended.
func (f *function) before(to []scope, list []ast.Stmt, child ast.Node) []scope {
	for _, s := range list {
		if s == child {
			break
		}
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.AssignStmt:
			if kind, label, ok := f.receives(s); ok {
				to = append(to, scope{kind: kind, label: label, node: s})
			} else if e, ok := s.(*ast.ExprStmt); ok && f.blocks(e.X) {
				to = append(to, scope{kind: ended, node: s})
			}
		case *ast.IfStmt:
			if leaves(s.Body) {
				to = f.condition(to, s)
			}
		case *ast.SelectStmt:
			to = append(to, scope{kind: ended, node: s})
		case *ast.ForStmt:
			if s.Cond == nil {
				to = append(to, scope{kind: ended, node: s})
			}
		case *ast.RangeStmt:
			if _, isChan := under(f.pkg.Info.TypeOf(s.X)).(*types.Chan); isChan {
				to = append(to, scope{kind: ended, node: s})
			}
		}
	}
	return to
}

// leaves reports whether what comes after the block is not reached from it.
func leaves(b *ast.BlockStmt) bool {
	if len(b.List) == 0 {
		return false
	}
	switch last := b.List[len(b.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	case *ast.ExprStmt:
		call, ok := last.X.(*ast.CallExpr)
		id, isIdent := callee(call)
		return ok && isIdent && id.Name == "panic"
	}
	return false
}

func callee(call *ast.CallExpr) (*ast.Ident, bool) {
	if call == nil {
		return nil, false
	}
	id, ok := call.Fun.(*ast.Ident)
	return id, ok
}

// blocks reports whether a call waits for something's end.
func (f *function) blocks(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, _ := f.calleeName(call)
	return name == "Wait" || name == "Sleep"
}

// receives tells of a statement that receives from a channel what it waits for.
func (f *function) receives(s ast.Stmt) (scopeKind, string, bool) {
	var e ast.Expr
	switch s := s.(type) {
	case *ast.ExprStmt:
		e = s.X
	case *ast.AssignStmt:
		if len(s.Rhs) == 1 {
			e = s.Rhs[0]
		}
	}
	if u, ok := ast.Unparen(e).(*ast.UnaryExpr); ok && u.Op == token.ARROW {
		return f.channel(u.X)
	}
	return 0, "", false
}

// channel tells what a message on the channel means.
func (f *function) channel(x ast.Expr) (scopeKind, string, bool) {
	x = ast.Unparen(x)
	if t, ok := under(f.pkg.Info.TypeOf(x)).(*types.Chan); ok && t.Elem().String() == "time.Time" {
		return ticks, "", true
	}
	name := ""
	switch x := x.(type) {
	case *ast.CallExpr:
		name, _ = f.calleeName(x)
	case *ast.SelectorExpr:
		name = x.Sel.Name
	case *ast.Ident:
		name = x.Name
	}
	if hasWord(name, "done", "quit", "stop", "stopped", "closed", "exit", "shutdown", "ctx", "close", "closing", "closer", "finished", "die") {
		return ended, "", true
	}
	if r, ok := f.resolve(x); ok {
		return received, f.pkg.prog.id(r.v.Origin(), 0), true
	}
	return received, "", true
}

// caseLabel returns the event that a case is for.
func (f *function) caseLabel(c *ast.CaseClause) string {
	for _, e := range c.List {
		if label := f.eventLabel(e); label != "" {
			return label
		}
	}
	return ""
}

// eventLabel returns the name of the event that an expression in a comparison stands for, if it is one that ends something.
func (f *function) eventLabel(e ast.Expr) string {
	tv := f.pkg.Info.Types[e]
	if tv.IsType() {
		if named, ok := deref(tv.Type).(*types.Named); ok && ends(named.Obj().Name()) {
			return named.Obj().Name()
		}
		return ""
	}
	if tv.Value == nil {
		return ""
	}
	label := ""
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		label = e.Name
	case *ast.SelectorExpr:
		label = e.Sel.Name
	}
	if tv.Value.Kind() == constant.String && (label == "" || ends(constant.StringVal(tv.Value))) {
		label = constant.StringVal(tv.Value)
	}
	if !ends(label) {
		return ""
	}
	return label
}

func deref(t types.Type) types.Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		return types.Unalias(p.Elem())
	}
	return t
}

// condition adds what an if statement looks at.
func (f *function) condition(to []scope, n *ast.IfStmt) []scope {
	add := func(k scopeKind, label string) { to = append(to, scope{kind: k, label: label, node: n}) }
	ast.Inspect(n.Cond, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.BinaryExpr:
			if x.Op == token.EQL && !leaves(n.Body) || x.Op == token.NEQ && leaves(n.Body) {
				for _, side := range []ast.Expr{x.X, x.Y} {
					if label := f.eventLabel(side); label != "" {
						add(event, label)
					}
				}
			}
			if x.Op != token.EQL && x.Op != token.NEQ && isComparison(x.Op) && (f.isLen(x.X) || f.isLen(x.Y)) {
				add(bounded, "")
			}
		case *ast.CallExpr:
			if name, _ := f.calleeName(x); name == "Since" || name == "Until" || name == "Before" || name == "After" || name == "Sub" || hasWord(name, "expired", "stale", "expire") {
				add(expired, "")
			}
		case *ast.Ident:
			if hasWord(x.Name, "expired", "stale", "idle", "ttl", "expires", "expiration", "expiry", "timeout", "deadline", "cutoff") && f.pkg.Info.Types[x].Value == nil {
				add(expired, "")
			}
		}
		return true
	})
	return to
}

func (f *function) isLen(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	name, _ := f.calleeName(call)
	return name == "len" || name == "Len" || name == "Count" || name == "Size"
}
