package leakcheck

import (
	"math"
	"slices"
	"time"
)

// confidence is how many standard deviations of Kendall's statistic lie between the estimate and its bound: 99.9%.
const confidence = 3.09

// trend returns by how much values grow a step: the median of the slopes between any two of them, as Sen has it
// (JASA 63, 1968), and the bound that the growth exceeds with 99.9% confidence, by the rank of Kendall's tau
// in the same slopes. There must be two values.
//
// Both are indifferent to the size of outliers. The bound is 0 for a level that changes once or twice, and with 20
// values for one that grows over up to the first 10.
func trend(values []float64) (slope, atLeast float64) {
	n := len(values)
	slopes := make([]float64, 0, n*(n-1)/2)
	for j := range values {
		for i := range j {
			slopes = append(slopes, (values[j]-values[i])/float64(j-i))
		}
	}
	slices.Sort(slopes)
	pairs := len(slopes)
	deviation := math.Sqrt(float64(pairs) * float64(2*n+5) / 9)
	rank := max(0, int((float64(pairs)-confidence*deviation)/2))
	return (slopes[(pairs-1)/2] + slopes[pairs/2]) / 2, slopes[rank]
}

// A verdict is what the figures of some rounds come to.
type verdict struct {
	threshold figures
	after     []figures // each round
	slope     figures   // a round
	atLeast   figures   // its bound
}

func judge(c config, after []figures) verdict {
	v := verdict{threshold: c.threshold, after: after}
	values := make([]float64, len(after))
	for i := range v.slope {
		for round, f := range after {
			values[round] = f[i]
		}
		v.slope[i], v.atLeast[i] = trend(values)
	}
	return v
}

// grown reports whether figure i grows by more than is allowed.
func (v verdict) grown(i int) bool { return v.atLeast[i] > v.threshold[i] }

// grows reports whether any does.
func (v verdict) grows() bool { return v.grown(heapBytes) || v.grown(objects) || v.grown(goroutines) }

// lingerings is how often stays looks, each time after lingering.
const (
	lingerings = 3
	lingering  = 50 * time.Millisecond
)

// stays reports whether half of what has grown is still there after a last wait: what ends by itself meanwhile is no
// leak.
func (v verdict) stays(m *meter) bool {
	first, last := v.after[0], v.after[len(v.after)-1]
	for range lingerings {
		time.Sleep(lingering)
		now := m.settle(last[goroutines])
		stays := false
		for i := range now {
			stays = stays || v.grown(i) && now[i] > (first[i]+last[i])/2
		}
		if !stays {
			return false
		}
	}
	return true
}
