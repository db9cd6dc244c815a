package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

// What never changes of a verification, and its track, have their columns in the
// order in which readVerification and readTrack read them.
const (
	verificationColumns = `v.id, v.client_id, v.segments, v.created_at, v.request_id, v.session_id, v.phone, v.country, v.target_url,
		v.source_addr, v.text, v.link, v.link_sealed, t.expires_at`
	trackColumns = `t.link, t.delivery, t.match, t.clicked_at, t.answered_at, t.ended_at, t.click_addr, t.browser, t.carrier,
		array_to_string(t.reasons, ','), t.vfp`
)

var selectVerifications = statement{"verifications", `
	SELECT ` + verificationColumns + `, ` + trackColumns + `
	FROM verifications v JOIN tracks t ON t.id = v.id WHERE v.id = ANY ($1::bigint[]) AND t.id = ANY ($1)`}

func readVerification(f *fields) (v verify.Verification) {
	v.ID = verify.ID(f.int64())
	v.ClientID = verify.ClientID(f.int64())
	v.Segments = f.int16()
	v.CreatedAt = f.time()
	v.RequestID = f.uuid()
	v.SessionID = f.uuid()
	e164, country := f.text(), f.text()
	v.Phone = phone.Stored(e164, phone.Country(country))
	v.TargetURL = f.text()
	v.SourceAddr = f.addr()
	v.Text = f.text()
	v.Link = f.digest()
	v.LinkSealed = f.bytes()
	v.ExpiresAt = f.time()
	return v
}

func readTrack(f *fields) (t verify.Track) {
	t.Link = verify.LinkState(f.int16())
	t.Delivery = verify.DeliveryState(f.int16())
	t.Match = verify.PhoneMatch(f.int16())
	t.ClickedAt = f.time()
	t.AnsweredAt = f.time()
	t.EndedAt = f.time()
	t.ClickAddr = f.addr()
	t.Browser = f.digest()
	t.Carrier = f.text()
	if reasons := f.text(); reasons != "" {
		for reason := range strings.SplitSeq(reasons, ",") {
			t.Reasons = append(t.Reasons, verify.Reason(reason))
		}
	}
	t.VFP = f.digest()
	return t
}

// lookup is a verification on its way through a reader.
type lookup struct {
	id    verify.ID
	v     verify.Verification
	found bool
	done  chan error // holds one
}

// lookups are used again only after their answer was taken.
var lookups = sync.Pool{New: func() any { return &lookup{done: make(chan error, 1)} }}

// Verification reads all of a verification.
func (s *Store) Verification(ctx context.Context, id verify.ID) (verify.Verification, error) {
	if err := ctx.Err(); err != nil {
		return verify.Verification{}, err
	}
	l := lookups.Get().(*lookup)
	l.id, l.found = id, false
	if err := s.reads.add(l); err != nil {
		return verify.Verification{}, err
	}
	select {
	case err := <-l.done:
		v, found := l.v, l.found
		l.v = verify.Verification{}
		lookups.Put(l)
		if err == nil && !found {
			err = verify.ErrNotFound
		}
		return v, err
	case <-ctx.Done():
		return verify.Verification{}, ctx.Err()
	}
}

func (s *Store) exists(ctx context.Context, id verify.ID) error {
	_, err := s.Verification(ctx, id)
	return err
}

// reader reads batches, each by a statement, on a connection of its own: every
// step of a journey begins with a read, and alone each costs the server and us
// several times as much.
type reader struct {
	line *line
	keys rows
}

func (s *Store) startReader(ctx context.Context, config *pgx.ConnConfig) error {
	line, err := openLine(ctx, config, selectVerifications)
	if err != nil {
		return err
	}
	r := &reader{line: line}
	s.reads.work(r.read, line.disconnect)
	return nil
}

// read answers the batch. A connection that was lost is tried again once:
// nothing was written.
func (r *reader) read(batch []*lookup) {
	send := func(ctx context.Context, conn *pgconn.PgConn) error { return r.send(ctx, conn, batch) }
	err := r.line.do(send)
	if r.line.conn == nil && err != nil {
		err = r.line.do(send)
	}
	err = failure(err)
	for _, l := range batch {
		l.done <- err
	}
}

func (r *reader) send(ctx context.Context, conn *pgconn.PgConn, batch []*lookup) error {
	byID := func(l *lookup, id verify.ID) int { return cmp.Compare(l.id, id) }
	slices.SortFunc(batch, func(a, b *lookup) int { return cmp.Compare(a.id, b.id) })
	r.keys.reset()
	for _, l := range batch {
		r.keys.begin(int64(l.id))
	}
	result := conn.ExecPrepared(ctx, selectVerifications.name, r.keys.params(), binaryFormat, binaryFormat)
	for result.NextRow() {
		f := fields(result.Values())
		v := readVerification(&f)
		v.Track = readTrack(&f)
		i, _ := slices.BinarySearchFunc(batch, v.ID, byID)
		for ; i < len(batch) && batch[i].id == v.ID; i++ { // the same may be wanted by several
			batch[i].v, batch[i].found = v, true
		}
	}
	_, err := result.Close()
	return err
}
