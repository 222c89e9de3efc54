package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A picture is a file that the results and README show.
type picture struct {
	file, title string
	plot        *plot.Plot
}

const (
	pictureWidth  = 7.5 * vg.Inch
	pictureHeight = 4 * vg.Inch
	margin        = 8 // points
)

// A look is how a contestant is drawn. Colour is never the only difference.
type look struct {
	rgb   color.RGBA
	glyph draw.GlyphDrawer
	dash  []vg.Length
}

// drawn are the contestants that the line charts show: more would be a thicket.
var drawn = map[string]look{
	ours:                   {color.RGBA{0x0B, 0x7A, 0x53, 0xFF}, draw.CircleGlyph{}, nil},
	oursCoarse:             {color.RGBA{0x57, 0xB8, 0x94, 0xFF}, draw.CircleGlyph{}, []vg.Length{5, 2}},
	"otter":                {color.RGBA{0xC2, 0x4E, 0x00, 0xFF}, draw.TriangleGlyph{}, nil},
	"otter coarse":         {color.RGBA{0xE3, 0x9B, 0x4A, 0xFF}, draw.PyramidGlyph{}, []vg.Length{5, 2}},
	"ttlcache":             {color.RGBA{0xB0, 0x2A, 0x5B, 0xFF}, draw.SquareGlyph{}, nil},
	"golang-lru expirable": {color.RGBA{0x6A, 0x51, 0xA3, 0xFF}, draw.BoxGlyph{}, []vg.Length{2, 2}},
	"theine":               {color.RGBA{0x8C, 0x6D, 0x31, 0xFF}, draw.PlusGlyph{}, []vg.Length{6, 2, 1, 2}},
	"phuslu/lru":           {color.RGBA{0x1F, 0x5F, 0xB4, 0xFF}, draw.RingGlyph{}, nil},
	"xsync.Map":            {color.RGBA{0x77, 0x77, 0x77, 0xFF}, draw.CrossGlyph{}, []vg.Length{1, 3}},
	"mutex+map+list":       {color.RGBA{0x33, 0x33, 0x33, 0xFF}, draw.CrossGlyph{}, []vg.Length{4, 4}},
}

func (r results) draw() ([]picture, error) {
	var all []picture
	for _, make := range []func() (picture, bool, error){r.throughputOverEntries, r.throughputOverGoroutines, r.memory, r.stalls} {
		p, ok, err := make()
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", p.file, err)
		}
		if ok {
			all = append(all, p)
		}
	}
	return all, nil
}

func save(pictures []picture, dir string) error {
	for _, p := range pictures {
		canvas := vgsvg.New(pictureWidth, pictureHeight)
		page := draw.New(canvas)
		page.SetColor(color.White) // readable on a dark page too
		page.Fill(page.Rectangle.Path())
		p.plot.Draw(draw.Crop(page, margin, -2*margin, margin, -margin))
		var svg bytes.Buffer
		if _, err := canvas.WriteTo(&svg); err != nil {
			return fmt.Errorf("drawing %s: %w", p.file, err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.file), svg.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lines draws the throughput of one workload over one of the dimensions of the grid.
func (r results) lines(file, title, axis string, at []int, where func(x int) cell) (picture, bool, error) {
	p := newPlot(title)
	p.X.Label.Text, p.Y.Label.Text = axis, "million operations a second"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, tickAt(at)
	p.Y.Min = 0
	p.Legend.Top = true
	some := false
	for _, who := range r.plan.contestants {
		l, ok := drawn[who.name]
		if !ok {
			continue
		}
		var points plotter.XYs
		for _, x := range at {
			if nanos := r.grid.median(where(x), who.name); nanos > 0 {
				points = append(points, plotter.XY{X: float64(x), Y: 1000 / nanos})
			}
		}
		if len(points) == 0 {
			continue
		}
		some = true
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return picture{file: file}, false, err
		}
		line.Color, line.Dashes, line.Width = l.rgb, l.dash, 1.5
		marks.Color, marks.Shape, marks.Radius = l.rgb, l.glyph, 3
		if who.name == ours {
			line.Width = 3
		}
		p.Add(line, marks)
		p.Legend.Add(who.name, line, marks)
	}
	beside(p)
	return picture{file, title, p}, some && len(at) > 1, nil
}

func (r results) throughputOverEntries() (picture, bool, error) {
	g := min(2, r.plan.goroutines[len(r.plan.goroutines)-1])
	title := fmt.Sprintf("Get, uniform keys, %d goroutines", g)
	return r.lines("throughput-entries.svg", title, "entries", r.plan.entries, func(n int) cell { return cell{"get-uniform", n, g} })
}

func (r results) throughputOverGoroutines() (picture, bool, error) {
	n := r.plan.entries[len(r.plan.entries)-1]
	title := fmt.Sprintf("Traffic, 90 %% reads, %s sessions", short(n))
	return r.lines("throughput-goroutines.svg", title, "goroutines", r.plan.goroutines, func(g int) cell { return cell{"mixed-90", n, g} })
}

func (r results) memory() (picture, bool, error) {
	n := r.plan.entries[len(r.plan.entries)-1]
	c := cell{bytesPerEntry, n, atRest}
	title := fmt.Sprintf("Heap bytes an entry, %s sessions, without id and value", short(n))
	return r.bars("bytes.svg", title, "bytes an entry", false, func(who string) (float64, string) { return r.grid.median(c, who), "" })
}

func (r results) stalls() (picture, bool, error) {
	title := fmt.Sprintf("The longest wait for a Get or Set while %s sessions expire", short(r.plan.expiry.entries))
	return r.bars("sweep.svg", title, "milliseconds", true, func(who string) (float64, string) {
		e := r.expiries[who]
		if e == nil {
			return 0, ""
		}
		beside := ""
		if e.left > 0 {
			beside = fmt.Sprintf(" (%.0f %% not removed in %v)", e.left, r.plan.expiry.patience)
		}
		return max(median(e.getMax), median(e.setMax)), beside
	})
}

// bars draws one figure of all contestants that have it.
func (r results) bars(file, title, axis string, logarithmic bool, of func(who string) (value float64, beside string)) (picture, bool, error) {
	p := newPlot(title)
	p.X.Label.Text = axis
	var names []string
	highest := 0.0
	scale := func(v float64) float64 { return v }
	if logarithmic { // by hand, for bars of this package begin at 0
		scale = func(v float64) float64 { return math.Log10(v / barBase) }
		p.X.Tick.Marker = decades(scale)
	}
	for i := range r.plan.contestants { // from the bottom up
		who := r.plan.contestants[len(r.plan.contestants)-1-i].name
		value, beside := of(who)
		if value <= 0 || logarithmic && value <= barBase {
			continue
		}
		bar, err := plotter.NewBarChart(plotter.Values{scale(value)}, 14)
		if err != nil {
			return picture{file: file}, false, err
		}
		bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, float64(len(names)), 0
		bar.Color = color.RGBA{0x9A, 0xA5, 0xB1, 0xFF}
		if who == ours || who == oursCoarse {
			bar.Color = drawn[who].rgb
		}
		label, err := plotter.NewLabels(plotter.XYLabels{
			XYs:    plotter.XYs{{X: scale(value), Y: float64(len(names))}},
			Labels: []string{" " + figure(value) + beside},
		})
		if err != nil {
			return picture{file: file}, false, err
		}
		label.TextStyle[0].YAlign = -0.4
		label.TextStyle[0].Font = p.X.Tick.Label.Font
		p.Add(bar, label)
		names = append(names, who)
		highest = max(highest, scale(value))
	}
	if len(names) == 0 {
		return picture{file: file}, false, nil
	}
	p.NominalY(names...)
	p.Y.Padding = 4
	p.X.Min, p.X.Max = 0, highest*1.15
	return picture{file, title, p}, true, nil
}

// barBase is where logarithmic bars begin, in milliseconds.
const barBase = 0.01

func decades(scale func(float64) float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, v := range []float64{0.01, 0.1, 1, 10, 100, 1000, 10_000} {
		ticks = append(ticks, plot.Tick{Value: scale(v), Label: fmt.Sprint(v)})
	}
	return ticks
}

func newPlot(title string) *plot.Plot {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = 8
	p.BackgroundColor = color.White
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.RGBA{0xDD, 0xDD, 0xDD, 0xFF}
	p.Add(grid)
	return p
}

// beside makes room for the legend on the right of the lines.
func beside(p *plot.Plot) {
	p.Legend.TextStyle.Font.Size = 9
	p.Legend.XOffs = 0
	p.X.Max = p.X.Max * 8
}

func tickAt(at []int) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, x := range at {
		ticks = append(ticks, plot.Tick{Value: float64(x), Label: short(x)})
	}
	return ticks
}
