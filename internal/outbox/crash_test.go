package outbox_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"holdfast/internal/outbox"
	"holdfast/internal/verify"
)

// process is a node that can die: from then on nothing that it does has an
// effect, and all that it asks fails.
type process struct {
	*outbox.Outbox
	node  verify.Node
	steps atomic.Int64 // calls until it dies
}

func (p *process) step(string) error {
	if p.steps.Add(-1) < 0 {
		return errFault
	}
	return nil
}

// dying is a sender whose process may die right before or right after a send.
type dying struct {
	*gateway
	p *process
}

func (d dying) Send(ctx context.Context, m verify.Message, a verify.Attempt) verify.AttemptEnd {
	if d.p.step("send") != nil {
		return verify.AttemptEnd{Result: verify.AttemptLost}
	}
	end := d.gateway.Send(ctx, m, a)
	_ = d.p.step("sent")
	return end
}

func run(store *memory, g *gateway, node verify.Node, steps int64) *process {
	p := &process{node: node}
	p.steps.Store(steps)
	o, err := outbox.New(outbox.Config{Store: &faulty{memory: store, before: p.step, after: p.step}, Node: node, Workers: 3, Queue: 8, Poll: time.Second, Log: quiet})
	if err != nil {
		panic(err)
	}
	p.Outbox = o
	o.Start(dying{g, p})
	return p
}

// bury ends a dead process's goroutines.
func (p *process) bury() {
	p.steps.Store(0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Stop(ctx)
}

// act is one thing that happens in a history.
type act struct {
	Kind  string // hand, die, stop, pass
	Node  int
	N     int // messages, or steps until the next process there dies, or seconds
	Short bool
}

// answers that a gateway may give.
var answers = []func(ctx context.Context, m verify.Message, n int) verify.AttemptEnd{
	func(context.Context, verify.Message, int) verify.AttemptEnd {
		return verify.AttemptEnd{Result: verify.AttemptAccepted}
	},
	func(context.Context, verify.Message, int) verify.AttemptEnd {
		return verify.AttemptEnd{Result: verify.AttemptRetry, Code: "busy"}
	},
	func(context.Context, verify.Message, int) verify.AttemptEnd {
		return verify.AttemptEnd{Result: verify.AttemptRetry, RetryAt: time.Now().Add(40 * time.Second)}
	},
	func(context.Context, verify.Message, int) verify.AttemptEnd {
		return verify.AttemptEnd{Result: verify.AttemptRefused}
	},
	func(context.Context, verify.Message, int) verify.AttemptEnd {
		return verify.AttemptEnd{Result: verify.AttemptLost}
	},
	slow(3 * time.Second),
	slow(10 * time.Second),
	func(context.Context, verify.Message, int) verify.AttemptEnd { panic("broken") },
}

// TestNoHistorySendsTwice makes two nodes die, stop and start at any step of
// their work: no message is sent again once it was taken or may have been, and
// each is sent, settled or failed by its expiry in the end.
func TestNoHistorySendsTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
			return act{
				Kind: rapid.SampledFrom([]string{"hand", "hand", "die", "stop", "pass", "pass"}).Draw(t, "kind"),
				Node: rapid.IntRange(0, 1).Draw(t, "node"), N: rapid.IntRange(1, 45).Draw(t, "n"), Short: rapid.Bool().Draw(t, "short"),
			}
		}), 1, 25).Draw(rt, "history")
		gateway := rapid.SliceOfN(rapid.IntRange(0, len(answers)-1), 1, 12).Draw(rt, "gateway")
		var wrong []string
		synctest.Test(t, func(*testing.T) { wrong = live(history, gateway) })
		if len(wrong) > 0 {
			rt.Fatal(wrong)
		}
	})
}

func live(history []act, says []int) (wrong []string) {
	store := newMemory()
	g := newGateway(store)
	var calls atomic.Int64
	g.answer = func(ctx context.Context, m verify.Message, n int) verify.AttemptEnd {
		return answers[says[int(calls.Add(1))%len(says)]](ctx, m, n)
	}
	next := verify.Node(2)
	nodes := [2]*process{run(store, g, 0, 1e9), run(store, g, 1, 1e9)}
	for _, a := range history {
		p := nodes[a.Node]
		switch a.Kind {
		case "hand":
			lifetime := 5 * time.Minute
			if a.Short {
				lifetime = time.Minute
			}
			for range 1 + a.N/5 {
				p.Hand(store.create(p.node, lifetime))
			}
		case "die": // the process after this one dies too, after some steps
			p.bury()
			nodes[a.Node] = run(store, g, next, int64(a.N))
			next++
		case "stop":
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.N)*time.Second/4)
			_ = p.Stop(ctx)
			cancel()
			nodes[a.Node] = run(store, g, next, 1e9)
			next++
		case "pass":
			wait(time.Duration(a.N) * time.Second)
		}
	}
	nodes[0].bury()
	nodes[1].bury()
	last := run(store, g, next, 1e9)
	wait(7 * time.Minute)
	last.bury()
	if n := store.states()[verify.Queued]; n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d messages are still queued", n))
	}
	return append(wrong, g.wrong...)
}
