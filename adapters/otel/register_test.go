package sessionmapotel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sessionmap/sessionmap"
	sessionmapotel "github.com/sessionmap/sessionmap/adapters/otel"
)

// The registry of the library is the process's, so no test runs beside another.

type closer struct{ err error }

func (c closer) Close() error { return c.err }

func newMap[V any](t testing.TB, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[string, V] {
	t.Helper()
	quiet := []sessionmap.Option{sessionmap.WithSweepInterval(time.Hour), sessionmap.WithLogger(slog.New(slog.DiscardHandler))}
	m, err := sessionmap.New[string, V](append(quiet, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func newGroup(t testing.TB, opts ...sessionmap.Option) *sessionmap.Group[string] {
	t.Helper()
	quiet := []sessionmap.Option{sessionmap.WithSweepInterval(time.Hour), sessionmap.WithLogger(slog.New(slog.DiscardHandler))}
	g, err := sessionmap.NewGroup[string](append(quiet, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func lastID() (id uint64) {
	for in := range sessionmap.Instances() {
		id = in.ID
	}
	return id
}

// causes are all there are, as attributes.
var causes = []string{
	"replaced", "deleted", "session_deleted", "idle", "lifetime", "evicted", "evicted_for_cost", "memory_pressure",
	"cleared", "closed", "context_done", "rejected",
}

func delta(sdk.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }

// register returns a reader of a provider with everything registered.
func register(t testing.TB, temporality sdk.TemporalitySelector, opts ...sessionmapotel.Option) *sdk.ManualReader {
	t.Helper()
	reader := sdk.NewManualReader(sdk.WithTemporalitySelector(temporality))
	_, err := sessionmapotel.Register(sdk.NewMeterProvider(sdk.WithReader(reader)), opts...)
	require.NoError(t, err)
	return reader
}

// metrics returns what a reader collects, by name.
func metrics(t testing.TB, reader *sdk.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var collected metricdata.ResourceMetrics
	assert.NoError(t, reader.Collect(t.Context(), &collected))
	all := make(map[string]metricdata.Metrics)
	for _, scope := range collected.ScopeMetrics {
		assert.Equal(t, "github.com/sessionmap/sessionmap/adapters/otel", scope.Scope.Name)
		for _, m := range scope.Metrics {
			all[m.Name] = m
		}
	}
	return all
}

// collect returns the value of every series, by name and attributes.
func collect(t testing.TB, reader *sdk.ManualReader) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	put := func(name string, set attribute.Set, value float64) {
		series := name + "{" + set.Encoded(attribute.DefaultEncoder()) + "}"
		assert.NotContains(t, all, series, "twice")
		all[series] = value
	}
	for name, m := range metrics(t, reader) {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				put(name, p.Attributes, float64(p.Value))
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				put(name, p.Attributes, p.Value)
			}
		default:
			assert.Failf(t, "unexpected", "%s: %T", name, data)
		}
	}
	return all
}

// ofMetric returns the attributes of the series of one metric.
func ofMetric(all map[string]float64, name string) (attributes []string) {
	for series := range all {
		if rest, ok := strings.CutPrefix(series, name+"{"); ok {
			attributes = append(attributes, strings.TrimSuffix(rest, "}"))
		}
	}
	slices.Sort(attributes)
	return attributes
}

// of encodes the attributes of a map, after those before them in the alphabet.
func of(name string, id uint64) string {
	return fmt.Sprintf("sessionmap.id=%d,sessionmap.map=%s}", id, name)
}

// TestFigures: each figure is the one that its name says. All differ, so that no two can be mixed up.
func TestFigures(t *testing.T) {
	synctest.Test(t, testFigures)
}

func testFigures(t *testing.T) {
	m := newMap[closer](t, sessionmap.WithName("agents"), sessionmap.WithMaxSize(200), sessionmap.WithCloser(),
		sessionmap.WithMaxCost(5000, func(string, closer) int64 { return 13 }), sessionmap.WithLeaseWarning(time.Millisecond),
		sessionmap.WithOnRemove(func(key string, _ closer, _ sessionmap.Cause) {
			if strings.HasPrefix(key, "panic") {
				panic(key)
			}
			if key == "slow" {
				time.Sleep(2 * time.Millisecond)
			}
		}))
	for i := range 100 {
		m.Set(fmt.Sprint(i), closer{})
	}
	for i := range 3 {
		m.Set(fmt.Sprint("panic", i), closer{})
		m.Delete(fmt.Sprint("panic", i))
	}
	for i := range 5 {
		m.Set(fmt.Sprint("error", i), closer{errors.New("broken")})
		m.Delete(fmt.Sprint("error", i))
	}
	m.Set("0", closer{})
	m.SetWithTTL("slow", closer{}, time.Nanosecond)
	for range 4 {
		_, ok := m.Acquire("1")
		require.True(t, ok)
	}
	for m.Stats().LostLeases < 4 {
		runtime.GC()
		m.Sweep()
	}
	overdue, _ := m.Acquire("2")
	time.Sleep(5 * time.Millisecond)
	for m.Stats().Sweeps < 30 {
		m.Sweep()
	}
	held, _ := m.Acquire("3")
	for range 17 {
		m.Get("4")
	}
	for range 19 {
		m.Get("none")
	}
	s := m.Stats()
	want := map[string]float64{
		"sessionmap.session.count":   100,
		"sessionmap.session.limit":   200,
		"sessionmap.cost.usage":      1300,
		"sessionmap.cost.limit":      5000,
		"sessionmap.sets":            110,
		"sessionmap.hits":            17,
		"sessionmap.misses":          19,
		"sessionmap.lease.count":     2,
		"sessionmap.lease.overdue":   1,
		"sessionmap.lease.losses":    4,
		"sessionmap.sweeps":          float64(s.Sweeps),
		"sessionmap.sweep.longest":   s.LongestSweep.Seconds(),
		"sessionmap.callback.panics": 3,
		"sessionmap.close.errors":    5,
	}
	different := slices.Sorted(maps.Values(want))
	require.Len(t, slices.Compact(different), len(want), "%v", want)
	require.NotZero(t, s.LongestSweep)

	agents := of("agents", lastID())
	all := collect(t, register(t, sdk.DefaultTemporalitySelector))
	for name, value := range want {
		assert.Equal(t, value, all[name+"{"+agents], name)
	}
	assert.EqualValues(t, 8, all["sessionmap.removals{sessionmap.cause=deleted,"+agents])
	assert.EqualValues(t, 1, all["sessionmap.removals{sessionmap.cause=replaced,"+agents])
	assert.Len(t, all, len(want)+len(causes), "nothing else: %v", slices.Sorted(maps.Keys(all)))
	overdue.Release()
	held.Release()
}

// TestAttributeFigures does the same for those of an attribute.
func TestAttributeFigures(t *testing.T) {
	g := newGroup(t, sessionmap.WithName("sessions"))
	a := sessionmap.NewAttribute[closer](g, "agent", sessionmap.WithCloser(),
		sessionmap.WithOnRemove(func(key string, _ closer, _ sessionmap.Cause) {
			if strings.HasPrefix(key, "panic") {
				panic(key)
			}
		}))
	for i := range 20 {
		a.Set(fmt.Sprint(i), closer{})
	}
	for i := range 3 {
		a.Set(fmt.Sprint("panic", i), closer{})
		a.Delete(fmt.Sprint("panic", i))
	}
	for i := range 5 {
		a.Set(fmt.Sprint("error", i), closer{errors.New("broken")})
		g.Delete(fmt.Sprint("error", i))
	}
	for range 17 {
		a.Get("4")
	}
	for range 19 {
		a.Get("none")
	}
	all := collect(t, register(t, sdk.DefaultTemporalitySelector))
	sessions := of("sessions", lastID())
	for name, value := range map[string]float64{
		"sessionmap.attribute.count":           20,
		"sessionmap.attribute.sets":            28,
		"sessionmap.attribute.hits":            17,
		"sessionmap.attribute.misses":          19,
		"sessionmap.attribute.callback.panics": 3,
		"sessionmap.attribute.close.errors":    5,
	} {
		assert.Equal(t, value, all[name+"{sessionmap.attribute=agent,"+sessions], name)
	}
	assert.Len(t, ofMetric(all, "sessionmap.attribute.removals"), len(causes))
	assert.EqualValues(t, 8, all["sessionmap.attribute.removals{sessionmap.attribute=agent,sessionmap.cause=deleted,"+sessions])
	assert.EqualValues(t, 23, all["sessionmap.session.count{"+sessions], "a session stays without its attribute")
	assert.EqualValues(t, 5, all["sessionmap.removals{sessionmap.cause=deleted,"+sessions])
}

// TestInstruments pins names, units and kinds. No name is another's namespace, and none is a plural but of a counter.
func TestInstruments(t *testing.T) {
	newMap[int](t, sessionmap.WithMaxCost(10, func(string, int) int64 { return 1 }))
	sessionmap.NewAttribute[int](newGroup(t), "history")
	got := make(map[string]string)
	for name, m := range metrics(t, register(t, sdk.DefaultTemporalitySelector)) {
		kind := "gauge"
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			assert.Equal(t, metricdata.CumulativeTemporality, sum.Temporality)
			kind = "level"
			if sum.IsMonotonic {
				kind = "counter"
			}
		}
		got[name] = kind + " " + m.Unit
		assert.NotEmpty(t, m.Description, name)
	}
	assert.Equal(t, map[string]string{
		"sessionmap.session.count":             "level {session}",
		"sessionmap.session.limit":             "level {session}",
		"sessionmap.cost.usage":                "level 1",
		"sessionmap.cost.limit":                "level 1",
		"sessionmap.sets":                      "counter {set}",
		"sessionmap.hits":                      "counter {hit}",
		"sessionmap.misses":                    "counter {miss}",
		"sessionmap.removals":                  "counter {removal}",
		"sessionmap.lease.count":               "level {lease}",
		"sessionmap.lease.overdue":             "level {lease}",
		"sessionmap.lease.losses":              "counter {lease}",
		"sessionmap.sweeps":                    "counter {sweep}",
		"sessionmap.sweep.longest":             "gauge s",
		"sessionmap.callback.panics":           "counter {panic}",
		"sessionmap.close.errors":              "counter {error}",
		"sessionmap.attribute.count":           "level {value}",
		"sessionmap.attribute.sets":            "counter {set}",
		"sessionmap.attribute.hits":            "counter {hit}",
		"sessionmap.attribute.misses":          "counter {miss}",
		"sessionmap.attribute.removals":        "counter {removal}",
		"sessionmap.attribute.callback.panics": "counter {panic}",
		"sessionmap.attribute.close.errors":    "counter {error}",
	}, got)
	for name := range got {
		for other := range got {
			assert.False(t, strings.HasPrefix(other, name+"."), "%s, %s", name, other)
		}
	}
}

// TestCauses: all causes have series from 0 on, and those of this file are all that the library has.
func TestCauses(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"))
	all := collect(t, register(t, sdk.DefaultTemporalitySelector))
	for i, label := range causes {
		assert.Equal(t, label, strings.ReplaceAll(sessionmap.Cause(i+1).String(), " ", "_"))
		n, ok := all["sessionmap.removals{sessionmap.cause="+label+","+of("agents", lastID())]
		assert.True(t, ok, label)
		assert.Zero(t, n)
	}
	assert.Len(t, ofMetric(all, "sessionmap.removals"), len(causes))
	assert.True(t, strings.HasPrefix(sessionmap.Cause(len(causes)+1).String(), "Cause("), "there is one more")
}

// TestNames: whatever the names are, every map and attribute has series of its own.
func TestNames(t *testing.T) {
	names := []string{"twice", "twice", "", "", "#1", "\xff", "\xfe", "\ufffd", "a,b=c", strings.Repeat("long", 1000)}
	for _, name := range names {
		newMap[int](t, sessionmap.WithName(name))
	}
	g := newGroup(t, sessionmap.WithName("x"))
	attributes := []string{"x", "x", "", "", "x#2", "#3", "\xff", "\xfe", "x#10", "x"}
	for _, name := range attributes {
		sessionmap.NewAttribute[int](g, name)
	}
	id := lastID()
	all := collect(t, register(t, sdk.DefaultTemporalitySelector))
	assert.Len(t, ofMetric(all, "sessionmap.session.count"), len(names)+1)
	assert.Len(t, ofMetric(all, "sessionmap.removals"), (len(names)+1)*len(causes))
	assert.Len(t, ofMetric(all, "sessionmap.attribute.removals"), len(attributes)*len(causes))
	first := id - uint64(len(names))
	for i, name := range []string{"twice", fmt.Sprintf("twice#%d", first+1), fmt.Sprintf("#%d", first+2), fmt.Sprintf("#%d", first+3), "#1", "\ufffd", fmt.Sprintf("\ufffd#%d", first+6), fmt.Sprintf("\ufffd#%d", first+7)} {
		assert.Contains(t, all, "sessionmap.session.count{"+of(name, first+uint64(i)))
	}
	for _, label := range []string{"x", "x#2", "#3", "#4", "x#2#5", "#3#6", "\ufffd", "\ufffd#8", "x#10", "x#10#10"} {
		assert.Contains(t, all, "sessionmap.attribute.count{sessionmap.attribute="+label+","+of("x", id))
	}
}

// TestUnbounded: no bound has no series, rather than one of 0, which a map would always exceed.
func TestUnbounded(t *testing.T) {
	newMap[int](t, sessionmap.WithMaxSize(0))
	all := collect(t, register(t, sdk.DefaultTemporalitySelector))
	assert.Len(t, ofMetric(all, "sessionmap.session.count"), 1)
	assert.Empty(t, ofMetric(all, "sessionmap.session.limit"))
	assert.Empty(t, ofMetric(all, "sessionmap.cost.limit"))
}

// TestDelta: each collection has what was done since the one before, also of maps whose name changes hands between
// two collections or is given to a second one.
func TestDelta(t *testing.T) {
	reader := register(t, delta)
	sets := func() map[uint64]float64 {
		byID := make(map[uint64]float64)
		all := collect(t, reader)
		for _, attributes := range ofMetric(all, "sessionmap.sets") {
			var id uint64
			_, err := fmt.Sscanf(attributes, "sessionmap.id=%d,sessionmap.map=agents", &id)
			assert.NoError(t, err)
			byID[id] = all["sessionmap.sets{"+attributes+"}"]
		}
		return byID
	}
	set := func(m *sessionmap.RobustSessionMap[string, int], n int) {
		for range n {
			m.Set("id", n)
		}
	}
	first := newMap[int](t, sessionmap.WithName("agents"))
	id := lastID()
	set(first, 10)
	assert.Equal(t, map[uint64]float64{id: 10}, sets())
	assert.Equal(t, map[uint64]float64{id: 0}, sets())
	set(first, 3)
	require.NoError(t, first.Close())
	second := newMap[int](t, sessionmap.WithName("agents"))
	set(second, 4)
	assert.Equal(t, map[uint64]float64{id + 1: 4}, sets(), "and not 4 - 10")
	set(newMap[int](t, sessionmap.WithName("agents")), 7)
	set(second, 1)
	assert.Equal(t, map[uint64]float64{id + 1: 1, id + 2: 7}, sets(), "and not all of the second again")
}

// TestCumulative: the counters go on from collection to collection.
func TestCumulative(t *testing.T) {
	m := newMap[int](t, sessionmap.WithName("agents"))
	reader := register(t, sdk.DefaultTemporalitySelector)
	agents := "sessionmap.sets{" + of("agents", lastID())
	for i := range 3 {
		m.Set("id", i)
		assert.EqualValues(t, i+1, collect(t, reader)[agents])
	}
}

// TestGone: maps that are closed or collected have no series, and nothing keeps one from being collected.
func TestGone(t *testing.T) {
	for name, temporality := range map[string]sdk.TemporalitySelector{"cumulative": sdk.DefaultTemporalitySelector, "delta": delta} {
		t.Run(name, func(t *testing.T) {
			reader := register(t, temporality)
			assert.Empty(t, collect(t, reader), "no map, no series")
			m := newMap[int](t)
			g := newGroup(t)
			sessionmap.NewAttribute[int](g, "attribute")
			assert.Len(t, ofMetric(collect(t, reader), "sessionmap.session.count"), 2)
			require.NoError(t, m.Close())
			require.NoError(t, g.Close())
			assert.Empty(t, collect(t, reader))

			dropped := sessionmap.MustNew[string, int]()
			assert.NotEmpty(t, collect(t, reader))
			runtime.KeepAlive(dropped)
			assert.Eventually(t, func() bool {
				runtime.GC()
				return len(collect(t, reader)) == 0
			}, 10*time.Second, time.Millisecond)
		})
	}
}

func TestUnregister(t *testing.T) {
	newMap[int](t)
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	unregister, err := sessionmapotel.Register(provider)
	require.NoError(t, err)
	assert.NotEmpty(t, collect(t, reader))
	assert.NoError(t, unregister())
	assert.Empty(t, collect(t, reader))
	assert.NoError(t, unregister())

	unregister, err = sessionmapotel.Register(provider)
	require.NoError(t, err)
	assert.Len(t, ofMetric(collect(t, reader), "sessionmap.session.count"), 1, "it can be registered again")
	assert.NoError(t, unregister())
}

// TestFilter: what is shown can be chosen.
func TestFilter(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"))
	g := newGroup(t, sessionmap.WithName("chats"))
	sessionmap.NewAttribute[int](g, "history")
	groups := sessionmapotel.WithFilter(func(in sessionmap.Instance) bool { return in.Group })
	others := sessionmapotel.WithFilter(func(in sessionmap.Instance) bool { return !in.Group })
	shown := func(opts ...sessionmapotel.Option) (maps, attributes int) {
		all := collect(t, register(t, sdk.DefaultTemporalitySelector, opts...))
		return len(ofMetric(all, "sessionmap.session.count")), len(ofMetric(all, "sessionmap.attribute.count"))
	}
	for _, c := range []struct {
		opts             []sessionmapotel.Option
		maps, attributes int
	}{
		{nil, 2, 1},
		{[]sessionmapotel.Option{groups}, 1, 1},
		{[]sessionmapotel.Option{groups, others}, 1, 0}, // the last counts
		{[]sessionmapotel.Option{others, sessionmapotel.WithFilter(nil)}, 2, 1},
	} {
		maps, attributes := shown(c.opts...)
		assert.Equal(t, c.maps, maps)
		assert.Equal(t, c.attributes, attributes)
	}
}

// TestErrors: there must be a provider, and its errors are told.
func TestErrors(t *testing.T) {
	_, err := sessionmapotel.Register(nil)
	assert.ErrorContains(t, err, "sessionmapotel: ")
	for _, refuses := range []string{"counter", "level", "gauge", "callback"} {
		_, err := sessionmapotel.Register(refusing{what: refuses})
		assert.ErrorIs(t, err, errRefused, refuses)
		assert.ErrorContains(t, err, "sessionmapotel: ")
	}
	unregister, err := sessionmapotel.Register(noop.NewMeterProvider())
	require.NoError(t, err)
	assert.NoError(t, unregister())
}

var errRefused = errors.New("refused")

// A refusing provider's meter refuses one kind of thing.
type refusing struct {
	noop.MeterProvider
	what string
}

func (r refusing) Meter(string, ...metric.MeterOption) metric.Meter {
	return refusingMeter{what: r.what}
}

type refusingMeter struct {
	noop.Meter
	what string
}

func (m refusingMeter) refuse(what string) error {
	if what == m.what {
		return errRefused
	}
	return nil
}

func (m refusingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, m.refuse("counter")
}

func (m refusingMeter) Int64ObservableUpDownCounter(string, ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	return noop.Int64ObservableUpDownCounter{}, m.refuse("level")
}

func (m refusingMeter) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return noop.Float64ObservableGauge{}, m.refuse("gauge")
}

func (m refusingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, m.refuse("callback")
}

// TestConcurrent: maps of few names come, work and go while two readers collect; no collection fails.
func TestConcurrent(t *testing.T) {
	first, second := sdk.NewManualReader(), sdk.NewManualReader(sdk.WithTemporalitySelector(delta))
	_, err := sessionmapotel.Register(sdk.NewMeterProvider(sdk.WithReader(first), sdk.WithReader(second)))
	require.NoError(t, err)
	var work sync.WaitGroup
	for seed := range 3 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			for range 60 {
				live(rng)
			}
		})
	}
	for _, reader := range []*sdk.ManualReader{first, second, first} {
		work.Go(func() {
			for range 30 {
				for series, value := range collect(t, reader) {
					counts := strings.HasPrefix(series, "sessionmap.sets") || strings.HasPrefix(series, "sessionmap.removals")
					assert.False(t, counts && value < 0, "%s: %v", series, value)
				}
			}
		})
	}
	work.Wait()
}

// live is the life of a map and a group.
func live(rng *rand.Rand) {
	names := []string{"a", "b", "", "\xff", "\xfe"}
	name := func() string { return names[rng.IntN(len(names))] }
	m := sessionmap.MustNew[int, int](sessionmap.WithName(name()), sessionmap.WithMaxSize(8))
	g := sessionmap.MustNewGroup[int](sessionmap.WithName(name()))
	a := sessionmap.NewAttribute[int](g, name())
	for i := range 50 {
		m.Set(i, i)
		m.Get(rng.IntN(50))
		a.Set(i%8, i)
		g.Delete(rng.IntN(8))
	}
	b := sessionmap.NewAttribute[string](g, name())
	b.Set(1, "late")
	_ = m.Close()
	_ = g.Close()
}

func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("maps=%d", n), func(b *testing.B) {
			for i := range n {
				newMap[int](b, sessionmap.WithName(fmt.Sprint("map", i)))
			}
			reader := register(b, sdk.DefaultTemporalitySelector)
			var collected metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := reader.Collect(context.Background(), &collected); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
