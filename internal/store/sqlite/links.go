package sqlite

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// moveLink is the start and the guard of an update by event; set is what else it
// writes, and says where more guards follow.
func moveLink(event verify.LinkEvent, set, guard string) query {
	return prepared(fmt.Sprintf(`UPDATE tracks SET link = %d%s WHERE id = ? AND link = %d%s`, event.To(), set, event.From(), guard))
}

var (
	consume = moveLink(verify.Consume,
		`, clicked_at = ?, click_addr = ?, browser = ?, carrier = ?`, ` AND expires_at > ?`)
	deny     = moveLink(verify.Deny, `, ended_at = ?`, ` AND expires_at > ?`)
	complete = moveLink(verify.Complete, `, ended_at = ?, match = ?, reasons = ?, vfp = ?`, ``)

	claimAnswer = prepared(fmt.Sprintf(`UPDATE tracks SET answered_at = ?
		WHERE id = ? AND link = %d AND answered_at IS NULL AND clicked_at > ?`, verify.LinkConsumed))
	releaseAnswer = prepared(fmt.Sprintf(`UPDATE tracks SET answered_at = NULL
		WHERE id = ? AND link = %d AND answered_at IS NOT NULL`, verify.LinkConsumed))

	trackExists = prepared(`SELECT 1 FROM tracks WHERE id = ?`)
)

// guarded runs an update that changes the track id or nothing.
func (s *Store) guarded(ctx context.Context, id verify.ID, q query, args ...any) error {
	return s.write(ctx, func(db *conn) error {
		changed, err := db.exec(q, args...)
		if err != nil || changed > 0 {
			return err
		}
		return db.refused(id)
	})
}

// refused is why a guarded write changed nothing.
func (c *conn) refused(id verify.ID) error {
	found, err := c.one(trackExists, func(*row) {}, int64(id))
	switch {
	case err != nil:
		return err
	case found:
		return verify.ErrConflict
	default:
		return verify.ErrNotFound
	}
}

// Consume proves the link and confirms it, once, before it expires. The row is
// read inside the write: its caller needs it next, and a read of its own would
// cost more than this one.
func (s *Store) Consume(ctx context.Context, id verify.ID, link secret.Digest, c verify.Click) (verify.Verification, error) {
	c.At = c.At.UTC().Truncate(time.Microsecond)
	var v verify.Verification
	err := s.write(ctx, func(db *conn) (err error) {
		if v, err = db.verification(id); err != nil {
			return err
		}
		if !v.Link.Equal(link) {
			return verify.ErrConflict
		}
		at := micros(c.At)
		changed, err := db.exec(consume, at, addrBytes(c.Addr), optionalDigest(c.Browser), optionalText(c.Carrier), int64(id), at)
		if err == nil && changed == 0 {
			err = verify.ErrConflict
		}
		return err
	})
	if err != nil {
		return verify.Verification{}, err
	}
	v.Track = v.Track.Clicked(c)
	return v, nil
}

// Deny ends a link that was not confirmed and has not expired.
func (s *Store) Deny(ctx context.Context, id verify.ID, at time.Time) error {
	return s.guarded(ctx, id, deny, micros(at), int64(id), micros(at))
}

// ClaimAnswer takes the carrier's one answer, in time after the click.
func (s *Store) ClaimAnswer(ctx context.Context, id verify.ID, at time.Time) error {
	return s.guarded(ctx, id, claimAnswer, micros(at), int64(id), micros(at)-verify.AnswerTime.Microseconds())
}

// ReleaseAnswer undoes ClaimAnswer.
func (s *Store) ReleaseAnswer(ctx context.Context, id verify.ID) error {
	return s.guarded(ctx, id, releaseAnswer, int64(id))
}

// Complete ends a confirmed link with what the network said.
func (s *Store) Complete(ctx context.Context, id verify.ID, o verify.Outcome) error {
	return s.guarded(ctx, id, complete, micros(o.At), int64(o.Match), reasonsText(o.Reasons), optionalDigest(o.VFP), int64(id))
}
