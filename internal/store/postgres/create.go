package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

type create struct {
	v     *verify.Verification
	lease verify.Lease
}

func (create) verb() verb       { return verbCreate }
func (w create) key() verify.ID { return w.v.ID }

func (w create) fill(r *rows) {
	v := w.v
	r.int64(int64(v.ClientID))
	r.int16(v.Segments)
	r.time(v.CreatedAt)
	r.uuid(v.RequestID)
	r.uuid(v.SessionID)
	r.text(v.Phone.E164())
	r.text(string(v.Phone.Country()))
	r.text(v.TargetURL)
	r.addr(v.SourceAddr)
	r.text(v.Text)
	r.bytes(v.Link[:])
	r.bytes(v.LinkSealed)
	r.time(v.ExpiresAt)
	r.time(w.lease.Until)
	r.int16(int(w.lease.Node))
}

// Create writes the verification and its message, leased, and the idempotency
// key where there is one.
func (s *Store) Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (verify.Handle, bool, error) {
	handle := verify.Handle{RequestID: v.RequestID, SessionID: v.SessionID}
	w := create{v: &v, lease: lease}
	if idem != nil {
		return s.createOnce(ctx, w, *idem, handle)
	}
	if _, err := s.commit(ctx, w); err != nil {
		return verify.Handle{}, false, err
	}
	return handle, false, nil
}

// createOnce is the slow lane. The insert of the key waits for whoever else is
// inserting the same one, and then finds it.
func (s *Store) createOnce(ctx context.Context, w create, idem verify.Idempotency, handle verify.Handle) (_ verify.Handle, replay bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		first, err := s.useKey(ctx, tx, w.v, idem)
		if err != nil || first != nil {
			if first != nil {
				handle, replay = *first, true
			}
			return err
		}
		var r rows
		r.begin(int64(w.v.ID))
		w.fill(&r)
		_, err = tx.Conn().PgConn().ExecParams(ctx, statements[verbCreate].sql, r.params(), nil, binaryFormat, nil).Close()
		return err
	})
	if errors.Is(err, verify.ErrKeyReused) {
		return verify.Handle{}, false, verify.ErrKeyReused
	}
	if err != nil {
		return verify.Handle{}, false, failure(err)
	}
	return handle, replay, nil
}

// useKey writes the key down, over one that is too old to count. Where it was
// used it returns that use's handle, or ErrKeyReused.
func (s *Store) useKey(ctx context.Context, tx pgx.Tx, v *verify.Verification, idem verify.Idempotency) (first *verify.Handle, err error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO idempotency_keys AS k (key, body, used_at, verification_id) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET body = excluded.body, used_at = excluded.used_at, verification_id = excluded.verification_id
		WHERE k.used_at < $5`,
		idem.Key[:], idem.Body[:], v.CreatedAt, int64(v.ID), v.CreatedAt.Add(-verify.IdempotencyTime))
	if err != nil || tag.RowsAffected() == 1 {
		return nil, err
	}
	var body secret.Digest
	first = &verify.Handle{}
	err = tx.QueryRow(ctx, `
		SELECT k.body, v.request_id, v.session_id
		FROM idempotency_keys k JOIN verifications v ON v.id = k.verification_id WHERE k.key = $1`, idem.Key[:]).
		Scan(digest{&body}, &first.RequestID, &first.SessionID)
	if err == nil && body != idem.Body {
		err = verify.ErrKeyReused
	}
	if err != nil {
		return nil, err
	}
	return first, nil
}
