package virtual_test

import (
	"context"
	"errors"
	"testing"

	"holdfast/internal/phone"
	"holdfast/internal/sms"
	"holdfast/internal/sms/smstest"
	"holdfast/internal/sms/virtual"
)

type inbox []string

func (i *inbox) Deliver(to phone.Number, text string) { *i = append(*i, to.E164()+" "+text) }

func TestDeliversAtOnce(t *testing.T) {
	t.Parallel()
	var got inbox
	g, err := virtual.New(virtual.Config{Inbox: &got})
	if err != nil {
		t.Fatal(err)
	}
	m := smstest.Message()
	accepted, err := g.Send(t.Context(), m)
	if err != nil || accepted != (sms.Accepted{Delivered: true}) {
		t.Errorf("Send = %+v, %v", accepted, err)
	}
	if len(got) != 1 || got[0] != m.To.E164()+" "+m.Text {
		t.Errorf("inbox %q", got)
	}
	if g.Name() != "virtual" {
		t.Errorf("name %q", g.Name())
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	var got inbox
	g, _ := virtual.New(virtual.Config{Name: "phone", Inbox: &got})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Send(ctx, smstest.Message())
	var failed *sms.Error
	if !errors.As(err, &failed) || failed.Class != sms.Retry || len(got) != 0 {
		t.Errorf("Send = %v with %d texts delivered", err, len(got))
	}
	if _, err := virtual.New(virtual.Config{}); err == nil {
		t.Error("no inbox is needed?")
	}
}
