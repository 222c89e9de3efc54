package leakcheck

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTrend(t *testing.T) {
	series := func(at func(i int) float64) []float64 {
		values := make([]float64, defaultRounds)
		for i := range values {
			values[i] = at(i)
		}
		return values
	}
	for _, tc := range []struct {
		name           string
		values         []float64
		slope, atLeast float64
	}{
		{"two", []float64{1, 4}, 3, 3},
		{"flat", series(func(int) float64 { return 7 }), 0, 0},
		{"line", series(func(i int) float64 { return 7 + 3*float64(i) }), 3, 3},
		{"falling line", series(func(i int) float64 { return -3 * float64(i) }), -3, -3},
		{"line with two outliers", series(func(i int) float64 {
			if i%10 == 5 {
				return 1e9
			}
			return 3 * float64(i)
		}), 3, 3},
		{"one step", series(func(i int) float64 { return float64(i / 10 * 1000) }), 1000. / 19, 0},
		{"two steps", series(func(i int) float64 { return float64(i / 7 * 1000) }), 1000. / 12, 0},
		{"filling up for ten rounds", series(func(i int) float64 { return float64(min(i, 9)) }), 5. / 12, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			slope, atLeast := trend(tc.values)
			assert.InDelta(t, tc.atLeast, atLeast, 1e-9)
			if tc.atLeast != 0 || tc.slope == 0 {
				assert.InDelta(t, tc.slope, slope, 1e-9)
			}
		})
	}
}

// Of noise without a trend one series in a thousand may exceed its bound.
func TestTrendOfNoise(t *testing.T) {
	const tries = 5_000
	rng := rand.New(rand.NewPCG(1, 2))
	for name, noise := range map[string]func() float64{
		"normal":   rng.NormFloat64,
		"skewed":   rng.ExpFloat64,
		"few ties": func() float64 { return float64(rng.IntN(3)) },
	} {
		alarms := 0
		values := make([]float64, defaultRounds)
		for range tries {
			for i := range values {
				values[i] = noise()
			}
			if _, atLeast := trend(values); atLeast > 0 {
				alarms++
			}
		}
		assert.LessOrEqual(t, alarms, tries*2/1000, name)
	}
}
