// Package golangci makes the analyzer a plugin of golangci-lint, by the name of sessionmapvet. In .custom-gcl.yml:
//
//	version: v2.15.0
//	plugins:
//	  - module: github.com/sessionmap/sessionmap/analysis
//	    import: github.com/sessionmap/sessionmap/analysis/golangci
//	    version: latest
//
// and in .golangci.yml, with the settings that there are:
//
//	linters:
//	  enable: [sessionmapvet]
//	  settings:
//	    custom:
//	      sessionmapvet:
//	        type: module
//	        settings:
//	          keys: ship,-token
//	          fixed: fleet
//
// golangci-lint custom then builds a golangci-lint that has it. It looks at one package at a time, as go vet does.
package golangci

import (
	"fmt"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/sessionmap/sessionmap/analysis/sessionleak"
)

func init() { register.Plugin("sessionmapvet", plugin) }

// settings are lists of words, as [sessionleak.Change] reads them.
type settings struct {
	Keys  string `json:"keys"`
	Fixed string `json:"fixed"`
}

func plugin(conf any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[settings](conf)
	if err != nil {
		return nil, err
	}
	words := sessionleak.DefaultWords()
	if s.Keys != "" {
		if err := sessionleak.Change(&words.Sessions, s.Keys); err != nil {
			return nil, fmt.Errorf("sessionmapvet: keys: %w", err)
		}
	}
	if s.Fixed != "" {
		if err := sessionleak.Change(&words.Fixed, s.Fixed); err != nil {
			return nil, fmt.Errorf("sessionmapvet: fixed: %w", err)
		}
	}
	a := sessionleak.New(words)
	look := a.Run
	a.Run = func(pass *analysis.Pass) (any, error) {
		alone := *pass
		alone.Report = func(d analysis.Diagnostic) {
			d.Related = nil // golangci-lint would print each as a report of its own
			pass.Report(d)
		}
		return look(&alone)
	}
	return linter{a}, nil
}

type linter struct{ analyzer *analysis.Analyzer }

func (l linter) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{l.analyzer}, nil
}

func (l linter) GetLoadMode() string { return register.LoadModeTypesInfo }
