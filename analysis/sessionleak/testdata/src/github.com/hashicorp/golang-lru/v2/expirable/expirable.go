// Package expirable has the signatures that the analyzer looks for.
package expirable

import "time"

type LRU[K comparable, V any] struct{}

func NewLRU[K comparable, V any](size int, onEvict func(key K, value V), ttl time.Duration) *LRU[K, V] {
	return nil
}
