package postgres

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// fields reads the columns of one row of a result in PostgreSQL's binary format,
// in order: the counterpart of rows. NULL is nil, and reads as the zero value.
type fields [][]byte

func (f *fields) next() []byte {
	v := (*f)[0]
	*f = (*f)[1:]
	return v
}

func (f *fields) int64() int64 {
	if v := f.next(); len(v) == 8 {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (f *fields) int16() int {
	if v := f.next(); len(v) == 2 {
		return int(int16(binary.BigEndian.Uint16(v)))
	}
	return 0
}

func (f *fields) text() string { return string(f.next()) }

func (f *fields) uuid() (u [16]byte) {
	copy(u[:], f.next())
	return u
}

func (f *fields) digest() (d [32]byte) {
	copy(d[:], f.next())
	return d
}

// bytes copies: the driver uses its memory again.
func (f *fields) bytes() []byte { return append([]byte(nil), f.next()...) }

func (f *fields) time() time.Time {
	if v := f.next(); len(v) == 8 {
		return time.UnixMicro(int64(binary.BigEndian.Uint64(v)) + microsTo2000).UTC()
	}
	return time.Time{}
}

// addr reads an inet: family, bits, is_cidr, length, address.
func (f *fields) addr() netip.Addr {
	v := f.next()
	if len(v) < 4 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(v[4:])
	return a
}
