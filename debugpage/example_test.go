package debugpage_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/debugpage"
)

func ExampleHandler() {
	agents := sessionmap.MustNew[string, string](sessionmap.WithName("agents"))
	defer agents.Close()
	agents.Set("session-1", "Ada")

	mux := http.NewServeMux()
	mux.Handle("/debug/sessions/", debugpage.Handler())
	server := httptest.NewServer(mux)
	defer server.Close()

	resp, err := http.Get(server.URL + "/debug/sessions/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, strings.Contains(string(page), "agents"), strings.Contains(string(page), "session-1"))
	// Output: 200 OK true false
}

func ExampleWithActions() {
	mux := http.NewServeMux()
	operators := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "of an operator" {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "operators only", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	mux.Handle("/debug/sessions/", operators(debugpage.Handler(debugpage.WithKeys(), debugpage.WithActions())))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/sessions/", nil))
	fmt.Println(w.Code)
	// Output: 401
}
