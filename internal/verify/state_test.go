package verify

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

var (
	linkStates     = []LinkState{LinkPending, LinkConsumed, LinkCompleted, LinkExpired, LinkDenied, LinkCancelled}
	linkEvents     = []LinkEvent{Consume, Complete, Deny, Expire, Cancel}
	deliveryStates = []DeliveryState{Queued, Sent, Delivered, Failed, Unknown}
	deliveryEvents = []DeliveryEvent{Accept, Fail, Lose, ReceiptSent, ReceiptArrived, ReceiptFailed}
)

// The whole table of the link, as the contract has it: what is not here is
// refused.
func TestLinkTransitions(t *testing.T) {
	legal := map[LinkState]map[LinkEvent]LinkState{
		LinkPending:  {Consume: LinkConsumed, Deny: LinkDenied, Expire: LinkExpired, Cancel: LinkCancelled},
		LinkConsumed: {Complete: LinkCompleted},
	}
	for _, s := range append(linkStates, -1, 99) {
		for _, e := range append(linkEvents, -1, 99) {
			want, allowed := legal[s][e]
			got, err := s.On(e)
			switch {
			case allowed && (err != nil || got != want):
				t.Errorf("%v on %v = %v, %v; want %v", s, e, got, err, want)
			case !allowed && (!errors.Is(err, ErrConflict) || got != s):
				t.Errorf("%v on %v = %v, %v; want it refused and the state kept", s, e, got, err)
			}
		}
	}
}

func TestDeliveryTransitions(t *testing.T) {
	legal := map[DeliveryState]map[DeliveryEvent]DeliveryState{
		Queued:  {Accept: Sent, Fail: Failed, Lose: Unknown, ReceiptSent: Sent, ReceiptArrived: Delivered, ReceiptFailed: Failed},
		Sent:    {ReceiptArrived: Delivered, ReceiptFailed: Failed},
		Unknown: {ReceiptSent: Sent, ReceiptArrived: Delivered, ReceiptFailed: Failed},
	}
	for _, s := range append(deliveryStates, -1, 99) {
		for _, e := range append(deliveryEvents, -1, 99) {
			want, allowed := legal[s][e]
			got, err := s.On(e)
			switch {
			case allowed && (err != nil || got != want):
				t.Errorf("%v on %v = %v, %v; want %v", s, e, got, err, want)
			case !allowed && (!errors.Is(err, ErrConflict) || got != s):
				t.Errorf("%v on %v = %v, %v; want it refused and the state kept", s, e, got, err)
			}
		}
	}
}

// No order of events on both tracks leaves the states, revives an ended link,
// takes a delivered text back, or lets one track move the other.
func TestNoOrderOfEventsReachesAnIllegalState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link, delivery := LinkPending, Queued
		consumed, clicks := false, 0
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			if rapid.Bool().Draw(t, "onLink") {
				event := rapid.SampledFrom(linkEvents).Draw(t, "link event")
				next, err := link.On(event)
				if err != nil && next != link {
					t.Fatalf("a refused %v moved the link to %v", event, next)
				}
				if link.Ended() && next != link {
					t.Fatalf("an ended link moved: %v to %v", link, next)
				}
				if err == nil && event == Consume {
					clicks++
					consumed = true
				}
				if next == LinkCompleted && !consumed {
					t.Fatal("completed without having been consumed")
				}
				link = next
			} else {
				event := rapid.SampledFrom(deliveryEvents).Draw(t, "delivery event")
				next, err := delivery.On(event)
				if err != nil && next != delivery {
					t.Fatalf("a refused %v moved the delivery to %v", event, next)
				}
				if (delivery == Delivered || delivery == Failed) && next != delivery {
					t.Fatalf("a final delivery moved: %v to %v", delivery, next)
				}
				if next == Queued && delivery != Queued {
					t.Fatalf("a message went back to the queue from %v", delivery)
				}
				delivery = next
			}
			if link.String() == "invalid" || delivery.String() == "invalid" {
				t.Fatalf("left the states: %d, %d", link, delivery)
			}
		}
		if clicks > 1 {
			t.Fatalf("consumed %d times", clicks)
		}
	})
}
