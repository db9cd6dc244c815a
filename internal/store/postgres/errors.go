package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/internal/verify"
)

// errUnavailable is what a caller learns while the database is away.
var errUnavailable = &verify.Error{
	Code: verify.CodeUnavailable, Message: "The database can't be reached.", Reason: "Try again in a moment.", RetryAfter: time.Second,
}

// errClosed is the answer of a store after Close.
var errClosed = fmt.Errorf("postgres: %w: the store is closed", errUnavailable)

// SQLSTATE classes and codes (PostgreSQL manual, appendix A).
const (
	uniqueViolation = "23505"
	undefinedTable  = "42P01"

	classTransaction = "40" // serialization failure, deadlock
	classReadOnly    = "25"
	classConnection  = "08"
	classResources   = "53"
	classOperator    = "57"
	classSystem      = "58"
)

func sqlState(err error) (code, class string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && len(pg.Code) == 5 {
		return pg.Code, pg.Code[:2]
	}
	return "", ""
}

// failure turns what the driver says into an error of the store's contract. The
// driver's text, which names no parameter, is kept for the log.
func failure(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return verify.ErrNotFound
	}
	code, class := sqlState(err)
	switch {
	case code == uniqueViolation:
		return verify.ErrConflict
	case away(err, class):
		return fmt.Errorf("postgres: %w: %w", errUnavailable, err)
	default:
		return fmt.Errorf("postgres: %w", err)
	}
}

// away reports whether err comes of the connection or the server, and not of
// what was asked.
func away(err error, class string) bool {
	switch class {
	case classConnection, classResources, classOperator, classSystem, classReadOnly:
		return true
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
