package main

import (
	"encoding/json"
	"fmt"
	"go/token"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

// print writes the findings in the format asked for. Broken is what could not be read, if anything.
func (c *command) print(p *sessionleak.Program, findings []sessionleak.Finding, broken error) error {
	switch c.format {
	case "json":
		reports := make([]jsonReport, 0, len(findings))
		for _, f := range findings {
			reports = append(reports, c.jsonReport(p, f))
		}
		return c.writeJSON(reports)
	case "sarif":
		return c.printSARIF(p, findings, broken)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(c.out, "%s: %s: %s\n", c.place(p, f.Pos), f.Rule, f.Message); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) writeJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "\t")
	return e.Encode(v)
}

// file returns a file's name as seen from where the command runs, if it is below.
func (c *command) file(pos token.Position) string {
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return pos.Filename
	}
	rel, err := filepath.Rel(dir, pos.Filename)
	if err != nil || !filepath.IsLocal(rel) {
		return pos.Filename
	}
	return rel
}

func (c *command) place(p *sessionleak.Program, at token.Pos) string {
	pos := p.Position(at)
	return fmt.Sprintf("%s:%d:%d", c.file(pos), pos.Line, pos.Column)
}

// A jsonReport is a finding, or with -audit a container, as JSON.
type jsonReport struct {
	Rule      string        `json:"rule,omitempty"`
	Container string        `json:"container,omitempty"`
	Position  string        `json:"position"`
	Message   string        `json:"message"`
	Related   []jsonRelated `json:"related,omitempty"`
	Growth    []jsonRelated `json:"growth,omitempty"`
	Removals  []jsonRelated `json:"removals,omitempty"`
	Type      string        `json:"type,omitempty"`
}

type jsonRelated struct {
	Position string `json:"position"`
	Message  string `json:"message"`
}

func (c *command) jsonReport(p *sessionleak.Program, f sessionleak.Finding) jsonReport {
	return jsonReport{Rule: f.Rule, Container: f.Container, Position: c.place(p, f.Pos), Message: f.Message, Related: c.jsonRelated(p, f.Related)}
}

func (c *command) jsonRelated(p *sessionleak.Program, all []sessionleak.Related) []jsonRelated {
	var list []jsonRelated
	for _, r := range all {
		list = append(list, jsonRelated{c.place(p, r.Pos), r.Message})
	}
	return list
}

// printAudit writes a table of all long-lived maps and slices that grow, and of caches.
func (c *command) printAudit(p *sessionleak.Program) error {
	verdicts := p.Verdicts()
	if c.format == "json" {
		reports := make([]jsonReport, 0, len(verdicts))
		for _, v := range verdicts {
			reports = append(reports, jsonReport{
				Rule: v.Rule, Container: v.Container, Position: c.place(p, v.Pos), Message: v.Reason, Type: v.Type,
				Growth: c.jsonRelated(p, v.Growth), Removals: c.jsonRelated(p, v.Removals),
			})
		}
		return c.writeJSON(reports)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTAINER\tTYPE\tDECLARED\tGROWS\tSHRINKS\tVERDICT")
	for _, v := range verdicts {
		verdict := "ok: " + v.Reason
		if v.Rule != "" {
			verdict = v.Rule + ": " + v.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Container, v.Type, c.place(p, v.Pos), c.places(p, v.Growth), c.places(p, v.Removals), verdict)
	}
	return w.Flush()
}

// places names the first few of some places, and how many there are more.
func (c *command) places(p *sessionleak.Program, all []sessionleak.Related) string {
	const most = 3
	var names []string
	for i, r := range all {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		pos := p.Position(r.Pos)
		names = append(names, fmt.Sprintf("%s:%d", filepath.Base(pos.Filename), pos.Line))
	}
	if names == nil {
		return "nowhere"
	}
	return strings.Join(names, " ")
}
