// Package phone holds telephone numbers of the United States and Canada that
// can't be printed by accident: every way a value usually reaches a log, an
// error or JSON shows a mask, and only E164 shows the number.
//
// It is a leaf: the rules for what a caller may type live here and nowhere
// else (contract section 2: a national number of ten digits, beside a country).
package phone

import (
	"encoding/json"
	"log/slog"
	"strings"
)

// Country is an ISO 3166-1 alpha-2 code, of those that Holdfast serves.
type Country string

// The countries that Send Link accepts.
const (
	US Country = "US"
	CA Country = "CA"
)

// Number is one subscriber's number in E.164 form with the country it belongs
// to. The zero value is no number. Numbers are comparable.
type Number struct {
	e164    string
	country Country
}

// Stored rebuilds a number that Parse once made, from the columns it was
// written to. It does not validate.
func Stored(e164 string, country Country) Number {
	return Number{e164: e164, country: country}
}

// E164 returns the number in clear, "+1" and ten digits. Call it only where the
// number has to leave: the gateway, the carrier, the result, the store.
func (n Number) E164() string { return n.e164 }

// National returns the ten digits after the country code.
func (n Number) National() string { return strings.TrimPrefix(n.e164, "+1") }

// Country tells which country's plan the number belongs to.
func (n Number) Country() Country { return n.country }

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n.e164 == "" }

// String masks all but the last two digits.
func (n Number) String() string {
	if len(n.e164) < 4 {
		return "(no number)"
	}
	return "+1••••••••" + n.e164[len(n.e164)-2:]
}

// GoString masks like String, so that %#v shows no number either.
func (n Number) GoString() string { return "phone.Number(" + n.String() + ")" }

// LogValue masks like String.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalJSON masks like String.
func (n Number) MarshalJSON() ([]byte, error) { return json.Marshal(n.String()) }
