package browsertest

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/debugpage"
)

func newMap(t *testing.T, name string, opts ...sessionmap.Option) *sessionmap.RobustSessionMap[string, int] {
	quiet := sessionmap.WithLogger(slog.New(slog.DiscardHandler))
	m := sessionmap.MustNew[string, int](append(opts, sessionmap.WithName(name), quiet)...)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// cell is an expression for the text of a cell in the row of a map.
func cell(name string, column int) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#maps tbody tr')].find(r => r.cells[0].textContent.startsWith(%q))?.cells[%d].textContent`, name, column)
}

const live = 2 // the column

func TestNumbersAreLive(t *testing.T) {
	m := newMap(t, "agents", sessionmap.WithMaxSize(5))
	m.Set("a", 1)
	b := open(t, serve(t))
	b.until(cell("agents", live) + ` === '1'`)
	for i := range 8 {
		m.Set(strconv.Itoa(i), i)
	}
	b.until(cell("agents", live) + ` === '5'`)
	assert.Equal(t, "100.0 %", eval[string](b, cell("agents", 7)))
	for i := range 4 {
		m.Delete(strconv.Itoa(i + 4))
	}
	b.until(cell("agents", live) + ` === '1'`)
	assert.Equal(t, "8", eval[string](b, cell("agents", 6)), "ended")

	later := newMap(t, "made later")
	b.until(cell("made later", live) + ` === '0'`)
	require.NoError(t, later.Close())
	b.until(cell("made later", live) + ` === undefined`)
}

func TestChartsGetPoints(t *testing.T) {
	m := newMap(t, "charted", sessionmap.WithMaxSize(3), sessionmap.WithMaxCost(1000, func(_ string, v int) int64 { return int64(v) }))
	m.Set("a", 1)
	b := open(t, serve(t))
	for i := range 10 {
		m.Set(strconv.Itoa(i), i)
	}
	m.Clear()
	for _, chart := range []string{"size", "cost", "heap"} {
		b.until(fmt.Sprintf(`document.querySelector('#chart-%s svg').dataset.points >= 2`, chart))
	}
	for _, chart := range []string{"removals", "backstop"} {
		b.until(fmt.Sprintf(`document.querySelector('#chart-%s svg').dataset.points >= 1`, chart))
	}
	assert.Regexp(t, `^Size in the last 60 s: now 0, from 0 to \d+, bound 3\.$`, eval[string](b, `document.querySelector('#chart-size svg').getAttribute('aria-label')`))
	b.until(`document.querySelector('#chart-removals svg').getAttribute('aria-label') === 'Removals by cause in the last minute: evicted 8, cleared 3.'`)
	b.until(`[...document.querySelectorAll('#causes tbody tr')].map(r => r.innerText.replace(/\s+/g, ' ').trim()).join('; ') === 'evicted 8 8 backstop; cleared 3 3 asked for'`)

	bars := `document.querySelectorAll('#chart-removals path.c6').length`
	b.until(bars + ` === 1`)
	b.click(`#causes tbody tr:first-child button`)
	b.until(bars + ` === 0`)
	assert.Equal(t, "false", eval[string](b, `document.querySelector('#causes tbody tr:first-child button').getAttribute('aria-pressed')`))
}

func TestGroup(t *testing.T) {
	g := sessionmap.MustNewGroup[string](sessionmap.WithName("visitors"))
	t.Cleanup(func() { _ = g.Close() })
	carts := sessionmap.NewAttribute[int](g, "cart")
	carts.Set("a", 1)
	g.Touch("b")
	b := open(t, serve(t))
	b.until(`document.querySelector('#map-name').textContent === 'visitors'`)
	assert.Contains(t, b.text("#attributes tbody"), "cart")
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 2`)
	assert.Contains(t, b.text("#map-type"), "group")
}

// TestPrefixes: nothing on the page leaves the path under which it is seen.
func TestPrefixes(t *testing.T) {
	newMap(t, "agents").Set("a", 1)
	inner := http.NewServeMux()
	inner.Handle("/debug/sessions/", debugpage.Handler())
	behind := httptest.NewServer(inner)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL + "/debug/sessions/")
	require.NoError(t, err)

	outer := http.NewServeMux()
	outer.Handle("/ops/tools/sessions/", http.StripPrefix("/ops/tools/sessions", debugpage.Handler()))
	outer.Handle("/app/one/", http.StripPrefix("/app/one/", httputil.NewSingleHostReverseProxy(to)))
	for _, test := range []struct{ prefix, asked string }{
		{"/ops/tools/sessions/", "/ops/tools/sessions/"},
		{"/ops/tools/sessions", "/ops/tools/sessions"},
		{"/app/one/", "/app/one/#1"},
	} {
		t.Run(test.asked, func(t *testing.T) {
			var strays atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, test.prefix) {
					strays.Add(1)
				}
				outer.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			b := open(t, server.URL+test.asked)
			b.until(cell("agents", live) + ` === '1'`)
			b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
			assert.Zero(t, strays.Load())
		})
	}
}

func TestPhone(t *testing.T) {
	newMap(t, "a map with a rather long name, as-it-is-made-by-a-program-from-many-parts", sessionmap.WithMaxCost(1<<60, func(string, int) int64 { return 1 << 40 })).
		Set(strings.Repeat("key", 50), 1)
	g := sessionmap.MustNewGroup[string](sessionmap.WithName("visitors"))
	t.Cleanup(func() { _ = g.Close() })
	sessionmap.NewAttribute[int](g, "cart").Set("a", 1)
	b := newTab(t)
	b.view(320, 640, true)
	b.load(serve(t, debugpage.WithKeys(), debugpage.WithActions()))
	for _, map_ := range []int{1, 2} {
		b.click(fmt.Sprintf(`#maps tbody tr:nth-child(%d) button`, map_))
		b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
		assert.Equal(t, 320, eval[int](b, `document.documentElement.scrollWidth`))
		assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll('body *')]
			.filter(e => !e.closest('.scroll') && !e.closest('.defs, .skip, .unseen') && e.getBoundingClientRect().right > 320.5)
			.map(e => e.tagName + '#' + e.id + '.' + e.className)`))
		b.click(`#sessions tbody button`)
		assert.LessOrEqual(t, eval[float64](b, `document.querySelector('dialog').getBoundingClientRect().right`), 320.)
		b.click(`#confirm-no`)
	}
}

// contrasts is an expression for the texts that are seen and have less contrast with what is behind them than WCAG AA
// asks for, and for how many were looked at.
const contrasts = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
	const low = []; let seen = 0;
	for (const e of document.querySelectorAll('body, body *')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length || e.closest('noscript')) continue;
		const style = getComputedStyle(e), svg = e instanceof SVGElement;
		const [a, b] = [light(parse(svg ? style.fill : style.color)), light(behind(e))].sort((x, y) => y - x);
		seen++;
		if ((a + 0.05) / (b + 0.05) < 4.5) low.push(e.tagName + ' ' + e.textContent.slice(0, 20) + ' ' + ((a + 0.05) / (b + 0.05)).toFixed(2));
	}
	return { low, seen };
})()`

func TestColours(t *testing.T) {
	m := newMap(t, "agents", sessionmap.WithMaxSize(2), sessionmap.WithOnRemove(func(string, int, sessionmap.Cause) { panic("a problem to show") }))
	for i := range 5 {
		m.Set(strconv.Itoa(i), i)
	}
	b := open(t, serve(t, debugpage.WithActions()))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 2`)
	grounds := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.until(fmt.Sprintf(`matchMedia('(prefers-color-scheme: %s)').matches`, scheme))
		grounds[scheme] = eval[string](b, `getComputedStyle(document.body).backgroundColor`)
		found := eval[struct {
			Low  []string
			Seen int
		}](b, contrasts)
		assert.Empty(t, found.Low, scheme)
		assert.Greater(t, found.Seen, 60)
	}
	assert.Equal(t, map[string]string{"light": "rgb(245, 246, 248)", "dark": "rgb(17, 21, 27)"}, grounds)
}

// TestKeyboard: Tab reaches every control in the order of the page, and what has the focus shows it.
func TestKeyboard(t *testing.T) {
	small, large := newMap(t, "small"), newMap(t, "large")
	small.Set("a", 1)
	for i := range 3 {
		large.Set(strconv.Itoa(i), i)
	}
	b := open(t, serve(t, debugpage.WithActions()))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
	eval[any](b, `document.querySelector('#pause').click()`) // so that nothing comes or goes meanwhile, and the focus is nowhere yet
	b.until(`document.querySelector('#clock').textContent.startsWith('paused')`)
	eval[any](b, `document.querySelectorAll('a[href], button, select').forEach((e, i) => { if (e.getClientRects().length) e.dataset.control = i })`)
	want := eval[[]string](b, `[...document.querySelectorAll('[data-control]')].map(e => e.dataset.control)`)
	require.Greater(t, len(want), 15)
	var got []string
	for range 3 * len(want) {
		b.press(kb.Tab)
		at := eval[struct {
			Control, Outline string
			Out              bool
		}](b, `(e => ({ Control: e.dataset.control ?? '', Outline: getComputedStyle(e).outlineStyle, Out: e === document.body }))(document.activeElement)`)
		if at.Out {
			break
		}
		assert.NotEqual(t, "none", at.Outline)
		if at.Control != "" {
			if slices.Contains(got, at.Control) {
				break
			}
			got = append(got, at.Control)
		}
	}
	assert.Equal(t, want, got)

	// Sorting by Enter and Space.
	names := `[...document.querySelectorAll('#maps tbody th button')].map(b => b.textContent).join()`
	header := `document.querySelector('#maps th[data-sort=Live]')`
	eval[any](b, header+`.firstElementChild.focus()`)
	b.press(kb.Enter)
	b.until(names + ` === 'large,small' && ` + header + `.getAttribute('aria-sort') === 'descending'`)
	b.press(" ")
	b.until(names + ` === 'small,large' && ` + header + `.getAttribute('aria-sort') === 'ascending'`)
	assert.Equal(t, 1, eval[int](b, `document.querySelectorAll('#maps [aria-sort]').length`))

	// Selecting a map, and ordering its sessions. The focus stays.
	eval[any](b, `[...document.querySelectorAll('#maps tbody button')].find(b => b.textContent === 'large').focus()`)
	b.press(kb.Enter)
	b.until(`document.querySelector('#map-name').textContent === 'large' && document.querySelectorAll('#sessions tbody tr').length === 3`)
	assert.Equal(t, "large", eval[string](b, `document.activeElement.textContent`))
	assert.Equal(t, "true", eval[string](b, `document.activeElement.getAttribute('aria-pressed')`))
	eval[any](b, `document.querySelector('#sessions th[data-sort=idle] button').focus()`)
	b.press(kb.Enter)
	b.until(`document.querySelector('#sessions-note').textContent.includes('longest idle first')`)
	assert.Equal(t, "descending", eval[string](b, `document.activeElement.parentElement.getAttribute('aria-sort')`))

	// A dialog takes the focus, and gives it back.
	eval[any](b, `document.querySelector('#sessions tbody button').focus()`)
	b.press(kb.Enter)
	b.until(`document.querySelector('dialog').open && document.activeElement.closest('dialog')`)
	b.press(kb.Escape)
	b.until(`!document.querySelector('dialog').open && document.activeElement.closest('#sessions')`)
	assert.Equal(t, 3, large.Len())
}

func TestAccessibleNames(t *testing.T) {
	m := newMap(t, "agents", sessionmap.WithMaxSize(2))
	for i := range 5 {
		m.Set(strconv.Itoa(i), i)
	}
	b := open(t, serve(t, debugpage.WithActions()))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 2`)
	said := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	count := make(map[string]int)
	named := []string{"button", "link", "combobox", "image", "img", "region", "columnheader", "rowheader", "heading", "option", "MenuListOption"}
	for _, node := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if role := said(node.Role); !node.Ignored {
			count[role]++
			if slices.Contains(named, role) {
				assert.NotEmpty(t, strings.TrimSpace(said(node.Name)), role)
			}
		}
	}
	assert.Equal(t, 1, count["main"])
	assert.Equal(t, 1, count["banner"])
	assert.Equal(t, 1, count["status"])
	assert.Equal(t, 1, count["combobox"])
	assert.Equal(t, 4, count["image"]+count["img"], "the charts that are shown")
	assert.GreaterOrEqual(t, count["table"], 3)
	assert.GreaterOrEqual(t, count["button"], 18)
	levels := eval[[]int](b, `[...document.querySelectorAll('h1, h2, h3')].filter(h => h.getClientRects().length).map(h => +h.tagName[1])`)
	assert.Equal(t, 1, levels[0])
	for i := range levels[1:] {
		assert.LessOrEqual(t, levels[i+1], levels[i]+1, "a level of headings is left out")
	}
}

// TestPause: nothing is asked for while the page is paused, or nobody sees it. The browser's clock is run ahead.
func TestPause(t *testing.T) {
	m := newMap(t, "agents")
	var asked atomic.Int64
	page := debugpage.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "data.json") {
			asked.Add(1)
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b := open(t, server.URL+"/")
	// A question that is under way when the page is hidden is answered still, perhaps with what comes after: it is waited for.
	eval[any](b, `{ const real = fetch; window.underWay = 0; window.fetch = (...args) => { underWay++; return real(...args).finally(() => underWay--) } }`)

	hide := func(hidden bool) {
		eval[any](b, fmt.Sprintf(`Object.defineProperty(document, 'hidden', { configurable: true, get: () => %v }), document.dispatchEvent(new Event('visibilitychange'))`, hidden))
	}
	ahead := func() {
		budget := 20_000.
		passed := chromedp.Events(b.ctx, emulation.VirtualTimeBudgetExpired)
		call(b, emulation.SetVirtualTimePolicy, emulation.SetVirtualTimePolicyParams{Policy: emulation.VirtualTimePolicyAdvance, Budget: &budget})
		for _, err := range passed {
			require.NoError(t, err)
			break
		}
		call(b, emulation.SetVirtualTimePolicy, emulation.SetVirtualTimePolicyParams{Policy: emulation.VirtualTimePolicyAdvance})
	}
	for name, test := range map[string]struct{ stop, resume func() }{
		"paused": {func() { b.click("#pause") }, func() { b.click("#pause") }},
		"hidden": {func() { hide(true) }, func() { hide(false) }},
	} {
		m.Clear()
		b.until(cell("agents", live) + ` === '0'`)
		test.stop()
		b.until(`underWay === 0`)
		before := asked.Load()
		m.Set("a", 1)
		start := eval[float64](b, `performance.now()`)
		ahead()
		assert.Greater(t, eval[float64](b, `performance.now()`)-start, 15_000., name)
		assert.Equal(t, "0", eval[string](b, cell("agents", live)), name)
		assert.LessOrEqual(t, asked.Load(), before+1, "one that was broken off may come late: "+name)
		test.resume()
		b.until(cell("agents", live) + ` === '1'`)
	}
	assert.Equal(t, "Pause", b.text("#pause"))
}

func TestActions(t *testing.T) {
	m := newMap(t, "agents")
	m.Set("a", 1)
	b := open(t, serve(t))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
	assert.Zero(t, eval[int](b, `document.querySelectorAll('dialog, .danger, #sessions tbody button').length`), "off by default")

	m.Set("b", 1)
	b = open(t, serve(t, debugpage.WithActions(), debugpage.WithKeys()))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 2`)
	b.click(`[aria-label="End session a"]`)
	b.until(`document.querySelector('dialog').open`)
	assert.Contains(t, b.text("#confirm-text"), "a leaves agents")
	b.click("#confirm-no")
	b.until(`!document.querySelector('dialog').open`)
	assert.Equal(t, 2, m.Len())

	b.click(`[aria-label="End session a"]`)
	b.click("#confirm-yes")
	b.until(`document.querySelector('#status').textContent === 'The session has been ended.'`)
	assert.False(t, m.Contains("a"))
	assert.True(t, m.Contains("b"))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
	assert.EqualValues(t, 1, m.Stats().Removals[sessionmap.Deleted])
}

func TestKeys(t *testing.T) {
	const key = "secret-<img src=x onerror=alert(1)>-key"
	newMap(t, "<script>alert('name')</script>").Set(key, 1)
	b := open(t, serve(t))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
	assert.Regexp(t, "^[0-9a-f]{16}$", b.text("#sessions tbody th"))
	assert.NotContains(t, eval[string](b, `document.documentElement.outerHTML`), "secret-")
	assert.Equal(t, "<script>alert('name')</script>", b.text("#map-name"))

	b = open(t, serve(t, debugpage.WithKeys()))
	b.until(`document.querySelectorAll('#sessions tbody tr').length === 1`)
	assert.Equal(t, key, b.text("#sessions tbody th"))
	assert.Zero(t, eval[int](b, `document.querySelectorAll('main img').length`))
}

// TestWithoutScript: the figures of the moment are there, on a phone too.
func TestWithoutScript(t *testing.T) {
	newMap(t, "agents", sessionmap.WithMaxSize(1234)).Set("a", 1)
	b := newTab(t)
	b.view(320, 640, true)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate(serve(t)))
	assert.Equal(t, "1,234", eval[string](b, cell("agents", live+1)))
	assert.Equal(t, 320, eval[int](b, `document.documentElement.scrollWidth`))
	assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll('button, select, figure svg, #map')].filter(e => e.getClientRects().length).map(e => e.id)`))
	assert.Contains(t, eval[string](b, `document.querySelector('main').innerText`), "Charts and sessions take JavaScript")
	eval[any](b, `window.violations ??= []`) // which a script would have made
}

// TestNoAnswer: the page says so when the process is gone, and until it is back.
func TestNoAnswer(t *testing.T) {
	newMap(t, "agents").Set("a", 1)
	var broken atomic.Bool
	page := debugpage.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() && strings.HasSuffix(r.URL.Path, "data.json") {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<p>a proxy's page for a process that is gone")
			return
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b := open(t, server.URL+"/")
	broken.Store(true)
	b.until(`document.querySelector('#status').textContent.startsWith('The process does not answer')`)
	broken.Store(false)
	b.until(`document.querySelector('#status').textContent === ''`)
}

// TestManyMaps: an answer is shown soon, also where there are as many maps as the page shows and more.
func TestManyMaps(t *testing.T) {
	for i := range 230 {
		newMap(t, fmt.Sprintf("map %d", i)).Set("a", i)
	}
	b := open(t, serve(t))
	b.until(`document.querySelectorAll('#maps tbody tr').length === 200`)
	assert.Contains(t, b.text("main"), "And 30 more")
	start := time.Now()
	b.click(`#maps th[data-sort=Label] button`)
	b.until(`document.querySelector('#maps tbody button').textContent === 'map 0'`)
	assert.Less(t, time.Since(start), 10*time.Second)
}
