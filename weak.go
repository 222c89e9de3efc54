package sessionmap

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// A Weak holds values for objects for as long as these are in use elsewhere: when an object is collected its
// value goes. It has no effect on the life of the objects. NewWeak makes one. It is safe for concurrent use.
//
// Prefer it where a session is an object that the program holds anyway, such as a connection, and nothing but
// memory has to be released with it; then nothing has to be deleted, and there is no timeout to choose.
// Its limits: it goes by the identity of the object, not by an id; when a value goes is up to the
// garbage collector, and nobody is told; a value that refers to its object keeps it, and itself, for ever; an object
// of less than 16 bytes without pointers may share its memory with others and stay as long as these; what
// the collector knows of a value stays with the object until either goes, also where the Weak has gone: make few. For
// everything else, use a [RobustSessionMap].
type Weak[S, V any] struct {
	values sync.Map   // weak.Pointer[S] to *weakValue[V]; it shrinks as values go
	mu     sync.Mutex // held by changes
	len    atomic.Int64
}

type weakValue[V any] struct {
	value   V
	cleanup runtime.Cleanup
}

// NewWeak returns an empty Weak.
func NewWeak[S, V any]() *Weak[S, V] { return &Weak[S, V]{} }

// Get returns the value of s, and whether it has one. It takes no lock.
func (w *Weak[S, V]) Get(s *S) (V, bool) {
	if v := w.find(weak.Make(s)); v != nil {
		return v.value, true
	}
	var none V
	return none, false
}

func (w *Weak[S, V]) find(key weak.Pointer[S]) *weakValue[V] {
	if v, ok := w.values.Load(key); ok {
		return v.(*weakValue[V])
	}
	return nil
}

// Set gives s the value, in place of the one that it may have. It panics if s is nil.
func (w *Weak[S, V]) Set(s *S, value V) {
	w.Update(s, func(V, bool) (V, bool) { return value, true })
}

// GetOrSet returns the value of s if it has one, and else sets it. The loaded result reports whether it had one. It takes
// the lock in either case, and panics if s is nil.
func (w *Weak[S, V]) GetOrSet(s *S, value V) (actual V, loaded bool) {
	actual, _ = w.Update(s, func(old V, ok bool) (V, bool) {
		if loaded = ok; ok {
			return old, true
		}
		return value, true
	})
	return actual, loaded
}

// Update replaces the value of s by what fn makes of it; keep false removes it. No other change of any value
// happens meanwhile: a lock is held, and fn would wait for ever if it changed one. A panic in it goes on to the caller. It
// returns what then is the value of s, and whether there is one. It panics if s is nil.
func (w *Weak[S, V]) Update(s *S, fn func(old V, ok bool) (value V, keep bool)) (V, bool) {
	if s == nil {
		panic("sessionmap: Weak: want an object, got nil")
	}
	defer runtime.KeepAlive(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	key := weak.Make(s)
	var next weakValue[V]
	var keep bool
	was := w.find(key)
	if was != nil {
		next.value, keep = fn(was.value, true)
		next.cleanup = was.cleanup
	} else {
		next.value, keep = fn(next.value, false)
	}
	switch {
	case !keep && was != nil:
		was.cleanup.Stop()
		w.remove(key)
	case !keep:
	case was != nil:
		w.values.Store(key, &next)
	default:
		self := weak.Make(w)
		next.cleanup = runtime.AddCleanup(s, func(key weak.Pointer[S]) {
			if w := self.Value(); w != nil {
				w.remove(key)
			}
		}, key)
		w.values.Store(key, &next)
		w.len.Add(1)
	}
	if !keep {
		var none V
		return none, false
	}
	return next.value, true
}

// remove needs no lock: nobody changes the value of an object that is gone, and who holds the lock may call it.
func (w *Weak[S, V]) remove(key weak.Pointer[S]) {
	if _, ok := w.values.LoadAndDelete(key); ok {
		w.len.Add(-1)
	}
}

// Delete removes the value of s, and reports whether it had one.
func (w *Weak[S, V]) Delete(s *S) (deleted bool) {
	if s == nil {
		return false
	}
	w.Update(s, func(old V, ok bool) (V, bool) {
		deleted = ok
		return old, false
	})
	return deleted
}

// Len returns the number of values. Those of objects that have just been collected may be counted.
func (w *Weak[S, V]) Len() int { return int(w.len.Load()) }
