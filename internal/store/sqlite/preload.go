package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/verify"
)

// series is a table of the numbers ?2 down to ?3, so that IDs grow.
const series = `WITH RECURSIVE series (i) AS (SELECT ?2 UNION ALL SELECT i - 1 FROM series WHERE i > ?3) `

// In each, ?1 is the ID, ?4 the time in microseconds of "before", ?5 what a
// millisecond adds to an ID; not every statement uses all.
var (
	preloadVerifications = prepared(series + `INSERT INTO verifications
		(id, client_id, request_id, session_id, phone, country, target_url, source_addr, text, segments, link, link_sealed, created_at, expires_at)
		SELECT ?1 - i * ?5, ?6, randomblob(16), randomblob(16), '+1212555' || (1000 + i % 9000), 'US',
			'https://app.example.com/return?session=' || i, randomblob(4), '', 1, randomblob(32), randomblob(32),
			?4 - i * 1000, ?4 - i * 1000 + 300000000 FROM series`)
	preloadTracks = prepared(series + fmt.Sprintf(`INSERT INTO tracks
		(id, link, delivery, expires_at, node, due_at, clicked_at, click_addr, browser, carrier, answered_at, ended_at, match, vfp)
		SELECT ?1 - i * ?5, %d, %d, ?4 - i * 1000 + 300000000, 0, ?4 - i * 1000, ?4 - i * 1000, randomblob(4), randomblob(32), 'preloaded',
			?4 - i * 1000, ?4 - i * 1000, %d, randomblob(32) FROM series`, verify.LinkCompleted, verify.Delivered, verify.MatchTrue))
	preloadAttempts = prepared(series + fmt.Sprintf(`INSERT INTO attempts (id, n, gateway, begun_at, ended_at, result, provider_id)
		SELECT ?1 - i * ?5, 1, 'preloaded', ?4 - i * 1000, ?4 - i * 1000, %d, hex(randomblob(16)) FROM series`, verify.AttemptAccepted))
)

// preloadBatch is how many verifications one transaction of Preload writes.
const preloadBatch = 10_000

// Preload writes n old, completed verifications of the client for a measurement:
// one for each of the n milliseconds before before.
func (s *Store) Preload(ctx context.Context, n int, client verify.ClientID, before time.Time) error {
	last, step := int64(verify.IDAt(before)), int64(verify.IDAt(before)-verify.IDAt(before.Add(-time.Millisecond)))
	for from := n; from > 0; from -= preloadBatch {
		to := max(from-preloadBatch+1, 1)
		err := s.write(ctx, func(db *conn) error {
			args := []any{last, int64(from), int64(to), micros(before), step, int64(client)}
			if _, err := db.exec(preloadVerifications, args[0], args[1], args[2], args[3], args[4], args[5]); isTaken(err) {
				return verify.ErrConflict
			} else if err != nil {
				return err
			}
			for _, q := range []query{preloadTracks, preloadAttempts} {
				if _, err := db.exec(q, args[0], args[1], args[2], args[3], args[4]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("sqlite: preload: %w", err)
		}
	}
	if err := s.emptyLog(); err != nil {
		return fmt.Errorf("sqlite: preload: %w", err)
	}
	return nil
}

// emptyLog moves all of the log into the database, or what is measured next would
// pay for the preload's last part.
func (s *Store) emptyLog() error {
	c, err := openConn(s.path)
	if err != nil {
		return err
	}
	return errors.Join(c.run("PRAGMA wal_checkpoint(TRUNCATE)"), c.close())
}
