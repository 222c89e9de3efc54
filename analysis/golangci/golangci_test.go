package golangci

import (
	"path/filepath"
	"testing"

	"github.com/golangci/plugin-module-register/register"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"
)

// TestPlugin runs the analyzer as golangci-lint gets it, with words of the settings, over the golden package of words.
func TestPlugin(t *testing.T) {
	newPlugin, err := register.GetPlugin("sessionmapvet")
	require.NoError(t, err)
	p, err := newPlugin(map[string]any{"keys": "ship,-token", "fixed": "user,-name"})
	require.NoError(t, err)
	assert.Equal(t, register.LoadModeTypesInfo, p.GetLoadMode())
	analyzers, err := p.BuildAnalyzers()
	require.NoError(t, err)
	require.Len(t, analyzers, 1)
	testdata, err := filepath.Abs("../sessionleak/testdata")
	require.NoError(t, err)
	reports := 0
	for _, result := range analysistest.Run(t, testdata, analyzers[0], "words") {
		for _, d := range result.Diagnostics {
			reports++
			assert.Empty(t, d.Related, "golangci-lint prints each as a report of its own")
		}
	}
	assert.Positive(t, reports)

	for says, settings := range map[string]map[string]any{
		"sessionmapvet: keys: \"Ship\" is no word": {"keys": "Ship"},
		"sessionmapvet: fixed: \"-\" is no word":   {"fixed": "-"},
		"unknown field":                            {"nosuch": "x"},
	} {
		_, err := newPlugin(settings)
		assert.ErrorContains(t, err, says)
	}
}
