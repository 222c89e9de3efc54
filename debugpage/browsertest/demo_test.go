package browsertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/debugpage"
)

type agent struct{ history []byte }

type upload struct{ bytes int64 }

type connection struct{ fails bool }

func (c *connection) Close() error {
	if c.fails {
		return errors.New("broken pipe")
	}
	return nil
}

// weight is how many bytes an agent of the demo takes.
func weight(r *rand.Rand, big bool) int {
	if big {
		return 8<<10 + r.IntN(48<<10)
	}
	return 2<<10 + r.IntN(24<<10)
}

// busy makes a few maps and a group, which come and go for every cause that a program can bring about in seconds,
// until the test ends.
func busy(t *testing.T) {
	quiet := sessionmap.WithLogger(slog.New(slog.DiscardHandler))
	often := sessionmap.WithSweepInterval(500 * time.Millisecond)
	bus := sessionmap.NewBus[string]()
	size := func(_ string, a *agent) int64 { return int64(len(a.history)) }

	sessions := sessionmap.MustNewGroup[string](sessionmap.WithName("sessions"), sessionmap.WithMaxSize(600),
		sessionmap.WithTTL(9*time.Second), sessionmap.WithMaxLifetime(25*time.Second), sessionmap.WithSessionDeleted(bus),
		sessionmap.WithTombstones(time.Minute), sessionmap.WithMaxTotalCost(15<<20), often, quiet)
	agents := sessionmap.NewAttribute[*agent](sessions, "agent", sessionmap.WithCost(size))
	carts := sessionmap.NewAttribute[[]string](sessions, "cart")
	connections := sessionmap.NewAttribute[*connection](sessions, "connection", sessionmap.WithCloser())
	uploads := sessionmap.MustNew[string, upload](sessionmap.WithName("uploads"), sessionmap.WithMaxSize(200), sessionmap.WithTTL(15*time.Second), often, quiet,
		sessionmap.WithMaxCost(64<<20, func(_ string, u upload) int64 { return u.bytes }))
	tokens := sessionmap.MustNew[int, string](sessionmap.WithName("csrf tokens"), sessionmap.WithMaxSize(0), sessionmap.WithTTL(0),
		sessionmap.WithMaxLifetime(12*time.Second), often, quiet)
	quotas := sessionmap.MustNew[string, int](sessionmap.WithName("quotas"), sessionmap.WithMaxSize(64), quiet)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		r := rand.New(rand.NewPCG(1, 2))
		var live, regulars []string // the regulars come back until their lifetime is over
		var leases []*sessionmap.Lease[string, *sessionmap.Session[string]]
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			burst, big := n%500 > 400, n%1000 < 500 // of which the one meets the bound of the size, the other that of the cost
			visitors := 1 + r.IntN(3)
			if burst {
				visitors += 2
			}
			for range visitors {
				id := fmt.Sprintf("s-%08x", r.Uint32())
				if agents.Set(id, &agent{make([]byte, weight(r, big))}) {
					live = append(live, id)
				}
				if r.IntN(3) == 0 {
					carts.Set(id, []string{"book"})
				}
				if r.IntN(4) == 0 {
					connections.Set(id, &connection{fails: r.IntN(150) == 0})
				}
				tokens.Set(n*4+r.IntN(4), "token")
				quotas.Update(fmt.Sprintf("user-%d", r.IntN(90)), func(old int, _ bool) (int, bool) { return old + 1, true })
			}
			if n%4 == 0 {
				uploads.Set(fmt.Sprintf("upload-%d", n), upload{int64(r.IntN(2 << 20))})
			}
			pick := func() string { return live[r.IntN(len(live))] }
			for range 25 {
				agents.Get(pick())
			}
			for range r.IntN(3) {
				bus.Publish(pick())
			}
			switch r.IntN(24) {
			case 0, 1, 2:
				sessions.Delete(pick())
			case 3, 4:
				within, end := context.WithCancel(context.Background())
				sessions.BindContext(within, pick())
				end()
			case 5:
				agents.Set(live[r.IntN(len(live))], &agent{make([]byte, 8<<10)})
			case 6, 7:
				if lease, ok := sessions.Acquire(pick()); ok {
					leases = append(leases, lease)
				}
			case 8:
				if len(leases) > 8 {
					leases[0].Release()
					leases = leases[1:]
				}
			}
			if n%700 == 699 {
				quotas.Clear()
			}
			if n%16 == 0 && len(regulars) < 40 {
				regulars = append(regulars, live[len(live)-1])
			}
			for i, id := range regulars {
				if !sessions.Contains(id) {
					regulars[i] = live[len(live)-1]
				}
				agents.Get(id)
			}
			live = live[max(0, len(live)-250):]
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, m := range []io.Closer{sessions, uploads, tokens, quotas} {
			require.NoError(t, m.Close())
		}
	})
}

// TestScreenshots saves how the page looks after two minutes.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no -screenshots")
	}
	name := os.Args[0]
	os.Args[0] = "shop" // what the page calls the process
	limit := debug.SetMemoryLimit(48 << 20)
	t.Cleanup(func() { os.Args[0] = name; debug.SetMemoryLimit(limit) })
	busy(t)
	url := serve(t, debugpage.WithActions())
	b := open(t, url)
	require.Eventually(t, func() bool { return eval[int](b, `+document.querySelector('#chart-size svg').dataset.points`) > 55 }, 4*time.Minute, time.Second)
	b.click(`#sessions th[data-sort=cost] button`)
	b.until(`document.querySelector('#sessions-note').textContent.includes('most costly')`)
	for _, picture := range []struct {
		name, scheme  string
		width, height int64
		phone         bool
	}{{"desktop-light", "light", 1280, 900, false}, {"desktop-dark", "dark", 1280, 900, false}, {"phone", "light", 320, 640, true}, {"phone-dark", "dark", 320, 640, true}} {
		b.view(picture.width, picture.height, picture.phone)
		b.scheme(picture.scheme)
		eval[any](b, `document.activeElement.blur(), scrollTo(0, 0)`)
		b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 5, 5))
		b.until(fmt.Sprintf(`innerWidth === %d && document.querySelector('#chart-size svg').viewBox.baseVal.width <= document.querySelector('#chart-size').clientWidth`, picture.width))
		image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(*screenshots, picture.name+".png"), image, 0o644))
	}
}
