package sqlite

import (
	"errors"
	"net/url"
	"slices"

	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how many milliseconds a connection waits for another process's
// write, such as that of `holdfast client add`.
const busyTimeout = "5000"

// pragmas are what every connection needs. FULL syncs the log at each commit: in
// WAL mode the default loses commits when the machine loses power.
var pragmas = []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}

func fileURI(path string, q url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// query is a statement, prepared once on each connection that runs it.
type query int

var texts []string

func prepared(text string) query {
	texts = append(texts, text)
	return query(len(texts) - 1)
}

// conn is one connection with its prepared statements, for one goroutine at a
// time.
type conn struct {
	*engine
	statements []uintptr // by query; 0 where it has not been prepared
}

// openConn opens a connection with the pragmas that all need and those of its own.
func openConn(path string, own ...string) (*conn, error) {
	e, err := openEngine(fileURI(path, url.Values{"mode": {"rw"}}))
	if err != nil {
		return nil, err
	}
	c := &conn{engine: e, statements: make([]uintptr, len(texts))}
	script := "PRAGMA busy_timeout = " + busyTimeout
	for _, pragma := range append(slices.Clone(pragmas), own...) {
		script += "; PRAGMA " + pragma
	}
	if err := e.run(script); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *conn) close() error {
	for _, stmt := range c.statements {
		c.finalize(stmt) // 0 is nothing to it
	}
	return c.engine.close()
}

// start gives the statement its arguments. Whoever runs it resets it, so that it
// holds no lock.
func (c *conn) start(q query, args []any) (stmt uintptr, err error) {
	if c.statements[q] == 0 {
		if err := c.prepare(texts[q], &c.statements[q]); err != nil {
			return 0, err
		}
	}
	return c.statements[q], c.bind(c.statements[q], args)
}

// exec runs a write and returns how many rows it changed.
func (c *conn) exec(q query, args ...any) (changed int64, err error) {
	stmt, err := c.start(q, args)
	if err != nil {
		return 0, err
	}
	defer c.reset(stmt)
	if _, err := c.step(stmt); err != nil {
		return 0, err
	}
	return c.changed(), nil
}

// read runs a query and calls each with every row of its result.
func (c *conn) read(q query, each func(*row), args ...any) error {
	stmt, err := c.start(q, args)
	if err != nil {
		return err
	}
	defer c.reset(stmt)
	r := row{engine: c.engine, stmt: stmt}
	for {
		more, err := c.step(stmt)
		if err != nil || !more {
			return err
		}
		r.next = 0
		each(&r)
	}
}

// one is read for a query that has at most one row; it reports whether it had.
func (c *conn) one(q query, scan func(*row), args ...any) (found bool, err error) {
	err = c.read(q, func(r *row) {
		found = true
		scan(r)
	}, args...)
	return found, err
}

// isTaken reports whether a row was refused because its key exists.
func isTaken(err error) bool {
	var e *engineError
	if !errors.As(err, &e) {
		return false
	}
	switch e.code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return true
	}
	return false
}
