package leakcheck

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// recordAllocations has the heap profile record every allocation until undo is called.
func recordAllocations() (undo func()) {
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	return func() { runtime.MemProfileRate = rate }
}

// sites are stacks, and for each the bytes and objects it allocated that are live, or the goroutines that stand
// there.
type sites map[string]figures

func heapSites() sites {
	records := make([]runtime.MemProfileRecord, 1000)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, n+n/4)
	}
	s := sites{}
	for _, r := range records {
		s.add(r.Stack(), figures{heapBytes: float64(r.InUseBytes()), objects: float64(r.InUseObjects())})
	}
	return s
}

func goroutineSites() sites {
	records := make([]runtime.StackRecord, 100)
	for {
		n, ok := runtime.GoroutineProfile(records)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.StackRecord, n+n/4)
	}
	s := sites{}
	for _, r := range records {
		s.add(r.Stack(), figures{goroutines: 1})
	}
	return s
}

func (s sites) add(stack []uintptr, f figures) {
	name := render(stack)
	if name == "" {
		return
	}
	sum := s[name]
	for i := range sum {
		sum[i] += f[i]
	}
	s[name] = sum
}

// since returns by how much each site has become more since then.
func (s sites) since(then sites) sites {
	grown := sites{}
	for name, f := range s {
		for i, was := range then[name] {
			f[i] -= was
		}
		if f[heapBytes] > 0 || f[objects] > 0 || f[goroutines] > 0 {
			grown[name] = f
		}
	}
	return grown
}

// by returns the stacks that have the most of figure i, largest first, and none that has less than a twentieth of
// that.
func (s sites) by(i int) []string {
	stacks := slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		return cmp.Or(cmp.Compare(s[b][i], s[a][i]), cmp.Compare(a, b))
	})
	return slices.DeleteFunc(stacks, func(stack string) bool { return s[stack][i] < s[stacks[0]][i]/20 })
}

// stackDepth is how many functions of a stack are shown.
const stackDepth = 6

// own is what the names of this package's functions begin with, runner the one that calls the scenario.
var (
	own    = reflect.TypeFor[sites]().PkgPath() + "."
	runner = own + "(*scenario).call"
)

// render returns the functions of a stack, with their lines, from the innermost that is not the runtime's to the one
// that this package called; "" for what this package does itself.
func render(stack []uintptr) string {
	var b strings.Builder
	depth, ours := 0, false
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case frame.Function == runner:
			return b.String()
		case strings.HasPrefix(frame.Function, own):
			ours = true
		case ours, depth == stackDepth, depth == 0 && isRuntime(frame.Function), frame.Function == "runtime.goexit":
		default:
			depth++
			fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
	}
	if ours {
		return ""
	}
	return b.String()
}

func isRuntime(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "internal/runtime/")
}
