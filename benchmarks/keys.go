package main

import (
	"fmt"
	"math/rand/v2"
)

// A population is the sessions of a benchmark: twice as many as a store holds, so that new ones keep
// arriving, in a ring. Ids, values and the order in which sessions are asked for are made before anything
// is timed, and are the same for all contestants.
type population struct {
	live     int // how many a store holds
	sessions []session
	uniform  stream
	zipf     stream
}

// newPopulation makes the same sessions every time.
func newPopulation(live int) *population {
	rng := rand.New(rand.NewPCG(1486, uint64(live)))
	p := &population{live: live, sessions: make([]session, 2*live)}
	for i := range p.sessions {
		p.sessions[i] = session{id: newID(rng), n: i}
	}
	p.uniform = newStream(func() uint64 { return rng.Uint64N(uint64(live)) })
	const skew = 1.01 // about what the request logs of web services show
	p.zipf = newStream(rand.NewZipf(rng, skew, 1, uint64(live-1)).Uint64)
	return p
}

// newID has the 36 bytes of a UUID.
func newID(rng *rand.Rand) string {
	a, b := rng.Uint64(), rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&(1<<48-1))
}

// numberedID is for sessions that are too many to be made beforehand.
func numberedID(n int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", n*2654435761&0xffffffff, n)
}

// at is the i-th session of the ring.
func (p *population) at(i int) *session { return &p.sessions[i%len(p.sessions)] }

// A stream says which of the live sessions an operation is about.
type stream []uint32

const streamLen = 1 << 20 // a power of two

func newStream(next func() uint64) stream {
	s := make(stream, streamLen)
	for i := range s {
		s[i] = uint32(next())
	}
	return s
}

func (s stream) at(i int) int { return int(s[i&(streamLen-1)]) }
