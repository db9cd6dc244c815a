package bench

import (
	"bytes"
	"errors"
)

// Answer is what a journey needs of an HTTP/1.1 answer. Its slices point into
// the connection's buffer and hold until the next request.
type Answer struct {
	Status   int
	Body     []byte
	Location []byte
	Cookie   []byte // the first Set-Cookie's name=value
	Close    bool   // the server ends the connection
}

// head is what the header section tells of the body.
type head struct {
	length  int  // of the body; -1 where it goes to the connection's end
	chunked bool // RFC 9112 section 7.1
}

var (
	errAnswer = errors.New("bench: an answer can't be read")
	headEnd   = []byte("\r\n\r\n")
	lineEnd   = []byte("\r\n")
)

// parseHead reads the header section (RFC 9112 sections 4 and 5) at the start of
// b into a. used is its length, 0 while it is incomplete.
func parseHead(b []byte, a *Answer) (h head, used int, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return head{}, 0, nil
	}
	used = end + len(headEnd)
	*a = Answer{}
	line, rest := nextLine(b[:end+len(lineEnd)])
	if len(line) < 12 || string(line[:7]) != "HTTP/1." {
		return head{}, 0, errAnswer
	}
	if a.Status = number(line[9:12]); a.Status < 200 {
		return head{}, 0, errAnswer // our servers send no 1xx
	}
	h.length = -1
	for len(rest) > 0 {
		line, rest = nextLine(rest)
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return head{}, 0, errAnswer
		}
		if err := h.field(line[:colon], bytes.Trim(line[colon+1:], " \t"), a); err != nil {
			return head{}, 0, err
		}
	}
	if a.Status == 204 || a.Status == 304 {
		h = head{}
	}
	return h, used, nil
}

// field looks at the length of a name before it compares it: most are none of ours.
func (h *head) field(name, value []byte, a *Answer) error {
	switch len(name) {
	case len("location"):
		if is(name, "location") {
			a.Location = value
		}
	case len("connection"): // and set-cookie
		if is(name, "connection") {
			a.Close = is(value, "close")
		} else if is(name, "set-cookie") && a.Cookie == nil {
			a.Cookie, _, _ = bytes.Cut(value, []byte(";"))
		}
	case len("content-length"):
		if is(name, "content-length") {
			if h.length = number(value); h.length < 0 {
				return errAnswer
			}
		}
	case len("transfer-encoding"):
		if is(name, "transfer-encoding") {
			h.chunked = is(value, "chunked")
		}
	}
	return nil
}

// unchunk moves the chunks at the start of b together. used is the length of all
// of them, 0 while they are incomplete. Trailers are refused; ours sends none.
func unchunk(b []byte) (body []byte, used int, err error) {
	if !complete(b) {
		return nil, 0, nil
	}
	body, pos := b[:0], 0
	for {
		line, _ := nextLine(b[pos:])
		size := hex(line)
		if size < 0 {
			return nil, 0, errAnswer
		}
		pos += len(line) + len(lineEnd)
		if len(b) < pos+size+len(lineEnd) || string(b[pos+size:pos+size+2]) != "\r\n" {
			return nil, 0, errAnswer
		}
		if size == 0 {
			return body, pos + len(lineEnd), nil
		}
		body = append(body, b[pos:pos+size]...)
		pos += size + len(lineEnd)
	}
}

// complete walks the chunks without moving them, since what has been moved can't
// be read again once more has arrived.
func complete(b []byte) bool {
	for pos := 0; ; {
		end := bytes.Index(b[pos:], lineEnd)
		if end < 0 {
			return false
		}
		size := hex(b[pos : pos+end])
		pos += end + len(lineEnd) + max(size, 0) + len(lineEnd)
		if pos > len(b) {
			return false
		}
		if size <= 0 {
			return true
		}
	}
}

func nextLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, lineEnd)
	return line, rest
}

// number reads decimal digits; anything else, or more than seven, is -1.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 7 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// hex reads hexadecimal digits; anything else, or more than six, is -1.
func hex(b []byte) int {
	if len(b) == 0 || len(b) > 6 {
		return -1
	}
	n := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		n = n<<4 | int(c)
	}
	return n
}

// is compares ASCII without regard to case; lower is in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
