package sessionmap

import (
	"errors"
	"fmt"
)

// What a map remembers of keys that have no entry: tombstones of those that were deleted, where those have gone
// that were renamed, and with what error those failed that were to be loaded. Each for a set time, and no more of
// them than maxRemembered.

const maxRemembered = 1 << 16 // of each kind in each of two generations; more only if the map may hold more

// keyMemory is guarded by the map's lock.
type keyMemory[K comparable] struct {
	deleted recent[K, struct{}]
	renamed recent[K, *ties]
	failed  recent[K, error] // loads
}

func newKeyMemory[K comparable](c config) keyMemory[K] {
	limit := max(maxRemembered, c.maxSize)
	return keyMemory[K]{
		deleted: recent[K, struct{}]{window: int64(c.tombstones), limit: limit},
		renamed: recent[K, *ties]{window: int64(c.renameGrace), limit: limit},
		failed:  recent[K, error]{window: int64(c.loadErrorTTL), limit: limit},
	}
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

// renamedTo returns the live entry that key, which has none, was renamed to, if it still stands for that.
func (m *RobustSessionMap[K, V]) renamedTo(p *policy[K, V], key K, now int64) *entry[K, V] {
	t, ok := m.keys.renamed.get(key, now)
	if !ok {
		return nil
	}
	e := t.entry.(*entry[K, V])
	if p.table.find(e.hash, e.key) != e || !e.live(now, m.timeouts) {
		return nil
	}
	return e
}

// forgetKeys lets go of what need not be remembered any longer.
func (m *RobustSessionMap[K, V]) forgetKeys(now int64) {
	m.keys.deleted.forget(now)
	m.keys.renamed.forget(now)
	m.keys.failed.forget(now)
	m.renames.Store(m.keys.renamed.len() > 0)
}

// The errors of [RobustSessionMap.Rename].
var (
	ErrNotFound = errors.New("sessionmap: no such session")
	ErrExists   = errors.New("sessionmap: there is such a session already")
	ErrRefused  = errors.New("sessionmap: the session was refused") // by a map that is closed, full of leased sessions, or cannot take the key
)

// Rename gives the session of old another key, as after a login or a change of rights: the same value, times,
// leases and context. At no moment can anybody find it under both keys, or under neither. It is no access.
// What it takes is a lookup or two, under the map's lock.
//
// With [WithRenameGrace] the old key can still be read, and deleted, for a time. It fails, and changes nothing,
// with [ErrNotFound] if there is no session of old, with [ErrExists] if there is one of new, and with [ErrRefused]
// if new is a key that Set would refuse.
func (m *RobustSessionMap[K, V]) Rename(old, new K) error {
	oldHash, ok := m.hash(old)
	newHash, newOK := m.hash(new)
	if !ok {
		return fmt.Errorf("%w: Rename from %v", ErrNotFound, old)
	}
	if !newOK || new != new {
		return fmt.Errorf("%w: Rename to %v", ErrRefused, new)
	}
	var out [2]removal[K, V]
	m.mu.Lock()
	err := m.rename(old, new, oldHash, newHash, &out)
	m.mu.Unlock()
	for _, r := range out {
		if r.cause != 0 {
			m.reportOne(r)
		}
	}
	return err
}

func (m *RobustSessionMap[K, V]) rename(old, new K, oldHash, newHash uint32, out *[2]removal[K, V]) error {
	p, now := m.policy.Load(), m.clock.exact()
	var from, to *entry[K, V]
	from = p.lookup(oldHash, old, now, &out[0])
	if from == nil {
		return fmt.Errorf("%w: Rename from %v", ErrNotFound, old)
	}
	if old == new {
		return nil
	}
	to = p.lookup(newHash, new, now, &out[1])
	if to != nil {
		return fmt.Errorf("%w: Rename to %v", ErrExists, new)
	}
	if m.refuses(new, now) {
		return fmt.Errorf("%w: Rename to %v", ErrRefused, new)
	}
	if m.keys.renamed.window > 0 { // before the entry has gone from under its old key
		m.keys.renamed.put(old, p.tie(from), now)
		m.renames.Store(true)
		m.sweeper.arm(m.keys.renamed.deadline(), now)
	}
	p.rename(from, new, newHash)
	return nil
}

// rename puts another entry in the place of from, with the key new. That is in the table before from has gone, but
// moving until then: who meets it waits for the lock that the caller holds, and looks again. So whoever has missed
// the one finds the other.
func (p *policy[K, V]) rename(from *entry[K, V], new K, hash uint32) {
	to := newEntry[K, V](false)
	to.key, to.hash, to.created = new, hash, from.created
	to.accessed.Store(moving)
	p.table.insert(to)

	accessed := from.accessed.Swap(gone)
	box := from.value.Swap(nil)
	p.recency.withdraw(from)
	p.deadlines.remove(from)
	x := from.extra.Load()
	to.extra.Store(x)
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
}
