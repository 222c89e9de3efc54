package main

import "time"

// A workload is one operation, done over and over on a full store. Those that read what is there come first;
// the others let the window of live sessions slide over the ring, one session in for one out.
type workload struct {
	name     string
	title    string
	about    string
	smallest bool // is measured in the smallest store only
	every    int  // one operation in so many brings a session; 0 is none
	evicts   bool // or would in a map that evicts when it overwrites
	op       func(b *bed) func(i int) bool
}

// A bed is a contestant's store filled with the sessions of a population: those before head, as many as are
// live.
type bed struct {
	who  contestant
	s    store
	p    *population
	head int

	linedUp bool // see lineUp
}

var workloads = []workload{
	{
		name: "get-uniform", title: "Get, uniform",
		about: "A Get of a session that is there, each as likely as the other.",
		op: func(b *bed) func(int) bool {
			return func(i int) bool { return b.s.Get(b.p.sessions[b.p.uniform.at(i)].id) != nil }
		},
	},
	{
		name: "get-zipf", title: "Get, Zipf",
		about: "A Get of a session that is there, few of them asked for most of the time.",
		op: func(b *bed) func(int) bool {
			return func(i int) bool { return b.s.Get(b.p.sessions[b.p.zipf.at(i)].id) != nil }
		},
	},
	{
		name: "hot", title: "Get, one hot session",
		about:    "A Get of the same session by all goroutines. The size of the store hardly matters to it.",
		smallest: true,
		op: func(b *bed) func(int) bool {
			hot := b.p.sessions[0].id
			return func(int) bool { return b.s.Get(hot) != nil }
		},
	},
	{
		name: "overwrite", title: "Overwrite",
		about:  "A Set of a session that is there.",
		evicts: true,
		op: func(b *bed) func(int) bool {
			return func(i int) bool {
				s := &b.p.sessions[b.p.uniform.at(i)]
				b.s.Set(s.id, s)
				return true
			}
		},
	},
	{
		name: "mixed-90", title: "Traffic, 90 % reads",
		about: "A new session arrives and the one longest idle has to leave, then nine Gets of recent ones.",
		every: 10, evicts: true,
		op: func(b *bed) func(int) bool { return b.traffic(10) },
	},
	{
		name: "mixed-50", title: "Traffic, 50 % reads",
		about: "A new session arrives and the one longest idle has to leave, then a Get of a recent one.",
		every: 2, evicts: true,
		op: func(b *bed) func(int) bool { return b.traffic(2) },
	},
	{
		name: "churn", title: "Delete and insert",
		about: "The oldest session is deleted, and a new one set: two calls.",
		every: 1,
		op: func(b *bed) func(int) bool {
			return func(i int) bool {
				b.s.Delete(b.p.at(i - b.p.live).id)
				s := b.p.at(i)
				b.s.Set(s.id, s)
				return true
			}
		},
	},
	{
		name: "evict", title: "Insert with eviction",
		about: "A Set of a new session in a full store.",
		every: 1, evicts: true,
		op: func(b *bed) func(int) bool { return func(i int) bool { b.arrive(i); return true } },
	},
}

// traffic lets one session arrive in every so many operations; the others read one of the younger: so young
// that any store that evicts by recency has it, for fewer sessions have arrived since its own arrival than the
// store holds.
func (b *bed) traffic(every int) func(i int) bool {
	return func(i int) bool {
		newest := b.head + (i-b.head)/every
		if (i-b.head)%every == 0 {
			b.arrive(newest)
			return true
		}
		// Another goroutine may be about to set the very newest.
		const margin = 16 * block
		return b.s.Get(b.p.at(newest-min(margin, b.p.live/8)-b.p.uniform.at(i)/4).id) != nil
	}
}

// arrive sets the i-th session of the ring. Where there is no bound the caller has to keep it.
func (b *bed) arrive(i int) {
	if !b.who.bounded {
		b.s.Delete(b.p.at(i - b.p.live).id)
	}
	s := b.p.at(i)
	b.s.Set(s.id, s)
}

// fill makes a contestant's store of the population's first sessions.
func fill(who contestant, p *population, c config) *bed {
	b := &bed{who: who, s: who.make(c), p: p, head: p.live}
	for i := range p.live {
		s := &p.sessions[i]
		b.s.Set(s.id, s)
	}
	b.settle()
	return b
}

func (b *bed) settle() {
	if s, ok := b.s.(settler); ok {
		s.Settle()
	}
}

// measure runs a workload, after a warm-up.
func (b *bed) measure(w workload, goroutines int, d time.Duration) stint {
	b.slide(w, run(goroutines, d/4, b.head, w.op(b)))
	result := run(goroutines, d, b.head, w.op(b))
	b.slide(w, result)
	return result
}

// slide moves head past the sessions that have arrived.
func (b *bed) slide(w workload, did stint) {
	if w.every > 0 {
		b.head += (did.ops + w.every - 1) / w.every
	}
}

// lineUp makes the store hold just the live sessions, those longest idle the oldest.
//
// The workloads in which sessions arrive keep that order, but for what a goroutine was doing when it was held
// up: it finishes its block late, when others are far ahead, and so brings sessions that have long gone, or
// deletes those that have come. The next workload would pay for it by misses. However large the store is
// those are few, so a large one, where this takes long, need be lined up but once.
func (b *bed) lineUp() {
	const large = 10_000
	if b.linedUp && b.p.live > large {
		return
	}
	b.linedUp = true
	for i := b.head; i < b.head+b.p.live; i++ { // the other half of the ring
		b.s.Delete(b.p.at(i).id)
	}
	for i := b.head - b.p.live; i < b.head; i++ {
		if s := b.p.at(i); b.s.Get(s.id) == nil {
			b.s.Set(s.id, s)
		}
	}
	b.settle()
}

// warm reads every session, for the first to be measured after a fill would else find cold caches.
func (b *bed) warm() {
	for i := range b.p.live {
		b.s.Get(b.p.sessions[i].id)
	}
	run(1, 50*time.Millisecond, 0, workloads[0].op(b))
}
