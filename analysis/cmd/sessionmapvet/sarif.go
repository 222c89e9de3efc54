package main

import (
	"bytes"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/owenrumney/go-sarif/v3/pkg/report"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

// A sarifWriter makes a log by the standard SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
type sarifWriter struct {
	*command
	p     *sessionleak.Program
	lines map[string][][]byte // of the files that were read
}

// printSARIF writes the findings, with the fixes that there are. What could not be read is told as broken.
func (c *command) printSARIF(p *sessionleak.Program, findings []sessionleak.Finding, broken error) error {
	w := sarifWriter{c, p, make(map[string][][]byte)}
	run := sarif.NewRunWithInformationURI("sessionmapvet", sessionleak.URL).WithColumnKind("unicodeCodePoints")
	if info, ok := debug.ReadBuildInfo(); ok {
		run.Tool.Driver.WithVersion(info.Main.Version)
	}
	for _, rule := range sessionleak.Rules() {
		run.AddRule(rule.Name).WithDescription(rule.Doc).WithHelpURI(sessionleak.URL + "#hdr-What_it_reports")
	}
	invocation := sarif.NewInvocation().WithExecutionSuccessful(broken == nil)
	if broken != nil {
		for line := range strings.SplitSeq(broken.Error(), "\n") {
			invocation.AddToolExecutionNotification(sarif.NewNotification().WithLevel("error").WithMessage(sarif.NewTextMessage(line)))
		}
	}
	run.AddInvocation(invocation)
	for _, f := range findings {
		result := run.CreateResultForRule(f.Rule).WithLevel("warning").WithMessage(sarif.NewTextMessage(f.Message)).
			AddLocation(sarif.NewLocationWithPhysicalLocation(w.place(f.Pos)))
		for _, r := range f.Related {
			result.AddRelatedLocation(sarif.NewLocationWithPhysicalLocation(w.place(r.Pos)).WithMessage(sarif.NewTextMessage(r.Message)))
		}
		for _, fix := range f.Fixes {
			result.AddFixe(w.fix(fix))
		}
	}
	r := report.NewV210Report()
	r.AddRun(run)
	return r.PrettyWrite(c.out)
}

func (w *sarifWriter) fix(fix sessionleak.Fix) *sarif.Fix {
	changes := make(map[string]*sarif.ArtifactChange)
	made := sarif.NewFix().WithDescription(sarif.NewTextMessage(fix.Message))
	for _, e := range fix.Edits {
		from, to := w.p.Written(e.Pos), w.p.Written(e.End)
		change := changes[from.Filename]
		if change == nil {
			change = sarif.NewArtifactChange().WithArtifactLocation(w.artifact(from))
			changes[from.Filename] = change
			made.AddArtifactChange(change)
		}
		change.AddReplacement(sarif.NewReplacement().
			WithDeletedRegion(w.region(from).WithEndLine(to.Line).WithEndColumn(w.column(to))).
			WithInsertedContent(sarif.NewArtifactContent().WithText(e.Text)))
	}
	return made
}

func (w *sarifWriter) place(at token.Pos) *sarif.PhysicalLocation {
	pos := w.p.Position(at)
	return sarif.NewPhysicalLocation().WithArtifactLocation(w.artifact(pos)).WithRegion(w.region(pos))
}

func (w *sarifWriter) region(pos token.Position) *sarif.Region {
	return sarif.NewRegion().WithStartLine(pos.Line).WithStartColumn(w.column(pos))
}

// artifact names a file as a URI: a relative one below the directory in which the command runs.
func (w *sarifWriter) artifact(pos token.Position) *sarif.ArtifactLocation {
	name := filepath.ToSlash(w.file(pos))
	uri := url.URL{Path: name}
	if filepath.IsAbs(name) {
		uri = url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(name, "/")} // file:///C:/ on Windows
	}
	return sarif.NewSimpleArtifactLocation(uri.String())
}

// column counts characters, where package token counts bytes. If the line cannot be read these are as good as there is.
func (w *sarifWriter) column(pos token.Position) int {
	lines, ok := w.lines[pos.Filename]
	if !ok {
		source, err := os.ReadFile(pos.Filename)
		if err == nil {
			lines = bytes.Split(source, []byte("\n"))
		}
		w.lines[pos.Filename] = lines
	}
	if pos.Line > len(lines) || pos.Column > len(lines[pos.Line-1])+1 {
		return pos.Column
	}
	return utf8.RuneCount(lines[pos.Line-1][:pos.Column-1]) + 1
}
