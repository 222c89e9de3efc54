package sessionleak

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A layer is what makes a removal happen.
type layer int

const (
	byCaller   layer = iota // whoever calls an exported function, or one that is stored somewhere
	byDefer                 // the end of the function that inserted
	bySweep                 // a timer, or a look at all elements
	byContext               // the end of a context, a connection, a blocking loop
	byBound                 // a size that is reached
	byEvent                 // a message or an event
	byLookup                // a look at the same key once it has expired
	byTeardown              // the end of the container itself
	byNothing               // the function is there, but nothing calls it
)

var layerNames = [...]string{"caller", "defer", "sweep", "end of work", "bound", "event", "lookup", "teardown", "nothing"}

func (l layer) String() string { return layerNames[l] }

// lost reports whether a removal by this layer alone may never come.
func (l layer) lost() bool { return l >= byEvent }

// layers maps those that a removal has to what they are called in the code.
type layers map[layer]string

func (l layers) add(more layers) {
	for k, v := range more {
		if _, ok := l[k]; !ok {
			l[k] = v
		}
	}
}

// sorted returns the layers, those that can be relied upon first.
func (l layers) sorted() []layer { return slices.Sorted(maps.Keys(l)) }

// layersOf tells what makes a statement run: its innermost scope that decides, else what makes its function run.
func (p *Program) layersOf(at place) layers { return p.layersBut(at, nil) }

// layersBut is layersOf without a look at who sends on some channels: a message that is put back, as into a channel that serves
// for a lock, is sent from where it was received.
func (p *Program) layersBut(at place, channels []string) layers {
	if at.in.defers(at.pos) {
		return layers{byDefer: ""}
	}
	inLoop, lookup := false, false
	for _, s := range at.scopes {
		inLoop = inLoop || s.kind == looped
	}
	for _, s := range slices.Backward(at.scopes) {
		switch s.kind {
		case ticks:
			return layers{bySweep: ""}
		case ended:
			return layers{byContext: ""}
		case bounded:
			return layers{byBound: ""}
		case event:
			return layers{byEvent: s.label}
		case expired:
			if inLoop {
				return layers{bySweep: ""}
			}
			lookup = true
		case received:
			if slices.Contains(channels, s.label) {
				continue
			}
			senders := p.sends[s.label]
			if len(senders) == 0 {
				return layers{byEvent: "a message on a channel"}
			}
			found := make(layers)
			for _, sender := range senders {
				found.add(p.layersBut(sender, append(slices.Clip(channels), s.label)))
			}
			return found
		}
	}
	found := maps.Clone(p.layersOfFunction(at.in))
	if lookup { // whoever asks for the key, be it a caller or a request
		before := len(found)
		maps.DeleteFunc(found, func(l layer, _ string) bool { return l == byCaller || l == byEvent })
		if len(found) < before {
			found[byLookup] = ""
		}
	}
	return found
}

// defers reports whether a position is in a defer statement of f.
func (f *function) defers(pos token.Pos) bool {
	for n := range f.enclosing(pos) {
		if _, ok := n.(*ast.DeferStmt); ok {
			return true
		}
	}
	return false
}

// layersOfFunction returns what makes a function run. It goes around in the functions that it comes from until nothing is
// added any more.
func (p *Program) layersOfFunction(f *function) layers {
	if found, ok := p.runBy[f]; ok {
		return found
	}
	callers := p.callers(f)
	for _, g := range callers {
		if p.runBy[g] == nil {
			p.runBy[g] = make(layers)
		}
	}
	for changed := true; changed; {
		changed = false
		for _, g := range callers {
			before := len(p.runBy[g])
			p.runBy[g].add(p.runsBy(g))
			changed = changed || len(p.runBy[g]) > before
		}
	}
	return p.runBy[f]
}

// callers returns the functions that f comes to run from, and f, each after those that it comes from if it can be.
func (p *Program) callers(f *function) []*function {
	var order []*function
	seen := make(map[*function]bool)
	var from func(at place)
	visit := func(g *function) {
		if seen[g] {
			return
		}
		seen[g] = true
		for _, e := range g.runs {
			from(e.at)
		}
		order = append(order, g)
	}
	received := make(map[string]bool)
	from = func(at place) {
		for _, s := range at.scopes {
			if senders := p.sends[s.label]; s.label != "" && len(senders) > 0 && !received[s.label] {
				received[s.label] = true
				for _, sender := range senders {
					from(sender)
				}
			}
		}
		visit(at.in)
	}
	visit(f)
	return order
}

// runsBy returns what makes a function run, as far as that is known of those that call it.
func (p *Program) runsBy(f *function) layers {
	found := make(layers)
	for _, e := range f.runs {
		switch e.how {
		case deferred:
			found.add(layers{byDefer: ""})
		case timed:
			found.add(layers{bySweep: ""})
		case finally:
			found.add(layers{byContext: ""})
		case handler:
			found.add(layers{byEvent: e.label})
		case called, spawned, handed, kept:
			found.add(p.layersOf(e.at))
		case stored:
			found.add(layers{byCaller: ""})
		}
	}
	if f.unused() {
		return layers{byNothing: f.name()}
	}
	if f.exported() || len(f.runs) == 0 {
		if f.servesHTTP() && ends(f.name()) {
			found.add(layers{byEvent: "the request that " + f.name() + " serves"})
			return found
		}
		found.add(layers{byCaller: f.name()})
	}
	return found
}

// unused reports whether nothing calls f, or uses it otherwise: its package would have to, as its name is not exported.
func (f *function) unused() bool {
	return f.obj != nil && len(f.runs) == 0 && !f.obj.Exported() && !f.isMain() && f.name() != "init" && !f.calledFromOutside()
}

// calledFromOutside reports whether a directive makes f known to C, or to the linker.
func (f *function) calledFromOutside() bool {
	return f.decl.Doc != nil && slices.ContainsFunc(f.decl.Doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//export ") || strings.HasPrefix(c.Text, "//go:linkname ")
	})
}

// servesHTTP reports whether f has the parameters of an HTTP handler.
func (f *function) servesHTTP() bool {
	switch {
	case f.obj != nil:
		return isHTTPHandler(f.obj.Type())
	case f.lit != nil:
		return isHTTPHandler(f.pkg.Info.TypeOf(f.lit))
	}
	return false
}

var setupPrefixes = strings.Fields("new init with parse compile must setup configure build decode unmarshal clone default option from")

// setup reports whether a function runs while things are made, not while sessions come: by its name, or because all that call
// it do, as main does. One in a goroutine of its own goes on when they are made.
func (p *Program) setup(f *function) bool {
	if is, ok := p.setsUp[f]; ok {
		return is
	}
	callers := p.callers(f)
	for _, g := range callers {
		if _, ok := p.setsUp[g]; !ok {
			p.setsUp[g] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, g := range callers {
			if p.setsUp[g] && !p.mayBeSetup(g) {
				p.setsUp[g], changed = false, true
			}
		}
	}
	return p.setsUp[f]
}

// duringSetup reports whether a place is reached while things are made: not in a loop without an end, such as that of a server.
func (p *Program) duringSetup(at place) bool { return p.setup(at.in) && !at.in.endless(at.pos) }

// endless reports whether a position is in a loop of f that goes on until it is told to end: it has no condition but a context's,
// or an atomic value's, or goes on with a channel.
func (f *function) endless(pos token.Pos) bool {
	for n := range f.enclosing(pos) {
		switch n := n.(type) {
		case *ast.ForStmt:
			if n.Cond == nil || n.Init == nil && n.Post == nil && f.untilTold(n.Cond) {
				return true
			}
		case *ast.RangeStmt:
			if _, isChan := under(f.pkg.Info.TypeOf(n.X)).(*types.Chan); isChan {
				return true
			}
		}
	}
	return false
}

// untilTold reports whether a condition is that a context has not ended, or that an atomic value is not set.
func (f *function) untilTold(condition ast.Expr) bool {
	told := false
	ast.Inspect(condition, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn := f.callee(call); fn != nil {
				switch fn.FullName() {
				case "(context.Context).Err", "(*sync/atomic.Bool).Load":
					told = true
				}
			}
		}
		return !told
	})
	return told
}

// repeated reports whether a position is in a loop of f that goes on for as long, or as many times, as it is told: what it calls
// is no setup. One over what there is, such as the parts of a configuration, may be.
func (f *function) repeated(pos token.Pos) bool {
	for n := range f.enclosing(pos) {
		switch n := n.(type) {
		case *ast.ForStmt:
			return true
		case *ast.RangeStmt:
			switch under(f.pkg.Info.TypeOf(n.X)).(type) {
			case *types.Chan, *types.Basic, *types.Signature:
				return true
			}
		}
	}
	return false
}

func (p *Program) mayBeSetup(f *function) bool {
	if f.isMain() {
		return true
	}
	if f.obj != nil {
		words := split(f.obj.Name())
		if len(words) > 0 && slices.Contains(setupPrefixes, words[0]) && p.Words.judge(f.obj.Name()) != session {
			return true
		}
		if f.exported() {
			return false
		}
	}
	if len(f.runs) == 0 {
		return f.initial()
	}
	return !slices.ContainsFunc(f.runs, func(e edge) bool {
		return e.how != called && e.how != handed && e.how != deferred || !p.setsUp[e.at.in] || e.at.in.repeated(e.at.pos)
	})
}
