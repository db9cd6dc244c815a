package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The paths of the API (contract section 2).
const (
	loginPath  = "/api/customers/login"
	sendPath   = "/api/v3/us-kyc/send-link"
	resultPath = "/api/v3/us-kyc/link-result"
)

// step is one measured part of a journey.
type step int

// The steps, in a journey's order.
const (
	sendStep     step = iota // Send Link, accepted
	smsStep                  // from then until the sink has the text
	pageStep                 // GET of the link
	confirmStep              // POST of the link, until the redirect
	carrierStep              // the pretend carrier's own redirect; none of our server's work
	callbackStep             // the carrier's callback, until the redirect with the fingerprint
	resultStep               // the fingerprint redeemed
	steps
)

// tally is what was counted of each step.
type tally struct {
	hist   [steps]Histogram
	errors [steps]int64
	cause  [steps]error // the first
}

func (t *tally) fail(s step, err error) {
	if t.errors[s]++; t.cause[s] == nil {
		t.cause[s] = err
	}
}

func (t *tally) add(o *tally) {
	for s := range o.hist {
		if o.hist[s].Count() > 0 {
			t.hist[s].Add(&o.hist[s])
		}
		t.errors[s] += o.errors[s]
		if t.cause[s] == nil {
			t.cause[s] = o.cause[s]
		}
	}
}

// lane is one of the load's clients and its consumer's phone: one connection to
// each server, requests built ahead, and its own counts. It is for one goroutine.
type lane struct {
	host    string // of ours, as the Host field has it
	ours    *Conn
	bare    *Conn
	carrier *Conn // dialled when the first redirect says where

	send     sendLink
	confirm  []byte // whole request, its cookie last
	token    []byte // the token's place in confirm
	access   []byte // the access token
	request  []byte // scratch
	cookie   []byte // what this phone's browser has for ours
	session  [sessionSize]byte
	next     int // number to use next
	stride   int
	accepted int64
	box      chan link // texts to the lane's own number
	patience *time.Timer

	answer Answer
	until  time.Time // answers after it don't count
	tally  tally
}

const sessionSize = 36

var (
	errNoText  = errors.New("no text came within 5s")
	errResult  = errors.New("the result does not say that it is this session's phone")
	errNoVFP   = errors.New("the redirect has no fingerprint")
	errForeign = errors.New("the redirect leads somewhere else")
)

// sendLink is a whole Send Link request, its number to be written over.
type sendLink struct{ whole, number []byte }

func newSendLink(host, target, access string) sendLink {
	body := `{"targetUrl":"` + target + `","mobileNumber":"` + noNumber + `","countryCode":"US","sourceIp":"` + phoneAddr + `"}`
	whole := []byte("POST " + sendPath + " HTTP/1.1\r\nHost: " + host + "\r\n" + forwarded + "Content-Type: application/json\r\nAuthorization: " + access +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	at := bytes.LastIndex(whole, []byte(noNumber))
	return sendLink{whole: whole, number: whole[at : at+numberSize]}
}

// newLane builds the requests of lane n of all.
func newLane(n, all int, c *Config, access string) *lane {
	l := &lane{
		host: c.Host, ours: NewConn(c.Server.Addr), bare: NewConn(c.Bare.Addr),
		access: []byte(access), next: n, stride: all,
		box: make(chan link, 16), patience: time.NewTimer(time.Hour),
	}
	l.send = newSendLink(l.host, c.Target, access)
	l.confirm = []byte("POST /l/" + placeholder + " HTTP/1.1\r\nHost: " + l.host + "\r\n" + forwarded + "Origin: https://" + l.host +
		"\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nCookie: " + cookieName + "=AAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n")
	l.token = l.confirm[len("POST /l/"):][:tokenSize]
	return l
}

const (
	noNumber    = "0000000000"
	placeholder = "00000000000000000000000000000000"
	// cookieName is what binds a browser; over plain HTTP a browser would refuse its
	// prefix, the load does not.
	cookieName = "__Host-holdfast"
	// simCookie tells the pretend carrier whose SIM is in the phone.
	simCookie = "sim"
	// phoneAddr is where the phones are, as the proxy tells it that the load plays
	// and that the server must trust.
	phoneAddr = "203.0.113.7"
	forwarded = "X-Forwarded-For: " + phoneAddr + "\r\n"
)

func (l *lane) close() {
	for _, c := range []*Conn{l.ours, l.bare, l.carrier} {
		if c != nil {
			c.Close()
		}
	}
	l.patience.Stop()
}

// count records a step that ends now, if its answer was as expected and came
// before the slice's end.
func (l *lane) count(s step, start time.Time, err error, status int) (end time.Time, ok bool) {
	end = time.Now()
	if err == nil && l.answer.Status != status {
		err = fmt.Errorf("status %d instead of %d: %.200s", l.answer.Status, status, l.answer.Body)
	}
	if err != nil {
		l.tally.fail(s, err)
		return end, false
	}
	if !end.After(l.until) {
		l.tally.hist[s].Record(end.Sub(start))
	}
	return end, true
}

// ask sends Send Link for a number to c and counts from start.
func (l *lane) ask(c *Conn, number int, start time.Time) bool {
	putNumber(l.send.number, number)
	err := c.Do(l.send.whole, &l.answer)
	_, ok := l.count(sendStep, start, err, 200)
	if ok && c == l.ours {
		l.accepted++
	}
	return ok
}

func (l *lane) number() int {
	n := l.next
	l.next = (l.next + l.stride) % numbers
	return n
}

// click posts the confirmation of a link to c.
func (l *lane) click(c *Conn, token [tokenSize]byte) bool {
	copy(l.token, token[:])
	start := time.Now()
	err := c.Do(l.confirm, &l.answer)
	_, ok := l.count(confirmStep, start, err, 303)
	return ok
}

// journey is all of it, for the lane's own number: ask, wait for the text, tap,
// confirm, be recognised, come back, read the result.
func (l *lane) journey(number int) bool {
	for len(l.box) > 0 {
		<-l.box
	}
	if !l.ask(l.ours, number, time.Now()) {
		return true
	}
	copy(l.session[:], after(l.answer.Body, `"sessionId":"`))
	asked := time.Now()
	got, ok := l.text()
	if _, ok = l.count(smsStep, asked, unless(ok, errNoText), l.answer.Status); !ok {
		return true
	}
	l.cookie = l.cookie[:0]
	copy(l.token, got.token[:])
	if l.page() && l.confirmed() && l.recognised() && l.back() {
		l.result()
	}
	return true
}

func (l *lane) text() (link, bool) {
	l.patience.Reset(5 * time.Second)
	select {
	case got := <-l.box:
		return got, true
	case <-l.patience.C:
		return link{}, false
	}
}

func (l *lane) page() bool {
	start := time.Now()
	l.request = append(append(append(l.request[:0], "GET /l/"...), l.token...), " HTTP/1.1\r\nHost: "...)
	l.request = append(append(l.request, l.host...), "\r\n"+forwarded+"Accept: text/html\r\nAccept-Encoding: gzip\r\n\r\n"...)
	err := l.ours.Do(l.request, &l.answer)
	l.keepCookie()
	_, ok := l.count(pageStep, start, err, 200)
	return ok
}

func (l *lane) confirmed() bool {
	start := time.Now()
	head := bytes.Index(l.confirm, []byte("Cookie: "))
	l.request = l.withCookie(append(l.request[:0], l.confirm[:head]...))
	l.request = append(l.request, lineEnd...)
	err := l.ours.Do(l.request, &l.answer)
	l.keepCookie()
	_, ok := l.count(confirmStep, start, err, 303)
	return ok
}

// recognised follows the redirect to the pretend carrier.
func (l *lane) recognised() bool {
	start := time.Now()
	host, path := splitURL(l.answer.Location)
	if host == nil {
		l.tally.fail(carrierStep, errForeign)
		return false
	}
	if l.carrier == nil {
		l.carrier = NewConn(string(host))
	}
	l.request = append(append(append(l.request[:0], "GET "...), path...), " HTTP/1.1\r\nHost: "...)
	l.request = append(append(l.request, host...), "\r\n"...)
	l.request = append(append(append(l.request, "Cookie: "+simCookie+"=+1"...), l.send.number...), "\r\n\r\n"...)
	err := l.carrier.Do(l.request, &l.answer)
	_, ok := l.count(carrierStep, start, err, 302)
	return ok
}

func (l *lane) back() bool {
	start := time.Now()
	host, path := splitURL(l.answer.Location)
	if string(host) != l.host {
		l.tally.fail(callbackStep, errForeign)
		return false
	}
	l.request = append(append(append(l.request[:0], "GET "...), path...), " HTTP/1.1\r\nHost: "...)
	l.request = l.withCookie(append(append(l.request, l.host...), "\r\n"+forwarded...))
	l.request = append(l.request, "\r\n"...)
	err := l.ours.Do(l.request, &l.answer)
	_, ok := l.count(callbackStep, start, err, 303)
	return ok
}

func (l *lane) result() {
	vfp := after(l.answer.Location, "vfp=")
	if len(vfp) < tokenSize {
		l.tally.fail(resultStep, errNoVFP)
		return
	}
	start := time.Now()
	l.request = append(append(append(l.request[:0], "POST "+resultPath+" HTTP/1.1\r\nHost: "...), l.host...), "\r\n"+forwarded+"Authorization: "...)
	l.request = append(append(l.request, l.access...), "\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n{\"vfp\":\""...)
	l.request = append(append(l.request, vfp[:tokenSize]...), "\"}"...)
	err := l.ours.Do(l.request, &l.answer)
	if err == nil && l.answer.Status == 200 && (!bytes.Contains(l.answer.Body, l.session[:]) || !bytes.Contains(l.answer.Body, []byte(`"PhoneMatch":"true"`))) {
		err = errResult
	}
	l.count(resultStep, start, err, 200)
}

func (l *lane) keepCookie() {
	if len(l.answer.Cookie) > 0 {
		l.cookie = append(l.cookie[:0], l.answer.Cookie...)
	}
}

func (l *lane) withCookie(request []byte) []byte {
	if len(l.cookie) == 0 {
		return request
	}
	return append(append(append(request, "Cookie: "...), l.cookie...), "\r\n"...)
}

// splitURL takes an http or https URL apart; host is nil where it is none.
func splitURL(url []byte) (host, path []byte) {
	_, rest, found := bytes.Cut(url, []byte("://"))
	slash := bytes.IndexByte(rest, '/')
	if !found || slash < 0 {
		return nil, nil
	}
	return rest[:slash], rest[slash:]
}

// after is what follows the first mark in b, nil where there is none.
func after(b []byte, mark string) []byte {
	if i := bytes.Index(b, []byte(mark)); i >= 0 {
		return b[i+len(mark):]
	}
	return nil
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}
