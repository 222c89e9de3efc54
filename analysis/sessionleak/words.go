package sessionleak

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"unicode"
)

// Words tell what a name is about. A key counts as that of a session when one of the words in its name, or in that of
// its type, is among Sessions, and none among Fixed.
type Words struct {
	Sessions []string // of what comes and goes while the process runs
	Fixed    []string // of what a program has a fixed number of
}

// DefaultWords returns the words that are used where nothing else is said.
func DefaultWords() Words {
	return Words{
		Sessions: strings.Fields(`session sessions sess sid conn conns connection connections client clients cid user users uid request
			requests req task tasks agent agents token tokens peer peers player players chat chats conversation conversations conv
			visitor visitors guest guests subscriber subscribers subscription subscriptions socket sockets websocket ws remote ip
			addr nonce nonces ticket otp device call calls message messages msg job jobs run runs thread threads stream streams
			room rooms lobby match transaction tx uuid xid ulid member members order lease leases login state
			participant participants nick nicks identity identities email emails guild guilds author authors username usernames
			channelid`),
		Fixed: strings.Fields(`name names path type types kind method host region topic service services model models provider file
			class tag tags field fields column table code version command commands event pkg package module format extension ext
			status level scope category language lang locale schema pattern route mode role scheme op opcode driver plugin flag
			option config option setting label lock sql query statement stmt prefix suffix proto protocol feature template tool
			tools symbol node size index idx handler alias interface slot shard domain icon color font metric
			server backend broker upstream url uri connectionstring dsn`),
	}
}

// split takes a name apart: "sessionID" is session and id, "HTTPConn_v2" is http, conn and v2.
func split(name string) []string {
	var words []string
	runes := []rune(name)
	begin := 0
	for i := range runes {
		switch {
		case runes[i] == '_':
			words = append(words, string(runes[begin:i]))
			begin = i + 1
		case i > begin && unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]) && !plural(runes, i)):
			words = append(words, string(runes[begin:i]))
			begin = i
		}
	}
	words = append(words, string(runes[begin:]))
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	return words
}

// plural reports whether the last capital of an abbreviation is followed by nothing but an s, as in IDs.
func plural(runes []rune, i int) bool {
	return runes[i+1] == 's' && (i+2 == len(runes) || unicode.IsUpper(runes[i+2]))
}

// An evidence says whether a key is that of a session.
type evidence int

const (
	neutral evidence = iota // it may be: the container's own name tells
	session
	fixed
)

// judge judges the name of a key, or of what makes one.
func (w Words) judge(name string) evidence {
	found := neutral
	words := split(name)
	for i := 0; i < len(words); i++ {
		word := words[i]
		if i+1 < len(words) && slices.Contains(w.Fixed, word+words[i+1]) { // connectionString
			return fixed
		}
		if i+1 < len(words) && slices.Contains(w.Sessions, word+words[i+1]) { // cID, userName
			found = session
			i++
			continue
		}
		if slices.Contains(w.Fixed, word) || slices.Contains(w.Fixed, strings.TrimSuffix(word, "s")) {
			return fixed
		}
		if slices.Contains(w.Sessions, word) {
			found = session
		}
	}
	return found
}

// judgeType judges the name of a type, or of a container. A state is there a condition, which anything has; as a key it is
// what comes back from a login.
func (w Words) judgeType(name string) evidence {
	words := slices.DeleteFunc(split(name), func(word string) bool { return word == "state" })
	return w.judge(strings.Join(words, "_"))
}

// one reports whether a name is that of one thing: the container of that name has its parts, such as the values of a session.
func (w Words) one(name string) bool {
	words := split(name)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return slices.Contains(w.Sessions, last) && !strings.HasSuffix(last, "s")
}

// key judges the key of an insertion.
func (f *function) key(e ast.Expr, depth int) evidence {
	e = ast.Unparen(e)
	info, w := f.pkg.Info, f.pkg.prog.Words
	tv := info.Types[e]
	if tv.Value != nil {
		return fixed
	}
	byType := w.typ(tv.Type)
	if byType == fixed || depth == 0 {
		return byType
	}
	byName := neutral
	switch e := e.(type) {
	case *ast.Ident:
		byName = w.judge(e.Name)
		if v, ok := info.Uses[e].(*types.Var); ok {
			switch from := f.defined[v]; {
			case from == nil:
			case f.splitsAddress(from): // a client's, though it is called host
				byName = f.key(from, depth-1)
			case byName == neutral || f.composed(from):
				byName = either(byName, f.key(from, depth-1))
			}
		}
	case *ast.SelectorExpr:
		byName = w.judge(e.Sel.Name)
		if byName == neutral && hasWord(e.Sel.Name, identifying...) {
			byName = max(w.typ(info.TypeOf(e.X)), f.owner(e.X))
		}
	case *ast.StarExpr:
		byName = f.key(e.X, depth-1)
	case *ast.SliceExpr:
		byName = f.key(e.X, depth-1)
	case *ast.IndexExpr: // of the variables of a path, and the like
		if v := info.Types[e.Index].Value; v != nil && v.Kind() == constant.String {
			byName = w.judge(strings.Map(letters, constant.StringVal(v)))
		}
	case *ast.UnaryExpr:
		byName = f.key(e.X, depth-1)
	case *ast.CallExpr:
		byName = f.calledKey(e, depth)
	case *ast.BinaryExpr:
		switch e.Op {
		case token.REM, token.AND: // one of so many
			return fixed
		}
		byName = f.components(depth, e.X, e.Y)
	case *ast.CompositeLit:
		var parts []ast.Expr
		for _, elt := range e.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				elt = kv.Value
			}
			parts = append(parts, elt)
		}
		byName = f.components(depth, parts...)
	}
	if byName == fixed {
		return fixed
	}
	return either(byType, byName)
}

// identifying are the words of a field that tells one session, user or message from others. Other fields, such as the size of a
// message, do not grow in number with what they are taken of.
var identifying = strings.Fields("id ids key uid uuid guid jid mxid hash serial number email mail phone subject sub from sender author")

// owner judges what a field is taken of.
func (f *function) owner(x ast.Expr) evidence {
	if id, ok := ast.Unparen(x).(*ast.Ident); ok {
		return f.pkg.prog.Words.judge(id.Name)
	}
	return neutral
}

// splitsAddress reports whether an expression takes an address apart.
func (f *function) splitsAddress(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	return ok && f.isCallOf(call, "net", "SplitHostPort")
}

func (f *function) calledKey(call *ast.CallExpr, depth int) evidence {
	info, w := f.pkg.Info, f.pkg.prog.Words
	if f.splitsAddress(call) {
		return f.arguments(call, depth)
	}
	if tv := info.Types[call.Fun]; tv.IsType() && len(call.Args) == 1 {
		return f.key(call.Args[0], depth-1)
	}
	found := neutral
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		found = w.judge(fun.Name)
	case *ast.SelectorExpr:
		if fun.Sel.Name == "PathValue" || fun.Sel.Name == "URLParam" { // part of a path, but not a path
			return f.arguments(call, depth)
		}
		found = w.judge(fun.Sel.Name)
		if found != neutral {
			break
		}
		if id, ok := fun.X.(*ast.Ident); ok {
			if pkg, ok := info.Uses[id].(*types.PkgName); ok {
				if found = w.judge(pkg.Imported().Name()); found == neutral && len(call.Args) > 0 {
					found = f.arguments(call, depth) // fmt.Sprintf and the like
				}
				break
			}
		}
		found = f.key(fun.X, depth-1) // String of an address
		if found == neutral && len(call.Args) > 0 {
			found = f.arguments(call, depth) // Get of a header
		}
	}
	return found
}

func (f *function) arguments(call *ast.CallExpr, depth int) evidence {
	if n := len(call.Args); n > 0 && (n == 1 || nameOf(call.Fun) == "URLParam") { // of chi
		if v := f.pkg.Info.Types[call.Args[n-1]].Value; v != nil && v.Kind() == constant.String {
			return f.pkg.prog.Words.judge(strings.Map(letters, constant.StringVal(v)))
		}
	}
	return f.components(depth, call.Args...)
}

// components judges a key that has parts, of which one that comes and goes is enough. A part that is a constant tells nothing.
func (f *function) components(depth int, parts ...ast.Expr) evidence {
	found := neutral
	for _, part := range parts {
		if f.pkg.Info.Types[part].Value != nil {
			continue
		}
		switch f.key(part, depth-1) {
		case session:
			return session
		case fixed:
			found = fixed
		}
	}
	return found
}

// composed reports whether an expression is another value or put together of some, and so no more than they are. What is found
// in a value, as an id is in a path, is not.
func (f *function) composed(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.BinaryExpr, *ast.CompositeLit:
		return true
	case *ast.CallExpr:
		name, pkg := f.calleeName(e)
		return pkg == "fmt" || pkg == "strings" && name == "Join"
	}
	return false
}

func letters(r rune) rune {
	if unicode.IsLetter(r) {
		return r
	}
	return '_'
}

func either(a, b evidence) evidence {
	if a == fixed || b == fixed {
		return fixed
	}
	return max(a, b)
}

// typ judges a type by its name, and takes the constants of an enumeration for fixed.
func (w Words) typ(t types.Type) evidence {
	if t == nil {
		return neutral
	}
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	if few(t) {
		return fixed
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return neutral
	}
	switch named.Obj().Pkg().Path() {
	case "reflect", "go/token", "go/types", "go/ast":
		return fixed
	}
	if _, basic := named.Underlying().(*types.Basic); basic && enumeration(named) {
		return fixed
	}
	return w.judgeType(named.Obj().Name())
}

// few reports whether a type has so few values that a container of them is bounded.
func few(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	if !ok {
		return false
	}
	switch basic.Kind() {
	case types.Bool, types.Int8, types.Uint8, types.Int16, types.Uint16:
		return true
	}
	return false
}

func enumeration(named *types.Named) bool {
	scope := named.Obj().Pkg().Scope()
	constants := 0
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && types.Identical(c.Type(), named) {
			constants++
		}
	}
	return constants > 1
}

// ends reports whether a name says that something is over.
func ends(names ...string) bool {
	for _, name := range names {
		for _, word := range split(strings.Map(letters, name)) {
			switch word {
			case "deleted", "delete", "removed", "remove", "closed", "close", "disconnected", "disconnect", "ended", "end", "expired",
				"left", "leave", "logout", "signout", "terminated", "terminate", "destroyed", "destroy", "unsubscribe", "unregister",
				"bye", "quit", "stop", "stopped", "cancel", "cancelled", "canceled", "finished", "complete", "completed", "kick":
				return true
			}
		}
	}
	return false
}

// hasWord reports whether one of the words is in the name.
func hasWord(name string, words ...string) bool {
	return slices.ContainsFunc(split(name), func(w string) bool { return slices.Contains(words, w) })
}

func isComparison(op token.Token) bool {
	switch op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ:
		return true
	}
	return false
}
