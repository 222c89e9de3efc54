package main

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"os"
	"strings"

	"github.com/guptarohit/asciigraph"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A look is how a contestant is drawn. Colour is never the only difference.
type look struct {
	rgb    color.RGBA // readable on a light and on a dark page
	dashes []vg.Length
	ansi   asciigraph.AnsiColor
	mark   string
}

var looks = map[string]look{
	"plain":  {color.RGBA{0xD9, 0x3F, 0x4F, 0xFF}, nil, asciigraph.Red, "●"},
	"report": {color.RGBA{0xD0, 0x85, 0x12, 0xFF}, []vg.Length{6, 3}, asciigraph.Goldenrod, "○"},
	"ours":   {color.RGBA{0x1F, 0x9D, 0x73, 0xFF}, nil, asciigraph.Green, "·"},
}

func (l look) css() string { return fmt.Sprintf("#%02X%02X%02X", l.rgb.R, l.rgb.G, l.rgb.B) }

// terminalChart draws the heap of all contestants.
func (s story) terminalChart(watched bool) string {
	const width, height = 66, 12
	const step = 5 // labels are multiples of it
	highest := 0.0
	coloured := watched && os.Getenv("NO_COLOR") == ""
	var series [][]float64
	var colours []asciigraph.AnsiColor
	var marks []asciigraph.CharSet
	var legend []string
	for _, r := range s.Results {
		heaps := make([]float64, s.Plan.Rounds)
		for i := range heaps {
			heaps[i] = math.NaN() // is not drawn
			if i < len(r.Samples) {
				heaps[i] = float64(r.Samples[i].Heap) / megabyte
				highest = max(highest, heaps[i])
			}
		}
		l := looks[r.Contestant.Key]
		series = append(series, heaps)
		colours = append(colours, l.ansi)
		marks = append(marks, asciigraph.CreateCharSet(l.mark))
		legend = append(legend, l.mark+" "+r.Contestant.Name)
	}
	options := []asciigraph.Option{
		asciigraph.Width(width), asciigraph.Height(height), asciigraph.Precision(0),
		asciigraph.LowerBound(0), asciigraph.UpperBound(math.Ceil(highest/height/step) * height * step),
		asciigraph.XAxisRange(1, float64(s.Plan.Rounds)),
		asciigraph.XAxisValueFormatter(func(round float64) string { return fmt.Sprintf("%.0f", round) }),
		asciigraph.SeriesChars(marks...),
		asciigraph.Caption("MB of heap by round:  " + strings.Join(legend, "   ")),
	}
	if coloured {
		options = append(options, asciigraph.SeriesColors(colours...))
	}
	return asciigraph.PlotMany(series, options...) + "\n"
}

// svgChart draws one figure of all contestants, to stand inline on a page. It is small, with the text in
// proportion, so that a phone need not shrink it much.
func (s story) svgChart(label string, figure func(sample) float64) (template.HTML, error) {
	const width, height = 480, 270
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "round", label
	p.X.Min, p.X.Max, p.Y.Min = 1, float64(s.Plan.Rounds), 0
	p.X.Tick.Marker = plot.TickerFunc(roundTicks)
	p.BackgroundColor = color.Transparent
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.RGBA{0x80, 0x80, 0x80, 0xFF}
	grid.Horizontal.Width = 0.3
	p.Add(grid)
	for _, r := range s.Results {
		points := make(plotter.XYs, len(r.Samples))
		for i, sample := range r.Samples {
			points[i] = plotter.XY{X: float64(sample.Round), Y: figure(sample)}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return "", fmt.Errorf("leakstory: drawing %s: %w", label, err)
		}
		l := looks[r.Contestant.Key]
		line.Color, line.Dashes, line.Width = l.rgb, l.dashes, 2
		p.Add(line)
	}
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("leakstory: drawing %s: %w", label, err)
	}
	// The XML prologue has no place inside a page. Axes and text, which are black, follow the page's colour.
	_, svg, _ := strings.Cut(b.String(), "<svg")
	svg = strings.ReplaceAll(svg, "stroke:#000000", "stroke:currentColor")
	return template.HTML("<svg" + svg), nil
}

// roundTicks marks the first round and the multiples of a round number, few enough not to touch.
func roundTicks(first, last float64) []plot.Tick {
	const atMost = 8
	every := 1
	for _, step := range []int{2, 5, 10, 20, 50, 100, 200, 500, 1000} {
		if last/float64(every) > atMost {
			every = step
		}
	}
	ticks := []plot.Tick{{Value: first, Label: fmt.Sprint(first)}}
	for round := every; round <= int(last); round += every {
		if round > 1 {
			ticks = append(ticks, plot.Tick{Value: float64(round), Label: fmt.Sprint(round)})
		}
	}
	return ticks
}
