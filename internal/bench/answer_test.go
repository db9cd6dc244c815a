package bench

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 303 See Other\r\nLocation: http://127.0.0.1:1/x?vfp=1\r\nSet-Cookie: __Host-holdfast=abc; Path=/; Secure\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nX-Request-Id: 1\r\n\r\n",
	"HTTP/1.1 400 Bad Request\r\ncontent-length:3\r\nconnection: Close\r\n\r\nbad",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\nabc",
	"HTTP/1.1 20\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
}

func TestAnswersOneByteAtATime(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, location, cookie string }{
		{"hello", "", ""},
		{"", "http://127.0.0.1:1/x?vfp=1", "__Host-holdfast=abc"},
		{"abc0123456789", "", ""},
		{"", "", ""},
		{"bad", "", ""},
	}
	for i, want := range tests {
		got, err := readWhole(iotest.OneByteReader(strings.NewReader(answers[i])))
		if err != nil {
			t.Errorf("answer %d: %v", i, err)
			continue
		}
		if string(got.Body) != want.body || string(got.Location) != want.location || string(got.Cookie) != want.cookie {
			t.Errorf("answer %d reads %q, Location %q, cookie %q", i, got.Body, got.Location, got.Cookie)
		}
	}
	for i := len(tests); i < len(answers); i++ {
		if got, err := readWhole(strings.NewReader(answers[i])); err == nil {
			t.Errorf("answer %d is nonsense and reads as status %d", i, got.Status)
		}
	}
}

// Whatever our parser takes, the standard library's reads the same.
func FuzzAnswer(f *testing.F) {
	for _, seed := range answers {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readWhole(bytes.NewReader(raw))
		if err != nil {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			return // stricter than we need to be
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			return
		}
		if got.Status != want.StatusCode || !bytes.Equal(got.Body, body) {
			t.Errorf("we read %d %q, the standard library %d %q", got.Status, got.Body, want.StatusCode, body)
		}
	})
}

func TestALongAnswerGrowsTheBuffer(t *testing.T) {
	t.Parallel()
	raw := "HTTP/1.1 200 OK\r\nLocation: /a\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("x", 50000)
	got, err := readWhole(strings.NewReader(raw))
	if err != nil || len(got.Body) != 50000 || string(got.Location) != "/a" {
		t.Errorf("%d bytes, Location %q, %v", len(got.Body), got.Location, err)
	}
}

// readWhole reads an answer as a connection does.
func readWhole(r io.Reader) (Answer, error) {
	c := &Conn{c: reading{Reader: r}, buf: make([]byte, 64)}
	var a Answer
	err := c.read(&a)
	return a, err
}

// reading is a connection that only reads.
type reading struct {
	net.Conn
	io.Reader
}

func (r reading) Read(b []byte) (int, error) { return r.Reader.Read(b) }
