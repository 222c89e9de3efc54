// Package browsertest looks at the debug page with a browser. It is a module of its own, so that the library does not
// depend on what drives one:
//
//	cd debugpage/browsertest && GOWORK=off go test .
//	GOWORK=off go test . -run Screenshots -screenshots /tmp/pictures
//
// It wants a Chromium or Chrome, and is skipped without.
package browsertest

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap/debugpage"
)

var screenshots = flag.String("screenshots", "", "save screenshots of a busy page in this `directory`; takes two minutes")

const (
	patience = 30 * time.Second // for what should happen at once, or with the next answer
	interval = 20 * time.Millisecond
)

// chromium is the browser that all tests share, each with a tab of its own; nil if there is none.
var chromium context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if path := find("chromium", "chromium-browser", "google-chrome", "chrome"); path != "" {
			options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
			allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
			defer stop()
			ctx, stop := chromedp.NewContext(allocator)
			defer stop()
			if err := chromedp.Do(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "the browser does not start:", err)
				return 1
			}
			chromium = ctx
		}
		return m.Run()
	}())
}

func find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A tab shows the page to a test. When the test ends there must have been no error in the console, and nothing that
// the Content-Security-Policy had to stop.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// serve mounts the page as a program would, and returns its URL.
func serve(t *testing.T, opts ...debugpage.Option) string {
	mux := http.NewServeMux()
	mux.Handle("/debug/sessions/", debugpage.Handler(opts...))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/debug/sessions/"
}

// newTab opens a tab without a page.
func newTab(t *testing.T) *tab {
	if chromium == nil {
		t.Skip("there is no chromium, chromium-browser, google-chrome or chrome in PATH")
	}
	ctx, closeTab := chromedp.NewContext(chromium)
	b := &tab{t, ctx}
	var mu sync.Mutex
	var complaints []string
	messages := chromedp.Console(ctx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type != chromedp.ConsoleLog && m.Type != chromedp.ConsoleInfo && m.Type != chromedp.ConsoleDebug {
				mu.Lock()
				complaints = append(complaints, m.String())
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		violations, err := chromedp.Run(ctx, chromedp.Evaluate[[]string]("window.violations"))
		closeTab()
		<-read
		mu.Lock()
		defer mu.Unlock()
		assert.NoError(t, err)
		assert.Empty(t, violations, "stopped by the Content-Security-Policy")
		assert.Empty(t, complaints, "in the console")
	})
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		window.violations = [];
		addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ': ' + e.blockedURI));`})
	b.view(1280, 900, false)
	return b
}

// open loads url into a new tab and waits until the page has had its first answer.
func open(t *testing.T, url string) *tab {
	b := newTab(t)
	b.load(url)
	return b
}

func (b *tab) load(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.until(`document.querySelector('#clock').textContent.startsWith('as of')`)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) (result R) {
	b.t.Helper()
	b.do(func(ctx context.Context, target *chromedp.Target) (_ chromedp.Void, err error) {
		result, err = cdp.Call(ctx, target, command, params)
		return
	})
	return result
}

func (b *tab) view(width, height int64, phone bool) {
	b.t.Helper()
	scale := 1.0
	if phone {
		scale = 2
	}
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale, Mobile: phone})
}

func (b *tab) scheme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// until waits until a JavaScript expression is true.
func (b *tab) until(expression string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		return err == nil && yes
	}, patience, interval, expression)
}

// eval returns what a JavaScript expression, or a promise of it, comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return v
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ''`, selector))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) press(keys string, opts ...chromedp.KeyOption) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys, opts...))
}
