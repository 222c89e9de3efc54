package sessionmapprom_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	sessionmapprom "github.com/sessionmap/sessionmap/adapters/prometheus"
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
	g, err := sessionmap.NewGroup[string](append([]sessionmap.Option{sessionmap.WithSweepInterval(time.Hour)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// registryOf is one that checks every metric against its description.
func registryOf(t testing.TB, opts ...sessionmapprom.Option) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(sessionmapprom.NewCollector(opts...)))
	return reg
}

// families are what Prometheus reads from reg.
func families(t testing.TB, reg *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	rec := httptest.NewRecorder()
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !assert.Equal(t, http.StatusOK, rec.Code, rec.Body) {
		return nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(rec.Body)
	assert.NoError(t, err)
	return all
}

// scrape returns the value of every series, by name and labels.
func scrape(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for name, family := range families(t, reg) {
		for _, m := range family.Metric {
			var labels []string
			for _, pair := range m.Label {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			series := name + "{" + strings.Join(labels, ",") + "}"
			assert.NotContains(t, all, series, "twice")
			all[series] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// ofMetric returns the labels of the series of one metric.
func ofMetric(all map[string]float64, name string) (labels []string) {
	for series := range all {
		if rest, ok := strings.CutPrefix(series, name+"{"); ok {
			labels = append(labels, strings.TrimSuffix(rest, "}"))
		}
	}
	slices.Sort(labels)
	return labels
}

// causes are all there are, as labels.
var causes = []string{
	"replaced", "deleted", "session_deleted", "idle", "lifetime", "evicted", "evicted_for_cost", "memory_pressure",
	"cleared", "closed", "context_done", "rejected",
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
		"sessionmap_sessions":              100,
		"sessionmap_sessions_max":          200,
		"sessionmap_cost":                  1300,
		"sessionmap_cost_max":              5000,
		"sessionmap_sets_total":            110,
		"sessionmap_hits_total":            17,
		"sessionmap_misses_total":          19,
		"sessionmap_leases":                2,
		"sessionmap_overdue_leases":        1,
		"sessionmap_lost_leases_total":     4,
		"sessionmap_sweeps_total":          float64(s.Sweeps),
		"sessionmap_longest_sweep_seconds": s.LongestSweep.Seconds(),
		"sessionmap_callback_panics_total": 3,
		"sessionmap_close_errors_total":    5,
	}
	different := slices.Sorted(maps.Values(want))
	require.Len(t, slices.Compact(different), len(want), "%v", want)
	require.NotZero(t, s.LongestSweep)

	all := scrape(t, registryOf(t))
	for name, value := range want {
		assert.InDelta(t, value, all[name+"{map=agents}"], 1e-12, name)
	}
	assert.EqualValues(t, 8, all["sessionmap_removals_total{cause=deleted,map=agents}"])
	assert.EqualValues(t, 1, all["sessionmap_removals_total{cause=replaced,map=agents}"])
	assert.Len(t, all, len(want)+len(causes), "nothing else: %v", slices.Sorted(maps.Keys(all)))
	overdue.Release()
	held.Release()
}

// TestAttributeFigures does the same for those of an attribute.
func TestAttributeFigures(t *testing.T) {
	g := newGroup(t, sessionmap.WithName("sessions"), sessionmap.WithLogger(slog.New(slog.DiscardHandler)))
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
	all := scrape(t, registryOf(t))
	for name, value := range map[string]float64{
		"sessionmap_attribute_values":                20,
		"sessionmap_attribute_sets_total":            28,
		"sessionmap_attribute_hits_total":            17,
		"sessionmap_attribute_misses_total":          19,
		"sessionmap_attribute_callback_panics_total": 3,
		"sessionmap_attribute_close_errors_total":    5,
	} {
		assert.Equal(t, value, all[name+"{attribute=agent,map=sessions}"], name)
	}
	assert.EqualValues(t, 23, all["sessionmap_sessions{map=sessions}"], "a session stays without its attribute")
	assert.EqualValues(t, 5, all["sessionmap_removals_total{cause=deleted,map=sessions}"])
	assert.EqualValues(t, 8, all["sessionmap_attribute_removals_total{attribute=agent,cause=deleted,map=sessions}"])
}

// TestExposition pins all that Prometheus gets to read of a new map, and of a group with one session.
func TestExposition(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"))
	g := newGroup(t, sessionmap.WithName("chats"), sessionmap.WithMaxSize(0), sessionmap.WithMaxTotalCost(64))
	history := sessionmap.NewAttribute[[]byte](g, "history", sessionmap.WithCost(func(_ string, h []byte) int64 { return int64(len(h)) }))
	history.Set("id", []byte("hello"))
	history.Set("id", []byte("hello, hello"))

	type series struct {
		name, kind, help string
		agents, chats    string // "" is none
	}
	var want strings.Builder
	for _, s := range []series{
		{"callback_panics_total", "counter", "Panics of callbacks.", "0", "0"},
		{"close_errors_total", "counter", "Errors of values that were closed as they left.", "0", "0"},
		{"cost", "gauge", "Cost of all values, in the unit of the map's cost function; 0 without one.", "0", "12"},
		{"cost_max", "gauge", "The bound on cost; absent if there is none.", "", "64"},
		{"hits_total", "counter", "Reads that found the key; of a group, those of its attributes.", "0", "0"},
		{"leases", "gauge", "Leases held now.", "0", "0"},
		{"longest_sweep_seconds", "gauge", "What the longest sweep so far took, its callbacks included.", "0", "0"},
		{"lost_leases_total", "counter", "Leases that were collected without a release.", "0", "0"},
		{"misses_total", "counter", "Reads that did not find the key; of a group, those of its attributes.", "0", "0"},
		{"overdue_leases", "gauge", "Leases that had been held for too long when a sweep last looked.", "0", "0"},
		{"sessions", "gauge", "Sessions now, expired ones that no sweep has met included.", "0", "1"},
		{"sessions_max", "gauge", "The bound on sessions; absent if there is none.", "1000", ""},
		{"sets_total", "counter", "Values put in, those that replaced another and those rejected included.", "0", "1"},
		{"sweeps_total", "counter", "Sweeps for expired sessions.", "0", "0"},
	} {
		fmt.Fprintf(&want, "# HELP sessionmap_%s %s\n# TYPE sessionmap_%[1]s %[3]s\n", s.name, s.help, s.kind)
		if s.agents != "" {
			fmt.Fprintf(&want, "sessionmap_%s{map=\"agents\"} %s\n", s.name, s.agents)
		}
		if s.chats != "" {
			fmt.Fprintf(&want, "sessionmap_%s{map=\"chats\"} %s\n", s.name, s.chats)
		}
	}
	want.WriteString("# HELP sessionmap_removals_total Values that left, by cause.\n# TYPE sessionmap_removals_total counter\n")
	for _, m := range []string{"agents", "chats"} {
		for _, cause := range causes {
			fmt.Fprintf(&want, "sessionmap_removals_total{cause=%q,map=%q} 0\n", cause, m)
		}
	}
	for _, s := range []series{
		{name: "callback_panics_total", kind: "counter", help: "Panics of the attribute's callbacks.", chats: "0"},
		{name: "close_errors_total", kind: "counter", help: "Errors of values that were closed as they left.", chats: "0"},
		{name: "hits_total", kind: "counter", help: "Reads that found a value.", chats: "0"},
		{name: "misses_total", kind: "counter", help: "Reads that found none.", chats: "0"},
		{name: "sets_total", kind: "counter", help: "Values put in, those that replaced another and those rejected included.", chats: "2"},
		{name: "values", kind: "gauge", help: "Sessions now that have the attribute.", chats: "1"},
	} {
		fmt.Fprintf(&want, "# HELP sessionmap_attribute_%s %s\n# TYPE sessionmap_attribute_%[1]s %[3]s\n", s.name, s.help, s.kind)
		fmt.Fprintf(&want, "sessionmap_attribute_%s{attribute=\"history\",map=\"chats\"} %s\n", s.name, s.chats)
	}
	want.WriteString("# HELP sessionmap_attribute_removals_total Values that left, by cause.\n# TYPE sessionmap_attribute_removals_total counter\n")
	for _, cause := range causes {
		n := 0
		if cause == "replaced" {
			n = 1
		}
		fmt.Fprintf(&want, "sessionmap_attribute_removals_total{attribute=\"history\",cause=%q,map=\"chats\"} %d\n", cause, n)
	}
	assert.NoError(t, testutil.GatherAndCompare(registryOf(t), strings.NewReader(want.String())))
}

// TestLint: the names and help texts keep Prometheus's conventions.
func TestLint(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"), sessionmap.WithMaxCost(10, func(string, int) int64 { return 1 }))
	sessionmap.NewAttribute[int](newGroup(t), "history")
	problems, err := testutil.GatherAndLint(registryOf(t))
	assert.NoError(t, err)
	assert.Empty(t, problems)
}

// TestCauses: the causes of this file are all that the library has, so those of the collector are.
func TestCauses(t *testing.T) {
	for i, label := range causes {
		assert.Equal(t, label, strings.ReplaceAll(sessionmap.Cause(i+1).String(), " ", "_"))
	}
	assert.True(t, strings.HasPrefix(sessionmap.Cause(len(causes)+1).String(), "Cause("), "there is one more")
}

// TestNames: whatever the names are, every map and attribute has series of its own.
func TestNames(t *testing.T) {
	newMap[int](t, sessionmap.WithName("x"))
	next := lastID()
	for _, name := range []string{
		fmt.Sprintf("twice#%d", next+3), "twice", "twice", // the label of the third is the name of the first
		"", "", fmt.Sprintf("#%d", next+4),
		"\xff", "\xfe", "\ufffd", "a\xffb", "a\ufffdb",
		"quote\"", "line\nbreak", `back\slash`, "{map=x}", " ", strings.Repeat("long", 1000),
	} {
		newMap[int](t, sessionmap.WithName(name))
	}
	g := newGroup(t, sessionmap.WithName("x"))
	attributes := []string{"x", "x", "", "", "x#2", "#3", "\xff", "\xfe", "twice", "cause", "x#12", "x"}
	for _, name := range attributes {
		sessionmap.NewAttribute[int](g, name)
	}
	all := scrape(t, registryOf(t))
	assert.Len(t, ofMetric(all, "sessionmap_sessions"), 19)
	assert.Len(t, ofMetric(all, "sessionmap_removals_total"), 19*len(causes))
	assert.Len(t, ofMetric(all, "sessionmap_attribute_values"), len(attributes))
	assert.Len(t, ofMetric(all, "sessionmap_attribute_removals_total"), len(attributes)*len(causes))
	for _, label := range []string{"x", "x#2", "#3", "#4", "x#2#5", "#3#6", "\ufffd", "\ufffd#8", "twice", "cause", "x#12", "x#12#12"} {
		assert.Contains(t, all, fmt.Sprintf("sessionmap_attribute_values{attribute=%s,map=x#%d}", label, lastID()))
	}
}

func lastID() (id uint64) {
	for in := range sessionmap.Instances() {
		id = in.ID
	}
	return id
}

// TestUnbounded: no bound has no series, rather than one of 0, which a map would always exceed.
func TestUnbounded(t *testing.T) {
	newMap[int](t, sessionmap.WithName("bounded"), sessionmap.WithMaxSize(7))
	newMap[int](t, sessionmap.WithName("unbounded"), sessionmap.WithMaxSize(0))
	all := scrape(t, registryOf(t))
	assert.Equal(t, []string{"map=bounded"}, ofMetric(all, "sessionmap_sessions_max"))
	assert.Empty(t, ofMetric(all, "sessionmap_cost_max"))
	assert.Equal(t, []string{"map=bounded", "map=unbounded"}, ofMetric(all, "sessionmap_sessions"))
}

// TestGone: maps that are closed or collected have no series, and the collector keeps none from being collected.
func TestGone(t *testing.T) {
	reg := registryOf(t)
	assert.Empty(t, scrape(t, reg), "no map, no series")
	m := newMap[int](t, sessionmap.WithName("closed"))
	g := newGroup(t, sessionmap.WithName("group"))
	sessionmap.NewAttribute[int](g, "attribute")
	assert.Len(t, ofMetric(scrape(t, reg), "sessionmap_sessions"), 2)
	require.NoError(t, m.Close())
	require.NoError(t, g.Close())
	assert.Empty(t, scrape(t, reg))

	dropped := sessionmap.MustNew[string, int](sessionmap.WithName("dropped"))
	assert.NotEmpty(t, scrape(t, reg))
	runtime.KeepAlive(dropped)
	assert.Eventually(t, func() bool {
		runtime.GC()
		return len(scrape(t, reg)) == 0
	}, 10*time.Second, time.Millisecond)
}

// TestSecondOfAName: a map that takes the place of another has its series, from 0 on.
func TestSecondOfAName(t *testing.T) {
	reg := registryOf(t)
	first := newMap[int](t, sessionmap.WithName("agents"))
	first.Set("id", 1)
	assert.EqualValues(t, 1, scrape(t, reg)["sessionmap_sets_total{map=agents}"])
	require.NoError(t, first.Close())
	newMap[int](t, sessionmap.WithName("agents"))
	sets, ok := scrape(t, reg)["sessionmap_sets_total{map=agents}"]
	assert.True(t, ok)
	assert.Zero(t, sets)
}

// TestFilter: what is shown can be chosen, which does not change how it is labelled.
func TestFilter(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"))
	g := newGroup(t, sessionmap.WithName("agents"))
	sessionmap.NewAttribute[int](g, "history")
	id := lastID()
	groups := sessionmapprom.WithFilter(func(in sessionmap.Instance) bool { return in.Group })
	others := sessionmapprom.WithFilter(func(in sessionmap.Instance) bool { return !in.Group })

	all := scrape(t, registryOf(t, groups))
	assert.Equal(t, []string{fmt.Sprintf("map=agents#%d", id)}, ofMetric(all, "sessionmap_sessions"))
	assert.Len(t, ofMetric(all, "sessionmap_attribute_values"), 1)
	all = scrape(t, registryOf(t, groups, others))
	assert.Equal(t, []string{"map=agents"}, ofMetric(all, "sessionmap_sessions"), "the last counts")
	assert.Empty(t, ofMetric(all, "sessionmap_attribute_values"))
	assert.Len(t, ofMetric(scrape(t, registryOf(t, groups, sessionmapprom.WithFilter(nil))), "sessionmap_sessions"), 2)
}

// TestTwoCollectors: a second one is refused where it would show the same again, and possible beside another label.
func TestTwoCollectors(t *testing.T) {
	newMap[int](t, sessionmap.WithName("agents"))
	reg := registryOf(t)
	assert.Error(t, reg.Register(sessionmapprom.NewCollector()))
	assert.Len(t, scrape(t, reg), 13+len(causes))

	reg = prometheus.NewPedanticRegistry()
	for _, part := range []string{"a", "b"} {
		wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"part": part}, reg)
		require.NoError(t, wrapped.Register(sessionmapprom.NewCollector()))
	}
	assert.Equal(t, []string{"map=agents,part=a", "map=agents,part=b"}, ofMetric(scrape(t, reg), "sessionmap_sessions"))
	assert.True(t, prometheus.WrapRegistererWith(prometheus.Labels{"part": "a"}, reg).Unregister(sessionmapprom.NewCollector()))
}

// TestConcurrent: maps of few names come, work and go while several scrape; no scrape fails.
func TestConcurrent(t *testing.T) {
	reg := registryOf(t, sessionmapprom.WithFilter(func(in sessionmap.Instance) bool { return in.ID%7 != 0 }))
	var work sync.WaitGroup
	for seed := range 3 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			for range 60 {
				live(rng)
			}
		})
	}
	for range 2 {
		work.Go(func() {
			for range 30 {
				scrape(t, reg)
			}
		})
	}
	work.Wait()
}

// live is the life of a map and a group.
func live(rng *rand.Rand) {
	names := []string{"a", "b", "", "\xff", "\xfe", fmt.Sprintf("a#%d", rng.IntN(100))}
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

// FuzzNames: the series of any names are told apart.
func FuzzNames(f *testing.F) {
	f.Add("a", "a", "a#2")
	f.Add("", "#1", "\xff")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		g := newGroup(t)
		for _, name := range []string{a, b, c, a + b, b + c} {
			sessionmap.NewAttribute[int](g, name)
			newMap[int](t, sessionmap.WithName(name))
		}
		families, err := registryOf(t).Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "sessionmap_sessions" {
				assert.Len(t, family.Metric, 6)
			}
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("maps=%d", n), func(b *testing.B) {
			for i := range n {
				newMap[int](b, sessionmap.WithName(fmt.Sprint("map", i)))
			}
			reg := prometheus.NewRegistry()
			reg.MustRegister(sessionmapprom.NewCollector())
			handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
			b.Run("op=collect", func(b *testing.B) {
				b.ReportAllocs()
				c := sessionmapprom.NewCollector()
				for b.Loop() {
					assert.NotZero(b, testutil.CollectAndCount(c))
				}
			})
			b.Run("op=scrape", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					rec := httptest.NewRecorder()
					handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
					_, _ = io.Copy(io.Discard, rec.Body)
				}
			})
		})
	}
}
