package sessionmapprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sessionmap/sessionmap"
)

// A figure is one metric that is read off the Stats of a map, a group or an attribute.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(sessionmap.Stats) float64
}

func gauge(name, help string, labels []string, of func(sessionmap.Stats) float64) figure {
	return figure{prometheus.NewDesc("sessionmap_"+name, help, labels, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, labels []string, of func(sessionmap.Stats) uint64) figure {
	return figure{
		prometheus.NewDesc("sessionmap_"+name+"_total", help, labels, nil), prometheus.CounterValue,
		func(s sessionmap.Stats) float64 { return float64(of(s)) },
	}
}

var (
	ofMap       = []string{"map"}
	ofAttribute = []string{"map", "attribute"}
)

// The figures of maps and groups.
var mapFigures = []figure{
	gauge("sessions", "Sessions now, expired ones that no sweep has met included.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.Live) }),
	gauge("cost", "Cost of all values, in the unit of the map's cost function; 0 without one.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.Cost) }),
	counter("sets", "Values put in, those that replaced another and those rejected included.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.Sets }),
	counter("hits", "Reads that found the key; of a group, those of its attributes.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.Hits }),
	counter("misses", "Reads that did not find the key; of a group, those of its attributes.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.Misses }),
	gauge("leases", "Leases held now.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.Leases) }),
	gauge("overdue_leases", "Leases that had been held for too long when a sweep last looked.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.OverdueLeases) }),
	counter("lost_leases", "Leases that were collected without a release.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.LostLeases }),
	counter("sweeps", "Sweeps for expired sessions.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.Sweeps }),
	gauge("longest_sweep_seconds", "What the longest sweep so far took, its callbacks included.", ofMap,
		func(s sessionmap.Stats) float64 { return s.LongestSweep.Seconds() }),
	counter("callback_panics", "Panics of callbacks.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.CallbackPanics }),
	counter("close_errors", "Errors of values that were closed as they left.", ofMap,
		func(s sessionmap.Stats) uint64 { return s.CloseErrors }),
}

// The bounds of maps and groups. One that is 0 is none, and has no series.
var mapBounds = []figure{
	gauge("sessions_max", "The bound on sessions; absent if there is none.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.MaxSize) }),
	gauge("cost_max", "The bound on cost; absent if there is none.", ofMap,
		func(s sessionmap.Stats) float64 { return float64(s.MaxCost) }),
}

// The figures of groups' attributes.
var attributeFigures = []figure{
	gauge("attribute_values", "Sessions now that have the attribute.", ofAttribute,
		func(s sessionmap.Stats) float64 { return float64(s.Live) }),
	counter("attribute_sets", "Values put in, those that replaced another and those rejected included.", ofAttribute,
		func(s sessionmap.Stats) uint64 { return s.Sets }),
	counter("attribute_hits", "Reads that found a value.", ofAttribute,
		func(s sessionmap.Stats) uint64 { return s.Hits }),
	counter("attribute_misses", "Reads that found none.", ofAttribute,
		func(s sessionmap.Stats) uint64 { return s.Misses }),
	counter("attribute_callback_panics", "Panics of the attribute's callbacks.", ofAttribute,
		func(s sessionmap.Stats) uint64 { return s.CallbackPanics }),
	counter("attribute_close_errors", "Errors of values that were closed as they left.", ofAttribute,
		func(s sessionmap.Stats) uint64 { return s.CloseErrors }),
}

// The removals have a series for each cause there is, from 0 on, so that rate() sees the first one.
var (
	mapRemovals = prometheus.NewDesc("sessionmap_removals_total",
		"Values that left, by cause.", append(ofMap, "cause"), nil)
	attributeRemovals = prometheus.NewDesc("sessionmap_attribute_removals_total",
		"Values that left, by cause.", append(ofAttribute, "cause"), nil)
)

func send(ch chan<- prometheus.Metric, figures []figure, s sessionmap.Stats, labels ...string) {
	for _, f := range figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(s), labels...)
	}
}

func sendBounds(ch chan<- prometheus.Metric, bounds []figure, s sessionmap.Stats, labels ...string) {
	for _, f := range bounds {
		if bound := f.of(s); bound > 0 {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, bound, labels...)
		}
	}
}

func sendRemovals(ch chan<- prometheus.Metric, desc *prometheus.Desc, s sessionmap.Stats, labels ...string) {
	for cause := range sessionmap.Causes() {
		name, _ := cause.MarshalText()
		n := float64(s.Removals[cause])
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, n, append(labels, string(name))...)
	}
}
