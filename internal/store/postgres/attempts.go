package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/verify"
)

type beginAttempt struct {
	node    verify.Node
	attempt verify.Attempt
}

func (*beginAttempt) verb() verb       { return verbBegin }
func (w *beginAttempt) key() verify.ID { return w.attempt.ID }

func (w *beginAttempt) fill(r *rows) {
	r.int16(int(w.node))
	r.int16(w.attempt.N)
	r.text(w.attempt.Gateway)
	r.time(w.attempt.At)
}

// BeginAttempt writes down that an attempt is about to leave.
func (s *Store) BeginAttempt(ctx context.Context, node verify.Node, a verify.Attempt) error {
	return s.guarded(ctx, &beginAttempt{node: node, attempt: a})
}

type endAttempt struct{ end verify.AttemptEnd }

func (*endAttempt) verb() verb       { return verbEnd }
func (w *endAttempt) key() verify.ID { return w.end.ID }

func (w *endAttempt) fill(r *rows) {
	r.int16(w.end.N)
	r.time(w.end.At)
	r.int16(int(w.end.Result))
	r.text(w.end.Code)
	r.text(w.end.ProviderID)
	if event, ok := w.end.Result.Event(); ok {
		r.int16(moves(event))
		r.int16(int(event.To()))
		r.noTime()
	} else {
		r.int16(0)
		r.int16(int(verify.Queued))
		r.time(w.end.RetryAt)
	}
}

// EndAttempt writes what became of an open attempt and moves the delivery.
func (s *Store) EndAttempt(ctx context.Context, end verify.AttemptEnd) error {
	return s.guarded(ctx, &endAttempt{end: end})
}

type receipt struct {
	id    verify.ID
	event verify.DeliveryEvent
	code  string
	at    time.Time
}

func (*receipt) verb() verb       { return verbReceipt }
func (w *receipt) key() verify.ID { return w.id }

func (w *receipt) fill(r *rows) {
	r.int16(moves(w.event))
	r.int16(int(w.event.To()))
	r.text(w.code)
	r.time(w.at)
}

// RecordReceipt moves the delivery by a receipt's event, if it may move.
func (s *Store) RecordReceipt(ctx context.Context, id verify.ID, event verify.DeliveryEvent, code string, at time.Time) (changed bool, err error) {
	won, err := s.commit(ctx, &receipt{id: id, event: event, code: code, at: at})
	if err != nil || won {
		return won, err
	}
	return false, s.exists(ctx, id)
}

// Attempts are a message's attempts in order.
func (s *Store) Attempts(ctx context.Context, id verify.ID) ([]verify.AttemptRecord, error) {
	result, _ := s.pool.Query(ctx, `
		SELECT n, gateway, begun_at, ended_at, result, code, provider_id FROM attempts WHERE id = $1 ORDER BY n`, int64(id))
	records, err := pgx.CollectRows(result, func(row pgx.CollectableRow) (verify.AttemptRecord, error) {
		a := verify.AttemptRecord{Attempt: verify.Attempt{ID: id}}
		err := row.Scan(&a.N, &a.Gateway, instant{&a.At}, instant{&a.EndedAt}, &a.Result, words{&a.Code}, words{&a.ProviderID})
		return a, err
	})
	if err == nil && len(records) == 0 {
		return nil, s.exists(ctx, id)
	}
	return records, failure(err)
}
