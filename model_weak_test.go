package sessionmap_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestWeakModel is TestModel for a Weak, of which the model is a map of the objects that are in use.
func TestWeakModel(t *testing.T) {
	testModel(t, "weak", 1, 1, func(t *testing.T, _ int, code []byte) (steps int) {
		return runProgram(t, "none", code, func(a *attempt) {
			p := &weakProgram{attempt: a, w: sessionmap.NewWeak[weakObject, int](), objects: make([]*weakObject, 8), values: make(map[*weakObject]int)}
			for i := range p.objects {
				p.objects[i] = new(weakObject)
			}
			for nextStep(a, p, weakSteps, len(p.objects)) {
				p.check()
			}
		})
	})
}

type weakObject struct{ _ [4]*int }

// A weakProgram is a program under way. The key of a step is the number of an object.
type weakProgram struct {
	*attempt
	w       *sessionmap.Weak[weakObject, int]
	objects []*weakObject
	values  map[*weakObject]int // of the objects in use; 0 is none
	dropped int                 // objects with a value
}

var weakSteps = []modelStep[*weakProgram]{
	{"set", 4, func(p *weakProgram, i, x, _ int) string {
		p.w.Set(p.objects[i], 1+x)
		p.values[p.objects[i]] = 1 + x
		return fmt.Sprintf("Set %d %d", i, 1+x)
	}},
	{"getOrSet", 3, func(p *weakProgram, i, x, _ int) string {
		s := p.objects[i]
		actual, loaded := p.w.GetOrSet(s, 1+x)
		require.Equal(p, p.values[s] != 0, loaded)
		if !loaded {
			p.values[s] = 1 + x
		}
		require.Equal(p, p.values[s], actual)
		return fmt.Sprintf("GetOrSet %d %d", i, 1+x)
	}},
	{"update", 4, func(p *weakProgram, i, x, y int) string {
		s, keep := p.objects[i], y%2 == 0
		value, ok := p.w.Update(s, func(old int, ok bool) (int, bool) {
			p.found(s, old, ok)
			return 1 + x, keep
		})
		if p.values[s] = 1 + x; !keep {
			p.values[s] = 0
		}
		p.found(s, value, ok)
		return fmt.Sprintf("Update %d %d keep %v", i, 1+x, keep)
	}},
	{"delete", 3, func(p *weakProgram, i, _, _ int) string {
		s := p.objects[i]
		require.Equal(p, p.values[s] != 0, p.w.Delete(s))
		p.values[s] = 0
		return fmt.Sprintf("Delete %d", i)
	}},
	{"drop", 1, func(p *weakProgram, i, _, _ int) string {
		if p.values[p.objects[i]] != 0 {
			p.dropped++
		}
		delete(p.values, p.objects[i])
		p.objects[i] = new(weakObject)
		return fmt.Sprintf("drop %d", i)
	}},
}

func (p *weakProgram) found(s *weakObject, value int, ok bool) {
	require.Equal(p, p.values[s] != 0, ok)
	require.Equal(p, p.values[s], value)
}

func (p *weakProgram) check() {
	live := 0
	for _, s := range p.objects {
		value, ok := p.w.Get(s)
		p.found(s, value, ok)
		if ok {
			live++
		}
	}
	require.GreaterOrEqual(p, p.w.Len(), live)
	require.LessOrEqual(p, p.w.Len(), live+p.dropped)
}
