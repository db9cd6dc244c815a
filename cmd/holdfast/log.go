package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Logs leave in batches: a request must not wait for whoever reads stderr. What
// is not urgent leaves within flushEvery; a warning or worse leaves at once; and
// when more than maxUnwritten waits, writers wait too, so that nothing is lost.
const (
	flushEvery   = 100 * time.Millisecond
	maxUnwritten = 1 << 20 // bytes
)

// logs is the server's log.
type logs struct {
	*slog.Logger
	out *batchWriter
}

// newLogs logs JSON to w from level on. Stop it, or its last lines are lost.
func newLogs(w io.Writer, level slog.Level) *logs {
	out := newBatchWriter(w)
	return out.logs(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

// newTextLogs is newLogs in text, for a person at a terminal.
func newTextLogs(w io.Writer, level slog.Level) *logs {
	out := newBatchWriter(w)
	return out.logs(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}

func (b *batchWriter) logs(handler slog.Handler) *logs {
	return &logs{Logger: slog.New(urgent{Handler: handler, out: b}), out: b}
}

// Stop writes what waits. Lines that come later are written one by one.
func (l *logs) Stop() { l.out.Stop() }

// urgent flushes after a warning or worse.
type urgent struct {
	slog.Handler
	out *batchWriter
}

// Handle implements slog.Handler.
func (u urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		u.out.wake()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{Handler: u.Handler.WithAttrs(attrs), out: u.out}
}

// WithGroup implements slog.Handler.
func (u urgent) WithGroup(name string) slog.Handler {
	return urgent{Handler: u.Handler.WithGroup(name), out: u.out}
}

// batchWriter gathers writes and passes them on from a goroutine of its own.
type batchWriter struct {
	w    io.Writer
	stop func()
	quit chan struct{}
	done chan struct{}
	now  chan struct{} // one token: flush without waiting for the tick

	mu      sync.Mutex
	room    *sync.Cond
	pending []byte
	stopped bool
}

func newBatchWriter(w io.Writer) *batchWriter {
	b := &batchWriter{w: w, quit: make(chan struct{}), done: make(chan struct{}), now: make(chan struct{}, 1)}
	b.room = sync.NewCond(&b.mu)
	b.stop = sync.OnceFunc(func() {
		close(b.quit)
		<-b.done
	})
	go b.loop()
	return b
}

// Write implements io.Writer; it never fails.
func (b *batchWriter) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > maxUnwritten && !b.stopped {
		b.wake()
		b.room.Wait()
	}
	if b.stopped {
		return b.w.Write(line)
	}
	b.pending = append(b.pending, line...)
	return len(line), nil
}

func (b *batchWriter) wake() {
	select {
	case b.now <- struct{}{}:
	default:
	}
}

// Stop writes what waits and ends the goroutine; a second Stop does nothing.
func (b *batchWriter) Stop() { b.stop() }

func (b *batchWriter) loop() {
	defer close(b.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var spare []byte
	for {
		quit := false
		select {
		case <-tick.C:
		case <-b.now:
		case <-b.quit:
			quit = true
		}
		b.mu.Lock()
		batch := b.pending
		b.pending = spare[:0]
		if quit {
			b.stopped = true
			_, _ = b.w.Write(batch) // under the lock: nothing may overtake it
			b.room.Broadcast()
			b.mu.Unlock()
			return
		}
		b.room.Broadcast()
		b.mu.Unlock()
		if len(batch) > 0 {
			_, _ = b.w.Write(batch) // a log that can't be written has nowhere to say so
		}
		spare = batch
	}
}
