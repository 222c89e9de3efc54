package sessionmap

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"
)

// What a map remembers of keys that have no entry: tombstones of those that were deleted, where those have gone
// that were renamed, and with what error those failed that were to be loaded. Each for a set time, and no more of
// them than maxRemembered.

const maxRemembered = 1 << 16 // of each kind in each of two generations; more only if the map may hold more

// A former says whose key a key was.
type former struct {
	*ties
	since int64 // from when on
}

// keyMemory is guarded by the map's lock.
type keyMemory[K comparable] struct {
	deleted recent[K, struct{}]
	renamed recent[K, former]
	failed  recent[K, error] // loads
}

func (k *keyMemory[K]) init(c config, t *traces) {
	limit := max(maxRemembered, c.maxSize)
	k.deleted = recent[K, struct{}]{window: int64(c.tombstones), limit: limit}
	k.renamed = recent[K, former]{window: int64(c.renameGrace), limit: limit, turned: t.turn}
	k.failed = recent[K, error]{window: int64(c.loadErrorTTL), limit: limit}
}

// clear forgets all keys.
func (k *keyMemory[K]) clear() {
	k.deleted.clear()
	k.renamed.clear()
	k.failed.clear()
}

// The traces of renamed keys are read without the lock, so that those who miss another key need none to know it. There
// is a bit for each hash, of the young among the remembered and of the old.
type traces struct{ young, old atomic.Pointer[trace] }

type trace [256]atomic.Uint64

// has reports whether a key with this hash may have been renamed.
func (t *traces) has(hash uint32) bool {
	return t.young.Load().has(hash) || t.old.Load().has(hash) // in this order: turn goes the other way
}

func (t *trace) has(hash uint32) bool {
	return t != nil && t[hash/64%uint32(len(t))].Load()&(1<<(hash%64)) != 0
}

// leave comes after the key is remembered, and before it has gone.
func (t *traces) leave(hash uint32) {
	young := t.young.Load()
	if young == nil {
		young = new(trace)
		t.young.Store(young)
	}
	young[hash/64%uint32(len(young))].Or(1 << (hash % 64))
}

// turn makes the young the old.
func (t *traces) turn() {
	t.old.Store(t.young.Load())
	t.young.Store(nil)
}

func (k *keyMemory[K]) deadline() int64 {
	return min(k.deleted.deadline(), k.renamed.deadline(), k.failed.deadline())
}

// bury sees to it that key stays deleted for the tombstone window.
func (m *RobustSessionMap[K, V]) bury(key K, now int64) {
	if m.keys.deleted.window > 0 && !m.closed.Load() {
		m.keys.deleted.put(key, struct{}{}, now)
		m.sweeper.arm(m.keys.deleted.deadline(), now)
	}
}

// refuses reports whether key, which has no entry, must not get one now.
func (m *RobustSessionMap[K, V]) refuses(key K, now int64) bool {
	if m.closed.Load() {
		return true
	}
	if m.keys.deleted.len()+m.keys.renamed.len() == 0 {
		return false
	}
	_, deleted := m.keys.deleted.get(key, now)
	_, renamed := m.keys.renamed.get(key, now)
	return deleted || renamed
}

// renamedTo returns the live entry that key, which has none, was renamed to, if it still stands for that, and since when
// it had been called so.
func (m *RobustSessionMap[K, V]) renamedTo(p *policy[K, V], key K, now int64) (e *entry[K, V], since int64) {
	was, ok := m.keys.renamed.get(key, now)
	if !ok {
		return nil, math.MinInt64
	}
	e = was.entry.(*entry[K, V])
	if p.table.find(e.hash, e.key) != e || !e.live(now, m.timeouts) {
		return nil, math.MinInt64
	}
	return e, was.since
}

// forgetKeys lets go of what need not be remembered any longer.
func (m *RobustSessionMap[K, V]) forgetKeys(now int64) {
	m.keys.deleted.forget(now)
	m.keys.renamed.forget(now)
	m.keys.failed.forget(now)
}

// The errors of [RobustSessionMap.Rename], and of others where a session is not there or is refused.
var (
	ErrNotFound = errors.New("sessionmap: no such session")
	ErrExists   = errors.New("sessionmap: there is such a session already")
	ErrRefused  = errors.New("sessionmap: the session was refused") // by a map that is closed, full of leased sessions, or cannot take the key
)

// Rename gives the session of old another key, as after a login or a change of rights: the same value, times,
// leases and context. At no moment can anybody find it under both keys, or under neither; who looks at this very
// moment waits for it. It is no access. What it takes is a lookup or two, under the map's lock. An event for new that is
// older than the rename means another session, and is ignored.
//
// With [WithRenameGrace] the old key can still be read, and deleted, for a time; with [WithTombstones] no other session
// can be set under it for a time, as if it had been deleted. Rename fails, and changes nothing, with [ErrNotFound] if
// there is no session of old, with [ErrExists] if there is one of new, and with [ErrRefused] if new is a key that Set
// would refuse.
func (m *RobustSessionMap[K, V]) Rename(old, new K) error { return m.renameAnd(old, new, func(V) {}) }

// renameAnd is Rename, after which it calls follow with the session's value.
func (m *RobustSessionMap[K, V]) renameAnd(old, new K, follow func(value V)) error {
	oldHash, ok := m.hash(old)
	newHash, newOK := m.hash(new)
	if !ok {
		return fmt.Errorf("%w: Rename from %s", ErrNotFound, keyText(old))
	}
	if !newOK || new != new {
		return fmt.Errorf("%w: Rename to %s", ErrRefused, keyText(new))
	}
	if _, box := m.peek(old); box == nil {
		return fmt.Errorf("%w: Rename from %s", ErrNotFound, keyText(old))
	}
	m.mu.Lock()
	value, left, err := m.rename(old, new, oldHash, newHash)
	m.mu.Unlock()
	if len(left) > 0 {
		m.report(left)
		return m.renameAnd(old, new, follow)
	}
	switch err {
	case nil:
		follow(value)
		return nil
	case ErrNotFound:
		return fmt.Errorf("%w: Rename from %s", err, keyText(old))
	}
	return fmt.Errorf("%w: Rename to %s", err, keyText(new))
}

// keyText returns a key as the text of an error has it. A pointer without a text of its own is its address: what it points to
// may be in use.
func keyText(key any) string {
	switch key.(type) {
	case fmt.Stringer, error:
	default:
		if reflect.ValueOf(key).Kind() == reflect.Pointer {
			return fmt.Sprintf("%p", key)
		}
	}
	return fmt.Sprint(key)
}

// rename needs the lock. Where something has left, for it was expired, that is to be reported, and rename called again.
func (m *RobustSessionMap[K, V]) rename(old, new K, oldHash, newHash uint32) (value V, left []removal[K, V], err error) {
	p, now := m.policy.Load(), m.clock.exact()
	lookup := func(hash uint32, key K) *entry[K, V] {
		var out removal[K, V]
		e := p.lookup(hash, key, now, &out)
		if out.cause != 0 {
			left = append(left, out)
		}
		return e
	}
	from, taken := lookup(oldHash, old), lookup(newHash, new)
	switch {
	case len(left) > 0:
		m.stir(now)
		return value, left, nil
	case from == nil:
		return value, left, ErrNotFound
	case old == new:
		return m.values.open(from.value.Load()), left, nil
	case taken != nil:
		return value, left, ErrExists
	case m.refuses(new, now):
		return value, left, ErrRefused
	}
	if m.keys.renamed.window > 0 { // before the entry has gone from under its old key
		m.keys.renamed.put(old, former{p.tie(from), from.since()}, now)
		m.traces.leave(oldHash)
		m.sweeper.arm(m.keys.renamed.deadline(), now)
	}
	m.bury(old, now)
	m.loads.veto(old, never)
	m.loads.veto(new, never)
	p.tie(from).named = now
	to := p.rename(from, new, newHash)
	for _, log := range m.renameLogs {
		log.entries = append(log.entries, to)
	}
	value = m.values.open(to.value.Load())
	if m.renamed != nil {
		m.renamed(value, new)
	}
	return value, left, nil
}

// rename puts another entry in the place of from, with the key new. That is in the table before from has gone, but
// deciding until then: who meets it waits for the lock that the caller holds, and looks again. So whoever has missed
// the one finds the other.
func (p *policy[K, V]) rename(from *entry[K, V], new K, hash uint32) (to *entry[K, V]) {
	x := from.extra.Load()
	to = newEntry[K, V](x != nil) // apart from what is left of from, which holds the old key
	to.key, to.hash, to.created = new, hash, from.created
	to.accessed.Store(deciding)
	p.table.insert(to)

	accessed := from.accessed.Swap(gone)
	box := from.value.Swap(nil)
	p.recency.withdraw(from)
	p.deadlines.remove(from)
	if x != nil {
		to.extra.Load().from(x)
	}
	if t := from.ties(); t != nil {
		t.entry = to
	}
	to.value.Store(box)
	to.accessed.Store(accessed)
	if accessed != held {
		p.recency.file(to, to.stamp())
	}
	if x != nil {
		p.index(to)
	}
	p.table.remove(from)
	return to
}
