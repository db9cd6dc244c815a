package postgres

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// rows gathers the parameters of one multi-row statement: an array for each
// column, in PostgreSQL's binary format (the array_recv and …_recv functions of
// its source). It is written by hand because every write of the hot path goes
// through it, and costs a tenth of what reflection over slices does.
//
// A row is begun with its key and filled column by column, in the order of the
// statement's parameters.
type rows struct {
	n       int
	at      int
	columns [][]byte // array header, then the elements
}

// arrayHeader is the size of a one-dimensional array's header: number of
// dimensions, whether there are NULLs, the element's type, length, lower bound.
const arrayHeader = 20

// reset forgets all rows and keeps the memory.
func (r *rows) reset() {
	r.n, r.at = 0, 0
	for i := range r.columns {
		r.columns[i] = r.columns[i][:arrayHeader]
	}
}

// begin starts the next row with its key.
func (r *rows) begin(key int64) {
	r.n++
	r.at = 0
	r.int64(key)
}

// params are the statement's parameters; they are valid until the next reset.
func (r *rows) params() [][]byte {
	for _, column := range r.columns {
		binary.BigEndian.PutUint32(column[12:], uint32(r.n))
	}
	return r.columns
}

// element adds an element of n bytes to the current column and returns where it
// goes. n < 0 makes it NULL.
func (r *rows) element(oid uint32, n int) []byte {
	if r.at == len(r.columns) {
		header := make([]byte, arrayHeader, 4096)
		binary.BigEndian.PutUint32(header[0:], 1)
		binary.BigEndian.PutUint32(header[4:], 1) // NULLs may come
		binary.BigEndian.PutUint32(header[8:], oid)
		binary.BigEndian.PutUint32(header[16:], 1)
		r.columns = append(r.columns, header)
	}
	column := binary.BigEndian.AppendUint32(r.columns[r.at], uint32(int32(n)))
	start := len(column)
	if n > 0 {
		column = append(column, make([]byte, n)...) // compiled to growing in place
	}
	r.columns[r.at] = column
	r.at++
	return column[start:]
}

func (r *rows) int64(v int64) {
	binary.BigEndian.PutUint64(r.element(pgtype.Int8OID, 8), uint64(v))
}

func (r *rows) int16(v int) {
	binary.BigEndian.PutUint16(r.element(pgtype.Int2OID, 2), uint16(v))
}

func (r *rows) text(v string) { copy(r.element(pgtype.TextOID, len(v)), v) }

func (r *rows) uuid(v [16]byte) { copy(r.element(pgtype.UUIDOID, 16), v[:]) }

// bytes writes nil as NULL.
func (r *rows) bytes(v []byte) {
	if v == nil {
		r.element(pgtype.ByteaOID, -1)
		return
	}
	copy(r.element(pgtype.ByteaOID, len(v)), v)
}

// digest writes a zero digest as NULL.
func (r *rows) digest(v [32]byte) {
	if v == [32]byte{} {
		r.element(pgtype.ByteaOID, -1)
		return
	}
	copy(r.element(pgtype.ByteaOID, 32), v[:])
}

// microsTo2000 is PostgreSQL's epoch in Unix microseconds.
const microsTo2000 = 946684800000000

// time writes the zero time as what it is, the first of January of the year 1.
func (r *rows) time(v time.Time) {
	binary.BigEndian.PutUint64(r.element(pgtype.TimestamptzOID, 8), uint64(v.UnixMicro()-microsTo2000))
}

// noTime writes NULL in a column of times.
func (r *rows) noTime() { r.element(pgtype.TimestamptzOID, -1) }

// addr writes an invalid address as NULL. A zone is dropped.
func (r *rows) addr(v netip.Addr) {
	const inet4, inet6 = 2, 3 // PGSQL_AF_INET, PGSQL_AF_INET6
	switch {
	case !v.IsValid():
		r.element(pgtype.InetOID, -1)
	case v.Is4():
		raw := v.As4()
		b := r.element(pgtype.InetOID, 8)
		b[0], b[1], b[3] = inet4, 32, 4
		copy(b[4:], raw[:])
	default:
		raw := v.As16()
		b := r.element(pgtype.InetOID, 20)
		b[0], b[1], b[3] = inet6, 128, 16
		copy(b[4:], raw[:])
	}
}
