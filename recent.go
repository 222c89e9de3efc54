package sessionmap

// A recent remembers keys for a time, each with something. It is exact about the time, forgets in two
// generations, so that what it has forgotten takes no memory, and never holds more than twice its limit: beyond,
// it forgets the older half early. It needs the map's lock.
//
//	put ──► young ── after a window, or when it is full ──► old ── the same ──► gone
type recent[K comparable, T any] struct {
	window int64
	limit  int
	turned func() // called when the young become the old; nil for nothing
	began  int64  // when young was
	young  map[K]remembered[T]
	old    map[K]remembered[T]
}

type remembered[T any] struct {
	at    int64
	value T
}

// put remembers key from now on.
func (r *recent[K, T]) put(key K, value T, now int64) {
	r.forget(now)
	if len(r.young) >= r.limit {
		r.turn(now)
	}
	if r.young == nil {
		r.young, r.began = make(map[K]remembered[T]), now
	}
	r.young[key] = remembered[T]{now, value}
}

// get returns what was put with key less than a window ago.
func (r *recent[K, T]) get(key K, now int64) (value T, ok bool) {
	found, ok := r.young[key]
	if !ok {
		found, ok = r.old[key]
	}
	if !ok || now-found.at >= r.window {
		return value, false
	}
	return found.value, true
}

// forget lets go of what is out of date.
func (r *recent[K, T]) forget(now int64) {
	for n := 0; n < 2 && r.len() > 0 && now-r.began >= r.window; n++ {
		r.turn(r.began + r.window)
	}
}

func (r *recent[K, T]) turn(now int64) {
	r.young, r.old, r.began = nil, r.young, now
	if r.turned != nil {
		r.turned()
	}
}

func (r *recent[K, T]) clear() {
	r.turn(0)
	r.turn(0)
}

// deadline is when there will be something to forget; never if there is nothing.
func (r *recent[K, T]) deadline() int64 {
	if r.len() == 0 {
		return never
	}
	return after(r.began, r.window)
}

func (r *recent[K, T]) len() int { return len(r.young) + len(r.old) }
