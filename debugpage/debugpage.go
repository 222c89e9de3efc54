// Package debugpage shows the session maps and groups of a process to its operators, live: how full they are, why
// sessions leave, whether the events that should end them arrive, and which sessions are the oldest, the longest idle,
// the most costly, or leased.
//
//	mux.Handle("/debug/sessions/", debugpage.Handler())
//
// The page is for those who run the process, as net/http/pprof is: mount it where nobody else gets at it. It tells no
// keys, no values and changes nothing, unless [WithKeys] and [WithActions] say so.
//
// # What it costs
//
// Nothing while nobody looks: there is no goroutine, no timer and no history here; the browser keeps what it has seen,
// and asks every two seconds while its tab is in view. An answer reads the Stats of 200 maps at the most. For the one
// that is selected it also walks the sessions, without a lock and keeping no more than it shows; there is one such walk
// at a time, it ends when the browser goes away, and the page waits twenty times as long before it asks for the next,
// so that its walks take a core for a twentieth of the time at the most, however many sessions there are.
//
// # Where it works
//
// Under any prefix that ends with a slash, behind [http.StripPrefix] and behind a proxy that adds a path of its own: all
// its links are relative. It loads nothing from elsewhere, and its Content-Security-Policy allows neither that nor
// inline code. Without JavaScript it is a table of the figures of the moment.
package debugpage

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"
)

// An Option sets one property of the page.
type Option interface{ set(*handler) }

type option func(*handler)

func (o option) set(h *handler) { o(h) }

// WithKeys shows the sessions' keys as they are. Without it a key is shown as a number that follows from it and from a
// secret of the process: the same session has the same number in every map of the same key type, for as long as the
// process runs, and no number leads back to a key. Keys that are bearer tokens let whoever sees the page be logged in as
// somebody else.
func WithKeys() Option { return option(func(h *handler) { h.keys = true }) }

// WithActions lets operators end a session, with the cause [sessionmap.Deleted], after they have confirmed it. It is
// refused to requests that come from another site's page, as [http.CrossOriginProtection] tells them; who may use the
// page is for the program to say.
func WithActions() Option { return option(func(h *handler) { h.actions = true }) }

// Handler returns the page with all that it loads. It is to be mounted with a path that ends with a slash. It is safe
// for concurrent use.
func Handler(opts ...Option) http.Handler {
	h := &handler{walking: make(chan struct{}, 1)}
	for _, o := range opts {
		if o != nil {
			o.set(h)
		}
	}
	h.routes = map[string]route{
		"":          {http.MethodGet, http.HandlerFunc(h.servePage)},
		"data.json": {http.MethodGet, http.HandlerFunc(h.serveData)},
		"page.css":  {http.MethodGet, asset("page.css", "text/css; charset=utf-8")},
		"page.js":   {http.MethodGet, asset("page.js", "text/javascript; charset=utf-8")},
	}
	if h.actions {
		h.routes["end"] = route{http.MethodPost, http.NewCrossOriginProtection().Handler(http.HandlerFunc(h.serveEnd))}
	}
	return h
}

type handler struct {
	keys    bool
	actions bool
	routes  map[string]route // by the last element of the path
	walking chan struct{}    // holds a token while a request walks the sessions of a map
}

type route struct {
	method string
	serve  http.Handler
}

// The referrer policy is not no-referrer, which would have browsers hide the origin of a POST from the check of it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// ServeHTTP answers for the page and what it loads, and for nothing else.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")

	if dir := withoutSlash(r); dir != "" {
		header.Set("Location", "./"+dir+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	to, ok := h.routes[name(r)]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method == to.method, r.Method == http.MethodHead && to.method == http.MethodGet:
		to.serve.ServeHTTP(w, r)
	default:
		header.Set("Allow", to.method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// name returns what r asks for: what comes after the pattern of the ServeMux or, where that is not known or has been
// stripped, after the last slash.
func name(r *http.Request) string {
	if i := strings.IndexByte(r.Pattern, '/'); i >= 0 && strings.HasSuffix(r.Pattern, "/") {
		if rest, ok := strings.CutPrefix(r.URL.Path, r.Pattern[i:]); ok {
			return rest
		}
	}
	return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
}

// withoutSlash returns the last element of the path by which r asks for the page, if there is no slash after it: then
// all relative links would miss.
func withoutSlash(r *http.Request) string {
	if r.URL.Path != "" {
		return ""
	}
	asked, _, _ := strings.Cut(r.RequestURI, "?")
	if asked == "" || strings.HasSuffix(asked, "/") {
		return ""
	}
	return path.Base(asked)
}

//go:embed page.html page.css page.js
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"count": grouped, "percent": percent, "bytes": mebibytes,
}).ParseFS(files, "page.html"))

func asset(name, contentType string) http.Handler {
	content, err := files.ReadFile(name)
	if err != nil {
		panic("debugpage: " + err.Error()) // it is embedded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content)
	})
}

func (h *handler) servePage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := page.Execute(&b, h.snapshot()); err != nil {
		http.Error(w, "debugpage: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}
