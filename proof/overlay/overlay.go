// Package overlay builds the library with files that read otherwise than those on disk, which stay as they are.
package overlay

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// NotShaken are the tests that count allocations: those of shaken atomics change that.
const NotShaken = "Allocations"

// Write writes to scratch what rewrite makes of the Go files in dir, and returns the file to give to go build's -overlay.
// A file that rewrite returns unchanged is left alone. Further files are added under the names in more.
func Write(dir, scratch string, rewrite func(name, source string) (string, error), more map[string]string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	var all struct{ Replace map[string]string }
	all.Replace = make(map[string]string)
	for _, file := range files {
		from, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		rewritten, err := rewrite(filepath.Base(file), string(source))
		switch {
		case err != nil:
			return "", err
		case rewritten != string(source):
			all.Replace[from] = filepath.Join(scratch, filepath.Base(file))
			if err := os.WriteFile(all.Replace[from], []byte(rewritten), 0o600); err != nil {
				return "", err
			}
		}
	}
	for name, file := range more {
		path, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if all.Replace[path], err = filepath.Abs(filepath.Join(dir, file)); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
