package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Server is one running server to be measured.
type Server struct {
	Addr string // "host:port", plain HTTP
	PID  int    // its process; 0 is not measured
}

// Config says what is measured and for how long.
type Config struct {
	// Server is ours, its gateway posting to Sink and its carrier the pretend one.
	// Bare serves Bare. Both are required.
	Server, Bare Server
	// Host is the host of Server's public URL, whose TLS the load plays the proxy
	// for; "" means the address of Server.
	Host string
	// Deliver turns Server's delivery off and on again; it is on at first. Required.
	Deliver func(on bool) error
	// Sink takes the texts of Server. Required; started by its owner.
	Sink *Sink
	// Username and Password log in at Server. Target is a targetUrl on the client's
	// allow-list, without a quote or a backslash. Required.
	Username, Password, Target string
	// Clients is how many connections are busy at once; 0 means 64.
	Clients int
	// Duration is how long each figure is measured; 0 means 15s.
	Duration time.Duration
	// Rate is how many links a second the paced phase asks for; 0 means 1500.
	Rate int
	// Preload fills the store with Preloaded old verifications. Where it is not
	// nil, the first phases run before and after it.
	Preload   func(ctx context.Context) error
	Preloaded int
	// Profile starts a CPU profile of Server for the phase of that name,
	// and stop ends it; nil makes none.
	Profile func(phase string) (stop func() error, err error)
	// Postgres says which targets hold: PostgreSQL's, or SQLite's.
	Postgres bool
	// Progress is told what is going on, a line at a time; nil means nobody is.
	Progress io.Writer
}

func (c *Config) complete() error {
	if c.Server.Addr == "" || c.Bare.Addr == "" || c.Sink == nil || c.Deliver == nil || c.Target == "" {
		return errors.New("bench: a required part is missing")
	}
	if c.Host == "" {
		c.Host = c.Server.Addr
	}
	if c.Clients == 0 {
		c.Clients = 64
	}
	if c.Clients < 1 || c.Clients > numbers {
		return fmt.Errorf("bench: clients must be 1 to %d", numbers)
	}
	if c.Duration == 0 {
		c.Duration = 15 * time.Second
	}
	if c.Rate == 0 {
		c.Rate = 1500
	}
	if c.Duration < 0 || c.Rate < 0 {
		return errors.New("bench: duration and rate must be positive")
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return nil
}
