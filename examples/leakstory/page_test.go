package main

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// told is a story in which the first contestant was stopped, and ours has the given heaps.
func told(ours func(round int) float64) story {
	p := fullPlan
	stopped := resultOf(6, func(round int) float64 { return 700 * float64(round) })
	stopped.Stopped = true
	s := story{Plan: p, Made: time.Date(2026, 2, 5, 0, 0, 0, 0, time.UTC), Results: []result{
		stopped,
		resultOf(p.Rounds, func(round int) float64 { return 70 * float64(round) }),
		resultOf(p.Rounds, ours),
	}}
	for i := range s.Results {
		s.Results[i].Contestant = contestants[i]
	}
	return s
}

func level(int) float64 { return 210 }

func TestPageStandsAlone(t *testing.T) {
	page, err := told(level).page()
	require.NoError(t, err)
	html := string(page)
	for _, outside := range []string{"<script", "<link", "<img", " src=", "url(", "@import"} {
		require.NotContains(t, html, outside)
	}
	require.Equal(t, 2, strings.Count(html, "<svg"))
	require.NotContains(t, html, "<?xml")
	require.NotContains(t, html, "NOT FLAT")
	require.Contains(t, html, "4200 MB")
	require.Contains(t, html, "where it was stopped")
	require.Contains(t, html, "func newOurHost(")
	require.NotContains(t, html, "ZgotmplZ", "what the template refuses to show")
}

func TestPageSaysWhenItIsNotFlat(t *testing.T) {
	page, err := told(func(round int) float64 { return 70 * float64(round) }).page()
	require.NoError(t, err)
	require.Contains(t, string(page), "NOT FLAT: sessionmap: ")
	require.NotContains(t, string(page), "Heap and goroutines stay level")
}

func TestChartIsXML(t *testing.T) {
	svg, err := told(level).svgChart("heap", func(s sample) float64 { return float64(s.Heap) })
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
}

func TestTableLinesUp(t *testing.T) {
	lines := strings.Split(told(level).table(), "\n")
	round, body := lines[1], lines[2:2+fullPlan.Rounds]
	for _, line := range body {
		require.Equal(t, utf8.RuneCountInString(round), utf8.RuneCountInString(line), line)
	}
	require.Contains(t, body[6], "stopped")
}

func TestTerminalChartHasNoColourInAFile(t *testing.T) {
	s := told(level)
	require.NotContains(t, s.terminalChart(false), "\x1b")
	t.Setenv("NO_COLOR", "")
	require.Contains(t, s.terminalChart(true), "\x1b")
	t.Setenv("NO_COLOR", "1")
	require.NotContains(t, s.terminalChart(true), "\x1b")
}

func TestRoundTicks(t *testing.T) {
	for last, want := range map[float64]string{8: "1 2 3 4 5 6 7 8", 20: "1 5 10 15 20", 30: "1 5 10 15 20 25 30", 100: "1 20 40 60 80 100"} {
		var labels []string
		for _, tick := range roundTicks(1, last) {
			labels = append(labels, tick.Label)
		}
		require.Equal(t, want, strings.Join(labels, " "))
	}
}
