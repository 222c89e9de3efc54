// Package store has functions that other packages hand their maps to.
package store

import "sync"

func Put(m map[string]int, id string) { // want Put:"grows 0"
	m[id] = 1
}

func Drop(m map[string]int, id string) { // want Drop:"removes 0"
	delete(m, id)
}

func DropSync(m *sync.Map, id string) { // want DropSync:"removes 0"
	m.Delete(id)
}

func Count(m map[string]int) (n int) { // want Count:"nothing"
	for range m {
		n++
	}
	return n
}
