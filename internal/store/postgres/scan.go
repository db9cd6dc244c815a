package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"holdfast/internal/secret"
)

// instant reads a timestamptz in UTC, NULL as the zero time.
type instant struct{ *time.Time }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (t instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	*t.Time = time.Time{}
	if v.Valid {
		*t.Time = v.Time.UTC()
	}
	return nil
}

// digest reads a bytea of 32 bytes, NULL as the zero digest.
type digest struct{ *secret.Digest }

// ScanBytes implements pgtype.BytesScanner.
func (d digest) ScanBytes(v []byte) error {
	*d.Digest = secret.Digest{}
	copy(d.Digest[:], v)
	return nil
}

// words reads a text, NULL as "".
type words struct{ *string }

// ScanText implements pgtype.TextScanner.
func (w words) ScanText(v pgtype.Text) error {
	*w.string = v.String
	return nil
}
