package main

import (
	"bytes"
	"encoding/json"
	"go/format"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// program has two packages: what grows in one shrinks in the other, but for one map.
const program = `
-- go.mod --
module example.com/app

go 1.26
-- internal/store/store.go --
package store

import "sync"

type Store struct {
	Mu       sync.Mutex
	Sessions map[string]int
	Users    map[string]int
}

func New() *Store { return &Store{Sessions: make(map[string]int), Users: make(map[string]int)} }

func (s *Store) Open(sessionID, userID string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Sessions[sessionID] = 1
	s.Users[userID] = 1
}
-- main.go --
package main

import "example.com/app/internal/store"

func main() {
	s := store.New()
	for {
		s.Open("a", "b")
		end(s, "a")
	}
}

func end(s *store.Store, sessionID string) { delete(s.Sessions, sessionID) }
`

const message = "Store.Users grows with userID and nothing removes from it"

// vet runs the command on a program.
func vet(t *testing.T, program string, args ...string) (status int, out, errors string) {
	t.Helper()
	dir, _, _ := unpack(t, txtar.Parse([]byte(program)))
	var stdout, stderr bytes.Buffer
	status = run(args, dir, &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

func TestText(t *testing.T) {
	status, out, errors := vet(t, program, "./...")
	assert.Equal(t, "internal/store/store.go:17:2: grows: "+message+"\n", filepath.ToSlash(out))
	assert.Empty(t, errors)
	assert.Equal(t, found, status)

	status, out, errors = vet(t, program, "-fixed=user", "./...")
	assert.Empty(t, out)
	assert.Empty(t, errors)
	assert.Equal(t, nothing, status)
}

func TestJSON(t *testing.T) {
	status, out, _ := vet(t, program, "-format=json", "./...")
	assert.Equal(t, found, status)
	var reports []jsonReport
	require.NoError(t, json.Unmarshal([]byte(out), &reports))
	require.Len(t, reports, 1)
	assert.Equal(t, jsonReport{
		Rule: "grows", Container: "example.com/app/internal/store.Store.Users", Message: message,
		Position: filepath.FromSlash("internal/store/store.go:17:2"),
		Related:  []jsonRelated{{filepath.FromSlash("internal/store/store.go:8:2"), "Store.Users is declared here"}},
	}, reports[0])

	status, out, _ = vet(t, program, "-format=json", "-fixed=user", "./...")
	assert.Equal(t, nothing, status)
	assert.Equal(t, "[]\n", out, "no reports are an empty list")
}

func TestSARIF(t *testing.T) {
	status, out, _ := vet(t, program, "-format=sarif", "./...")
	assert.Equal(t, found, status)
	log, err := sarif.FromString(out)
	require.NoError(t, err)
	require.NoError(t, log.Validate(), "by the schema of SARIF 2.1.0")
	require.Len(t, log.Runs, 1)
	require.Len(t, log.Runs[0].Results, 1)
	result := log.Runs[0].Results[0]
	assert.Equal(t, "grows", *result.RuleID)
	assert.Equal(t, message, *result.Message.Text)
	place := result.Locations[0].PhysicalLocation
	assert.Equal(t, "internal/store/store.go", *place.ArtifactLocation.URI)
	assert.Equal(t, 17, *place.Region.StartLine)
	assert.Len(t, log.Runs[0].Tool.Driver.Rules, 11)
	assert.NotEmpty(t, log.Runs[0].Tool.Driver.Version)
	require.Len(t, log.Runs[0].Invocations, 1)
	assert.True(t, *log.Runs[0].Invocations[0].ExecutionSuccessful)
}

// TestSARIFPlaces: files are named by URIs, and columns count characters.
func TestSARIFPlaces(t *testing.T) {
	const name = "a b#1%.go"
	_, out, _ := vet(t, "-- go.mod --\nmodule example.com/app\n\ngo 1.26\n-- "+name+` --
package main

import "net/http"

var sessions = make(map[string]int)

func main() {
	http.HandleFunc("/ä", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("äöü")); sessions[r.FormValue("session")]++ })
	http.ListenAndServe("", nil)
}
`, "-format=sarif", "./...")
	log, err := sarif.FromString(out)
	require.NoError(t, err)
	require.NoError(t, log.Validate())
	require.Len(t, log.Runs[0].Results, 1)
	place := log.Runs[0].Results[0].Locations[0].PhysicalLocation
	assert.Equal(t, "a%20b%231%25.go", *place.ArtifactLocation.URI)
	assert.Equal(t, "unicodeCodePoints", *log.Runs[0].ColumnKind)
	assert.Equal(t, 95, *place.Region.StartColumn)

	c := command{dir: t.TempDir()}
	elsewhere := filepath.Join(t.TempDir(), name)
	uri := (&sarifWriter{command: &c}).artifact(token.Position{Filename: elsewhere}).URI
	assert.Regexp(t, "^file:///.*/a%20b%231%25\\.go$", *uri)
}

// TestSARIFFix: a fix is in the log, and makes what -fix makes.
func TestSARIFFix(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/fix/single.txtar")
	require.NoError(t, err)
	dir, want, _ := unpack(t, archive)
	var out bytes.Buffer
	run([]string{"-format=sarif", "./..."}, dir, &out, io.Discard)
	log, err := sarif.FromString(out.String())
	require.NoError(t, err)
	require.NoError(t, log.Validate())
	fixed := make(map[string][]edit)
	for _, result := range log.Runs[0].Results {
		for _, fix := range result.Fixes {
			for _, change := range fix.ArtifactChanges {
				file := *change.ArtifactLocation.URI
				lines := strings.SplitAfter(read(t, filepath.Join(dir, file)), "\n")
				offset := func(line, column int) int {
					return len(strings.Join(lines[:line-1], "")) + len(string([]rune(lines[line-1])[:column-1]))
				}
				for _, r := range change.Replacements {
					at := r.DeletedRegion
					require.True(t, merge(fixed, []edit{{file, offset(*at.StartLine, *at.StartColumn), offset(*at.EndLine, *at.EndColumn), *r.InsertedContent.Text}}, nil))
				}
			}
		}
	}
	require.NotEmpty(t, fixed)
	for file, edits := range fixed {
		made, err := format.Source(replace([]byte(read(t, filepath.Join(dir, file))), edits))
		require.NoError(t, err)
		assert.Equal(t, want[file], string(made))
	}
}

func TestAudit(t *testing.T) {
	status, out, errors := vet(t, program, "-audit", "./...")
	assert.Equal(t, nothing, status)
	assert.Empty(t, errors)
	lines := strings.Split(strings.TrimSpace(filepath.ToSlash(out)), "\n")
	require.Len(t, lines, 3)
	fields := func(line string) []string { return strings.Fields(line) }
	assert.Equal(t, []string{"CONTAINER", "TYPE", "DECLARED", "GROWS", "SHRINKS", "VERDICT"}, fields(lines[0]))
	assert.Equal(t, strings.Fields("example.com/app/internal/store.Store.Sessions map[string]int internal/store/store.go:7:2 store.go:16 main.go:13 ok: it is emptied by: caller (main)"), fields(lines[1]))
	assert.Equal(t, strings.Fields("example.com/app/internal/store.Store.Users map[string]int internal/store/store.go:8:2 store.go:17 nowhere grows: nothing removes from it"), fields(lines[2]))

	_, out, _ = vet(t, program, "-audit", "-format=json", "./...")
	var reports []jsonReport
	require.NoError(t, json.Unmarshal([]byte(out), &reports))
	require.Len(t, reports, 2)
	assert.Len(t, reports[0].Removals, 1)
	assert.Empty(t, reports[1].Removals)
	assert.Equal(t, "map[string]int", reports[1].Type)
}

// TestAuditOthers has what is no map of sessions: slices, a cache of another library, and what is filled in set-up only.
func TestAuditOthers(t *testing.T) {
	const program = `
-- go.mod --
module example.com/app

go 1.26

require github.com/patrickmn/go-cache v1.0.0

replace github.com/patrickmn/go-cache => ./go-cache
-- go-cache/go.mod --
module github.com/patrickmn/go-cache
-- go-cache/cache.go --
package cache

import "time"

type Cache struct{}

func New(ttl, interval time.Duration) *Cache       { return nil }
func (*Cache) SetDefault(key string, value any)    {}
func (*Cache) Delete(key string)                   {}
-- main.go --
package main

import (
	"net/http"
	"time"

	"github.com/patrickmn/go-cache"
)

var (
	users    = make(map[string]int)
	history  []string
	recent   []string
	tokens   = cache.New(time.Hour, time.Minute)
	requests = cache.New(time.Hour, 0)
)

func main() {
	for _, user := range []string{"a", "b"} {
		users[user] = 1
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		history = append(history, r.URL.Path)
		recent = append(recent, r.URL.Path)
		if len(recent) > 10 {
			recent = nil
		}
		tokens.SetDefault(r.URL.Path, 1)
		tokens.Delete(r.URL.Path)
	})
	_ = http.ListenAndServe(":1", nil)
}
`
	_, out, errors := vet(t, program, "-audit", "./...")
	assert.Empty(t, errors)
	var lines []string
	for line := range strings.Lines(filepath.ToSlash(out)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	assert.Equal(t, []string{
		"CONTAINER TYPE DECLARED GROWS SHRINKS VERDICT",
		"example.com/app.users map[string]int main.go:11:2 main.go:20 nowhere ok: it is filled in set-up only",
		"example.com/app.history []string main.go:12:2 main.go:23 nowhere append: nothing takes from it",
		"example.com/app.recent []string main.go:13:2 main.go:24 main.go:26 ok: it is emptied by: bound",
		"example.com/app.tokens go-cache main.go:14:13 main.go:28 main.go:29 ok: it is bounded, or swept, by its own options",
		"example.com/app.requests go-cache main.go:15:13 nowhere nowhere cache: this go-cache is made without a cleanup interval: what has expired is never removed",
	}, lines)
}

// TestCommand has programs that run to their end, which ends what they hold, and others.
func TestCommand(t *testing.T) {
	const program = `
-- go.mod --
module example.com/app

go 1.26
-- internal/seen/seen.go --
package seen

import "sync"

type Set struct {
	mu    sync.Mutex
	users map[string]int
}

func (s *Set) Add(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[userID]++
}
-- main.go --
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"

	"example.com/app/internal/seen"
)

var (
	_    = fmt.Sprint
	_    = http.Get
	_    = bufio.NewScanner
	_    = os.Stdin
	all  seen.Set
	some = make(chan string)
)

func add(userID string) { all.Add(userID) }

func main() {
	go add("a")
	BODY
}
`
	for body, leaks := range map[string]bool{
		`for i := 0; i < 9 && i != 7; i++ { go add(fmt.Sprint(i)) }`:             false,
		`for _, name := range os.Args { go add(name) }`:                          false,
		`_, _ = http.Get("http://example.com")`:                                  false,
		`for in := bufio.NewScanner(os.Stdin); in.Scan(); { go add(in.Text()) }`: true,
		`for { go add("b") }`:                true,
		`for range some { go add("b") }`:     true,
		`<-some`:                             true,
		`select {}`:                          true,
		`_ = http.ListenAndServe(":1", nil)`: true,
	} {
		_, out, errors := vet(t, strings.Replace(program, "BODY", body, 1), "./...")
		assert.Empty(t, errors, body)
		assert.Equal(t, leaks, strings.Contains(out, "grows: Set.users grows with userID"), "%s: %s", body, out)
	}

	// A library for another language has a main that does nothing.
	_, out, _ := vet(t, strings.Replace(program, "\tgo add(\"a\")\n\tBODY\n", "", 1)+"\n//export login\nfunc login(userID string) { add(userID) }\n", "./...")
	assert.Contains(t, out, "grows: Set.users grows with userID")
}

// TestBad has each mistake named, and nothing printed.
func TestBad(t *testing.T) {
	for args, says := range map[string]string{
		"-format=xml":              "-format=xml: it is text, json or sarif",
		"-audit -format=sarif":     "-format=sarif is for reports",
		"-audit -fix":              "-fix and -audit exclude each other",
		"-keys=Room":               `"Room" is no word`,
		"-fixed=-nosuch":           `"nosuch" cannot be taken away`,
		"-nosuch":                  "flag provided but not defined: -nosuch",
		"./nosuch":                 "nosuch",
		"example.com/nosuch/there": "example.com/nosuch/there",
	} {
		status, out, errors := vet(t, program, strings.Fields(args)...)
		assert.Equal(t, failed, status, args)
		assert.Contains(t, errors, says, args)
		assert.Empty(t, out, args)
	}
}

// TestBroken: what can be read is looked at, the rest is named, and nothing is rewritten.
func TestBroken(t *testing.T) {
	broken := program + "-- other/other.go --\npackage other\n\nvar x int = \"\"\nvar y int = \"\"\n"
	status, out, errors := vet(t, broken, "./...")
	assert.Equal(t, failed, status)
	assert.Contains(t, out, message)
	assert.Contains(t, errors, "other.go:3:13")

	_, out, _ = vet(t, broken, "-format=sarif", "./...")
	log, err := sarif.FromString(out)
	require.NoError(t, err)
	require.NoError(t, log.Validate())
	require.Len(t, log.Runs[0].Invocations, 1)
	assert.False(t, *log.Runs[0].Invocations[0].ExecutionSuccessful)
	notes := log.Runs[0].Invocations[0].ToolExecutionNotifications
	require.Len(t, notes, 2)
	assert.Contains(t, *notes[1].Message.Text, "other.go:4:13")

	status, _, errors = vet(t, broken, "-fix", "./...")
	assert.Equal(t, failed, status)
	assert.Contains(t, errors, "other.go:3:13")
}

// TestByVet has go vet run the command. It looks at one package at a time, so that what is exported is let be.
func TestByVet(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "sessionmapvet.exe")
	goTool(t, ".", "build", "-o", tool, ".")
	dir, _, _ := unpack(t, txtar.Parse([]byte(program+`
-- hub/hub.go --
package hub

import "sync"

type hub struct {
	mu    sync.Mutex
	conns map[string]int
	ships map[string]int
}

func (h *hub) open(connID, shipID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[connID] = 1
	h.ships[shipID] = 1
}
`)))
	for flag, want := range map[string]string{
		"-sessionleak":            "hub/hub.go:14:2: grows: hub.conns grows with connID and nothing removes from it\n",
		"-sessionleak.keys=ship":  "hub/hub.go:14:2: grows: hub.conns grows with connID and nothing removes from it\nhub/hub.go:15:2: grows: hub.ships grows with shipID and nothing removes from it\n",
		"-sessionleak.fixed=conn": "",
	} {
		cmd := exec.Command("go", "vet", "-vettool="+tool, flag, "./...")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		assert.Equal(t, want == "", err == nil, "%s: %v", flag, err)
		var reported strings.Builder
		for line := range strings.Lines(filepath.ToSlash(string(out))) {
			if !strings.HasPrefix(line, "#") && !strings.Contains(line, "\t") { // neither the package nor related places
				reported.WriteString(strings.TrimPrefix(line, "./"))
			}
		}
		assert.Equal(t, want, reported.String(), flag)
	}
}

// TestReport looks at the agent host of the report, in examples/agenthost: each of its maps is emptied by an event only, and two
// are forgotten even then. What it became has nothing to report.
func TestReport(t *testing.T) {
	t.Setenv("GOWORK", "off")
	var out, errors bytes.Buffer
	status := run([]string{"./examples/agenthost"}, "../../..", &out, &errors)
	assert.Equal(t, found, status, errors.String())
	assert.Equal(t, strings.TrimLeft(`
eventonly: beforeHost.agents
eventonly: beforeHost.models
satellite: beforeHost.heartbeats
eventonly: beforeHost.processes
satellite: beforeHost.seen
eventonly: beforeHost.injected
eventonly: beforeHost.histories
eventonly: beforeHost.inFlight
eventonly: beforeHost.tokens
eventonly: beforeHost.results
eventonly: beforeHost.usage
`, "\n"), reports(out.String()))
	assert.NotContains(t, out.String(), "after.go")
}
