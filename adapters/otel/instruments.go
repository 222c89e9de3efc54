package sessionmapotel

import (
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sessionmap/sessionmap"
)

// A figure is one number that is read off the Stats of a map, a group or an attribute.
type figure struct {
	name, unit, description string
	of                      func(sessionmap.Stats) int64
}

// Those of maps and groups: what is there now, and what only grows. A bound of 0 is none, and not observed.
var (
	mapLevels = []figure{
		{"sessionmap.session.count", "{session}", "Sessions now, expired ones that no sweep has met included.",
			func(s sessionmap.Stats) int64 { return int64(s.Live) }},
		{"sessionmap.cost.usage", "1", "Cost of all values, in the unit of the map's cost function; 0 without one.",
			func(s sessionmap.Stats) int64 { return s.Cost }},
		{"sessionmap.lease.count", "{lease}", "Leases held now.",
			func(s sessionmap.Stats) int64 { return int64(s.Leases) }},
		{"sessionmap.lease.overdue", "{lease}", "Leases that had been held for too long when a sweep last looked.",
			func(s sessionmap.Stats) int64 { return int64(s.OverdueLeases) }},
	}
	mapBounds = []figure{
		{"sessionmap.session.limit", "{session}", "The bound on sessions; absent if there is none.",
			func(s sessionmap.Stats) int64 { return int64(s.MaxSize) }},
		{"sessionmap.cost.limit", "1", "The bound on cost; absent if there is none.",
			func(s sessionmap.Stats) int64 { return s.MaxCost }},
	}
	mapCounts = []figure{
		{"sessionmap.sets", "{set}", "Values put in, those that replaced another and those rejected included.",
			func(s sessionmap.Stats) int64 { return int64(s.Sets) }},
		{"sessionmap.hits", "{hit}", "Reads that found the key; of a group, those of its attributes.",
			func(s sessionmap.Stats) int64 { return int64(s.Hits) }},
		{"sessionmap.misses", "{miss}", "Reads that did not find the key; of a group, those of its attributes.",
			func(s sessionmap.Stats) int64 { return int64(s.Misses) }},
		{"sessionmap.lease.losses", "{lease}", "Leases that were collected without a release.",
			func(s sessionmap.Stats) int64 { return int64(s.LostLeases) }},
		{"sessionmap.sweeps", "{sweep}", "Sweeps for expired sessions.",
			func(s sessionmap.Stats) int64 { return int64(s.Sweeps) }},
		{"sessionmap.callback.panics", "{panic}", "Panics of callbacks.",
			func(s sessionmap.Stats) int64 { return int64(s.CallbackPanics) }},
		{"sessionmap.close.errors", "{error}", "Errors of values that were closed as they left.",
			func(s sessionmap.Stats) int64 { return int64(s.CloseErrors) }},
	}
)

// Those of groups' attributes.
var (
	attributeLevels = []figure{
		{"sessionmap.attribute.count", "{value}", "Sessions now that have the attribute.",
			func(s sessionmap.Stats) int64 { return int64(s.Live) }},
	}
	attributeCounts = []figure{
		{"sessionmap.attribute.sets", "{set}", "Values put in, those that replaced another and those rejected included.",
			func(s sessionmap.Stats) int64 { return int64(s.Sets) }},
		{"sessionmap.attribute.hits", "{hit}", "Reads that found a value.",
			func(s sessionmap.Stats) int64 { return int64(s.Hits) }},
		{"sessionmap.attribute.misses", "{miss}", "Reads that found none.",
			func(s sessionmap.Stats) int64 { return int64(s.Misses) }},
		{"sessionmap.attribute.callback.panics", "{panic}", "Panics of the attribute's callbacks.",
			func(s sessionmap.Stats) int64 { return int64(s.CallbackPanics) }},
		{"sessionmap.attribute.close.errors", "{error}", "Errors of values that were closed as they left.",
			func(s sessionmap.Stats) int64 { return int64(s.CloseErrors) }},
	}
)

// An instrument is that of a figure.
type instrument struct {
	figure
	metric.Int64Observable
}

// instruments are those of what has Stats.
type instruments struct {
	figures      []instrument
	bounds       []instrument
	removals     metric.Int64Observable
	longestSweep metric.Float64Observable // nil in that of the attributes
}

func newInstruments(m metric.Meter) (ofMap, ofAttribute instruments, err error) {
	b := builder{meter: m}
	ofMap = instruments{
		figures:      append(b.levels(mapLevels), b.counters(mapCounts)...),
		bounds:       b.levels(mapBounds),
		removals:     b.removals("sessionmap.removals"),
		longestSweep: b.longestSweep("sessionmap.sweep.longest"),
	}
	ofAttribute = instruments{
		figures:  append(b.levels(attributeLevels), b.counters(attributeCounts)...),
		removals: b.removals("sessionmap.attribute.removals"),
	}
	return ofMap, ofAttribute, errors.Join(b.errs...)
}

// observables are the instruments as a callback has to name them.
func (ins instruments) observables() []metric.Observable {
	all := []metric.Observable{ins.removals}
	for _, in := range slices.Concat(ins.figures, ins.bounds) {
		all = append(all, in.Int64Observable)
	}
	if ins.longestSweep != nil {
		all = append(all, ins.longestSweep)
	}
	return all
}

// observe gives o the figures of what has the attributes of.
func (ins instruments) observe(o metric.Observer, s sessionmap.Stats, of []attribute.KeyValue) {
	with := attributes(of)
	for _, in := range ins.figures {
		o.ObserveInt64(in.Int64Observable, in.of(s), with)
	}
	for _, in := range ins.bounds {
		if bound := in.of(s); bound > 0 {
			o.ObserveInt64(in.Int64Observable, bound, with)
		}
	}
	for cause := range sessionmap.Causes() {
		name, _ := cause.MarshalText()
		o.ObserveInt64(ins.removals, int64(s.Removals[cause]), attributes(of, causeKey.String(string(name))))
	}
	if ins.longestSweep != nil {
		o.ObserveFloat64(ins.longestSweep, s.LongestSweep.Seconds(), with)
	}
}

// attributes returns those given, which it leaves as they are.
func attributes(of []attribute.KeyValue, more ...attribute.KeyValue) metric.ObserveOption {
	return metric.WithAttributeSet(attribute.NewSet(slices.Concat(of, more)...))
}

// A builder makes instruments, and collects the errors of that.
type builder struct {
	meter metric.Meter
	errs  []error
}

func (b *builder) failed(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

func (b *builder) levels(figures []figure) (all []instrument) {
	for _, f := range figures {
		in, err := b.meter.Int64ObservableUpDownCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
		b.failed(err)
		all = append(all, instrument{f, in})
	}
	return all
}

func (b *builder) counters(figures []figure) (all []instrument) {
	for _, f := range figures {
		in, err := b.meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
		b.failed(err)
		all = append(all, instrument{f, in})
	}
	return all
}

func (b *builder) removals(name string) metric.Int64Observable {
	in, err := b.meter.Int64ObservableCounter(name, metric.WithUnit("{removal}"), metric.WithDescription("Values that left, by cause."))
	b.failed(err)
	return in
}

func (b *builder) longestSweep(name string) metric.Float64Observable {
	in, err := b.meter.Float64ObservableGauge(name, metric.WithUnit("s"),
		metric.WithDescription("What the longest sweep so far took, its callbacks included."))
	b.failed(err)
	return in
}
