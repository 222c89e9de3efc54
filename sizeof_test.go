package sessionmap_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/sessionmap/sessionmap"
)

const word = int64(unsafe.Sizeof(uintptr(0)))

type node struct {
	next *node
	_    [10]int64
}

func TestSizeOf(t *testing.T) {
	text := strings.Repeat("x", 100)
	ring := &node{}
	ring.next = &node{next: ring}
	array := make([]int64, 1000)
	shared := new([50]int64)
	sizeOfNode := int64(unsafe.Sizeof(node{}))
	for name, c := range map[string]struct {
		value any
		want  int64
	}{
		"nil":                         {nil, 0},
		"a number":                    {int64(7), 8},
		"a string":                    {text, 2*word + 100},
		"a struct":                    {struct{ a, b string }{text[:10], ""}, 4*word + 10},
		"strings of the same bytes":   {[2]string{text, text}, 4*word + 100},
		"a nil pointer":               {(*node)(nil), word},
		"a pointer":                   {&node{}, word + sizeOfNode},
		"a cycle":                     {ring, word + 2*sizeOfNode},
		"pointers to the same":        {[2]*[50]int64{shared, shared}, 2*word + 400},
		"a slice, by its capacity":    {array[:1], 3*word + 8000},
		"slices of one array":         {[3][]int64{array[500:], array[100:200], array}, 9*word + 8000},
		"what a slice leads to":       {[]*[50]int64{nil, {}, {}}, 3*word + 3*word + 800},
		"behind the slice's length":   {[]*[50]int64{{}, {}}[:1], 3*word + 2*word + 800},
		"an array":                    {[3]*[50]int64{{}, {}, nil}, 3*word + 800},
		"an interface with a value":   {[]any{[5]int64{}}, 3*word + 2*word + 40},
		"an interface with a pointer": {[]any{&[5]int64{}}, 3*word + 2*word + 40},
		"a nil interface":             {[]any{nil}, 3*word + 2*word},
		"unexported fields":           {struct{ hidden *[50]int64 }{new([50]int64)}, word + 400},
		"a func, not what it holds":   {func() { _ = array }, word},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, sessionmap.SizeOf(c.value)) })
	}
}

// TestSizeOfOnTheHeap: the estimate is near what the heap grows by.
func TestSizeOfOnTheHeap(t *testing.T) {
	type message struct {
		role, text string
		attributes map[string]any
		parts      []any
	}
	for name, build := range map[string]func() any{
		"a map of numbers": func() any {
			m := make(map[int64]int64)
			for i := range int64(100_000) {
				m[i] = i
			}
			return m
		},
		"a history": func() any {
			var all []*message
			for i := range 3000 {
				all = append(all, &message{
					fmt.Sprint("user", i), strings.Repeat("word ", 100), map[string]any{"i": i, "s": fmt.Sprint("some text", i)}, []any{i, []byte("0123456789abcdef")},
				})
			}
			return all
		},
		"a long list": func() any {
			var list *node
			for range 50_000 {
				list = &node{next: list}
			}
			return list
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			value := build()
			grown := float64(liveHeap() - before)
			assert.InEpsilon(t, grown, sessionmap.SizeOf(value), 0.25)
			runtime.KeepAlive(value)
		})
	}
}

// TestSizeOfBounded: what is too large to look at all of is concluded from a sample.
func TestSizeOfBounded(t *testing.T) {
	values := make([]*[100]int64, 1_000_000)
	one := new([100]int64)
	for i := range values {
		values[i] = one
	}
	for i := range 1000 {
		values[i*1000] = new([100]int64) // what the sample meets
	}
	assert.Equal(t, 3*word+1_000_000*(word+800), sessionmap.SizeOf(values))

	long := &node{}
	for range 1_000_000 {
		long = &node{next: long}
	}
	assert.Less(t, sessionmap.SizeOf(long), 200_000*int64(unsafe.Sizeof(node{})), "it stops")
}

func BenchmarkSizeOf(b *testing.B) {
	history := make([]*node, 1000)
	for i := range history {
		history[i] = &node{}
	}
	b.Run("flat", func(b *testing.B) {
		for b.Loop() {
			sessionmap.SizeOf(&[]byte{1000: 0})
		}
	})
	b.Run("1000 pointers", func(b *testing.B) {
		for b.Loop() {
			sessionmap.SizeOf(history)
		}
	})
}

// TestSizeOfIsNeverNegative: slices that share all their elements are taken for very many.
func TestSizeOfIsNeverNegative(t *testing.T) {
	var v any = make([]byte, 1<<20)
	for range 10 {
		v = slices.Repeat([]any{v}, 100_000)
	}
	assert.Equal(t, int64(math.MaxInt64), sessionmap.SizeOf(v))
}
