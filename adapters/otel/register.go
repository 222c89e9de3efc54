// Package sessionmapotel gives the figures of the maps and groups of the process to OpenTelemetry. Its name is not
// that of its directory, so that it can stand beside package otel:
//
//	import "github.com/sessionmap/sessionmap/adapters/otel" // sessionmapotel
//
//	unregister, err := sessionmapotel.Register(otel.GetMeterProvider())
//
// That is all: maps are found as they are made and vanish when they are closed or collected. instruments.go has the
// names. The package needs the metrics API only; which SDK is behind it is the program's choice.
//
// # Attributes
//
// Every figure has the attributes sessionmap.map, which is [sessionmap.Instance.Label], the name of the map or group,
// and sessionmap.id, its [sessionmap.Instance.ID], which no other map of the process ever has. So each map has series of
// its own from its making to its end, and counters never go back: they fit cumulative as well as delta temporality. Name
// your maps (see [sessionmap.WithName]), and sum over sessionmap.id to see what a name stands for. The figures of a
// group's attributes have sessionmap.attribute besides, the removals sessionmap.cause.
//
// What a map did between the last collection and its end is not seen; that includes the removals by Close.
package sessionmapotel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sessionmap/sessionmap"
)

// scope is the name of the meter.
const scope = "github.com/sessionmap/sessionmap/adapters/otel"

// The attributes.
const (
	mapKey       = attribute.Key("sessionmap.map")
	idKey        = attribute.Key("sessionmap.id")
	attributeKey = attribute.Key("sessionmap.attribute")
	causeKey     = attribute.Key("sessionmap.cause")
)

// An Option sets one property of what [Register] registers.
type Option interface{ apply(*config) }

type config struct {
	filter func(sessionmap.Instance) bool
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// WithFilter gives the figures of those maps and groups only, and of those groups' attributes, for which filter
// returns true. It is called for each of them at every collection, by several goroutines where there are several
// readers, and must not keep the Instance. The default, and nil, is all.
func WithFilter(filter func(sessionmap.Instance) bool) Option {
	return option(func(c *config) { c.filter = filter })
}

// Register gives provider the figures of all maps and groups, those made later included, at each collection, until
// unregister is called; a collection under way then may still have them. Calling unregister again does nothing. Of
// an option given twice the last counts. The error is that of the provider, or tells that there is none.
//
// One Register a provider is enough. The figures of a map that several of them show add up, which is wrong.
//
// Nothing holds a map between collections. A collection takes about 25 µs a map, and no lock but, for a moment for
// each attribute, that of its group. The SDK keeps to a number of attribute sets for each instrument, by default 2000,
// which is that of the removals of 166 maps: see its WithCardinalityLimit.
func Register(provider metric.MeterProvider, opts ...Option) (unregister func() error, err error) {
	if provider == nil {
		return nil, errors.New("sessionmapotel: Register(nil): want a MeterProvider")
	}
	var c config
	for _, o := range opts {
		o.apply(&c)
	}
	meter := provider.Meter(scope)
	ofMap, ofAttribute, err := newInstruments(meter)
	if err != nil {
		return nil, fmt.Errorf("sessionmapotel: %w", err)
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for in := range sessionmap.Instances() {
			if c.filter == nil || c.filter(in) {
				observe(o, in, ofMap, ofAttribute)
			}
		}
		return nil
	}, append(ofMap.observables(), ofAttribute.observables()...)...)
	if err != nil {
		return nil, fmt.Errorf("sessionmapotel: %w", err)
	}
	return registration.Unregister, nil
}

// observe gives o the figures of a map or group, and of its attributes.
func observe(o metric.Observer, in sessionmap.Instance, ofMap, ofAttribute instruments) {
	of := []attribute.KeyValue{mapKey.String(in.Label), idKey.Int64(int64(in.ID))}
	ofMap.observe(o, in.Stats(), of)
	for _, s := range in.Attributes() {
		ofAttribute.observe(o, s, slices.Concat(of, []attribute.KeyValue{attributeKey.String(s.Name)}))
	}
}
