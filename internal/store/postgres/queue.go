package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

// Rows are locked by one statement and judged by the next, which sees what whoever
// held the locks before has written.
var (
	selectDue = `
		SELECT id FROM tracks WHERE due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED`

	claim = fmt.Sprintf(`
		WITH found AS (
			SELECT t.id, CASE
				WHEN EXISTS (SELECT FROM attempts a WHERE a.id = t.id AND a.result = %[1]d) THEN %[2]d
				WHEN t.expires_at <= $2 THEN %[3]d
				ELSE %[4]d END AS delivery
			FROM tracks t WHERE t.id = ANY ($1)
		), moved AS (
			UPDATE tracks t SET delivery = f.delivery,
				due_at = CASE WHEN f.delivery = %[4]d THEN $3::timestamptz END,
				node = CASE WHEN f.delivery = %[4]d THEN $4::smallint END
			FROM found f WHERE t.id = ANY ($1) AND t.id = f.id
			RETURNING t.id, t.delivery, t.expires_at, t.attempts
		)
		SELECT v.id, v.client_id, v.phone, v.country, v.text, v.link_sealed, m.expires_at, m.attempts
		FROM verifications v JOIN moved m ON m.id = v.id WHERE v.id = ANY ($1) AND m.delivery = %[4]d ORDER BY v.id`,
		verify.AttemptOpen, verify.Lose.To(), verify.Fail.To(), verify.Queued)

	selectLeased = `
		SELECT id FROM tracks WHERE due_at IS NOT NULL AND node = $1 ORDER BY id FOR UPDATE`

	release = fmt.Sprintf(`
		UPDATE tracks t SET due_at = $2, node = NULL
		WHERE t.id = ANY ($1) AND NOT EXISTS (SELECT FROM attempts a WHERE a.id = t.id AND a.result = %d)`, verify.AttemptOpen)
)

// ClaimDue leases messages that are due to lease.Node.
func (s *Store) ClaimDue(ctx context.Context, now time.Time, lease verify.Lease, limit int) (claimed []verify.Message, err error) {
	now = now.Truncate(time.Microsecond)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		result, _ := tx.Query(ctx, selectDue, now, limit)
		due, err := pgx.CollectRows(result, pgx.RowTo[int64])
		if err != nil || len(due) == 0 {
			return err
		}
		result, _ = tx.Query(ctx, claim, due, now, lease.Until, int(lease.Node))
		claimed, err = pgx.CollectRows(result, scanMessage)
		return err
	})
	if err != nil {
		return nil, failure(err)
	}
	return claimed, nil
}

func scanMessage(row pgx.CollectableRow) (m verify.Message, err error) {
	var e164, country string
	err = row.Scan(&m.ID, &m.ClientID, &e164, &country, &m.Text, &m.LinkSealed, instant{&m.ExpiresAt}, &m.Attempts)
	m.Phone = phone.Stored(e164, phone.Country(country))
	return m, err
}

// ReleaseLeases makes the node's queued messages without an open attempt due at
// once. It may meet a committer's transaction that locks the same rows in another
// order; then it tries again.
func (s *Store) ReleaseLeases(ctx context.Context, node verify.Node, now time.Time) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			result, _ := tx.Query(ctx, selectLeased, int(node))
			leased, err := pgx.CollectRows(result, pgx.RowTo[int64])
			if err != nil || len(leased) == 0 {
				return err
			}
			_, err = tx.Exec(ctx, release, leased, now)
			return err
		})
		if _, class := sqlState(err); class != classTransaction || try == maxTries {
			return failure(err)
		}
	}
}

// Backlog is how many messages are queued and when the oldest was created.
func (s *Store) Backlog(ctx context.Context) (depth int, oldest time.Time, err error) {
	// The smallest key is the oldest: keys grow with time.
	err = s.pool.QueryRow(ctx, `
		WITH q AS (SELECT count(*) AS depth, min(id) AS first FROM tracks WHERE due_at IS NOT NULL)
		SELECT q.depth, (SELECT v.created_at FROM verifications v WHERE v.id = q.first) FROM q`).
		Scan(&depth, instant{&oldest})
	return depth, oldest, failure(err)
}
