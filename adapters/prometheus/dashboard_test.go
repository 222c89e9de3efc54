package sessionmapprom_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	sessionmapprom "github.com/sessionmap/sessionmap/adapters/prometheus"
)

type datasource struct{ Type, UID string }

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource datasource
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		RefID, Expr, LegendFormat string
		Datasource                datasource
	}
}

type variable struct {
	Name, Type string
	Multi      bool
	Definition string
	Query      json.RawMessage
	Datasource datasource
}

type dashboard struct {
	Title         string
	UID           string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// exposed returns the labels of all metrics of a process that has a map and a group, and shows Go's figures too.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	newMap[int](t, sessionmap.WithName("agents"), sessionmap.WithMaxCost(10, func(string, int) int64 { return 1 }))
	sessionmap.NewAttribute[int](newGroup(t, sessionmap.WithName("chats")), "history")
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(sessionmapprom.NewCollector(), collectors.NewGoCollector())
	metrics := make(map[string][]string)
	for name, family := range families(t, reg) {
		metrics[name] = slices.Clone(ofScrape)
		for _, m := range family.Metric {
			for _, pair := range m.Label {
				metrics[name] = append(metrics[name], pair.GetName())
			}
		}
	}
	return metrics
}

// ofScrape are the labels that Prometheus adds to every series.
var ofScrape = []string{"job", "instance"}

var variables = regexp.MustCompile(`\$\{?(\w+)`)

// parse parses PromQL as Grafana would send it.
func parse(t *testing.T, query string) parser.Expr {
	t.Helper()
	query = strings.ReplaceAll(query, "$__rate_interval", "5m")
	query = variables.ReplaceAllString(query, ".*")
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	require.NoError(t, err, query)
	return expr
}

// selectors returns those of expr, and the labels that it groups and matches by.
func selectors(expr parser.Expr) (all []*parser.VectorSelector, by []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			all = append(all, node)
		case *parser.AggregateExpr:
			by = append(by, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				by = append(by, node.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return all, by
}

// check checks that the process has every metric of the query, with every label that it uses.
func check(t *testing.T, metrics map[string][]string, query string) {
	t.Helper()
	all, by := selectors(parse(t, query))
	require.NotEmpty(t, all, query)
	for _, s := range all {
		have, ok := metrics[s.Name]
		assert.True(t, ok, "no metric %s: %s", s.Name, query)
		for _, matcher := range s.LabelMatchers {
			if matcher.Name != model.MetricNameLabel {
				assert.Contains(t, have, matcher.Name, "%s: %s", s.Name, query)
			}
		}
		for _, label := range by {
			assert.Contains(t, have, label, "%s: %s", s.Name, query)
		}
	}
}

func TestDashboardQueries(t *testing.T) {
	metrics := exposed(t)
	d := readDashboard(t)
	shown := make(map[string]bool)
	for _, p := range d.Panels {
		assert.NotEmpty(t, p.Targets, p.Title)
		refs := make(map[string]bool)
		for _, target := range p.Targets {
			check(t, metrics, target.Expr)
			assert.False(t, refs[target.RefID], "%s: %s twice", p.Title, target.RefID)
			refs[target.RefID] = true
			all, by := selectors(parse(t, target.Expr))
			for _, s := range all {
				shown[s.Name] = true
			}
			for _, legend := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				assert.Contains(t, by, legend[1], "%s: the query drops what %q names", p.Title, target.LegendFormat)
			}
		}
	}
	for name := range metrics {
		if strings.HasPrefix(name, "sessionmap_") {
			assert.True(t, shown[name], "no panel shows %s", name)
		}
	}
}

// TestDashboardPercentages: the backstop share counts the causes that the library does.
func TestDashboardPercentages(t *testing.T) {
	d := readDashboard(t)
	i := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == "Backstop share" })
	require.GreaterOrEqual(t, i, 0)
	all, _ := selectors(parse(t, d.Panels[i].Targets[0].Expr))
	require.Len(t, all, 2)
	for i, label := range causes {
		cause := sessionmap.Cause(i + 1)
		stats := sessionmap.Stats{Removals: map[sessionmap.Cause]uint64{cause: 1}}
		assert.Equal(t, cause.Backstop(), selects(all[0], "cause", label), label)
		assert.Equal(t, stats.Ended() == 1, selects(all[1], "cause", label), label)
	}
}

func selects(s *parser.VectorSelector, label, value string) bool {
	for _, matcher := range s.LabelMatchers {
		if matcher.Name == label && !matcher.Matches(value) {
			return false
		}
	}
	return true
}

func TestDashboardVariables(t *testing.T) {
	metrics := exposed(t)
	d := readDashboard(t)
	kinds := make(map[string]string)
	for _, v := range d.Templating.List {
		kinds[v.Name] = v.Type
		if v.Type != "query" {
			continue
		}
		assert.True(t, v.Multi, v.Name)
		parts := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		require.NotNil(t, parts, v.Definition)
		check(t, metrics, parts[1])
		all, _ := selectors(parse(t, parts[1]))
		assert.Contains(t, metrics[all[0].Name], parts[2])
		var query struct{ Query string }
		require.NoError(t, json.Unmarshal(v.Query, &query))
		assert.Equal(t, v.Definition, query.Query)
	}
	assert.Equal(t, "datasource", kinds["DS_PROMETHEUS"])
	assert.Equal(t, "query", kinds["map"])

	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	for _, used := range variables.FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(used[1], "__") {
			assert.Contains(t, kinds, used[1])
		}
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			assert.Equal(t, datasource{"prometheus", "${DS_PROMETHEUS}"}, target.Datasource, p.Title)
			assert.Contains(t, target.Expr, `map=~"$map"`, p.Title)
		}
		assert.Equal(t, datasource{"prometheus", "${DS_PROMETHEUS}"}, p.Datasource, p.Title)
	}
}

func TestDashboardLayout(t *testing.T) {
	d := readDashboard(t)
	assert.NotEmpty(t, d.Title)
	assert.NotEmpty(t, d.UID)
	assert.GreaterOrEqual(t, d.SchemaVersion, 39)
	const width = 24
	ids := make(map[int]string)
	cells := make(map[[2]int]string)
	for _, p := range d.Panels {
		assert.NotContains(t, ids, p.ID, p.Title)
		ids[p.ID] = p.Title
		assert.Positive(t, p.ID)
		assert.NotEmpty(t, p.Type)
		at := p.GridPos
		assert.True(t, at.X >= 0 && at.Y >= 0 && at.W > 0 && at.H > 0 && at.X+at.W <= width, "%s: %+v", p.Title, at)
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				assert.NotContains(t, cells, [2]int{x, y}, p.Title)
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}
