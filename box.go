package sessionmap

import (
	"reflect"
	"unsafe"
)

// An entry holds its value in one word, so that it can be swapped at once: a pointer to the value or, where
// the value is a pointer itself, as most session state is, that pointer. The latter saves an allocation a
// Set, and a cache miss a Get (see "What it costs" in the package comment).

// boxed stands for what the word points to. It has no contents, and only a boxer looks behind it.
type boxed[V any] struct{}

// A boxer makes boxes for values of type V and opens them.
type boxer[V any] struct {
	direct bool // V is a pointer: the box is the value
}

// nilValue is the box of a nil pointer, for no box means no value.
var nilValue byte

func newBoxer[V any]() boxer[V] {
	return boxer[V]{direct: isPointer(reflect.TypeFor[V]().Kind())}
}

// isPointer reports whether values of a kind are one pointer.
func isPointer(k reflect.Kind) bool {
	switch k {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		return true
	}
	return false
}

func (b boxer[V]) box(value V) *boxed[V] {
	if !b.direct {
		copied := new(V)
		*copied = value
		return (*boxed[V])(unsafe.Pointer(copied))
	}
	pointer := *(*unsafe.Pointer)(unsafe.Pointer(&value))
	if pointer == nil {
		pointer = unsafe.Pointer(&nilValue)
	}
	return (*boxed[V])(pointer)
}

// same reports whether two boxes hold the same: equal values, or the same func. What cannot be compared is not.
func (b boxer[V]) same(x, y *boxed[V]) bool {
	if b.direct || x == y {
		return x == y
	}
	v, w := any(b.open(x)), any(b.open(y))
	r := reflect.ValueOf(v)
	return r.IsValid() && r.Comparable() && v == w
}

func (b boxer[V]) open(box *boxed[V]) V {
	if !b.direct {
		return *(*V)(unsafe.Pointer(box))
	}
	pointer := unsafe.Pointer(box)
	if pointer == unsafe.Pointer(&nilValue) {
		pointer = nil
	}
	return *(*V)(unsafe.Pointer(&pointer))
}
