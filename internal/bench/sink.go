package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// linkPath stands before a link's token in a text.
var linkPath = []byte("/l/")

// tokenSize is how many characters a link's token has.
const tokenSize = 32

// link is a link's token as it arrived at the sink, and the number it went to.
type link struct {
	token  [tokenSize]byte
	number int32
}

// SinkIDPath is where in the sink's answer the message's id is.
const SinkIDPath = "id"

const sinkAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"id\":\"sink-1\"}"

// Sink is an SMS gateway that takes every message at once: a keep-alive HTTP/1.1
// server with the least work, so that what is measured is the sending side.
type Sink struct {
	listener net.Listener
	taken    atomic.Int64
	bad      atomic.Int64
	receive  atomic.Pointer[func(link)]

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once stopped
}

// NewSink listens on a loopback port.
func NewSink() (*Sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Sink{listener: listener, conns: map[net.Conn]struct{}{}}, nil
}

// URL is where messages are posted to.
func (s *Sink) URL() string { return "http://" + s.listener.Addr().String() + "/messages" }

// Start serves in the background.
func (s *Sink) Start() {
	s.wg.Go(func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			if !s.keep(c) {
				return
			}
			s.wg.Go(func() {
				defer s.drop(c)
				s.serve(c)
			})
		}
	})
}

// Stop closes everything; a second Stop does nothing.
func (s *Sink) Stop(context.Context) error {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	if conns == nil {
		return nil
	}
	err := s.listener.Close()
	for c := range conns {
		c.Close()
	}
	s.wg.Wait()
	return err
}

// Taken is how many messages have come so far.
func (s *Sink) Taken() int64 { return s.taken.Load() }

// deliverTo hands every message from now on to receive, which may be called
// concurrently. nil drops them.
func (s *Sink) deliverTo(receive func(link)) {
	if receive == nil {
		s.receive.Store(nil)
		return
	}
	s.receive.Store(&receive)
}

func (s *Sink) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Sink) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Sink) serve(c net.Conn) {
	buf, filled := make([]byte, 8<<10), 0
	for {
		n, err := c.Read(buf[filled:])
		if err != nil {
			return
		}
		filled += n
		for {
			used, body, err := parseRequest(buf[:filled])
			if err != nil {
				s.bad.Add(1)
				return
			}
			if used == 0 {
				break
			}
			s.take(body)
			if _, err := io.WriteString(c, sinkAnswer); err != nil {
				return
			}
			filled = copy(buf, buf[used:filled])
		}
	}
}

// parseRequest reads one request with a Content-Length at the start of b; used
// is 0 while it is incomplete.
func parseRequest(b []byte) (used int, body []byte, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return 0, nil, tooLong(b)
	}
	_, fields := nextLine(b[:end+len(lineEnd)])
	length := -1
	for len(fields) > 0 {
		var line []byte
		line, fields = nextLine(fields)
		name, value, _ := bytes.Cut(line, []byte(":"))
		if is(name, "content-length") {
			length = number(bytes.TrimSpace(value))
		}
	}
	start := end + len(headEnd)
	switch {
	case length < 0:
		return 0, nil, errors.New("bench: a request without length")
	case start+length > len(b):
		return 0, nil, tooLong(b)
	}
	return start + length, b[start : start+length], nil
}

func tooLong(b []byte) error {
	if len(b) == cap(b) {
		return errors.New("bench: a request of more than 8 KiB")
	}
	return nil
}

func (s *Sink) take(body []byte) {
	l, ok := parseMessage(body)
	if !ok {
		s.bad.Add(1)
		return
	}
	s.taken.Add(1)
	if receive := s.receive.Load(); receive != nil {
		(*receive)(l)
	}
}

// parseMessage finds the number and the link in the generic gateway's own body.
func parseMessage(body []byte) (link, bool) {
	var l link
	_, to, found := bytes.Cut(body, []byte(`"to":"+1`))
	if !found || len(to) < numberSize {
		return l, false
	}
	l.number = int32(numberIndex(to[:numberSize]))
	at := bytes.Index(to, linkPath)
	if at < 0 || len(to) < at+len(linkPath)+tokenSize || l.number < 0 {
		return l, false
	}
	copy(l.token[:], to[at+len(linkPath):])
	return l, true
}

// drained waits until the sink has taken n messages, or no more came for a while.
func (s *Sink) drained(ctx context.Context, n int64) bool {
	const quiet = 10 * time.Second
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	last, changed := s.Taken(), time.Now()
	for s.Taken() < n {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if now := s.Taken(); now != last {
			last, changed = now, time.Now()
		} else if time.Since(changed) > quiet {
			return false
		}
	}
	return true
}
