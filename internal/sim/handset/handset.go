// Package handset is the virtual phones of `holdfast dev`: the inboxes that the
// virtual gateway delivers to, the network that each phone is on, and the page on
// which a person holds one of them. It lets the whole journey be played on one
// machine, without a SIM card; it is in no production server.
//
// Which phone a request comes from is told by a cookie that the phone's page
// sets. A script without that cookie is taken for the phone last set by
// SetNetwork or, if none was, the one last texted.
package handset

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

// Network is how a phone reaches the internet.
type Network string

// The networks. Their names are those of PUT /phone/network.
const (
	Cellular Network = "cellular"  // mobile data through its own SIM; the default
	OtherSIM Network = "other-sim" // mobile data through another number's SIM
	WiFi     Network = "wifi"      // no carrier to ask
)

// Networks are all, in the order in which the page offers them.
var Networks = []Network{Cellular, OtherSIM, WiFi}

// The inboxes are bounded: maxPhones of maxMessages each, the oldest go first.
const (
	maxPhones   = 500
	maxMessages = 50
)

// Message is an SMS as it arrived.
type Message struct {
	To   string    `json:"to"` // E.164
	Text string    `json:"text"`
	At   time.Time `json:"at"`

	seq uint64 // counts all messages of all phones, from 1
}

// Line is where a request comes from: the phone it is made on and the network
// that this phone is on.
type Line struct {
	Phone   phone.Number
	SIM     phone.Number // whose SIM is in it; the zero Number on Wi-Fi
	Network Network
}

// OnNetwork reports whether a carrier sees the phone.
func (l Line) OnNetwork() bool { return !l.SIM.IsZero() }

// Config is what Phones are made of. The zero value works.
type Config struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Error answers a request with an error, in the shape that the server's other
	// JSON errors have; nil means a bare one.
	Error func(w http.ResponseWriter, r *http.Request, err error)
}

// Phones are all virtual phones. Their methods may be called concurrently.
type Phones struct {
	Config
	stopped chan struct{}
	stop    sync.Once

	mu      sync.Mutex
	phones  map[phone.Number]*handset
	order   []phone.Number // by their last message, the latest last
	lastSet phone.Number
	seq     uint64
	changed chan struct{} // closed and replaced with every change
}

type handset struct {
	network  Network
	messages []Message // the latest last
}

// New returns Phones without any message, all on their own SIM.
func New(c Config) *Phones {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Error == nil {
		c.Error = bareError
	}
	return &Phones{
		Config: c, stopped: make(chan struct{}),
		phones: map[phone.Number]*handset{}, changed: make(chan struct{}),
	}
}

// Stop ends the streams of events, which would otherwise keep a server that
// shuts down waiting. A second Stop does nothing.
func (p *Phones) Stop(context.Context) error {
	p.stop.Do(func() { close(p.stopped) })
	return nil
}

// Deliver puts a text into a phone's inbox, at once.
func (p *Phones) Deliver(to phone.Number, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.handset(to)
	p.seq++
	h.messages = append(h.messages, Message{To: to.E164(), Text: text, At: p.Now().UTC(), seq: p.seq})
	if len(h.messages) > maxMessages {
		h.messages = slices.Delete(h.messages, 0, 1)
	}
	p.order = append(slices.DeleteFunc(p.order, func(n phone.Number) bool { return n == to }), to)
	p.announce()
}

// Messages are a phone's texts, the newest first.
func (p *Phones) Messages(of phone.Number) []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []Message{}
	if h := p.phones[of]; h != nil {
		all = append(all, h.messages...)
	}
	slices.Reverse(all)
	return all
}

// SetNetwork puts a phone on a network, and makes it the one that requests
// without a cookie are taken for. An unknown network is verify.CodeInvalid.
func (p *Phones) SetNetwork(number phone.Number, n Network) error {
	if !slices.Contains(Networks, n) {
		return verify.Invalid(verify.Field{Name: "network", Reason: `must be "cellular", "other-sim" or "wifi"`})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handset(number).network = n
	p.lastSet = number
	p.announce()
	return nil
}

// handset returns a phone's state, made if need be. The phones that were only
// ever put on a network count as texted longest ago.
func (p *Phones) handset(number phone.Number) *handset {
	h := p.phones[number]
	if h == nil {
		h = &handset{network: Cellular}
		p.phones[number] = h
		p.order = slices.Insert(p.order, 0, number)
		if len(p.order) > maxPhones {
			delete(p.phones, p.order[1]) // the first is the new one
			p.order = slices.Delete(p.order, 1, 2)
		}
	}
	return h
}

func (p *Phones) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// networkOf is the network that a phone is on. The lock is held.
func (p *Phones) networkOf(number phone.Number) Network {
	if h := p.phones[number]; h != nil {
		return h.network
	}
	return Cellular
}

// line is where a phone is now.
func (p *Phones) line(number phone.Number) Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Line{Phone: number, SIM: number, Network: p.networkOf(number)}
	switch l.Network {
	case OtherSIM:
		l.SIM = otherSIM(number)
	case WiFi:
		l.SIM = phone.Number{}
	}
	return l
}

// The SIMs of strangers: one, and another for the phone whose own number that is.
var (
	stranger      = phone.Stored("+12125550199", phone.US)
	otherStranger = phone.Stored("+12125550198", phone.US)
)

func otherSIM(number phone.Number) phone.Number {
	if number == stranger {
		return otherStranger
	}
	return stranger
}

// current is the phone of a request without a cookie.
func (p *Phones) current() (phone.Number, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lastSet.IsZero() {
		return p.lastSet, true
	}
	return p.texted()
}

// texted is the phone that was texted last. The lock is held.
func (p *Phones) texted() (phone.Number, bool) {
	if len(p.order) == 0 {
		return phone.Number{}, false
	}
	last := p.order[len(p.order)-1]
	return last, len(p.phones[last].messages) > 0
}

// parseNumber reads a number as scripts write it. In a query an unescaped plus
// arrives as a space, so that is taken for one.
func parseNumber(text string) (phone.Number, error) {
	if text != "" && (text[0] == ' ' || text[0] == '+') {
		text = text[1:]
	}
	n, err := phone.ParseE164("+" + text)
	if err != nil {
		return phone.Number{}, badNumber(err)
	}
	return n, nil
}

func badNumber(err error) error {
	reason := "is not a number"
	var wrong *phone.Error
	if errors.As(err, &wrong) {
		reason = wrong.Reason
	}
	return verify.Invalid(verify.Field{Name: "number", Reason: reason})
}
