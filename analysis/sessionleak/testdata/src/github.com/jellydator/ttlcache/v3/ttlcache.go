// Package ttlcache has the signatures that the analyzer looks for.
package ttlcache

import "time"

const NoTTL time.Duration = -1

type Cache[K comparable, V any] struct{}

type Option[K comparable, V any] interface{ apply(*Cache[K, V]) }

func New[K comparable, V any](opts ...Option[K, V]) *Cache[K, V] { return nil }

func WithTTL[K comparable, V any](ttl time.Duration) Option[K, V] { return nil }

func WithDisableTouchOnHit[K comparable, V any]() Option[K, V] { return nil }

func (c *Cache[K, V]) Set(key K, value V, ttl time.Duration) {}

func (c *Cache[K, V]) Start() {}

func (c *Cache[K, V]) Stop() {}
