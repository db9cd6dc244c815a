package api

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks over JSON text (RFC 8259).
type scanner struct {
	data []byte
	at   int
}

// maxDepth bounds the nesting of values that are skipped: they are refused anyway.
const maxDepth = 32

// peek skips white space and returns the next byte, or 0 at the end (a 0 in the
// text is no JSON either).
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		case 0:
			return 1
		default:
			return c
		}
	}
	return 0
}

// text reads a string at its opening quote.
func (s *scanner) text() (string, bool) {
	s.at++
	start := s.at
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return string(s.data[start : s.at-1]), true
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", false
		}
		s.at++
	}
	return "", false
}

// escaped reads the rest of a string from its first backslash.
func (s *scanner) escaped(start int) (string, bool) {
	out := append(make([]byte, 0, 2*(s.at-start)+32), s.data[start:s.at]...)
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch {
		case c == '"':
			return string(out), true
		case c < ' ':
			return "", false
		case c != '\\':
			out = append(out, c)
		default:
			r, ok := s.escape()
			if !ok {
				return "", false
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", false
}

// escape reads what follows a backslash.
func (s *scanner) escape() (rune, bool) {
	if s.at >= len(s.data) {
		return 0, false
	}
	c := s.data[s.at]
	s.at++
	if c == 'u' {
		return s.unicode()
	}
	const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := bytes.IndexByte([]byte(names), c)
	if i < 0 {
		return 0, false
	}
	return rune(values[i]), true
}

// unicode reads four hexadecimal digits, or a whole pair of surrogates: half a
// pair is no character.
func (s *scanner) unicode() (rune, bool) {
	r, ok := s.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if s.at+2 > len(s.data) || s.data[s.at] != '\\' || s.data[s.at+1] != 'u' {
		return 0, false
	}
	s.at += 2
	low, ok := s.hex()
	whole := utf16.DecodeRune(r, low)
	return whole, ok && whole != utf8.RuneError
}

func (s *scanner) hex() (rune, bool) {
	if s.at+4 > len(s.data) {
		return 0, false
	}
	var r rune
	for _, c := range s.data[s.at : s.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += 4
	return r, true
}

// skip walks over a value of any kind; false means that it is not JSON.
func (s *scanner) skip(depth int) bool {
	switch c := s.peek(); c {
	case '"':
		_, ok := s.text()
		return ok
	case '{', '[':
		return depth < maxDepth && s.skipNested(depth, c)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// skipNested walks over an object or an array, from its opening bracket.
func (s *scanner) skipNested(depth int, open byte) bool {
	closing := open + 2 // in ASCII, of both
	s.at++
	if s.peek() == closing {
		s.at++
		return true
	}
	for {
		if open == '{' {
			if _, ok := s.key(); !ok {
				return false
			}
		}
		if !s.skip(depth + 1) {
			return false
		}
		switch s.peek() {
		case ',':
			s.at++
		case closing:
			s.at++
			return true
		default:
			return false
		}
	}
}

func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) number() bool {
	if s.is('-') {
		s.at++
	}
	if s.is('0') {
		s.at++
	} else if !s.digits() {
		return false
	}
	if s.is('.') {
		s.at++
		if !s.digits() {
			return false
		}
	}
	if s.is('e') || s.is('E') {
		s.at++
		if s.is('+') || s.is('-') {
			s.at++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) is(c byte) bool { return s.at < len(s.data) && s.data[s.at] == c }

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}
