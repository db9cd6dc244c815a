package sqlite

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/secret"
	"holdfast/internal/verify"
)

// How values are stored: the functions give what is bound, the methods of row
// read it back.

func micros(t time.Time) int64 { return t.UnixMicro() }

func optionalTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func optionalText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func optionalDigest(d secret.Digest) any {
	if d == (secret.Digest{}) {
		return nil
	}
	return d[:]
}

func addrBytes(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func reasonsText(reasons []verify.Reason) any {
	var b strings.Builder
	for i, r := range reasons {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(r))
	}
	return optionalText(b.String())
}

// row is one row of a result, read column by column from the left. NULL reads as
// the type's zero value.
type row struct {
	*engine
	stmt uintptr
	next int32
}

func (r *row) column() int32 {
	r.next++
	return r.next - 1
}

func (r *row) int() int64 { return r.integer(r.stmt, r.column()) }

func (r *row) bool() bool { return r.int() != 0 }

func (r *row) text() string { return string(r.view()) }

func (r *row) blob() []byte { return bytes.Clone(r.view()) }

// view is a text or blob while this row is the current one.
func (r *row) view() []byte { return r.bytes(r.stmt, r.column()) }

func (r *row) time() time.Time {
	column := r.column()
	n := r.integer(r.stmt, column)
	if n == 0 && r.isNull(r.stmt, column) {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func (r *row) uuid() (u uuid.UUID) {
	copy(u[:], r.view())
	return u
}

func (r *row) digest() (d secret.Digest) {
	copy(d[:], r.view())
	return d
}

func (r *row) addr() netip.Addr {
	a, _ := netip.AddrFromSlice(r.view())
	return a
}

func (r *row) reasons() []verify.Reason {
	text := r.text()
	if text == "" {
		return nil
	}
	words := strings.Split(text, ",")
	reasons := make([]verify.Reason, len(words))
	for i, word := range words {
		reasons[i] = verify.Reason(word)
	}
	return reasons
}
