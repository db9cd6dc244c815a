package postgres

import (
	"context"
	"strings"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// guarded commits a write that has a guard: a row that isn't there is
// ErrNotFound, one that was not changed ErrConflict.
func (s *Store) guarded(ctx context.Context, w write) error {
	won, err := s.commit(ctx, w)
	if err != nil || won {
		return err
	}
	if err := s.exists(ctx, w.key()); err != nil {
		return err
	}
	return verify.ErrConflict
}

type consume struct {
	id    verify.ID
	link  secret.Digest
	click verify.Click
	v     verify.Verification // what the committer read, where it won
}

func (*consume) verb() verb       { return verbConsume }
func (w *consume) key() verify.ID { return w.id }

func (w *consume) fill(r *rows) {
	r.bytes(w.link[:]) // as Create writes it
	r.time(w.click.At)
	r.addr(w.click.Addr)
	r.digest(w.click.Browser)
	r.text(w.click.Carrier)
}

// read reads what the statement returns of a link that w has confirmed.
func (w *consume) read(f fields) {
	w.v = readVerification(&f)
	w.v.Track = verify.Track{Delivery: verify.DeliveryState(f.int16())}.Clicked(w.click)
}

// Consume proves the link, writes the one click that it has and reads all of the
// verification.
func (s *Store) Consume(ctx context.Context, id verify.ID, link secret.Digest, click verify.Click) (verify.Verification, error) {
	// What is returned is what a later read finds.
	click.At, click.Addr = click.At.Truncate(time.Microsecond).UTC(), click.Addr.WithZone("")
	w := &consume{id: id, link: link, click: click}
	if err := s.guarded(ctx, w); err != nil {
		return verify.Verification{}, err // w is still the committer's where ctx has ended
	}
	return w.v, nil
}

type deny struct {
	id verify.ID
	at time.Time
}

func (deny) verb() verb       { return verbDeny }
func (w deny) key() verify.ID { return w.id }
func (w deny) fill(r *rows)   { r.time(w.at) }

// Deny ends a link that nobody has confirmed.
func (s *Store) Deny(ctx context.Context, id verify.ID, at time.Time) error {
	return s.guarded(ctx, deny{id: id, at: at})
}

type claimAnswer struct {
	id verify.ID
	at time.Time
}

func (claimAnswer) verb() verb       { return verbClaimAnswer }
func (w claimAnswer) key() verify.ID { return w.id }

func (w claimAnswer) fill(r *rows) {
	r.time(w.at)
	r.time(w.at.Add(-verify.AnswerTime))
}

// ClaimAnswer takes the right to look up the carrier's one answer.
func (s *Store) ClaimAnswer(ctx context.Context, id verify.ID, at time.Time) error {
	return s.guarded(ctx, claimAnswer{id: id, at: at})
}

type releaseAnswer struct{ id verify.ID }

func (releaseAnswer) verb() verb       { return verbReleaseAnswer }
func (w releaseAnswer) key() verify.ID { return w.id }
func (releaseAnswer) fill(*rows)       {}

// ReleaseAnswer gives that right back.
func (s *Store) ReleaseAnswer(ctx context.Context, id verify.ID) error {
	return s.guarded(ctx, releaseAnswer{id: id})
}

type complete struct {
	id      verify.ID
	outcome verify.Outcome
}

func (*complete) verb() verb       { return verbComplete }
func (w *complete) key() verify.ID { return w.id }

func (w *complete) fill(r *rows) {
	reasons := make([]string, len(w.outcome.Reasons))
	for i, reason := range w.outcome.Reasons {
		reasons[i] = string(reason)
	}
	r.time(w.outcome.At)
	r.int16(int(w.outcome.Match))
	r.text(strings.Join(reasons, ",")) // codes are snake_case
	r.digest(w.outcome.VFP)
}

// Complete ends a consumed verification.
func (s *Store) Complete(ctx context.Context, id verify.ID, outcome verify.Outcome) error {
	return s.guarded(ctx, &complete{id: id, outcome: outcome})
}
