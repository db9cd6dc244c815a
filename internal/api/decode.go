package api

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/verify"
)

// Every body that the API takes is one flat object of strings, so it has a reader
// of its own: in one pass, and stricter than encoding/json, which takes names in
// any case, doubled names, broken UTF-8 and surrogates. It reports every bad
// field of a body, where a general decoder stops at the first.

// field is what a body's reader knows of a field.
type field struct {
	name     string
	optional bool // may be left out; but then not be empty
	max      int  // in bytes; 0 leaves it to the rules behind the transport
	free     bool // control characters are judged by the rules behind the transport
}

// body is a request's body.
type body interface {
	fields() []field
	// text is where the i-th field's value goes.
	text(i int) *string
	reading() *reading
}

// reading is how the reading of a body went.
type reading struct {
	bad    []verify.Field
	seen   uint // by the index of the field
	broken bool // it could not be read to its end: bad has the one reason
}

// has reports whether the i-th field was there.
func (r *reading) has(i int) bool { return r.seen&(1<<i) != 0 }

// maxBad bounds how many bad fields are reported.
const maxBad = 20

func (r *reading) refuse(name, reason string) {
	for _, f := range r.bad {
		if f.Name == name {
			return
		}
	}
	if len(r.bad) < maxBad {
		r.bad = append(r.bad, verify.Field{Name: name, Reason: reason})
	}
}

// require refuses the fields that are not optional and are missing or empty.
func (r *reading) require(b body) {
	for i, f := range b.fields() {
		if !f.optional && *b.text(i) == "" {
			r.refuse(f.name, "is required")
		}
	}
}

// decode reads a whole body (RFC 8259) into b; b.reading() says how it went.
func decode(data []byte, b body) {
	s := scanner{data: data}
	r := b.reading()
	reason := s.object(b, r)
	if reason == "" && s.peek() != 0 {
		reason = "has something after the JSON object"
	}
	if reason == "" && !utf8.Valid(data) {
		reason = "is not in UTF-8"
	}
	if reason != "" {
		*r = reading{broken: true, bad: []verify.Field{{Name: "body", Reason: reason}}}
	}
}

const notJSON = "is not valid JSON"

// object reads the members of the one object. It returns "" or why it can't be
// read at all.
func (s *scanner) object(b body, r *reading) (broken string) {
	if s.peek() != '{' {
		return "must be a JSON object"
	}
	s.at++
	if s.peek() == '}' {
		s.at++
		return ""
	}
	for {
		name, ok := s.key()
		if !ok || !s.member(name, b, r) {
			return notJSON
		}
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			return ""
		default:
			return notJSON
		}
	}
}

func (s *scanner) key() (name string, ok bool) {
	if s.peek() != '"' {
		return "", false
	}
	if name, ok = s.text(); !ok || s.peek() != ':' {
		return "", false
	}
	s.at++
	return name, true
}

// member reads one value; false means that it is not JSON.
func (s *scanner) member(name string, b body, r *reading) bool {
	fields := b.fields()
	i := indexOf(fields, name)
	kind := s.peek()
	if kind != '"' || i < 0 {
		if !s.skip(0) {
			return false
		}
		if i < 0 {
			refuseUnknown(fields, name, r)
		} else {
			r.seen |= 1 << i
			r.refuse(name, "must be a string, not "+kindName(kind))
		}
		return true
	}
	value, ok := s.text()
	if !ok {
		return false
	}
	f := fields[i]
	switch {
	case r.has(i):
		r.refuse(name, "is there more than once")
	case f.optional && value == "":
		r.refuse(name, "is empty; leave it out, or give it a value")
	case f.max > 0 && len(value) > f.max:
		r.refuse(name, "is too long")
	case !f.free && strings.ContainsFunc(value, unicode.IsControl):
		r.refuse(name, "must have no control characters")
	default:
		*b.text(i) = value
	}
	r.seen |= 1 << i
	return true
}

func indexOf(fields []field, name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

// refuseUnknown names an unknown field only where it looks like a name: a
// caller's mistake may have put a number or a secret there.
func refuseUnknown(fields []field, name string, r *reading) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			r.refuse(name, "is not a field of this request; its name is "+f.name)
			return
		}
	}
	looksLikeOne := len(name) > 0 && len(name) <= 32 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_'
	})
	if !looksLikeOne {
		r.refuse("body", "has a field that is none of this request's")
		return
	}
	r.refuse(name, "is not a field of this request")
}

func kindName(first byte) string {
	switch first {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "an array"
	case '{':
		return "an object"
	default:
		return "a number"
	}
}
