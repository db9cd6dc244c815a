package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// standIn keeps just as much of the contract as the load can see.
type standIn struct {
	t       *testing.T
	sink    *Sink
	silent  atomic.Bool // delivery off
	carrier string
	server  *httptest.Server
	gateway *http.Transport

	mu    sync.Mutex
	links map[string]string // token → session
	used  map[string]bool
}

func newStandIn(t *testing.T, sink *Sink, carrier string) *standIn {
	s := &standIn{t: t, sink: sink, carrier: carrier, links: map[string]string{}, used: map[string]bool{}, gateway: &http.Transport{MaxIdleConnsPerHost: 8}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+loginPath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"%s","ttl":1}`, placeholder)
	})
	mux.HandleFunc("POST "+sendPath, s.send)
	mux.HandleFunc("GET /l/{token}", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "browser", Path: "/"})
		_, _ = io.WriteString(w, strings.Repeat("page ", 2000))
	})
	mux.HandleFunc("POST /l/{token}", s.confirm)
	mux.HandleFunc("GET /carrier/bench/callback", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(cookieName); err != nil || c.Value != "browser" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Location", "https://app.example/?vfp="+r.URL.Query().Get("state"))
		w.WriteHeader(http.StatusSeeOther)
	})
	mux.HandleFunc("POST "+resultPath, func(w http.ResponseWriter, r *http.Request) {
		var in struct{ VFP string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintf(w, `{"SessionId":"%s","PhoneMatch":"true"}`, s.links[in.VFP])
	})
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.gateway.CloseIdleConnections)
	t.Cleanup(s.server.Close)
	return s
}

func (s *standIn) addr() string { return s.server.Listener.Addr().String() }

func (s *standIn) send(w http.ResponseWriter, r *http.Request) {
	var in struct{ MobileNumber string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Authorization") != placeholder {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var raw [24]byte
	rand.Read(raw[:])
	token, session := base64.RawURLEncoding.EncodeToString(raw[:]), fmt.Sprintf("%x-aaa", raw[:16])
	s.mu.Lock()
	s.links[token] = session
	s.mu.Unlock()
	fmt.Fprintf(w, `{"requestId":"x","sessionId":"%s"}`, session)
	if s.silent.Load() {
		return
	}
	body := `{"to":"+1` + in.MobileNumber + `","text":"tap http://x/l/` + token + `","ref":"x"}`
	answer, err := (&http.Client{Transport: s.gateway}).Post(s.sink.URL(), "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func (s *standIn) confirm(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[token] == "" || s.used[token] {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.used[token] = true
	w.Header().Set("Location", s.carrier+"/authorize?state="+token)
	w.WriteHeader(http.StatusSeeOther)
}

// newCarrier sends every phone back to the server that sent it.
func newCarrier(t *testing.T) (url string, to func(string)) {
	var back string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if number, onNetwork := (SIMs{}).Line(r); len(number) != len("+12125550100") || !onNetwork {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Location", back+"/carrier/bench/callback?state="+r.URL.Query().Get("state"))
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(server.Close)
	return server.URL, func(url string) { back = url }
}
