// Package cache has the signatures that the analyzer looks for.
package cache

import "time"

type Cache struct{}

func New(expiration, cleanup time.Duration) *Cache { return nil }
