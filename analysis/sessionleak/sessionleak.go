// Package sessionleak finds maps and other containers that live as long as the process and grow with its sessions, users,
// connections or requests, and from which nothing, or nothing that can be relied upon, takes them away again.
//
// [Analyzer] looks at one package at a time, for go vet and for golangci-lint. The command
// [github.com/sessionmap/sessionmap/analysis/cmd/sessionmapvet] looks at a whole program, and so finds more: what an exported
// container holds can be judged only where all code is known that reaches it.
//
// # What it reports
//
// Each report is one of these rules, at the place of growth:
//
//   - grows: a map, a sync.Map or a generic concurrent map gains entries, and nothing removes, empties or bounds it; or what would
//     is a function that nothing calls.
//   - eventonly: what removes from it runs only when an event or a message comes: an entry whose event is lost stays.
//   - lookup: what has expired is removed only when the same key is asked for again.
//   - satellite: a function that ends a session removes it from the map's neighbours, and forgets this one.
//   - return: a function removes what it inserted at its end, but returns, or may panic, before.
//   - stop: a timer, a cancel function or a channel that stops a goroutine is dropped with its entry, and not stopped.
//   - append: a history or a set that is a slice only grows.
//   - created: a sweep goes by the time of creation although entries are read later: it ends sessions that are in use.
//   - pinned: a time.AfterFunc arms itself for ever, and keeps its owner from being collected, unless that is the only one.
//   - cache: a cache of another library is made without a bound, or its goroutine is never stopped.
//
// # What counts as a session
//
// A key counts by the words in its name, in its type's name, and in what it was made from: sessionID, conn.RemoteAddr(), a
// value of type UserID, or what a generic struct is made for. [DefaultWords] has the words. One of a list in the configuration
// of the container's owner does not count. A container counts as long-lived if it is a package variable, or a local variable
// that an HTTP handler holds on to, or a field of a struct that several goroutines share, as its locks, atomics and channels
// show, or that is part of such a struct. It does not if its struct is a value of a context, or of an HTTP handler alone, or is
// made for a connection that a loop has accepted and kept to itself, or is itself in a container from which something removes
// it, or in a command that runs to its end. Packages for tests are not looked at, and generated code only for what it removes.
//
// # Silencing a report
//
// A comment //sessionmap:ok with a reason, on the line of the growth or of the declaration or on the line above, silences
// the report. Without a reason it silences nothing, and is itself reported.
package sessionleak

import (
	"fmt"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// URL is where the rules are explained.
const URL = "https://pkg.go.dev/github.com/sessionmap/sessionmap/analysis/sessionleak"

// Analyzer looks at one package at a time, with facts about the functions of those it imports, and counts keys by
// [DefaultWords]. Its flags -keys and -fixed change the words, as [Change] does.
var Analyzer = New(DefaultWords())

// New returns an analyzer that counts keys by the words given.
func New(words Words) *analysis.Analyzer {
	a := &analysis.Analyzer{
		Name: "sessionleak",
		Doc: `find maps that grow with sessions and are never, or not reliably, emptied

The analyzer reports maps, sync.Maps, slices and caches that live as long as the process, that grow with sessions, users,
connections or requests, and whose entries nothing removes, or only an event that may not come.`,
		URL:       URL,
		FactTypes: []analysis.Fact{new(Effects)},
	}
	a.Flags.Func("keys", "words that make a key that of a session, separated by commas; with - before it, a word no longer does", func(list string) error {
		return Change(&words.Sessions, list)
	})
	a.Flags.Func("fixed", "words that keep a key from being that of a session, separated by commas; with - before it, a word no longer does", func(list string) error {
		return Change(&words.Fixed, list)
	})
	a.Run = func(pass *analysis.Pass) (any, error) { return nil, run(pass, words) }
	return a
}

func run(pass *analysis.Pass, words Words) error {
	p := NewProgram(pass.Fset, words, false)
	p.imported = func(fn *types.Func) *Effects {
		e := new(Effects)
		if pass.ImportObjectFact(fn, e) {
			return e
		}
		return nil
	}
	version := ""
	if pass.Module != nil {
		version = pass.Module.GoVersion
	}
	p.Add(pass.Files, pass.Pkg, pass.TypesInfo, version)
	for _, f := range p.Findings() {
		pass.Report(f.diagnostic())
	}
	for _, f := range p.functions {
		if f.obj == nil || f.parent != nil {
			continue
		}
		if e := p.effects(f); e != nil {
			pass.ExportObjectFact(f.obj, e)
		}
	}
	return nil
}

func (f Finding) diagnostic() analysis.Diagnostic {
	d := analysis.Diagnostic{Pos: f.Pos, Category: f.Rule, Message: f.Rule + ": " + f.Message, URL: URL + "#hdr-What_it_reports"}
	for _, r := range f.Related {
		d.Related = append(d.Related, analysis.RelatedInformation{Pos: r.Pos, Message: r.Message})
	}
	for _, fix := range f.Fixes {
		s := analysis.SuggestedFix{Message: fix.Message}
		for _, e := range fix.Edits {
			s.TextEdits = append(s.TextEdits, analysis.TextEdit{Pos: e.Pos, End: e.End, NewText: []byte(e.Text)})
		}
		d.SuggestedFixes = append(d.SuggestedFixes, s)
	}
	return d
}

// Change adds the words of a list separated by commas to words, and takes those away that have a - before them. A word is of
// lower-case letters and digits; another is an error, and so is taking away one that is not there.
func Change(words *[]string, list string) error {
	changed := slices.Clone(*words)
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		name, gone := strings.CutPrefix(word, "-")
		if len(split(name)) != 1 || split(name)[0] != name {
			return fmt.Errorf("%q is no word: one is of lower-case letters and digits", word)
		}
		at := slices.Index(changed, name)
		switch {
		case gone && at < 0:
			return fmt.Errorf("%q cannot be taken away: it is not among the words", name)
		case gone:
			changed = slices.Delete(changed, at, at+1)
		case at < 0:
			changed = append(changed, name)
		}
	}
	*words = changed
	return nil
}
