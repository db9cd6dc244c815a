package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	sqlite3 "modernc.org/sqlite/lib"
)

// engine is one connection to SQLite, for one goroutine at a time.
//
// It calls SQLite's C interface (as modernc.org/sqlite/lib has it in Go) and not
// the database/sql driver above it, which asks for each column's name and
// declared type at every query, copies every argument into memory of its own,
// and locks the connection at every call: two thirds of what a short read takes.
type engine struct {
	tls *libc.TLS
	db  uintptr

	// arena holds the texts and blobs of one execution's arguments, where SQLite
	// reads them; the next execution overwrites them.
	arena     uintptr
	arenaSize int
}

// engineError is a result code of SQLite's, with its words.
type engineError struct {
	code int32 // extended
	text string
}

// Error implements error.
func (e *engineError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

var errNoMemory = errors.New("sqlite: out of memory")

// openEngine opens the database that uri names, "file:…?mode=rw".
func openEngine(uri string) (*engine, error) {
	e := &engine{tls: libc.NewTLS()}
	name, err := libc.CString(uri)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(e.tls, name)
	// e is on the heap, where nothing moves: its field can be written by address.
	const flags = sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_URI | sqlite3.SQLITE_OPEN_NOMUTEX
	rc := sqlite3.Xsqlite3_open_v2(e.tls, name, uintptr(unsafe.Pointer(&e.db)), flags, 0)
	if rc != sqlite3.SQLITE_OK {
		return nil, errors.Join(e.failure(rc), e.close())
	}
	sqlite3.Xsqlite3_extended_result_codes(e.tls, e.db, 1)
	return e, nil
}

// close ends the connection; its statements must have been finalized.
func (e *engine) close() error {
	var err error
	if rc := sqlite3.Xsqlite3_close_v2(e.tls, e.db); rc != sqlite3.SQLITE_OK {
		err = e.failure(rc)
	}
	libc.Xfree(e.tls, e.arena)
	e.tls.Close()
	return err
}

// failure is the error that rc stands for.
func (e *engine) failure(rc int32) error {
	words := sqlite3.Xsqlite3_errmsg(e.tls, e.db)
	if rc != sqlite3.Xsqlite3_extended_errcode(e.tls, e.db) {
		words = sqlite3.Xsqlite3_errstr(e.tls, rc)
	}
	return &engineError{code: rc, text: libc.GoString(words)}
}

// prepare compiles one statement and writes its handle to *stmt, which must be on
// the heap.
func (e *engine) prepare(text string, stmt *uintptr) error {
	source, err := libc.CString(text)
	if err != nil {
		return err
	}
	defer libc.Xfree(e.tls, source)
	rc := sqlite3.Xsqlite3_prepare_v3(e.tls, e.db, source, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, uintptr(unsafe.Pointer(stmt)), 0)
	if rc != sqlite3.SQLITE_OK {
		return e.failure(rc)
	}
	return nil
}

func (e *engine) finalize(stmt uintptr) { sqlite3.Xsqlite3_finalize(e.tls, stmt) }

// run executes statements that need to be run only once, without arguments.
func (e *engine) run(script string) error {
	source, err := libc.CString(script)
	if err != nil {
		return err
	}
	defer libc.Xfree(e.tls, source)
	if rc := sqlite3.Xsqlite3_exec(e.tls, e.db, source, 0, 0, 0); rc != sqlite3.SQLITE_OK {
		return e.failure(rc)
	}
	return nil
}

// bind sets all of a statement's arguments: int64, string, []byte or nil.
func (e *engine) bind(stmt uintptr, args []any) error {
	size := 0
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	if err := e.reserve(size); err != nil {
		return err
	}
	free := e.arena
	for i, arg := range args {
		var rc int32
		n := int32(i + 1)
		switch v := arg.(type) {
		case nil:
			rc = sqlite3.Xsqlite3_bind_null(e.tls, stmt, n)
		case int64:
			rc = sqlite3.Xsqlite3_bind_int64(e.tls, stmt, n, v)
		case string:
			copy(libc.GoBytes(free, len(v)), v)
			rc = sqlite3.Xsqlite3_bind_text(e.tls, stmt, n, free, int32(len(v)), sqlite3.SQLITE_STATIC)
			free += uintptr(len(v))
		case []byte:
			if v == nil {
				rc = sqlite3.Xsqlite3_bind_null(e.tls, stmt, n)
				break
			}
			copy(libc.GoBytes(free, len(v)), v)
			rc = sqlite3.Xsqlite3_bind_blob(e.tls, stmt, n, free, int32(len(v)), sqlite3.SQLITE_STATIC)
			free += uintptr(len(v))
		default:
			return fmt.Errorf("sqlite: an argument of type %T", arg)
		}
		if rc != sqlite3.SQLITE_OK {
			return e.failure(rc)
		}
	}
	return nil
}

// reserve makes the arena at least size bytes and one, so that an empty text has
// an address too, without which it would be NULL.
func (e *engine) reserve(size int) error {
	if size < e.arenaSize {
		return nil
	}
	libc.Xfree(e.tls, e.arena)
	e.arenaSize = max(4096, 2*size)
	if e.arena = libc.Xmalloc(e.tls, types.Size_t(e.arenaSize)); e.arena == 0 {
		e.arenaSize = 0
		return errNoMemory
	}
	return nil
}

// step runs a statement until its next row; more is false at its end.
func (e *engine) step(stmt uintptr) (more bool, err error) {
	switch rc := sqlite3.Xsqlite3_step(e.tls, stmt); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, e.failure(rc)
	}
}

// reset makes a statement ready to be bound and run again. It repeats step's
// error, which has been told already.
func (e *engine) reset(stmt uintptr) { sqlite3.Xsqlite3_reset(e.tls, stmt) }

// changed is how many rows the last INSERT, UPDATE or DELETE has changed.
func (e *engine) changed() int64 { return sqlite3.Xsqlite3_changes64(e.tls, e.db) }

// pagesWritten is how many pages the connection has written to the log since the
// last call.
func (e *engine) pagesWritten() int {
	const andReset = 1
	at := e.tls.Alloc(16)
	defer e.tls.Free(16)
	rc := sqlite3.Xsqlite3_db_status(e.tls, e.db, sqlite3.SQLITE_DBSTATUS_CACHE_WRITE, at, at+8, andReset)
	if rc != sqlite3.SQLITE_OK {
		return 0
	}
	return int(binary.NativeEndian.Uint32(libc.GoBytes(at, 4)))
}

// checkpoint copies as much of the log into the database as can be copied
// without waiting for anyone. That it fails harms nothing: all is in the log, and
// there will be a next time.
func (e *engine) checkpoint() {
	sqlite3.Xsqlite3_wal_checkpoint_v2(e.tls, e.db, 0, sqlite3.SQLITE_CHECKPOINT_PASSIVE, 0, 0)
}

// integer is a column as a number; 0 where it is NULL.
func (e *engine) integer(stmt uintptr, column int32) int64 {
	return sqlite3.Xsqlite3_column_int64(e.tls, stmt, column)
}

// bytes is a column's text or blob, in SQLite's memory: to be copied before the
// next step. nil where it is NULL or empty.
func (e *engine) bytes(stmt uintptr, column int32) []byte {
	at := sqlite3.Xsqlite3_column_blob(e.tls, stmt, column)
	if at == 0 {
		return nil
	}
	return libc.GoBytes(at, int(sqlite3.Xsqlite3_column_bytes(e.tls, stmt, column)))
}

func (e *engine) isNull(stmt uintptr, column int32) bool {
	return sqlite3.Xsqlite3_column_type(e.tls, stmt, column) == sqlite3.SQLITE_NULL
}
