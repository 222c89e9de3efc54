package debugpage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/debugpage"
)

// An answer is what the tests read of data.json.
type answer struct {
	Process struct {
		Run      string
		PID      int
		LiveHeap uint64
		MemLimit int64
	}
	Causes []struct {
		Name           string
		Backstop, Ends bool
	}
	Maps          []figures
	More          int
	Keys, Actions bool
	Top           *struct {
		Map      uint64
		By       string
		Walked   int
		Sessions []session
	}
}

type figures struct {
	ID                    uint64
	Label                 string
	Group                 bool
	KeyType, ValueType    string
	IdleTimeout, Lifetime time.Duration
	Live, MaxSize         int
	Cost, MaxCost         int64
	Hits, Misses, Sets    uint64
	Removals              map[string]uint64
	Leases                int
	Sweeps                uint64
	CallbackPanics        uint64
	CloseErrors           uint64
	Ended                 uint64
	BackstopShare         float64
	Attributes            []figures
	Name                  string
}

type session struct {
	ID, Key            string
	Age, Idle, Expires time.Duration
	Cost               int64
	Leases, Attributes int
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	return do(h, httptest.NewRequest(http.MethodGet, path, nil))
}

func read(t *testing.T, h http.Handler, query string) answer {
	t.Helper()
	w := get(h, "/data.json"+query)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var a answer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	return a
}

// find returns the figures of the map with this label.
func find(t *testing.T, a answer, label string) figures {
	t.Helper()
	for _, m := range a.Maps {
		if m.Label == label {
			return m
		}
	}
	require.Fail(t, "no map "+label)
	return figures{}
}

// top returns the sessions of the map with this label.
func top(t *testing.T, h http.Handler, label, by string, n int) []session {
	t.Helper()
	id := find(t, read(t, h, ""), label).ID
	a := read(t, h, fmt.Sprintf("?map=%d&by=%s&n=%d", id, by, n))
	require.NotNil(t, a.Top)
	require.Equal(t, id, a.Top.Map)
	require.Equal(t, by, a.Top.By)
	return a.Top.Sessions
}

func newMap[K comparable, V any](t *testing.T, name string, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[K, V] {
	t.Helper()
	m, err := sessionmap.New[K, V](append(opts, sessionmap.WithName(name), sessionmap.WithLogger(slog.New(slog.DiscardHandler)))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestHeaders(t *testing.T) {
	h := debugpage.Handler()
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
		"/data.json": "application/json", "/nothing": "text/plain; charset=utf-8",
	} {
		header := get(h, path).Header()
		assert.Equal(t, contentType, header.Get("Content-Type"), path)
		assert.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
			"base-uri 'none'; form-action 'self'; frame-ancestors 'none'", header.Get("Content-Security-Policy"), path)
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "no-store", header.Get("Cache-Control"), path)
		assert.Equal(t, "same-origin", header.Get("Referrer-Policy"), path)
	}
}

// TestNothingInline: what the policy would stop is not there to begin with, nor is a link that leaves the prefix.
func TestNothingInline(t *testing.T) {
	newMap[string, int](t, "inline").Set("a", 1)
	page := get(debugpage.Handler(debugpage.WithActions(), debugpage.WithKeys()), "/").Body.String()
	for _, inline := range []string{"<style", " style=", "<script>", " onclick=", "javascript:", `href="/`, `src="/`, "http:", "https:"} {
		assert.NotContains(t, page, inline)
	}
	for _, file := range []string{"/page.js", "/page.css"} {
		content := get(debugpage.Handler(), file).Body.String()
		for _, code := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import", "https:"} {
			assert.NotContains(t, content, code, file)
		}
	}
}

func TestPrefixes(t *testing.T) {
	h := debugpage.Handler()
	plain, stripped, named, any := http.NewServeMux(), http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	plain.Handle("/debug/sessions/", h)
	stripped.Handle("/debug/sessions/", http.StripPrefix("/debug/sessions", h))
	named.Handle("/{tenant}/sessions/", h)
	any.Handle("GET example.com/", h)
	for _, test := range []struct {
		name, prefix string
		mux          http.Handler
	}{
		{"plain", "/debug/sessions/", plain},
		{"stripped", "/debug/sessions/", stripped},
		{"stripped with the slash", "/debug/sessions/", http.StripPrefix("/debug/sessions/", h)},
		{"wildcard", "/acme/sessions/", named},
		{"root", "/", any},
		{"without a mux", "/a/b/c/", h},
	} {
		t.Run(test.name, func(t *testing.T) {
			for path, found := range map[string]bool{
				"": true, "page.css": true, "page.js": true, "data.json": true,
				"page.html": false, "end": false, "debugpage.go": false, "x": false,
			} {
				w := get(test.mux, test.prefix+path)
				assert.Equal(t, found, w.Code == http.StatusOK, path)
				assert.Equal(t, !found, w.Code == http.StatusNotFound, path)
			}
		})
	}
	for _, path := range []string{"/debug/sessions/x/", "/debug/sessions/x/page.js"} {
		assert.Equal(t, http.StatusNotFound, get(plain, path).Code, path)
	}
}

// TestWithoutSlash: whoever forgets the slash at the end is sent where the links are right.
func TestWithoutSlash(t *testing.T) {
	h := debugpage.Handler()
	mux := http.NewServeMux()
	mux.Handle("/debug/sessions/", h)
	w := get(mux, "/debug/sessions")
	assert.Contains(t, []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}, w.Code)
	assert.Equal(t, "/debug/sessions/", w.Header().Get("Location"))

	w = get(http.StripPrefix("/debug/sessions", h), "/debug/sessions?x")
	assert.Equal(t, http.StatusPermanentRedirect, w.Code)
	to, err := url.Parse("http://example.com/debug/sessions")
	require.NoError(t, err)
	to, err = to.Parse(w.Header().Get("Location"))
	require.NoError(t, err)
	assert.Equal(t, "http://example.com/debug/sessions/", to.String())
}

func TestMethods(t *testing.T) {
	h := debugpage.Handler(debugpage.WithActions())
	for _, path := range []string{"/", "/page.js", "/data.json"} {
		assert.Equal(t, http.StatusOK, do(h, httptest.NewRequest(http.MethodHead, path, nil)).Code, path)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			w := do(h, httptest.NewRequest(method, path, nil))
			assert.Equal(t, http.StatusMethodNotAllowed, w.Code, path)
			assert.Equal(t, http.MethodGet, w.Header().Get("Allow"), path)
		}
	}
	w := get(h, "/end")
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	assert.Equal(t, http.MethodPost, w.Header().Get("Allow"))
}

func TestFiguresOfMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t, "figures", sessionmap.WithTTL(time.Minute), sessionmap.WithMaxLifetime(time.Hour), sessionmap.WithMaxSize(3),
			sessionmap.WithMaxCost(100, func(_ string, v int) int64 { return int64(v) }),
			sessionmap.WithOnRemove(func(string, int, sessionmap.Cause) { panic("always") }))
		for i := range 4 {
			m.Set(strconv.Itoa(i), 10*i)
		}
		m.Set("3", 5)
		m.Delete("2")
		m.Get("1")
		m.Get("none")
		lease, ok := m.Acquire("3")
		require.True(t, ok)
		time.Sleep(2 * time.Minute)
		m.Sweep()

		a := read(t, debugpage.Handler(), "")
		f := find(t, a, "figures")
		assert.False(t, f.Group)
		assert.Equal(t, "string", f.KeyType)
		assert.Equal(t, "int", f.ValueType)
		assert.Equal(t, time.Minute, f.IdleTimeout)
		assert.Equal(t, time.Hour, f.Lifetime)
		assert.Equal(t, []int{1, 3}, []int{f.Live, f.MaxSize})
		assert.Equal(t, []int64{5, 100}, []int64{f.Cost, f.MaxCost})
		assert.Equal(t, map[string]uint64{"replaced": 1, "deleted": 1, "evicted": 1, "idle": 1}, f.Removals)
		assert.EqualValues(t, 3, f.Ended)
		assert.InDelta(t, 2./3, f.BackstopShare, 1e-9)
		assert.EqualValues(t, 1, f.Hits)
		assert.EqualValues(t, 1, f.Misses)
		assert.EqualValues(t, 5, f.Sets)
		assert.EqualValues(t, 4, f.CallbackPanics)
		assert.Equal(t, 1, f.Leases)
		assert.NotZero(t, f.Sweeps)
		assert.Nil(t, a.Top, "sessions that nobody asked for")
		lease.Release()
	})
}

func TestFiguresOfGroup(t *testing.T) {
	g := sessionmap.MustNewGroup[int](sessionmap.WithName("group"), sessionmap.WithLogger(slog.New(slog.DiscardHandler)))
	t.Cleanup(func() { _ = g.Close() })
	names := sessionmap.NewAttribute[string](g, "name")
	files := sessionmap.NewAttribute[io.Closer](g, "file", sessionmap.WithCloser())
	names.Set(1, "Ada")
	names.Set(2, "Grace")
	files.Set(1, badCloser{})
	files.Delete(1)

	h := debugpage.Handler(debugpage.WithKeys())
	f := find(t, read(t, h, ""), "group")
	assert.True(t, f.Group)
	assert.Equal(t, "int", f.KeyType)
	assert.Empty(t, f.ValueType)
	assert.Equal(t, 2, f.Live)
	require.Len(t, f.Attributes, 2)
	assert.Equal(t, "name", f.Attributes[0].Name)
	assert.Equal(t, 2, f.Attributes[0].Live)
	assert.Zero(t, f.Attributes[1].Live)
	assert.EqualValues(t, 1, f.Attributes[1].CloseErrors)
	for _, s := range top(t, h, "group", "age", 10) {
		assert.Contains(t, []string{"1", "2"}, s.Key)
		assert.Equal(t, 1, s.Attributes)
	}
}

type badCloser struct{}

func (badCloser) Close() error { return errors.New("bad") }

func TestProcess(t *testing.T) {
	limit := debug.SetMemoryLimit(1 << 40)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	runtime.GC() // there is no live heap before the first
	first, second := read(t, debugpage.Handler(), ""), read(t, debugpage.Handler(), "")
	assert.Positive(t, first.Process.LiveHeap)
	assert.EqualValues(t, int64(1<<40), first.Process.MemLimit)
	debug.SetMemoryLimit(math.MaxInt64)
	assert.Zero(t, read(t, debugpage.Handler(), "").Process.MemLimit)
	assert.NotEmpty(t, first.Process.Run)
	assert.Equal(t, first.Process.Run, second.Process.Run)
	assert.Len(t, first.Causes, 12)
}

func TestClosedMapIsGone(t *testing.T) {
	m := newMap[string, int](t, "closing")
	h := debugpage.Handler()
	id := find(t, read(t, h, ""), "closing").ID
	require.NoError(t, m.Close())
	a := read(t, h, fmt.Sprintf("?map=%d&by=age&n=10", id))
	for _, f := range a.Maps {
		assert.NotEqual(t, id, f.ID)
	}
	assert.Nil(t, a.Top)
}

func TestSessionsByEachMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, int](t, "measured", sessionmap.WithTTL(time.Hour),
			sessionmap.WithMaxCost(1000, func(_ string, v int) int64 { return int64(v) }))
		for key, cost := range map[string]int{"old": 1} {
			m.Set(key, cost)
		}
		time.Sleep(time.Minute)
		m.Set("idle", 2)
		time.Sleep(time.Minute)
		m.Set("dear", 100)
		m.Set("held", 3)
		lease, ok := m.Acquire("held")
		require.True(t, ok)
		defer lease.Release()
		time.Sleep(time.Minute)
		m.Get("old")
		m.Get("dear")
		time.Sleep(time.Second)

		h := debugpage.Handler(debugpage.WithKeys())
		keys := make(map[string][]session)
		for by, first := range map[string]string{"age": "old", "idle": "idle", "cost": "dear", "leases": "held"} {
			keys[by] = top(t, h, "measured", by, 2)
			require.Len(t, keys[by], 2)
			assert.Equal(t, first, keys[by][0].Key, by)
		}
		assert.Equal(t, 3*time.Minute+time.Second, keys["age"][0].Age)
		assert.Equal(t, time.Second, keys["age"][0].Idle)
		assert.Equal(t, time.Hour-time.Second, keys["age"][0].Expires)
		assert.Equal(t, 2*time.Minute+time.Second, keys["idle"][0].Idle)
		assert.EqualValues(t, 100, keys["cost"][0].Cost)
		assert.Equal(t, 1, keys["leases"][0].Leases)
		assert.Zero(t, keys["leases"][0].Expires, "a leased session does not expire")
	})
}

func TestAtMostAHundredSessions(t *testing.T) {
	m := newMap[int, int](t, "many", sessionmap.WithMaxCost(1<<40, func(_, v int) int64 { return int64(v) }))
	for i := range 500 {
		m.Set(i, i)
	}
	h := debugpage.Handler(debugpage.WithKeys())
	for n, want := range map[int]int{1: 1, 10: 10, 100: 100, 101: 100, 1 << 30: 100} {
		sessions := top(t, h, "many", "cost", n)
		require.Len(t, sessions, want)
		for i, s := range sessions {
			assert.Equal(t, strconv.Itoa(499-i), s.Key)
		}
	}
}

func TestBadQueries(t *testing.T) {
	for _, query := range []string{
		"?map=", "?map=1", "?map=x&by=age&n=1", "?map=-1&by=age&n=1", "?map=1&by=value&n=1", "?map=1&by=age&n=0", "?map=1&by=age&n=-5", "?map=1&by=age&n=ten",
	} {
		assert.Equal(t, http.StatusBadRequest, get(debugpage.Handler(), "/data.json"+query).Code, query)
	}
	assert.Nil(t, read(t, debugpage.Handler(), "?map=18446744073709551615&by=age&n=1").Top)
}

func TestKeysAreRedacted(t *testing.T) {
	const secret = "eyJhbGciOi-secret-token"
	newMap[string, int](t, "redacted").Set(secret, 1)
	newMap[string, string](t, "redacted too").Set(secret, "x")
	h := debugpage.Handler()
	id := find(t, read(t, h, ""), "redacted").ID
	for _, path := range []string{"/", fmt.Sprintf("/data.json?map=%d&by=age&n=10", id)} {
		assert.NotContains(t, get(h, path).Body.String(), secret, path)
	}
	first := top(t, h, "redacted", "age", 1)[0]
	assert.Empty(t, first.Key)
	assert.Regexp(t, "^[0-9a-f]{16}$", first.ID)
	assert.Equal(t, first.ID, top(t, debugpage.Handler(), "redacted too", "age", 1)[0].ID, "another map, another handler")
	assert.Equal(t, secret, top(t, debugpage.Handler(debugpage.WithKeys()), "redacted", "age", 1)[0].Key)
}

func TestHostileNamesAndKeys(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}` + "\u2028</title>"
	newMap[string, int](t, hostile).Set(hostile, 1)
	h := debugpage.Handler(debugpage.WithKeys())
	page := get(h, "/").Body.String()
	assert.Equal(t, 1, strings.Count(page, "<script"))
	assert.NotContains(t, page, "<img")
	assert.Contains(t, page, "&lt;script&gt;alert(1)")

	a := read(t, h, "")
	m := find(t, a, hostile)
	w := get(h, fmt.Sprintf("/data.json?map=%d&by=age&n=1", m.ID))
	assert.NotContains(t, w.Body.String(), "<", "not even as JSON that is taken for a page")
	assert.Contains(t, top(t, h, hostile, "age", 1)[0].Key, "<script>alert(1)</script>")
}

func TestPageWithoutScript(t *testing.T) {
	m := newMap[int, int](t, "plain figures", sessionmap.WithMaxSize(12345))
	for i := range 1234 {
		m.Set(i, i)
	}
	page := get(debugpage.Handler(), "/").Body.String()
	for _, text := range []string{"plain figures", "1,234<", "12,345", `<th scope="col"`, `<th scope="row"`, "<noscript>", `<html lang="en">`, "<main>"} {
		assert.Contains(t, page, text)
	}
	assert.NotContains(t, page, "End session")
}

// end asks for the end of a session.
func end(h http.Handler, m figures, id string, header ...string) *httptest.ResponseRecorder {
	form := url.Values{"map": {strconv.FormatUint(m.ID, 10)}, "session": {id}}
	r := httptest.NewRequest(http.MethodPost, "/end", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(h, r)
}

func TestActionsAreOff(t *testing.T) {
	m := newMap[string, int](t, "no actions")
	m.Set("a", 1)
	h := debugpage.Handler()
	a := read(t, h, "")
	assert.False(t, a.Actions)
	assert.Equal(t, http.StatusNotFound, end(h, find(t, a, "no actions"), top(t, h, "no actions", "age", 1)[0].ID, "Sec-Fetch-Site", "same-origin").Code)
	assert.True(t, m.Contains("a"))
}

func TestEndSession(t *testing.T) {
	var causes []sessionmap.Cause
	m := newMap[string, int](t, "actions", sessionmap.WithOnRemove(func(_ string, _ int, c sessionmap.Cause) { causes = append(causes, c) }))
	h := debugpage.Handler(debugpage.WithActions())
	f := find(t, read(t, h, ""), "actions")
	m.Set("a", 1)
	id := top(t, h, "actions", "age", 1)[0].ID
	m.Set("b", 2)

	for name, header := range map[string][]string{
		"another site":       {"Sec-Fetch-Site", "cross-site"},
		"another subdomain":  {"Sec-Fetch-Site", "same-site"},
		"another origin":     {"Origin", "https://evil.example"},
		"a hidden origin":    {"Origin", "null"},
		"a mere look-alike":  {"Origin", "http://example.com.evil.example"},
		"both, which differ": {"Sec-Fetch-Site", "cross-site", "Origin", "http://example.com"},
	} {
		assert.Equal(t, http.StatusForbidden, end(h, f, id, header...).Code, name)
	}
	require.Equal(t, 2, m.Len())

	w := end(h, f, id, "Sec-Fetch-Site", "same-origin")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.JSONEq(t, `{"Ended": true}`, w.Body.String())
	assert.False(t, m.Contains("a"))
	assert.True(t, m.Contains("b"))
	assert.Equal(t, []sessionmap.Cause{sessionmap.Deleted}, causes)

	assert.JSONEq(t, `{"Ended": false}`, end(h, f, id, "Origin", "http://example.com").Body.String())
	assert.JSONEq(t, `{"Ended": false}`, end(h, f, "b").Body.String(), "by the key itself")
	assert.Equal(t, http.StatusBadRequest, end(h, f, "").Code)
	assert.Equal(t, http.StatusNotFound, end(h, figures{ID: 1 << 60}, id).Code)
	assert.Equal(t, 1, m.Len())
}

func TestEndSessionOfGroup(t *testing.T) {
	g := sessionmap.MustNewGroup[[2]string](sessionmap.WithName("group actions"))
	t.Cleanup(func() { _ = g.Close() })
	g.Touch([2]string{"a b", ""})
	g.Touch([2]string{"a", "b "}) // the same text, another key
	h := debugpage.Handler(debugpage.WithActions(), debugpage.WithKeys())
	sessions := top(t, h, "group actions", "age", 2)
	require.Len(t, sessions, 2)
	assert.NotEqual(t, sessions[0].ID, sessions[1].ID)
	assert.JSONEq(t, `{"Ended": true}`, end(h, find(t, read(t, h, ""), "group actions"), sessions[0].ID).Body.String())
	assert.Equal(t, 1, g.Len())
}

// TestBusy: looking is no access, and goes along with everything else.
func TestBusy(t *testing.T) {
	m := newMap[int, int](t, "busy", sessionmap.WithMaxSize(50))
	h := debugpage.Handler(debugpage.WithActions())
	f := find(t, read(t, h, ""), "busy")
	done := make(chan struct{})
	for range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 50 {
				get(h, "/")
				w := get(h, fmt.Sprintf("/data.json?map=%d&by=idle&n=10", f.ID))
				var a answer
				if assert.NoError(t, json.Unmarshal(w.Body.Bytes(), &a)) && i%10 == 0 && len(a.Top.Sessions) > 0 {
					end(h, f, a.Top.Sessions[0].ID)
				}
			}
		}()
	}
	for i := range 20_000 {
		m.Set(i, i)
		m.Get(i / 2)
	}
	for range 3 {
		<-done
	}
}
