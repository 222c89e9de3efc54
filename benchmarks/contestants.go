package main

import "time"

// A session is what is stored: a pointer to one, under its id.
type session struct {
	id string
	n  int
}

// A store is the interface that every contestant is called through, so that each pays for it alike.
type store interface {
	Get(id string) *session // nil if it is not there
	Set(id string, s *session)
	Delete(id string)
	Len() int
	Close()
}

// A settler finishes what its Sets have left in queues. What is timed is never settled, only what was
// filled before.
type settler interface{ Settle() }

// A config is the one job that all contestants are set up for.
type config struct {
	maxSize  int
	idle     time.Duration
	sweep    time.Duration  // between two looks for expired entries, where that can be set
	onRemove func(*session) // hears of what leaves; nil is nobody
}

// A contestant makes stores, and says what it can do at all. What it cannot is not asked of it, or is
// done for it by the caller, and its notes stand beside its numbers.
type contestant struct {
	name        string
	module      string // where its version stands in go.mod; "" is this repository
	bounded     bool
	expires     bool
	touches     bool // a read extends the idle timeout
	callback    bool // tells of what leaves
	floor       bool // a map and nothing more: what a lookup costs before any timeout or bound
	notes       string
	make        func(config) store
	linear      bool // an eviction looks at all entries
	neverSweeps bool // what expires stays in memory until it is pushed out
}

// ours is the name of the contestant that the others are compared with; with a coarse clock it takes part as
// another one, where it has one.
const (
	ours       = "sessionmap"
	oursCoarse = "sessionmap coarse"
)

// peer reports whether it is not ours, and more than a floor.
func (c contestant) peer() bool { return c.name != ours && c.name != oursCoarse && !c.floor }

var contestants = []contestant{
	{name: ours, bounded: true, expires: true, touches: true, callback: true, make: newOurs,
		notes: "timeout touched by reads, exact bound"},
	{name: oursCoarse, bounded: true, expires: true, touches: true, callback: true, make: newOursCoarse,
		notes: "as sessionmap, with a clock of 10 ms steps: a session may stay, or go, as much too long or early"},
	{name: "otter", module: "github.com/maypok86/otter/v2", bounded: true, expires: true, touches: true, callback: true, make: newOtter,
		notes: "exact clock; W-TinyLFU may drop what was just set; size over the bound for a while"},
	{name: "otter coarse", module: "github.com/maypok86/otter/v2", bounded: true, expires: true, touches: true, callback: true, make: newOtterCoarse,
		notes: "as otter, with its clock of 10 ms steps"},
	{name: "ttlcache", module: "github.com/jellydator/ttlcache/v3", bounded: true, expires: true, touches: true, callback: true, make: newTTLCache,
		notes: "needs Start and Stop"},
	{name: "golang-lru", module: "github.com/hashicorp/golang-lru/v2", bounded: true, callback: true, make: newLRU,
		notes: "no timeout"},
	{name: "golang-lru expirable", module: "github.com/hashicorp/golang-lru/v2", bounded: true, expires: true, callback: true, make: newExpirable,
		notes: "reads do not touch; cannot be closed"},
	{name: "theine", module: "github.com/Yiling-J/theine-go", bounded: true, expires: true, callback: true, make: newTheine,
		notes: "reads do not touch; W-TinyLFU may drop what was just set"},
	{name: "ristretto", module: "github.com/dgraph-io/ristretto/v2", bounded: true, expires: true, callback: true, make: newRistretto,
		notes: "reads do not touch; drops Sets under load; keeps no keys"},
	{name: "go-cache", module: "github.com/patrickmn/go-cache", expires: true, callback: true, make: newGoCache,
		notes: "reads do not touch; no bound"},
	{name: "phuslu/lru", module: "github.com/phuslu/lru", bounded: true, expires: true, touches: true, make: newPhuslu,
		notes: "whole seconds; bound by shard; no callback; never sweeps", neverSweeps: true},
	{name: "xsync.Map", module: "github.com/puzpuzpuz/xsync/v4", floor: true, make: newXsync,
		notes: "floor: no timeout, no bound, no callback"},
	{name: "xsync.Map, clock, stamp", module: "github.com/puzpuzpuz/xsync/v4", floor: true, make: newStamped,
		notes: "floor of an exact idle timeout: the clock is read and the session stamped; nothing is ever removed"},
	{name: "sync.Map", floor: true, make: newSyncMap,
		notes: "floor: no timeout, no bound, no callback"},
	{name: "mutex+map+list", bounded: true, expires: true, touches: true, callback: true, make: newMutexList,
		notes: "by hand, the straight way; one lock, held for a whole sweep"},
	{name: "the report's map", bounded: true, expires: true, touches: true, linear: true, make: newReportMap,
		notes: "as written: eviction looks at all entries; overwriting evicts; no callback"},
}
