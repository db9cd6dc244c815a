package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"holdfast/internal/click"
	"holdfast/internal/flow"
)

// reply is an answer, read.
type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

// do sends one request to a server, as the proxy in front of it would. An error
// means that there was no answer.
func (w *faultWorld) do(addr, method, path, from string, header map[string]string, sent string) (reply, error) {
	req, err := http.NewRequestWithContext(w.ctx, method, "http://"+addr+path, strings.NewReader(sent))
	if err != nil {
		return reply{}, err
	}
	req.Host = faultHost
	req.Header.Set("X-Forwarded-For", from)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := faultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r := reply{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(body)}
	w.overhear(r)
	return r, err
}

// faultTransport opens a connection for each request: none is left to a server
// that is dead, and no request is repeated unasked.
var faultTransport = &http.Transport{DisableKeepAlives: true}

// api calls the clients' API; in and out are JSON, and either may be nil.
func (w *faultWorld) api(addr, method, path string, header map[string]string, in, out any) (reply, error) {
	sent := map[string]string{"Content-Type": "application/json"}
	maps.Copy(sent, header)
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return reply{}, err
		}
	}
	r, err := w.do(addr, method, path, "192.0.2.80", sent, body.String())
	if err == nil && out != nil && r.status == http.StatusOK {
		err = json.Unmarshal([]byte(r.body), out)
	}
	return r, err
}

// login returns the header that the client's calls have from now on.
func (w *faultWorld) login(addr string) map[string]string {
	w.t.Helper()
	var session struct{ ID string }
	r, err := w.api(addr, "POST", "/api/customers/login", nil, map[string]string{"username": faultUser, "password": faultPassword}, &session)
	if err != nil || session.ID == "" {
		w.t.Fatalf("login: %v, %+v", err, r)
	}
	return map[string]string{"Authorization": session.ID}
}

// asked is Send Link's answer.
type asked struct{ RequestID, SessionID string }

const sendLinkPath = "/api/v3/us-kyc/send-link"

func (w *faultWorld) sendLink(addr, national string, header map[string]string) (asked, reply, error) {
	var a asked
	r, err := w.api(addr, "POST", sendLinkPath, header, map[string]string{
		"targetUrl": faultTarget, "mobileNumber": national, "countryCode": "US", "sourceIp": onCellular,
	}, &a)
	return a, r, err
}

// polled is what these tests read of a result.
type polled struct{ RequestID, SessionID, PhoneNumber, PhoneMatch, Status, Verdict, Delivery string }

func (w *faultWorld) status(addr string, a asked, header map[string]string) (polled, reply, error) {
	var o polled
	r, err := w.api(addr, "GET", "/api/v3/us-kyc/poll-check-verify/request/"+a.RequestID+"/session/"+a.SessionID, header, nil, &o)
	return o, r, err
}

func (w *faultWorld) redeem(addr, vfp string, header map[string]string) (polled, reply, error) {
	var o polled
	r, err := w.api(addr, "POST", "/api/v3/us-kyc/link-result", header, map[string]string{"vfp": vfp}, &o)
	return o, r, err
}

// handheld is a phone's browser. It keeps one cookie, which a real one would have
// over TLS only.
type handheld struct {
	w    *faultWorld
	sim  string // its number
	from string // its address
	mu   sync.Mutex
	held string
}

func (w *faultWorld) handheld(sim string) *handheld {
	return &handheld{w: w, sim: sim, from: onCellular}
}

func (h *handheld) cookie() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// visit sends one request to a server; form is nil for GET.
func (h *handheld) visit(addr, path string, form *string) (reply, error) {
	method, body, header := "GET", "", map[string]string{}
	if form != nil {
		method, body, header["Content-Type"] = "POST", *form, "application/x-www-form-urlencoded"
	}
	if cookie := h.cookie(); cookie != "" {
		header["Cookie"] = click.CookieName + "=" + cookie
	}
	r, err := h.w.do(addr, method, path, h.from, header, body)
	for _, line := range r.header["Set-Cookie"] {
		if set, err := http.ParseSetCookie(line); err == nil && set.Name == click.CookieName {
			h.mu.Lock()
			h.held = set.Value
			h.mu.Unlock()
		}
	}
	return r, err
}

func (h *handheld) open(addr, token string) (reply, error) {
	return h.visit(addr, flow.LinkPath+token, nil)
}

func (h *handheld) post(addr, path string) (reply, error) {
	form := ""
	return h.visit(addr, path, &form)
}

func (h *handheld) confirm(addr, token string) (reply, error) {
	return h.post(addr, flow.LinkPath+token)
}

// authorize goes where a confirmation sent the browser, and returns the path and
// query by which the operator sends it back to the server.
func (h *handheld) authorize(location string) (callback string, err error) {
	req, err := http.NewRequestWithContext(h.w.ctx, http.MethodGet, location, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Cookie", "sim="+h.sim)
	resp, err := faultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	callback, ok := strings.CutPrefix(resp.Header.Get("Location"), "https://"+faultHost)
	if !ok {
		return "", fmt.Errorf("the operator answered %s and sent the browser to %q", resp.Status, resp.Header.Get("Location"))
	}
	return callback, nil
}

// toCarrier reports whether a confirmation sends the browser to the operator: the
// link was used.
func (w *faultWorld) toCarrier(r reply) bool {
	return r.status == http.StatusSeeOther && strings.HasPrefix(r.location, w.issuer)
}

// vfp is what a redirect to the target brings.
func (r reply) vfp() (vfp string, ok bool) {
	if r.status != http.StatusSeeOther {
		return "", false
	}
	_, vfp, ok = strings.Cut(r.location, faultTarget+"&vfp=")
	return vfp, ok
}

// fictitious is the nth of the 2,000 numbers here that belong to nobody.
func fictitious(n int) (national, e164 string) {
	areas := []int{201, 202, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 301, 302, 303, 304}
	national = fmt.Sprintf("%d55501%02d", areas[n/100%len(areas)], n%100)
	return national, "+1" + national
}
