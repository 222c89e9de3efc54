package sessionmapprom_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sessionmap/sessionmap"
	sessionmapprom "github.com/sessionmap/sessionmap/adapters/prometheus"
)

// Shows all maps of the process at /metrics.
func Example() {
	agents := sessionmap.MustNew[string, string](sessionmap.WithName("agents"), sessionmap.WithMaxSize(100))
	defer agents.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(sessionmapprom.NewCollector())
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()

	agents.Set("session-1", "Ada")
	agents.Set("session-2", "Grace")
	agents.Delete("session-1")

	response, err := http.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "sessionmap_sessions") || strings.Contains(line, "deleted") {
			fmt.Print(line)
		}
	}
	// Output:
	// sessionmap_removals_total{cause="deleted",map="agents"} 1
	// sessionmap_removals_total{cause="session_deleted",map="agents"} 0
	// sessionmap_sessions{map="agents"} 1
	// sessionmap_sessions_max{map="agents"} 100
}

// Shows the groups only.
func ExampleWithFilter() {
	chats := sessionmap.MustNewGroup[string](sessionmap.WithName("chats"))
	defer chats.Close()
	agents := sessionmap.MustNew[string, string](sessionmap.WithName("agents"))
	defer agents.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(sessionmapprom.NewCollector(
		sessionmapprom.WithFilter(func(in sessionmap.Instance) bool { return in.Group }),
	))
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() == "sessionmap_sessions" {
			for _, m := range family.Metric {
				fmt.Println(m.Label[0].GetValue())
			}
		}
	}
	// Output: chats
}
