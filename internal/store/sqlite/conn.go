package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how many milliseconds a connection waits for another process's
// write, such as that of `holdfast client add`.
const busyTimeout = "5000"

// dsn names the database with the pragmas that every connection needs. mode is
// SQLite's: rw, or rwc to create the file.
func dsn(path, mode string, more ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_busy_timeout": {busyTimeout}}
	// FULL syncs the log at each commit: in WAL mode the default loses commits
	// when the machine loses power.
	q["_pragma"] = append([]string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, more...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// query is a statement, prepared once on each connection that runs it.
type query int

var texts []string

func prepared(text string) query {
	texts = append(texts, text)
	return query(len(texts) - 1)
}

// statement is what the driver's statements can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is one connection with its prepared statements, for one goroutine at a
// time. It talks to the driver without database/sql between, whose locks and
// conversions cost as much as an insert; and never with a context that can end,
// for which the driver would start a goroutine at each statement.
type conn struct {
	raw        driver.Conn
	statements []statement
	args       []driver.NamedValue
}

func openConn(dsn string) (*conn, error) {
	raw, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, statements: make([]statement, len(texts))}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func (c *conn) prepare(q query) (statement, error) {
	if s := c.statements[q]; s != nil {
		return s, nil
	}
	s, err := c.raw.Prepare(texts[q])
	if err != nil {
		return nil, err
	}
	c.statements[q] = s.(statement)
	return c.statements[q], nil
}

func (c *conn) named(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, value := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return c.args
}

// exec runs a write and returns how many rows it changed.
func (c *conn) exec(q query, args ...driver.Value) (changed int64, err error) {
	s, err := c.prepare(q)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), c.named(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// read runs a query and calls each with every row of its result.
func (c *conn) read(q query, each func(*row), args ...driver.Value) (err error) {
	s, err := c.prepare(q)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), c.named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		if err := rows.Next(r.values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r.next = 0
		each(&r)
	}
}

// one is read for a query that has at most one row; it reports whether it had.
func (c *conn) one(q query, scan func(*row), args ...driver.Value) (found bool, err error) {
	err = c.read(q, func(r *row) {
		found = true
		scan(r)
	}, args...)
	return found, err
}

// isTaken reports whether a row was refused because its key exists.
func isTaken(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return true
	}
	return false
}
