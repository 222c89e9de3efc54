// Package otter has the signatures that the analyzer looks for.
package otter

type Cache[K comparable, V any] struct{}

type Options[K comparable, V any] struct {
	MaximumSize     int
	InitialCapacity int
}

func New[K comparable, V any](o *Options[K, V]) (*Cache[K, V], error) { return nil, nil }

func Must[K comparable, V any](o *Options[K, V]) *Cache[K, V] { return nil }
