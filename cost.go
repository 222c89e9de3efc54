package sessionmap

import (
	"math"
	"reflect"
)

// What a value asks of the policy, besides a place in the table: to be filed under its owners (index.go), and to fit
// into the bound on the cost of all. It is asked what that is before the lock is taken, and granted under it, in
// the same moment in which the value is stored.

// A demand is that of one value. A nil demand asks for nothing.
type demand struct {
	claims []claim
	number int // of the value, among those of its session: that of the attribute
	cost   int64

	loaded   bool  // not set, but loaded,
	loadedAt int64 // and when
}

// A costRule says what a value costs; nil if that is not wanted.
type costRule[K comparable, V any] func(key K, value V) int64

// demands returns what value asks for, by the rules of indexes and of cost. It is false where that can never be granted.
func demands[K comparable, V any](rules []*ownerRule[K, V], cost costRule[K, V], c *callbacks, number int, key K, value V) (d *demand, ok bool) {
	d = &demand{number: number, claims: claims(rules, c, key, value)}
	if cost != nil {
		c.run("WithCost", func() { d.cost = cost(key, value) })
	}
	if d.cost < 0 {
		c.warn("sessionmap: a value was refused: want a cost of 0 or more", "cost", d.cost)
		return nil, false
	}
	return d, true
}

// demanding reports whether values of the map demand anything: then each is stored under the lock.
func (m *RobustSessionMap[K, V]) demanding() bool {
	return len(m.rules.all()) > 0 || m.cost != nil || m.refreshAfter > 0
}

// demands returns what a value that is to be stored asks for. A function of the user's may end the goroutine.
func (m *RobustSessionMap[K, V]) demands(key K, value V) (d *demand, ok bool) {
	if !m.demanding() {
		return nil, true
	}
	return demands(m.rules.all(), m.cost, m.callbacks, 0, key, value)
}

// at returns d for a value that was loaded at a moment.
func (d *demand) at(now int64) *demand {
	if d != nil {
		d.loaded, d.loadedAt = true, now
	}
	return d
}

// outdated reports whether d was made before there were so many rules.
func (d *demand) outdated(rules int) bool { return rules > 0 && (d == nil || len(d.claims) < rules) }

// catchUp does for e, of which a value has just been stored, what the rules of an index ask that has come since d was
// made.
func (m *RobustSessionMap[K, V]) catchUp(e *entry[K, V], d *demand) {
	if d.outdated(len(m.rules.all())) {
		m.adopt(e)
	}
}

// grant does for e what its new value asks for.
func (p *policy[K, V]) grant(e *entry[K, V], d *demand) {
	if d == nil {
		return
	}
	p.own(e, d.claims)
	t := p.tie(e)
	for len(t.costs) <= d.number {
		t.costs = append(t.costs, 0)
	}
	p.charge(t, d.number, d.cost-t.costs[d.number])
	t.loaded, t.loadedAt = d.loaded, d.loadedAt
	for len(t.grants) <= d.number {
		t.grants = append(t.grants, 0)
	}
	t.grants[d.number]++
}

// granted tells, if it differs, that a value has been set again since: it may be the same one. It needs the lock.
func (e *entry[K, V]) granted(number int) uint64 {
	if t := e.ties(); t != nil && number < len(t.grants) {
		return t.grants[number]
	}
	return 0
}

// charge adds to the cost of a value of a session.
func (p *policy[K, V]) charge(t *ties, number int, more int64) {
	for len(p.costs) <= number {
		p.costs = append(p.costs, 0)
	}
	p.costs[number] += more
	t.costs[number] += more
	t.cost.Add(more)
	p.cost.Add(more)
	if t.leases.Load() > 0 {
		p.leasedCost += more
	}
}

// An admission is what comes of a demand.
type admission int

const (
	admitted admission = iota
	refused
	notYet // what has left is to be reported, and the question put again
)

// admit makes room for what e's new value demands, or for a new entry if e is nil. At most one entry leaves at a time,
// and none that is not expired for a demand that is refused in the end, unless others come in between.
func (p *policy[K, V]) admit(e *entry[K, V], d *demand, now int64, left *removal[K, V]) admission {
	for {
		why, possible := p.wants(e, d)
		gives, allowed := p.outgrown(e, d, now)
		if !possible { // unless some have expired
			why, gives = 0, nil
		}
		switch {
		case !allowed || !possible && !p.mayFit(d):
			return refused
		case possible && why == 0 && gives == nil:
			return admitted
		case left.cause != 0:
			return notYet
		case gives != nil && !gives.live(now, p.timeouts):
			if box, cause := gives.endExpired(now, p.timeouts); box != nil {
				p.remove(gives)
				*left = p.removal(gives, box, cause)
			}
		case gives != nil:
			*left = p.removal(gives, gives.end(), Evicted)
			p.remove(gives)
		case !p.makeRoom(now, e, why, left):
			return notYet
		case left.cause == 0: // all are leased, or none has expired
			return refused
		}
	}
}

// mayFit reports whether what d demands, for which there is no room whoever gives way, may fit when all that is expired has
// left: without a bound that counts, and with one where it is leased, which only a strict lifetime ends.
func (p *policy[K, V]) mayFit(d *demand) bool {
	return p.maxCost == 0 || p.timeouts.strict && d.cost <= p.maxCost
}

// wants returns why another session has to leave before the demand of e, or of a new entry if e is nil, can be
// granted; 0 if none has to. possible is false where that would not help: what has to stay costs too much. A cost can
// be as high as an int64: it is compared to what is left of the bound, for a sum could overflow.
func (p *policy[K, V]) wants(e *entry[K, V], d *demand) (cause Cause, possible bool) {
	if e == nil && p.full() {
		cause = Evicted
	}
	if d == nil {
		return cause, true
	}
	more, stays := d.cost, p.leasedCost
	if t := e.ties(); t != nil {
		if d.number < len(t.costs) {
			more -= t.costs[d.number]
		}
		if t.leases.Load() == 0 {
			stays += t.cost.Load()
		}
	}
	cost := p.cost.Load()
	if p.maxCost == 0 { // nobody leaves for it
		return cause, more <= math.MaxInt64-cost
	}
	if cause == 0 && more > p.maxCost-cost {
		cause = EvictedCost
	}
	return cause, more <= p.maxCost-stays
}

// ties returns what is tied to e; nil if there is nothing, or no e.
func (e *entry[K, V]) ties() *ties {
	if e == nil {
		return nil
	}
	if x := e.extra.Load(); x != nil {
		return x.ties.Load()
	}
	return nil
}

// WithMaxCost bounds what the values of a map cost in all, as cost tells of each: bytes, tokens, connections. Where a
// new value would pass the bound, the least recently accessed sessions that are not leased leave first, with the cause
// [EvictedCost], as many as it takes; where that is not enough, or the value alone costs more than max, it is
// refused and reported as [Rejected]. At no moment is the bound passed.
//
// cost is asked once for each value that is set, with no lock held, and not again when a value changes from within:
// Set or [RobustSessionMap.Update] it to the same pointer for that. A negative cost is refused, a cost function that
// panics counts for 0; of values that cost nothing only a timeout or [WithMaxSize] bounds the number. [SizeOf] estimates
// bytes. With it every Set takes the map's lock, and an entry some 150 bytes more. max must be above 0, and cost have the
// types of the map.
func WithMaxCost[K comparable, V any](max int64, cost func(key K, value V) int64) Option {
	return option{"WithMaxCost", func(c *config) {
		if max <= 0 {
			c.refuse("WithMaxCost", max, "more than 0")
			return
		}
		c.maxCost = max
		c.setCost("WithMaxCost", cost)
	}}
}

// WithCost has [Stats], [Entry] and the sessions of a [Group] tell what the values of a map or an attribute cost, and
// bounds nothing; see [WithMaxCost]. Only a value with which the sum of all would not fit into an int64 is refused.
func WithCost[K comparable, V any](cost func(key K, value V) int64) Option {
	return option{"WithCost", func(c *config) { c.setCost("WithCost", cost) }}
}

// WithMaxTotalCost is [WithMaxCost] for a group: it bounds what all sessions cost together. What a session costs is
// the sum of its attributes that are made [WithCost], and may be nothing: so a group needs a timeout or [WithMaxSize]
// besides. max must be above 0.
func WithMaxTotalCost(max int64) Option {
	return option{"WithMaxTotalCost", func(c *config) {
		if max <= 0 {
			c.refuse("WithMaxTotalCost", max, "more than 0")
			return
		}
		c.maxCost = max
	}}
}

func (c *config) setCost(option string, cost any) {
	if isNil(cost) {
		c.refuse(option, "nil", "a function that tells the cost")
		return
	}
	c.cost, c.costOption = cost, option
}

// costOf returns the cost function that the options give, if any.
func costOf[K comparable, V any](c *config) costRule[K, V] {
	if c.cost == nil {
		return nil
	}
	cost, ok := c.cost.(func(K, V) int64)
	if !ok {
		c.refuse(c.costOption, reflect.TypeOf(c.cost), reflect.TypeFor[func(K, V) int64]().String()+", the types of the map")
	}
	return cost
}
