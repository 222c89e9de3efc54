package sessionmap

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A roster is a list that is read without a lock: a change replaces it. The zero value is empty.
type roster[T any] struct {
	mu    sync.Mutex // held by changes
	items atomic.Pointer[[]*T]
}

func (r *roster[T]) all() []*T {
	if items := r.items.Load(); items != nil {
		return *items
	}
	return nil
}

// add appends item; remove takes it off again.
func (r *roster[T]) add(item T) (remove func()) {
	added := &item
	r.change(func(items []*T) []*T { return append(items, added) })
	return func() {
		r.change(func(items []*T) []*T {
			return slices.DeleteFunc(items, func(other *T) bool { return other == added })
		})
	}
}

func (r *roster[T]) change(edit func([]*T) []*T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	items := edit(slices.Clone(r.all()))
	r.items.Store(&items)
}
