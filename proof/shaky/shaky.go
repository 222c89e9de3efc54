// Package shaky has the types of sync/atomic that the library uses, which now and then give way to other goroutines
// before or after they act. In the place of sync/atomic (see proof/shake) it makes interleavings common that are rare
// otherwise: the calls of a test then meet in the middle of each other.
package shaky

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// give lets another goroutine run, one time in eight.
func give() {
	if rand.Uint32()%8 == 0 {
		runtime.Gosched()
	}
}

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

func (a *integer[T, N, P]) Load() T    { give(); defer give(); return P(&a.n).Load() }
func (a *integer[T, N, P]) Store(v T)  { give(); defer give(); P(&a.n).Store(v) }
func (a *integer[T, N, P]) Swap(v T) T { give(); defer give(); return P(&a.n).Swap(v) }
func (a *integer[T, N, P]) Add(v T) T  { give(); defer give(); return P(&a.n).Add(v) }
func (a *integer[T, N, P]) And(v T) T  { give(); defer give(); return P(&a.n).And(v) }
func (a *integer[T, N, P]) Or(v T) T   { give(); defer give(); return P(&a.n).Or(v) }
func (a *integer[T, N, P]) CompareAndSwap(old, new T) bool {
	give()
	defer give()
	return P(&a.n).CompareAndSwap(old, new)
}

// The integers.
type (
	Int32  = integer[int32, atomic.Int32, *atomic.Int32]
	Int64  = integer[int64, atomic.Int64, *atomic.Int64]
	Uint32 = integer[uint32, atomic.Uint32, *atomic.Uint32]
	Uint64 = integer[uint64, atomic.Uint64, *atomic.Uint64]
)

// A Bool is a shaky atomic.Bool.
type Bool struct{ b atomic.Bool }

func (a *Bool) Load() bool       { give(); defer give(); return a.b.Load() }
func (a *Bool) Store(v bool)     { give(); defer give(); a.b.Store(v) }
func (a *Bool) Swap(v bool) bool { give(); defer give(); return a.b.Swap(v) }
func (a *Bool) CompareAndSwap(old, new bool) bool {
	give()
	defer give()
	return a.b.CompareAndSwap(old, new)
}

// A Pointer is a shaky atomic.Pointer.
type Pointer[T any] struct{ p atomic.Pointer[T] }

func (a *Pointer[T]) Load() *T     { give(); defer give(); return a.p.Load() }
func (a *Pointer[T]) Store(v *T)   { give(); defer give(); a.p.Store(v) }
func (a *Pointer[T]) Swap(v *T) *T { give(); defer give(); return a.p.Swap(v) }
func (a *Pointer[T]) CompareAndSwap(old, new *T) bool {
	give()
	defer give()
	return a.p.CompareAndSwap(old, new)
}
