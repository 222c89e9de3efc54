package sessionmap

import (
	"math"
	"math/bits"
	"reflect"
	"unsafe"
)

// SizeOf estimates how many bytes of memory v takes, with all that can be reached from it: for [WithMaxCost] where
// there is no better figure. What several pointers, slices, maps or strings lead to is counted once, cycles too; a
// slice counts for its capacity.
//
// It leaves out what reflection does not see: the variables that a func holds, what is in a channel's buffer, what is
// behind an unsafe.Pointer or a uintptr, the allocator's rounding; a pointer into the middle of something counts that part
// again. It looks at 100,000 values at the most, and at 1000 of a slice or map, from which it concludes to the others: what
// many of these share, it then counts too often. The most it returns is math.MaxInt64. What leads to more takes 0.2 µs
// each, and the rest nothing. Nobody may write to what can be reached from v meanwhile.
func SizeOf(v any) int64 {
	root := reflect.ValueOf(v)
	if !root.IsValid() {
		return 0
	}
	w := sizing{seen: make(map[memory]uintptr)}
	w.count(1, root.Type().Size())
	w.queue = append(w.queue, sized{root, 1})
	for n := 0; n < sizingSteps && len(w.queue) > 0; n++ {
		next := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.behind(next.value, next.weight)
	}
	if !(w.bytes < math.MaxInt64) { // or no number, once weights are infinite
		return math.MaxInt64
	}
	return int64(w.bytes)
}

const (
	sizingSteps  = 100_000
	sizingSample = 1000
)

// A sizing is one call of SizeOf. What is in the queue has been counted, and not what is behind it.
type sizing struct {
	bytes float64
	queue []sized
	seen  map[memory]uintptr
}

// A sized value stands for weight values of its kind.
type sized struct {
	value  reflect.Value
	weight float64
}

// memory is what has been counted: so many bytes from somewhere on or, for slices, up to somewhere.
type memory struct {
	at   unsafe.Pointer
	size uintptr
}

const upTo = ^uintptr(0) // for a size

func (w *sizing) count(weight float64, size uintptr) { w.bytes += weight * float64(size) }

// first reports whether what is at the pointer is met for the first time.
func (w *sizing) first(at unsafe.Pointer, size uintptr) bool {
	n := len(w.seen)
	w.seen[memory{at, size}] = 0
	return at != nil && len(w.seen) > n
}

// behind counts what v leads to.
func (w *sizing) behind(v reflect.Value, weight float64) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); w.first(unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s))) {
			w.count(weight, uintptr(len(s)))
		}
	case reflect.Pointer:
		if size := v.Type().Elem().Size(); w.first(v.UnsafePointer(), size) {
			w.count(weight, size)
			w.push(v.Elem(), weight)
		}
	case reflect.Interface:
		if !v.IsNil() {
			e := v.Elem()
			if !isPointer(e.Kind()) { // the interface holds it by a pointer
				w.count(weight, e.Type().Size())
			}
			w.push(e, weight)
		}
	case reflect.Slice:
		w.slice(v, weight)
	case reflect.Map:
		w.mapping(v, weight)
	case reflect.Chan:
		if w.first(v.UnsafePointer(), chanHeader) {
			w.count(weight, chanHeader+uintptr(v.Cap())*v.Type().Elem().Size())
		}
	case reflect.Array:
		w.elements(v, v.Len(), weight)
	case reflect.Struct:
		for i := range v.NumField() {
			w.push(v.Field(i), weight)
		}
	}
}

// push has what v leads to counted later, if it can lead anywhere.
func (w *sizing) push(v reflect.Value, weight float64) {
	if leads(v.Type()) {
		w.queue = append(w.queue, sized{v, weight})
	}
}

// slice counts the array behind v. Slices of one array mostly end where that does: of these only what lies before
// the others is counted.
func (w *sizing) slice(v reflect.Value, weight float64) {
	size := v.Type().Elem().Size()
	if v.Cap() == 0 || size == 0 {
		return
	}
	start := v.Pointer()
	end := memory{unsafe.Add(v.UnsafePointer(), uintptr(v.Cap())*size-1), upTo}
	n := v.Cap()
	if from, seen := w.seen[end]; seen {
		if start >= from {
			return
		}
		n = int((from - start) / size)
	}
	w.seen[end] = start
	w.count(weight, uintptr(n)*size)
	if leads(v.Type().Elem()) {
		w.elements(v.Slice(0, n), n, weight)
	}
}

// elements pushes the elements of a slice or an array; of many a sample that is spread over them.
func (w *sizing) elements(v reflect.Value, n int, weight float64) {
	if n == 0 || !leads(v.Type().Elem()) {
		return
	}
	sample := min(n, sizingSample)
	for i := range sample {
		w.push(v.Index(int(int64(i)*int64(n)/int64(sample))), weight*float64(n)/float64(sample))
	}
}

// mapping counts the table of a map: groups of eight slots with a byte each, in a power of two of which up to seven
// eighths are used.
// Source: the package comment of Go's internal/runtime/maps.
func (w *sizing) mapping(v reflect.Value, weight float64) {
	if !w.first(v.UnsafePointer(), mapHeader) {
		return
	}
	key, elem := v.Type().Key(), v.Type().Elem()
	slots := max(8, 1<<bits.Len(uint(v.Len()*8/7)))
	w.count(weight, mapHeader+uintptr(slots)*(key.Size()+elem.Size()+1))
	if !leads(key) && !leads(elem) {
		return
	}
	sample := min(v.Len(), sizingSample)
	each := weight * float64(v.Len()) / float64(max(1, sample))
	entries := v.MapRange()
	for i := 0; i < sample && entries.Next(); i++ {
		w.push(entries.Key(), each)
		w.push(entries.Value(), each)
	}
}

const (
	mapHeader  = 48 // Go 1.26, 64 bits
	chanHeader = 96
)

// leads reports whether a value of type t can lead to more memory.
func leads(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.Chan:
		return true
	case reflect.Array:
		return t.Len() > 0 && leads(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if leads(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
