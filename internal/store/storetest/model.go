package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// model is the contract in a few maps: what a store must answer, built on
// verify's own transitions so that the suite repeats no table of them. Its
// Store is nil: only the verbs of verifications and messages are there.
type model struct {
	Store

	mu   sync.Mutex
	rows map[verify.ID]*modelRow
	keys map[secret.Digest]modelKey
}

type modelRow struct {
	v        verify.Verification
	leased   bool // to node, until due
	node     verify.Node
	due      time.Time
	attempts []verify.AttemptRecord
}

type modelKey struct {
	body   secret.Digest
	handle verify.Handle
	at     time.Time
}

func newModel() *model {
	return &model{rows: map[verify.ID]*modelRow{}, keys: map[secret.Digest]modelKey{}}
}

// kept is a time as a store keeps it.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func (m *model) Create(_ context.Context, v verify.Verification, lease verify.Lease, idem *verify.Idempotency) (verify.Handle, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if idem != nil {
		first, used := m.keys[idem.Key]
		if used && !v.CreatedAt.After(first.at.Add(verify.IdempotencyTime)) {
			if first.body != idem.Body {
				return verify.Handle{}, false, verify.ErrKeyReused
			}
			return first.handle, true, nil
		}
	}
	if m.rows[v.ID] != nil {
		return verify.Handle{}, false, verify.ErrConflict
	}
	v.CreatedAt, v.ExpiresAt, v.Track = kept(v.CreatedAt), kept(v.ExpiresAt), verify.Track{}
	m.rows[v.ID] = &modelRow{v: v, leased: true, node: lease.Node, due: kept(lease.Until)}
	handle := verify.Handle{RequestID: v.RequestID, SessionID: v.SessionID}
	if idem != nil {
		m.keys[idem.Key] = modelKey{body: idem.Body, handle: handle, at: v.CreatedAt}
	}
	return handle, false, nil
}

func (m *model) Verification(_ context.Context, id verify.ID) (verify.Verification, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if row := m.rows[id]; row != nil {
		return row.v, nil
	}
	return verify.Verification{}, verify.ErrNotFound
}

// change runs write on the row id, which it may change only if it returns nil.
func (m *model) change(id verify.ID, write func(*modelRow) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.rows[id]
	if row == nil {
		return verify.ErrNotFound
	}
	return write(row)
}

// moveLink is change for an event of the link.
func (m *model) moveLink(id verify.ID, event verify.LinkEvent, at time.Time, write func(*verify.Track)) error {
	return m.change(id, func(row *modelRow) error {
		t := &row.v.Track
		link, err := t.Link.On(event)
		if err != nil {
			return err
		}
		if event != verify.Complete && !at.Before(row.v.ExpiresAt) {
			return verify.ErrConflict
		}
		t.Link = link
		write(t)
		return nil
	})
}

func (m *model) Consume(ctx context.Context, id verify.ID, link secret.Digest, c verify.Click) (verify.Verification, error) {
	c.At = kept(c.At)
	err := m.change(id, func(row *modelRow) error {
		if row.v.Link != link {
			return verify.ErrConflict
		}
		return nil
	})
	if err == nil {
		err = m.moveLink(id, verify.Consume, c.At, func(t *verify.Track) { *t = t.Clicked(c) })
	}
	if err != nil {
		return verify.Verification{}, err
	}
	return m.Verification(ctx, id)
}

func (m *model) Deny(_ context.Context, id verify.ID, at time.Time) error {
	return m.moveLink(id, verify.Deny, at, func(t *verify.Track) { t.EndedAt = kept(at) })
}

func (m *model) Complete(_ context.Context, id verify.ID, o verify.Outcome) error {
	return m.moveLink(id, verify.Complete, o.At, func(t *verify.Track) {
		t.EndedAt, t.Match, t.Reasons, t.VFP = kept(o.At), o.Match, o.Reasons, o.VFP
	})
}

func (m *model) ClaimAnswer(_ context.Context, id verify.ID, at time.Time) error {
	return m.change(id, func(row *modelRow) error {
		t := &row.v.Track
		if t.Link != verify.LinkConsumed || !t.AnsweredAt.IsZero() || !at.Before(t.ClickedAt.Add(verify.AnswerTime)) {
			return verify.ErrConflict
		}
		t.AnsweredAt = kept(at)
		return nil
	})
}

func (m *model) ReleaseAnswer(_ context.Context, id verify.ID) error {
	return m.change(id, func(row *modelRow) error {
		t := &row.v.Track
		if t.Link != verify.LinkConsumed || t.AnsweredAt.IsZero() {
			return verify.ErrConflict
		}
		t.AnsweredAt = time.Time{}
		return nil
	})
}

func (m *model) BeginAttempt(_ context.Context, node verify.Node, a verify.Attempt) error {
	return m.change(a.ID, func(row *modelRow) error {
		holds := row.leased && row.node == node && a.At.Before(row.due)
		if row.v.Track.Delivery != verify.Queued || !holds || a.N != len(row.attempts)+1 {
			return verify.ErrConflict
		}
		a.At = kept(a.At)
		row.attempts = append(row.attempts, verify.AttemptRecord{Attempt: a})
		return nil
	})
}

func (m *model) EndAttempt(_ context.Context, end verify.AttemptEnd) error {
	return m.change(end.ID, func(row *modelRow) error {
		if end.N < 1 || end.N > len(row.attempts) || row.attempts[end.N-1].Result != verify.AttemptOpen {
			return verify.ErrConflict
		}
		record := &row.attempts[end.N-1]
		record.EndedAt, record.Result, record.Code, record.ProviderID = kept(end.At), end.Result, end.Code, end.ProviderID
		if event, moves := end.Result.Event(); moves {
			row.move(event)
		} else {
			row.leased, row.due = false, kept(end.RetryAt)
		}
		return nil
	})
}

// move moves the delivery by event if it may move.
func (row *modelRow) move(event verify.DeliveryEvent) bool {
	to, err := row.v.Track.Delivery.On(event)
	row.v.Track.Delivery = to
	return err == nil
}

func (row *modelRow) open() bool {
	return slices.ContainsFunc(row.attempts, func(a verify.AttemptRecord) bool { return a.Result == verify.AttemptOpen })
}

func (m *model) ClaimDue(_ context.Context, now time.Time, lease verify.Lease, limit int) ([]verify.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var claimed []verify.Message
	for _, row := range m.rows {
		v := row.v
		switch {
		case v.Track.Delivery != verify.Queued || now.Before(row.due):
		case row.open():
			row.move(verify.Lose)
		case !now.Before(v.ExpiresAt):
			row.move(verify.Fail)
		default:
			row.leased, row.node, row.due = true, lease.Node, kept(lease.Until)
			claimed = append(claimed, verify.Message{
				ID: v.ID, ClientID: v.ClientID, Phone: v.Phone, Text: v.Text,
				LinkSealed: v.LinkSealed, ExpiresAt: v.ExpiresAt, Attempts: len(row.attempts),
			})
		}
	}
	if len(claimed) > limit {
		panic("the model can't tell which messages a store would claim first")
	}
	return claimed, nil
}

func (m *model) ReleaseLeases(_ context.Context, node verify.Node, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if row.v.Track.Delivery == verify.Queued && row.leased && row.node == node && !row.open() {
			row.leased, row.due = false, kept(now)
		}
	}
	return nil
}

func (m *model) RecordReceipt(_ context.Context, id verify.ID, event verify.DeliveryEvent, _ string, _ time.Time) (changed bool, err error) {
	err = m.change(id, func(row *modelRow) error {
		changed = row.move(event)
		return nil
	})
	return changed, err
}

func (m *model) Attempts(_ context.Context, id verify.ID) (attempts []verify.AttemptRecord, err error) {
	err = m.change(id, func(row *modelRow) error {
		attempts = slices.Clone(row.attempts)
		return nil
	})
	return attempts, err
}

func (m *model) Backlog(context.Context) (depth int, oldest time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if row.v.Track.Delivery != verify.Queued {
			continue
		}
		depth++
		if oldest.IsZero() || row.v.CreatedAt.Before(oldest) {
			oldest = row.v.CreatedAt
		}
	}
	return depth, oldest, nil
}
