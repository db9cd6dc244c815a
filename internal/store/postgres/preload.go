package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// preloadRows is how many verifications one transaction of Preload takes.
const preloadRows = 20_000

// Preload writes n old completed verifications of the client by COPY, and leaves
// the tables as autovacuum would.
func (s *Store) Preload(ctx context.Context, n int, client verify.ClientID, before time.Time) error {
	for first := 1; first <= n; first += preloadRows {
		last := min(n, first+preloadRows-1)
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			return preload(ctx, tx, first, last, client, before)
		})
		if err != nil {
			return failure(err)
		}
	}
	_, err := s.pool.Exec(ctx, "VACUUM (ANALYZE) verifications, tracks, attempts")
	return failure(err)
}

// preload copies the verifications of the numbers last down to first, in the order of
// their keys.
func preload(ctx context.Context, tx pgx.Tx, first, last int, client verify.ClientID, before time.Time) error {
	old := func(i int) (id int64, at time.Time) {
		at = before.Add(-time.Duration(last-i) * time.Millisecond)
		return int64(verify.IDAt(at)), at.Add(-time.Minute)
	}
	count := last - first + 1
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"verifications"}, []string{
		"id", "client_id", "segments", "created_at", "request_id", "session_id",
		"phone", "country", "target_url", "source_addr", "text", "link", "link_sealed",
	}, pgx.CopyFromSlice(count, func(i int) ([]any, error) {
		id, at := old(i)
		link := preloadDigest(id, secret.ForLink)
		return []any{
			id, int64(client), 1, at, verify.NewRequestID(verify.ID(id)), verify.NewSessionID(),
			fmt.Sprintf("+1212555%04d", id%10_000), "US", "https://app.example.com/return", "203.0.113.9", "", link, link,
		}, nil
	}))
	if err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"tracks"}, []string{
		"id", "expires_at", "attempts", "link", "delivery", "match", "clicked_at", "answered_at", "ended_at",
		"click_addr", "browser", "carrier", "vfp",
	}, pgx.CopyFromSlice(count, func(i int) ([]any, error) {
		id, at := old(i)
		return []any{
			id, at.Add(5 * time.Minute), 1, int(verify.LinkCompleted), int(verify.Delivered), int(verify.MatchTrue),
			at.Add(20 * time.Second), at.Add(21 * time.Second), at.Add(22 * time.Second),
			"203.0.113.9", preloadDigest(id, secret.ForBrowser), "carrier", preloadDigest(id, secret.ForVFP),
		}, nil
	}))
	if err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"attempts"}, []string{"id", "n", "result", "begun_at", "ended_at", "gateway", "code", "provider_id"},
		pgx.CopyFromSlice(count, func(i int) ([]any, error) {
			id, at := old(i)
			return []any{id, 1, int(verify.AttemptAccepted), at, at.Add(time.Second), "virtual", "", ""}, nil
		}))
	return err
}

func preloadDigest(id int64, purpose secret.Purpose) []byte {
	d := secret.Token{ID: id}.Digest(purpose)
	return d[:]
}
