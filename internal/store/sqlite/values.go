package sqlite

import (
	"database/sql/driver"
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

func optionalTime(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func optionalText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func optionalDigest(d secret.Digest) driver.Value {
	if d == (secret.Digest{}) {
		return nil
	}
	return d[:]
}

func addrBytes(a netip.Addr) driver.Value {
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

func reasonsText(reasons []verify.Reason) driver.Value {
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
	values []driver.Value
	next   int
}

func (r *row) value() driver.Value {
	v := r.values[r.next]
	r.next++
	return v
}

func (r *row) int() int64 {
	n, _ := r.value().(int64)
	return n
}

func (r *row) bool() bool { return r.int() != 0 }

func (r *row) text() string {
	s, _ := r.value().(string)
	return s
}

func (r *row) blob() []byte {
	b, _ := r.value().([]byte)
	return b
}

func (r *row) time() time.Time {
	n, ok := r.value().(int64)
	if !ok {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func (r *row) uuid() (u uuid.UUID) {
	copy(u[:], r.blob())
	return u
}

func (r *row) digest() (d secret.Digest) {
	copy(d[:], r.blob())
	return d
}

func (r *row) addr() netip.Addr {
	a, _ := netip.AddrFromSlice(r.blob())
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
