package sqlite

import (
	"context"
	"fmt"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

var (
	insertVerification = prepared(`INSERT INTO verifications
		(id, client_id, request_id, session_id, phone, country, target_url, source_addr, text, segments, link, link_sealed, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	insertTrack = prepared(fmt.Sprintf(`INSERT INTO tracks (id, link, delivery, expires_at, node, due_at)
		VALUES (?, %d, %d, ?, ?, ?)`, verify.LinkPending, verify.Queued))

	keyUsed = prepared(`SELECT k.body, v.request_id, v.session_id
		FROM idempotency_keys k JOIN verifications v ON v.id = k.verification_id
		WHERE k.key = ? AND v.created_at >= ?`)
	putKey = prepared(`INSERT OR REPLACE INTO idempotency_keys (key, body, verification_id) VALUES (?, ?, ?)`)
)

// Create writes the verification and its message, leased, and the idempotency
// key where idem is not nil; a key used within verify.IdempotencyTime returns
// the first's handle instead.
func (s *Store) Create(ctx context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (h verify.Handle, replay bool, err error) {
	err = s.write(ctx, func(db *conn) error {
		h, replay = verify.Handle{RequestID: v.RequestID, SessionID: v.SessionID}, false
		if idem == nil {
			return db.create(&v, lease)
		}
		first, used, err := db.useOf(idem, &v)
		if err != nil {
			return err
		}
		if used {
			h, replay = first, true
			return nil
		}
		if err := db.create(&v, lease); err != nil {
			return err
		}
		_, err = db.exec(putKey, idem.Key[:], idem.Body[:], int64(v.ID))
		return err
	})
	if err != nil {
		return verify.Handle{}, false, err
	}
	return h, replay, nil
}

func (c *conn) useOf(idem *verify.Idempotency, v *verify.Verification) (first verify.Handle, used bool, err error) {
	since := micros(v.CreatedAt) - verify.IdempotencyTime.Microseconds()
	same := false
	used, err = c.one(keyUsed, func(r *row) {
		same = r.digest() == idem.Body
		first = verify.Handle{RequestID: r.uuid(), SessionID: r.uuid()}
	}, idem.Key[:], since)
	if err == nil && used && !same {
		err = verify.ErrKeyReused
	}
	return first, used, err
}

func (c *conn) create(v *verify.Verification, lease verify.Lease) error {
	id, expires := any(int64(v.ID)), any(micros(v.ExpiresAt))
	_, err := c.exec(insertVerification, id, int64(v.ClientID), v.RequestID[:], v.SessionID[:],
		v.Phone.E164(), string(v.Phone.Country()), v.TargetURL, addrBytes(v.SourceAddr), v.Text, int64(v.Segments),
		v.Link[:], v.LinkSealed, micros(v.CreatedAt), expires)
	if isTaken(err) {
		return verify.ErrConflict
	}
	if err != nil {
		return err
	}
	_, err = c.exec(insertTrack, id, expires, int64(lease.Node), micros(lease.Until))
	return err
}

var verificationByID = prepared(`SELECT
		v.client_id, v.request_id, v.session_id, v.phone, v.country, v.target_url, v.source_addr, v.text, v.segments, v.link, v.link_sealed, v.created_at, v.expires_at,
		t.link, t.delivery, t.clicked_at, t.click_addr, t.browser, t.carrier, t.answered_at, t.ended_at, t.match, t.reasons, t.vfp
	FROM verifications v JOIN tracks t ON t.id = v.id WHERE v.id = ?`)

// Verification reads all of a verification, its track included.
func (s *Store) Verification(ctx context.Context, id verify.ID) (v verify.Verification, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		v, err = db.verification(id)
		return err
	})
	return v, err
}

func (c *conn) verification(id verify.ID) (v verify.Verification, err error) {
	found, err := c.one(verificationByID, func(r *row) { v = scanVerification(id, r) }, int64(id))
	if err == nil && !found {
		err = verify.ErrNotFound
	}
	return v, err
}

func scanVerification(id verify.ID, r *row) verify.Verification {
	return verify.Verification{
		ID:         id,
		ClientID:   verify.ClientID(r.int()),
		RequestID:  r.uuid(),
		SessionID:  r.uuid(),
		Phone:      phone.Stored(r.text(), phone.Country(r.text())),
		TargetURL:  r.text(),
		SourceAddr: r.addr(),
		Text:       r.text(),
		Segments:   int(r.int()),
		Link:       r.digest(),
		LinkSealed: r.blob(),
		CreatedAt:  r.time(),
		ExpiresAt:  r.time(),
		Track: verify.Track{
			Link:       verify.LinkState(r.int()),
			Delivery:   verify.DeliveryState(r.int()),
			ClickedAt:  r.time(),
			ClickAddr:  r.addr(),
			Browser:    r.digest(),
			Carrier:    r.text(),
			AnsweredAt: r.time(),
			EndedAt:    r.time(),
			Match:      verify.PhoneMatch(r.int()),
			Reasons:    r.reasons(),
			VFP:        r.digest(),
		},
	}
}
