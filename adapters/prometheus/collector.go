// Package sessionmapprom shows the maps and groups of the process to Prometheus. Its name is not that of its
// directory, so that it can stand beside package prometheus of client_golang:
//
//	import "github.com/sessionmap/sessionmap/adapters/prometheus" // sessionmapprom
//
//	prometheus.MustRegister(sessionmapprom.NewCollector())
//
// That is all: maps are found as they are made and vanish when they are closed or collected. metrics.go has the
// names. The file dashboard.json is a dashboard for Grafana that shows them; import it and choose the data source.
//
// # Labels
//
// Every series has the label map, which is [sessionmap.Instance.Label]: the name of the map or group, with its
// number where there is none or another has the same, as in "agents#3". Name your maps (see [sessionmap.WithName]),
// and their series stay the same from one run of the program to the next. The figures of a group's attributes have
// the label attribute besides, those of removals the label cause.
//
// Figures begin at 0 with the map. One that takes the place of another of its name looks like a restart of the
// counters, which rate() knows how to deal with. What a map did between the last scrape and its end is not seen by
// Prometheus; that includes the removals by Close.
package sessionmapprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sessionmap/sessionmap"
)

// A Collector is a [prometheus.Collector] of the live maps and groups of the process. It is safe for concurrent use,
// holds no map between scrapes, and takes no lock but, for a moment for each attribute, that of its group. A scrape takes
// about 25 µs a map, which has 25 series. NewCollector makes one.
//
// One Collector shows all maps, so a registry needs no second one, and refuses it. Those who want two, with
// different filters, tell them apart with [prometheus.WrapRegistererWith].
type Collector struct {
	filter func(sessionmap.Instance) bool
}

// An Option sets one property of a [Collector].
type Option interface{ apply(*Collector) }

type option func(*Collector)

func (o option) apply(c *Collector) { o(c) }

// WithFilter shows those maps and groups only, and those groups' attributes, for which filter returns true. It is
// called for each of them at every scrape, by several goroutines where several scrape, and must not keep the
// Instance. The default, and nil, is all.
func WithFilter(filter func(sessionmap.Instance) bool) Option {
	return option(func(c *Collector) { c.filter = filter })
}

// NewCollector returns a Collector of all maps and groups, those made later included. Of an option given twice the
// last counts.
func NewCollector(opts ...Option) *Collector {
	c := &Collector{}
	for _, o := range opts {
		o.apply(c)
	}
	return c
}

// Describe sends the descriptions of all metrics, also of those that no map has at present.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, figures := range [][]figure{mapFigures, mapBounds, attributeFigures} {
		for _, f := range figures {
			ch <- f.desc
		}
	}
	ch <- mapRemovals
	ch <- attributeRemovals
}

// Collect sends the figures of the maps and groups that are live now.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for in := range sessionmap.Instances() {
		if c.filter != nil && !c.filter(in) {
			continue
		}
		s := in.Stats()
		send(ch, mapFigures, s, in.Label)
		sendBounds(ch, mapBounds, s, in.Label)
		sendRemovals(ch, mapRemovals, s, in.Label)
		for _, s := range in.Attributes() {
			send(ch, attributeFigures, s, in.Label, s.Name)
			sendRemovals(ch, attributeRemovals, s, in.Label, s.Name)
		}
	}
}
