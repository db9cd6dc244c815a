package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/sim/operator"
)

// moments are where a server is killed. Those of two words are calls of its store;
// the others are seen from outside, and the server has no answer out or only just.
var moments = []string{
	"Create before", "Create after", "BeginAttempt before", "BeginAttempt after", "EndAttempt before", "EndAttempt after",
	"ClaimDue after", "Consume before", "Consume after", "ClaimAnswer after", "Complete before", "Complete after", "Deny after",
	"asked", "sms", "token", "verify", "confirmed", "returned",
}

// Killed with SIGKILL between any two steps, again and again on the same database
// and under load: every Send Link that was answered is there and its text went
// out, or the server says that it does not know; no text goes out twice; no link
// works twice; what was completed stays as it was.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, database := range faultStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKilling(newFaultWorld(t, database(t)))
			k.run()
			k.check()
		})
	}
}

// killing is a world in which servers die.
type killing struct {
	*faultWorld
	random  *rand.Rand
	header  map[string]string // the client's
	workers sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	server  *faultServer // nil while there is none
	round   int
	moment  string // seen from outside; "" where this round's is not
	left    int    // until it
	quiet   bool   // no more is sent
	next    int
	sent    []*sending
	byTo    map[string]*sending
	arrived []*sending // not tapped yet
}

// sending is one use of Send Link and what became of it.
type sending struct {
	n              int
	national, e164 string
	key            string // its Idempotency-Key, or ""
	answered       asked  // zero: never answered

	refusals int // left for the gateway to make
	texts    []text
	winner   *handheld // was sent to the operator
	denied   bool
	result   string // as it was redeemed
	vfp      string
}

func newKilling(w *faultWorld) *killing {
	seed := rand.Uint64()
	w.t.Logf("seed %d", seed)
	k := &killing{faultWorld: w, random: rand.New(rand.NewPCG(seed, seed)), byTo: map[string]*sending{}}
	k.changed = sync.NewCond(&k.mu)
	context.AfterFunc(w.ctx, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.changed.Broadcast()
	})
	w.t.Cleanup(func() { // a test that failed leaves them at work
		w.cancel()
		k.workers.Wait()
	})
	w.onText(k.takeText)
	w.onStep(func(_ *http.Request, step operator.Step, _ string) operator.Fault {
		switch step {
		case operator.AtToken:
			k.saw("token")
		case operator.AtVerify:
			k.saw("verify")
		}
		return operator.Fault{}
	})
	return k
}

// takeText is the gateway: it keeps every text, except those that it refuses at
// first, and those count as not sent.
func (k *killing) takeText(m text) (status int) {
	k.mu.Lock()
	s := k.byTo[m.To]
	refused := s.refusals > 0
	if refused {
		s.refusals--
	} else {
		s.texts = append(s.texts, m)
		if len(s.texts) == 1 {
			k.arrived = append(k.arrived, s)
		}
		k.changed.Broadcast()
	}
	k.mu.Unlock()
	if refused {
		return http.StatusTooManyRequests
	}
	k.saw("sms")
	return http.StatusOK
}

// saw kills the server if this is this round's moment. It returns after the
// server's end: whoever saw it goes on with a dead one.
func (k *killing) saw(moment string) {
	k.mu.Lock()
	server := k.server
	now := false
	if moment == k.moment && server != nil {
		k.left--
		now = k.left == 0
	}
	k.mu.Unlock()
	if now {
		server.kill()
	}
}

// run plays a round for each moment, and then one in which nobody dies and all
// that is left settles.
func (k *killing) run() {
	for i, at := range k.random.Perm(len(moments)) {
		k.play(i, moments[at], 1+k.random.IntN(6))
	}
	k.begin(k.start(""), "", 0)
	k.mu.Lock()
	k.quiet = true
	k.changed.Broadcast()
	k.mu.Unlock()
	k.workers.Wait()
	k.settle()
}

func (k *killing) play(round int, moment string, n int) {
	inside := ""
	for _, r := range moment {
		if r == ' ' {
			inside = moment + " " + strconv.Itoa(n) + " kill"
		}
	}
	server := k.start(inside)
	if inside != "" {
		moment = ""
	}
	if k.header == nil {
		k.header = k.login(server.addr)
		for range 6 {
			k.workers.Go(k.work)
		}
	}
	k.begin(server, moment, n)
	select {
	case <-server.gone:
	case <-k.ctx.Done():
		k.t.Fatalf("round %d: the %dth %q%q did not come", round, n, moment, inside)
	}
	k.mu.Lock()
	k.server = nil
	k.mu.Unlock()
}

func (k *killing) begin(server *faultServer, moment string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.server, k.moment, k.left = server, moment, n
	k.round++
	k.changed.Broadcast()
}

// up waits for a server of a later round than after, and returns its address and
// round; "" means that the test's time is over.
func (k *killing) up(after int) (addr string, round int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.ctx.Err() == nil {
		if k.server != nil && k.round > after {
			return k.server.addr, k.round
		}
		k.changed.Wait()
	}
	return "", 0
}

var errOver = errors.New("the test's time is over")

// persist repeats a request at the servers that follow until one answers. Without
// again it is made once.
func (k *killing) persist(again bool, request func(addr string) (reply, error)) (r reply, tries int, err error) {
	for round := 0; ; {
		var addr string
		if addr, round = k.up(round); addr == "" {
			return r, tries, errors.Join(errOver, err)
		}
		tries++
		if r, err = request(addr); err == nil || !again {
			return r, tries, err
		}
	}
}

// work is the world's traffic: what has arrived is tapped, and else another is sent.
func (k *killing) work() {
	for k.ctx.Err() == nil {
		k.mu.Lock()
		var s *sending
		var token string
		if len(k.arrived) > 0 {
			s, k.arrived = k.arrived[0], k.arrived[1:]
			token = s.texts[0].token()
		}
		over := k.quiet && s == nil
		k.mu.Unlock()
		switch {
		case over:
			return
		case s != nil:
			k.tap(s, token)
		default:
			k.send()
		}
	}
}

// send sends a link and waits until its text is there or the server is not. Every
// other one has an Idempotency-Key and is repeated until it is answered.
func (k *killing) send() {
	k.mu.Lock()
	s := &sending{n: k.next}
	k.next++
	s.national, s.e164 = fictitious(s.n)
	header := map[string]string{"Authorization": k.header["Authorization"]}
	if s.n%2 == 0 {
		s.key = "key-" + s.national
		header["Idempotency-Key"] = s.key
	}
	if s.n%9 == 0 {
		s.refusals = 1
	}
	k.sent, k.byTo[s.e164] = append(k.sent, s), s
	k.mu.Unlock()

	var answer asked
	r, _, err := k.persist(s.key != "", func(addr string) (r reply, err error) {
		answer, r, err = k.sendLink(addr, s.national, header)
		return r, err
	})
	if err != nil {
		return // nobody was told anything
	}
	if r.status != http.StatusOK {
		k.t.Errorf("Send Link answered %d: %s", r.status, r.body)
		return
	}
	k.mu.Lock()
	s.answered = answer
	k.mu.Unlock()
	k.saw("asked")
	k.mu.Lock()
	defer k.mu.Unlock()
	for round := k.round; len(s.texts) == 0 && s.n%9 != 0 && k.round == round && k.server != nil && k.ctx.Err() == nil; {
		k.changed.Wait()
	}
}

// tap is what the phone's owner does, and at the same moment a thief who has the
// link too. Either reloads until there is an answer.
func (k *killing) tap(s *sending, token string) {
	owner, thief := k.handheld(s.e164), k.handheld(s.e164)
	for _, h := range []*handheld{owner, thief} {
		r, _, err := k.persist(true, func(addr string) (reply, error) { return h.open(addr, token) })
		if err == nil && r.status != http.StatusOK {
			k.t.Errorf("the link's page: %d", r.status)
		}
	}
	if s.n%4 == 3 {
		k.deny(s, owner, token)
		return
	}
	var replies [2]reply
	var both sync.WaitGroup
	for i, h := range []*handheld{owner, thief} {
		both.Go(func() {
			var err error
			replies[i], _, err = k.persist(true, func(addr string) (reply, error) { return h.confirm(addr, token) })
			if err == nil && k.toCarrier(replies[i]) {
				k.saw("confirmed")
			} else if err == nil && replies[i].status != http.StatusNotFound {
				k.t.Errorf("a confirmation answered %d to %q", replies[i].status, replies[i].location)
			}
		})
	}
	both.Wait()
	if k.ctx.Err() != nil {
		return
	}
	first, second := k.toCarrier(replies[0]), k.toCarrier(replies[1])
	if first == second {
		k.t.Errorf("of two browsers with one link the first was sent on: %v, the second: %v", first, second)
		return
	}
	s.winner = owner
	where := replies[0].location
	if second {
		s.winner, where = thief, replies[1].location
	}
	k.comeBack(s, where)
}

func (k *killing) deny(s *sending, h *handheld, token string) {
	r, _, err := k.persist(true, func(addr string) (reply, error) { return h.post(addr, "/l/"+token+"/deny") })
	if err == nil && r.status != http.StatusOK {
		k.t.Errorf("the denial answered %d", r.status)
	}
	s.denied = err == nil
}

// comeBack goes through the operator and back, reloading until there is an answer,
// and redeems the fingerprint.
func (k *killing) comeBack(s *sending, where string) {
	callback, err := s.winner.authorize(where)
	if err != nil && k.ctx.Err() == nil {
		k.t.Error(err)
	}
	if err != nil {
		return
	}
	r, tries, err := k.persist(true, func(addr string) (reply, error) { return s.winner.visit(addr, callback, nil) })
	if err != nil {
		return
	}
	vfp, home := r.vfp()
	if !home {
		// The server died with the operator's one answer in its hands: the
		// verification ends as indeterminate when its time is over.
		if tries == 1 || r.status != http.StatusOK {
			k.t.Errorf("the callback answered %d to %q at try %d", r.status, r.location, tries)
		}
		return
	}
	k.saw("returned")
	var o polled
	r, _, err = k.persist(true, func(addr string) (r reply, err error) {
		o, r, err = k.redeem(addr, vfp, k.header)
		return r, err
	})
	if err != nil {
		return
	}
	if o.PhoneNumber != s.e164 || o.PhoneMatch != "true" || o.Verdict != "verified" {
		k.t.Errorf("redeemed %d: %s", r.status, r.body)
	}
	s.vfp, s.result = vfp, o.PhoneMatch+o.Status+o.Verdict+o.RequestID+o.SessionID
}

// settle waits until nothing is to be sent any more, and taps what arrived late.
func (k *killing) settle() {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := k.do(k.server.addr, "GET", "/metrics", "192.0.2.80", nil, "")
		if err == nil && strings.Contains(r.body, "\nholdfast_outbox_depth 0\n") {
			break
		}
		select {
		case <-tick.C:
		case <-k.ctx.Done():
			k.t.Fatalf("some texts were neither sent nor given up: %v, %d: %s", err, r.status, r.body)
		}
	}
	for _, s := range k.arrived {
		k.tap(s, s.texts[0].token())
	}
	k.arrived = nil
}
