package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// answerTime is how long a server may take to answer before it counts as an error.
const answerTime = 30 * time.Second

// Conn is one keep-alive connection of a client that sends one request at a
// time. It dials when it is first used and again after an error. It is for one
// goroutine.
type Conn struct {
	addr string
	c    net.Conn
	buf  []byte
	kept time.Time // the deadline that the socket has
}

// NewConn returns a connection to addr ("host:port") that is not dialled yet.
func NewConn(addr string) *Conn { return &Conn{addr: addr, buf: make([]byte, 16<<10)} }

// Do writes a whole request and reads the answer into a.
func (c *Conn) Do(request []byte, a *Answer) error {
	if err := c.ready(); err != nil {
		return err
	}
	_, err := c.c.Write(request)
	if err == nil {
		err = c.read(a)
	}
	if err != nil || a.Close {
		c.Close()
	}
	return err
}

// Close closes the socket; the next Do dials again.
func (c *Conn) Close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

func (c *Conn) ready() error {
	if c.c == nil {
		dialled, err := net.DialTimeout("tcp", c.addr, answerTime)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		c.c, c.kept = dialled, time.Time{}
	}
	// Moving the deadline is a timer's work in the runtime; a late one does.
	if now := time.Now(); c.kept.Sub(now) < answerTime {
		c.kept = now.Add(2 * answerTime)
		return c.c.SetDeadline(c.kept)
	}
	return nil
}

func (c *Conn) read(a *Answer) error {
	filled, start := 0, 0
	var h head
	for start == 0 {
		n, err := c.fill(filled)
		if err != nil {
			return err
		}
		filled += n
		if h, start, err = parseHead(c.buf[:filled], a); err != nil {
			return err
		}
	}
	if h.chunked {
		return c.readChunks(start, filled, a)
	}
	if h.length < 0 {
		return errors.New("bench: an answer without length")
	}
	for filled < start+h.length {
		n, err := c.fill(filled)
		if err != nil {
			return err
		}
		filled += n
	}
	a.Body = c.buf[start : start+h.length]
	return nil
}

func (c *Conn) readChunks(start, filled int, a *Answer) error {
	for {
		body, used, err := unchunk(c.buf[start:filled])
		if err != nil {
			return err
		}
		if used > 0 {
			a.Body = body
			return nil
		}
		n, err := c.fill(filled)
		if err != nil {
			return err
		}
		filled += n
	}
}

// fill reads more behind what is in the buffer already. Where the buffer has to
// grow, slices into the old one stay what they were.
func (c *Conn) fill(filled int) (int, error) {
	if filled == len(c.buf) {
		if len(c.buf) >= 1<<20 {
			return 0, errors.New("bench: an answer of more than a megabyte")
		}
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.c.Read(c.buf[filled:])
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, fmt.Errorf("bench: %w", err)
}
