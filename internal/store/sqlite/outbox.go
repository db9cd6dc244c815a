package sqlite

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

var (
	beginAttempt = prepared(fmt.Sprintf(`INSERT INTO attempts (id, n, gateway, begun_at, result)
		SELECT id, ?2, ?3, ?4, %d FROM tracks
		WHERE id = ?1 AND delivery = %d AND node = ?5 AND due_at > ?4
		AND (SELECT count(*) FROM attempts WHERE id = ?1) = ?2 - 1`, verify.AttemptOpen, verify.Queued))
	endAttempt = prepared(fmt.Sprintf(`UPDATE attempts SET ended_at = ?, result = ?, code = ?, provider_id = ?
		WHERE id = ? AND n = ? AND result = %d`, verify.AttemptOpen))
	retryAt = prepared(fmt.Sprintf(`UPDATE tracks SET node = NULL, due_at = ? WHERE id = ? AND delivery = %d`, verify.Queued))

	attemptsOf = prepared(`SELECT n, gateway, begun_at, ended_at, result, code, provider_id FROM attempts WHERE id = ? ORDER BY n`)
)

// BeginAttempt writes down that an attempt is about to leave.
func (s *Store) BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error {
	return s.guarded(ctx, a.ID, beginAttempt, int64(a.ID), int64(a.N), a.Gateway, micros(a.At), int64(node))
}

// EndAttempt writes what became of an open attempt, and moves the delivery. Only
// the outbox waits for that; a crash before it leaves the attempt open, which is
// told from one that ended by nobody.
func (s *Store) EndAttempt(ctx context.Context, end verify.AttemptEnd) error {
	return s.writeSoon(ctx, func(db *conn) error {
		id := int64(end.ID)
		changed, err := db.exec(endAttempt, micros(end.At), int64(end.Result), optionalText(end.Code), optionalText(end.ProviderID), id, int64(end.N))
		if err != nil {
			return err
		}
		if changed == 0 {
			return db.refused(end.ID)
		}
		if event, moves := end.Result.Event(); moves {
			_, err = db.exec(moveDelivery[event], id)
		} else {
			_, err = db.exec(retryAt, micros(end.RetryAt), id)
		}
		return err
	})
}

// Attempts are a message's attempts in order.
func (s *Store) Attempts(ctx context.Context, id verify.ID) (attempts []verify.AttemptRecord, err error) {
	err = s.read(ctx, func(db *conn) error {
		err := db.read(attemptsOf, func(r *row) {
			attempts = append(attempts, verify.AttemptRecord{
				Attempt: verify.Attempt{ID: id, N: int(r.int()), Gateway: r.text(), At: r.time()},
				EndedAt: r.time(), Result: verify.AttemptResult(r.int()), Code: r.text(), ProviderID: r.text(),
			})
		}, int64(id))
		if err != nil || len(attempts) > 0 {
			return err
		}
		found, err := db.one(trackExists, func(*row) {}, int64(id))
		if err == nil && !found {
			return verify.ErrNotFound
		}
		return err
	})
	return attempts, err
}

const isOpen = `EXISTS (SELECT 1 FROM attempts a WHERE a.id = t.id AND a.result = 0)`

var (
	anyDue = prepared(fmt.Sprintf(`SELECT 1 FROM tracks t INDEXED BY tracks_queued
		WHERE t.delivery = %d AND t.due_at <= ? LIMIT 1`, verify.Queued))
	due = prepared(fmt.Sprintf(`SELECT t.id, t.expires_at, v.client_id, v.phone, v.country, v.text, v.link_sealed,
		(SELECT count(*) FROM attempts a WHERE a.id = t.id), `+isOpen+`
		FROM tracks t INDEXED BY tracks_queued JOIN verifications v ON v.id = t.id
		WHERE t.delivery = %d AND t.due_at <= ? ORDER BY t.due_at LIMIT ?`, verify.Queued))
	leaseTo = prepared(`UPDATE tracks SET node = ?, due_at = ? WHERE id = ?`)

	releaseLeases = prepared(fmt.Sprintf(`UPDATE tracks AS t INDEXED BY tracks_queued SET node = NULL, due_at = ?
		WHERE t.delivery = %d AND t.node = ? AND NOT `+isOpen, verify.Queued))
)

// ClaimDue leases at most limit messages that are due, those first that have
// been due longest.
func (s *Store) ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error) {
	// Most of the time nothing is due, and nobody should wait for a commit to
	// learn that.
	found := false
	err := s.read(ctx, func(db *conn) (err error) {
		found, err = db.one(anyDue, func(*row) {}, micros(now))
		return err
	})
	if err != nil || !found || limit <= 0 {
		return nil, err
	}
	var claimed []verify.Message
	err = s.write(ctx, func(db *conn) (err error) {
		claimed, err = db.claimDue(now, lease, limit)
		return err
	})
	return claimed, err
}

func (c *conn) claimDue(now time.Time, lease verify.Lease, limit int) ([]verify.Message, error) {
	var found, claimed []verify.Message
	var open []bool
	err := c.read(due, func(r *row) {
		found = append(found, verify.Message{
			ID: verify.ID(r.int()), ExpiresAt: r.time(), ClientID: verify.ClientID(r.int()),
			Phone: phone.Stored(r.text(), phone.Country(r.text())), Text: r.text(), LinkSealed: r.blob(), Attempts: int(r.int()),
		})
		open = append(open, r.bool())
	}, micros(now), int64(limit))
	if err != nil {
		return nil, err
	}
	for i, m := range found {
		switch {
		case open[i]:
			_, err = c.exec(moveDelivery[verify.Lose], int64(m.ID))
		case !now.Before(m.ExpiresAt):
			_, err = c.exec(moveDelivery[verify.Fail], int64(m.ID))
		default:
			_, err = c.exec(leaseTo, int64(lease.Node), micros(lease.Until), int64(m.ID))
			claimed = append(claimed, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// ReleaseLeases makes the node's messages that are not under way due at once.
func (s *Store) ReleaseLeases(ctx context.Context, node verify.Node, now time.Time) error {
	return s.write(ctx, func(db *conn) error {
		_, err := db.exec(releaseLeases, micros(now), int64(node))
		return err
	})
}

// The one with the smallest ID is the oldest: IDs grow with time.
var backlog = prepared(fmt.Sprintf(`SELECT q.depth, v.created_at
	FROM (SELECT count(*) AS depth, min(id) AS id FROM tracks INDEXED BY tracks_queued WHERE delivery = %d) q
	LEFT JOIN verifications v ON v.id = q.id`, verify.Queued))

// Backlog is how many messages are queued and when the oldest was created.
func (s *Store) Backlog(ctx context.Context) (depth int, oldest time.Time, err error) {
	err = s.read(ctx, func(db *conn) error {
		_, err := db.one(backlog, func(r *row) { depth, oldest = int(r.int()), r.time() })
		return err
	})
	return depth, oldest, err
}
