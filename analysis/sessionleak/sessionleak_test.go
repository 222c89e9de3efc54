package sessionleak_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

// TestRules runs the analyzer over a package for each rule, with what it has to report and what it must not. The tests of
// package words change the words.
func TestRules(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), sessionleak.Analyzer,
		"grows", "eventonly", "lookup", "satellite", "returns", "stop", "appends", "created", "pinned", "pinned/command", "remark",
		"cache/unstarted", "cache/started", "cache/single", "cache/instance", "facts/store", "facts/app", "hubtest", "latest", "doubles", "owners", "keys", "setup", "setup/command", "cgo",
		"generics", "lifetime", "closures", "closures/command", "copied", "command/ends")
}

func TestWords(t *testing.T) {
	a := sessionleak.New(sessionleak.DefaultWords())
	require.NoError(t, a.Flags.Set("keys", "ship, -token"))
	require.NoError(t, a.Flags.Set("fixed", "user,-name"))
	analysistest.Run(t, analysistest.TestData(), a, "words")
}

func TestChange(t *testing.T) {
	words := []string{"session", "user"}
	require.NoError(t, sessionleak.Change(&words, "agent,-user,session"))
	assert.Equal(t, []string{"session", "agent"}, words)
	for list, says := range map[string]string{
		"":            `"" is no word`,
		"agent,":      `"" is no word`,
		"sessionID":   `"sessionID" is no word: one is of lower-case letters and digits`,
		"room,-guest": `"guest" cannot be taken away: it is not among the words`,
		"-":           `"-" is no word`,
	} {
		assert.ErrorContains(t, sessionleak.Change(&words, list), says)
		assert.Equal(t, []string{"session", "agent"}, words, "an error changes nothing")
	}
}
