package postgres

import (
	"fmt"

	"holdfast/internal/verify"
)

// verb is a kind of grouped write; each has one statement.
type verb int

const (
	verbCreate verb = iota
	verbConsume
	verbDeny
	verbClaimAnswer
	verbReleaseAnswer
	verbComplete
	verbBegin
	verbEnd
	verbReceipt
	verbs
)

// statement writes any number of rows. Its parameters are arrays of equal
// length, the first of them the keys. The guarded ones return the keys of the
// rows that they changed, as the first column.
type statement struct{ name, sql string }

// fromTracks meets the tracks with their new values; see openLine.
const fromTracks = ` WHERE t.id = ANY ($1) AND t.id = u.id `

var statements = [verbs]statement{
	verbCreate: {"create", `
		WITH u AS MATERIALIZED (
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::text[],
				$8::text[], $9::text[], $10::inet[], $11::text[], $12::bytea[], $13::bytea[], $14::timestamptz[], $15::timestamptz[], $16::smallint[])
			AS u (id, client_id, segments, created_at, request_id, session_id, phone,
				country, target_url, source_addr, text, link, link_sealed, expires_at, due_at, node)
		), wide AS (
			INSERT INTO verifications (id, client_id, segments, created_at, request_id, session_id, phone,
				country, target_url, source_addr, text, link, link_sealed)
			SELECT id, client_id, segments, created_at, request_id, session_id, phone,
				country, target_url, source_addr, text, link, link_sealed FROM u
		)
		INSERT INTO tracks (id, expires_at, due_at, node) SELECT id, expires_at, due_at, node FROM u`},

	// The link is proved against what never changes, which comes back: the caller
	// needs no read of its own. Of a pending link's track, only the delivery is news.
	verbConsume: {"consume", fmt.Sprintf(`
		UPDATE tracks t SET link = %d, clicked_at = u.at, click_addr = u.addr, browser = u.browser, carrier = u.carrier
		FROM unnest($1::bigint[], $2::bytea[], $3::timestamptz[], $4::inet[], $5::bytea[], $6::text[]) AS u (id, link, at, addr, browser, carrier),
			verifications v`+
		fromTracks+`AND v.id = ANY ($1) AND v.id = u.id AND v.link = u.link AND t.link = %d AND t.expires_at > u.at
		RETURNING `+verificationColumns+`, t.delivery`, verify.Consume.To(), verify.Consume.From())},

	verbDeny: {"deny", fmt.Sprintf(`
		UPDATE tracks t SET link = %d, ended_at = u.at
		FROM unnest($1::bigint[], $2::timestamptz[]) AS u (id, at)`+
		fromTracks+`AND t.link = %d AND t.expires_at > u.at RETURNING t.id`, verify.Deny.To(), verify.Deny.From())},

	verbClaimAnswer: {"claim_answer", fmt.Sprintf(`
		UPDATE tracks t SET answered_at = u.at
		FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS u (id, at, clicked_after)`+
		fromTracks+`AND t.link = %d AND t.answered_at IS NULL AND t.clicked_at > u.clicked_after RETURNING t.id`, verify.LinkConsumed)},

	verbReleaseAnswer: {"release_answer", fmt.Sprintf(`
		UPDATE tracks t SET answered_at = NULL
		FROM unnest($1::bigint[]) AS u (id)`+
		fromTracks+`AND t.link = %d AND t.answered_at IS NOT NULL RETURNING t.id`, verify.LinkConsumed)},

	verbComplete: {"complete", fmt.Sprintf(`
		UPDATE tracks t SET link = %d, ended_at = u.at, match = u.match, reasons = string_to_array(u.reasons, ','), vfp = u.vfp
		FROM unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::text[], $5::bytea[]) AS u (id, at, match, reasons, vfp)`+
		fromTracks+`AND t.link = %d RETURNING t.id`, verify.Complete.To(), verify.Complete.From())},

	verbBegin: {"begin_attempt", fmt.Sprintf(`
		WITH u AS MATERIALIZED (
			SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::text[], $5::timestamptz[]) AS u (id, node, n, gateway, at)
		), begun AS (
			UPDATE tracks t SET attempts = u.n FROM u`+
		fromTracks+`AND t.delivery = %d AND t.node = u.node AND t.due_at > u.at AND t.attempts = u.n - 1
			RETURNING t.id, u.n, u.gateway, u.at
		)
		INSERT INTO attempts (id, n, gateway, begun_at) SELECT id, n, gateway, at FROM begun RETURNING id`, verify.Queued)},

	// moves has a bit for each state that the delivery may leave by the event.
	// Only a retry has a time at which the message is due again.
	verbEnd: {"end_attempt", fmt.Sprintf(`
		WITH u AS MATERIALIZED (
			SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::timestamptz[], $4::smallint[], $5::text[], $6::text[], $7::smallint[], $8::smallint[], $9::timestamptz[])
			AS u (id, n, at, result, code, provider_id, moves, delivery, due_at)
		), ended AS (
			UPDATE attempts a SET ended_at = u.at, result = u.result, code = u.code, provider_id = u.provider_id
			FROM u WHERE a.id = ANY ($1) AND a.id = u.id AND a.n = u.n AND a.result = %d
			RETURNING a.id, u.moves, u.delivery, u.due_at
		)
		UPDATE tracks t SET node = NULL, due_at = CASE WHEN t.delivery = %d THEN u.due_at END,
			delivery = CASE WHEN u.moves >> t.delivery & 1 = 1 THEN u.delivery ELSE t.delivery END
		FROM ended u`+fromTracks+`RETURNING t.id`, verify.AttemptOpen, verify.Queued)},

	verbReceipt: {"receipt", `
		UPDATE tracks t SET delivery = u.delivery, due_at = NULL, node = NULL, receipt_code = u.code, receipt_at = u.at
		FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::text[], $5::timestamptz[]) AS u (id, moves, delivery, code, at)` +
		fromTracks + `AND u.moves >> t.delivery & 1 = 1 RETURNING t.id`},
}

// moves is the set of states that event may leave, a bit for each.
func moves(event verify.DeliveryEvent) (set int) {
	for _, from := range event.From() {
		set |= 1 << from
	}
	return set
}
