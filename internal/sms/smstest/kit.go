package smstest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/sms"
)

var quietLog = log.New(io.Discard, "", 0)

// fails sends a message and checks the failure: its class, and that its text
// tells nothing that it must not.
func fails(t *testing.T, g Gateway, ctx context.Context, want sms.Class) *sms.Error {
	t.Helper()
	m := Message()
	got, err := g.Send(ctx, m)
	var failed *sms.Error
	if !errors.As(err, &failed) {
		t.Fatalf("Send = %+v, %v; want an *sms.Error of class %v", got, err, want)
	}
	if failed.Class != want {
		t.Errorf("%v: class %v, want %v", err, failed.Class, want)
	}
	if failed.Code == "" || got != (sms.Accepted{}) {
		t.Errorf("Send = %+v, code %q; want nothing accepted, and a code", got, failed.Code)
	}
	Quiet(t, err)
	return failed
}

// Quiet checks that an error's text repeats nothing of Message, nor what the
// suite's providers say, nor an address.
func Quiet(t *testing.T, err error) {
	t.Helper()
	m := Message()
	for _, bad := range []string{m.To.E164(), m.To.National(), "212-555-0123", m.Text, "ok.example", m.Ref, "did not take it", "127.0.0.1", "://", "smtp"} {
		if strings.Contains(err.Error(), bad) {
			t.Errorf("the error %q tells %q", err, bad)
		}
	}
}

// deadline is a context whose deadline passes when the test says so.
type deadline struct {
	context.Context
	done chan struct{}
}

func manualDeadline(t *testing.T) (ctx context.Context, expire func()) {
	d := deadline{t.Context(), make(chan struct{})}
	return d, sync.OnceFunc(func() { close(d.done) })
}

func (d deadline) Deadline() (time.Time, bool) { return time.Now().Add(time.Second), true }
func (d deadline) Done() <-chan struct{}       { return d.done }

func (d deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// hangUp writes last on the bare connection and closes it.
func hangUp(w http.ResponseWriter, last string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, last)
	c.Close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func plainServer(t *testing.T) (address string) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = quietLog
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
