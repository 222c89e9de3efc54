package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"runtime"
)

// The page is one file without any outside part, to be mailed or put into a ticket.

//go:embed page.html
var pageSource string

// The code that the page shows is the code that ran.
//
//go:embed ourhost.go
var ourHostSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

func (s story) writePage(path string) error {
	page, err := s.page()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("leakstory: writing the page: %w", err)
	}
	return nil
}

// A pageContestant is what the page says of one contestant.
type pageContestant struct {
	Name, About          string
	Colour               template.CSS
	Dashed               bool
	Heap, RSS, PerRound  string
	Round                int
	Sessions, Goroutines int
	Flat, Stopped        bool
}

func (s story) page() ([]byte, error) {
	heap, err := s.svgChart("heap in use, MB", func(s sample) float64 { return float64(s.Heap) / megabyte })
	if err != nil {
		return nil, err
	}
	goroutines, err := s.svgChart("goroutines", func(s sample) float64 { return float64(s.Goroutines) })
	if err != nil {
		return nil, err
	}
	var all []pageContestant
	for _, r := range s.Results {
		last, l := r.last(), looks[r.Contestant.Key]
		all = append(all, pageContestant{
			Name: r.Contestant.Name, About: r.Contestant.About,
			Colour: template.CSS(l.css()), Dashed: len(l.dashes) > 0,
			Heap: mb(last.Heap), RSS: mb(last.RSS), PerRound: fmt.Sprintf("%+.1f", r.trend().perRound/megabyte),
			Round: last.Round, Sessions: last.Sessions, Goroutines: last.Goroutines,
			Flat: r.judge(s.Plan) == nil, Stopped: r.Stopped,
		})
	}
	verdict := ""
	if err := s.ours().judge(s.Plan); err != nil {
		verdict = err.Error()
	}
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{
		"Plan":            s.Plan,
		"Lost":            s.Plan.lostShare(),
		"RoundMB":         mb(s.Plan.RoundBytes),
		"StopMB":          mb(s.Plan.StopAt),
		"Idle":            s.Plan.idleTimeout(),
		"NotFlat":         verdict,
		"Contestants":     all,
		"HeapChart":       heap,
		"GoroutinesChart": goroutines,
		"Columns":         columns,
		"Rows":            s.rows(),
		"Code":            ourHostSource,
		"Made":            s.Made.Format("2 January 2006"),
		"Machine":         fmt.Sprintf("%s, %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
	})
	if err != nil {
		return nil, fmt.Errorf("leakstory: making the page: %w", err)
	}
	return b.Bytes(), nil
}
