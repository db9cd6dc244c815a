package postgres

import (
	"context"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

const selectVerification = `
	SELECT v.client_id, v.segments, v.created_at, v.request_id, v.session_id, v.phone, v.country, v.target_url, v.source_addr,
		v.text, v.link_digest, v.link_sealed, t.expires_at, t.link, t.delivery, t.match, t.ip_match, t.clicked_at, t.answered_at,
		t.ended_at, t.click_addr, t.browser, t.carrier, t.reasons, t.vfp
	FROM verifications v JOIN tracks t ON t.id = v.id WHERE v.id = $1`

// Verification reads all of a verification.
func (s *Store) Verification(ctx context.Context, id verify.ID) (verify.Verification, error) {
	v := verify.Verification{ID: id}
	t := &v.Track
	var e164, country string
	err := s.pool.QueryRow(ctx, selectVerification, int64(id)).Scan(
		&v.ClientID, &v.Segments, instant{&v.CreatedAt}, &v.RequestID, &v.SessionID, &e164, &country, &v.TargetURL, address{&v.SourceAddr},
		&v.Text, digest{&v.Link}, &v.LinkSealed, instant{&v.ExpiresAt}, &t.Link, &t.Delivery, &t.Match, &t.IPMatch, instant{&t.ClickedAt}, instant{&t.AnsweredAt},
		instant{&t.EndedAt}, address{&t.ClickAddr}, digest{&t.Browser}, words{&t.Carrier}, &t.Reasons, digest{&t.VFP})
	if err != nil {
		return verify.Verification{}, failure(err)
	}
	v.Phone = phone.Stored(e164, phone.Country(country))
	return v, nil
}
