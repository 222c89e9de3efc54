package stepped

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A number is any of the integers of sync/atomic.
type number[T any] interface {
	Load() T
	Store(T)
	Swap(T) T
	Add(T) T
	And(T) T
	Or(T) T
	CompareAndSwap(old, new T) bool
}

type integer[T any, N any, P interface {
	*N
	number[T]
}] struct{ n N }

func (a *integer[T, N, P]) Load() T    { reads("load", &a.n); return P(&a.n).Load() }
func (a *integer[T, N, P]) Store(v T)  { writes("store", &a.n); P(&a.n).Store(v) }
func (a *integer[T, N, P]) Swap(v T) T { writes("swap", &a.n); return P(&a.n).Swap(v) }
func (a *integer[T, N, P]) Add(v T) T  { writes("add", &a.n); return P(&a.n).Add(v) }
func (a *integer[T, N, P]) And(v T) T  { writes("and", &a.n); return P(&a.n).And(v) }
func (a *integer[T, N, P]) Or(v T) T   { writes("or", &a.n); return P(&a.n).Or(v) }
func (a *integer[T, N, P]) CompareAndSwap(old, new T) bool {
	writes("compare and swap", &a.n)
	return P(&a.n).CompareAndSwap(old, new)
}

// The integers.
type (
	Int32  = integer[int32, atomic.Int32, *atomic.Int32]
	Int64  = integer[int64, atomic.Int64, *atomic.Int64]
	Uint32 = integer[uint32, atomic.Uint32, *atomic.Uint32]
	Uint64 = integer[uint64, atomic.Uint64, *atomic.Uint64]
)

// A Bool is an atomic.Bool.
type Bool struct{ b atomic.Bool }

func (a *Bool) Load() bool       { reads("load", &a.b); return a.b.Load() }
func (a *Bool) Store(v bool)     { writes("store", &a.b); a.b.Store(v) }
func (a *Bool) Swap(v bool) bool { writes("swap", &a.b); return a.b.Swap(v) }
func (a *Bool) CompareAndSwap(old, new bool) bool {
	writes("compare and swap", &a.b)
	return a.b.CompareAndSwap(old, new)
}

// A Pointer is an atomic.Pointer.
type Pointer[T any] struct{ p atomic.Pointer[T] }

func (a *Pointer[T]) Load() *T     { reads("load", &a.p); return a.p.Load() }
func (a *Pointer[T]) Store(v *T)   { writes("store", &a.p); a.p.Store(v) }
func (a *Pointer[T]) Swap(v *T) *T { writes("swap", &a.p); return a.p.Swap(v) }
func (a *Pointer[T]) CompareAndSwap(old, new *T) bool {
	writes("compare and swap", &a.p)
	return a.p.CompareAndSwap(old, new)
}

func reads[T any](name string, object *T) {
	step(operation{name: name, object: unsafe.Pointer(object)})
}

func writes[T any](name string, object *T) {
	step(operation{name: name, object: unsafe.Pointer(object), writes: true})
}

// A Mutex is a sync.Mutex. To take it is a step, to let go of it is not: who waits for it can go on from then.
type Mutex struct {
	mu   sync.Mutex
	held bool
}

// Lock takes the mutex.
func (m *Mutex) Lock() {
	step(operation{name: "lock", object: unsafe.Pointer(m), writes: true, mutex: m})
	m.mu.Lock()
	m.held = true
}

// TryLock takes the mutex if it is free.
func (m *Mutex) TryLock() bool {
	writes("try lock", m)
	ok := m.mu.TryLock()
	if ok {
		m.held = true
	}
	return ok
}

// Unlock lets go of the mutex.
func (m *Mutex) Unlock() {
	m.held = false
	m.mu.Unlock()
	did(operation{object: unsafe.Pointer(m), writes: true})
}

// A Map is a sync.Map, of which what the library uses.
type Map struct{ m sync.Map }

func (m *Map) Load(key any) (value any, ok bool) { reads("load", m); return m.m.Load(key) }
func (m *Map) Store(key, value any)              { writes("store", m); m.m.Store(key, value) }
func (m *Map) Delete(key any)                    { writes("delete", m); m.m.Delete(key) }
func (m *Map) LoadOrStore(key, value any) (actual any, loaded bool) {
	writes("load or store", m)
	return m.m.LoadOrStore(key, value)
}
func (m *Map) LoadAndDelete(key any) (value any, loaded bool) {
	writes("load and delete", m)
	return m.m.LoadAndDelete(key)
}
func (m *Map) CompareAndDelete(key, old any) (deleted bool) {
	writes("compare and delete", m)
	return m.m.CompareAndDelete(key, old)
}

// Range is one step, of all keys: those of the library look again at what they have met.
func (m *Map) Range(f func(key, value any) bool) { reads("range", m); m.m.Range(f) }

// What the library has from package sync besides.
type (
	Locker    = sync.Locker
	WaitGroup = sync.WaitGroup
)

// OnceFunc is that of package sync. What it is given must not wait for another who calls it.
func OnceFunc(f func()) func() { return sync.OnceFunc(f) }

// Seed is that of package maphash.
type Seed = maphash.Seed

// MakeSeed is that of package maphash.
func MakeSeed() Seed { return maphash.MakeSeed() }

// Hash returns the hash of a key, an int, in the top half. It is the same in every execution.
var Hash = Spread

// Spread is a Hash that scatters keys, Collide one that is the same for all.
func Spread(key int) uint64  { return uint64(key) * 0x9e37_79b9_7f4a_7c15 }
func Collide(key int) uint64 { return 0x1234_5678 << 32 }

// Comparable takes the place of that of package maphash.
func Comparable[K comparable](_ Seed, key K) uint64 { return Hash(any(key).(int)) }

var (
	fineClock bool
	readings  Int64
)

// ResetClock says whether each reading of the clock from now on is to be a nanosecond later than the one before.
func ResetClock(fine bool) {
	fineClock = fine
	readings.n.Store(0)
}

// Readings is how far the readings of a fine clock have taken it.
func Readings() time.Duration { return time.Duration(readings.n.Load()) }

// Since takes the place of that of package time.
func Since(t time.Time) time.Duration {
	since := time.Since(t)
	if fineClock {
		since += time.Duration(readings.Add(1))
	}
	return since
}
