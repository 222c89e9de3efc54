// Package instance makes a cache for each session.
package instance

import (
	"context"
	"time"

	"github.com/allegro/bigcache/v3"
	"github.com/jellydator/ttlcache/v3"
)

// One of two structs is stopped, and that does not stop the other's.
type stopped struct{ cache *ttlcache.Cache[string, int] }

func newStopped() *stopped {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	go c.Start()
	return &stopped{c}
}

func (s *stopped) close() { s.cache.Stop() }

type unstopped struct{ cache *ttlcache.Cache[string, int] }

func newUnstopped() *unstopped {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour)) // want `cache: Stop is never called on this ttlcache: its goroutine, and all it holds, stay for ever`
	go c.Start()
	return &unstopped{c}
}

// One that a function returns is what its callers make of it.
func started() *ttlcache.Cache[string, int] {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	go c.Start()
	return c
}

func startedToo() *ttlcache.Cache[string, int] {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour)) // want `cache: Stop is never called on this ttlcache`
	go c.Start()
	return c
}

func startedForStore() *ttlcache.Cache[string, int] {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	go c.Start()
	return c
}

type store interface{ Stop() }

type loads struct{ byID *ttlcache.Cache[string, int] }

// Whoever calls this one may stop it.
func Started() *ttlcache.Cache[string, int] {
	c := ttlcache.New(ttlcache.WithTTL[string, int](time.Hour))
	go c.Start()
	return c
}

func Handle(ctx context.Context, sessionID string) {
	newStopped().close()
	newUnstopped().cache.Set(sessionID, 1, 0)
	c := started()
	defer c.Stop()
	var s store = startedForStore()
	defer s.Stop()
	l := loads{byID: startedToo()}
	l.byID.Set(sessionID, 1, 0)

	ends, _ := bigcache.New(ctx, bigcache.Config{})
	_ = ends.Set(sessionID, nil)
	stays, _ := bigcache.New(context.Background(), bigcache.Config{}) // want `cache: Close is never called on this bigcache`
	_ = stays.Set(sessionID, nil)
	closed, _ := bigcache.New(context.Background(), bigcache.Config{})
	defer closed.Close()
}
