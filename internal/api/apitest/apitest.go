// Package apitest is a whole API on a loopback socket for tests: the real
// handlers, flow, access and an SQLite store, with a clock that the test moves, a
// carrier that says what it is told, and an outbox that only keeps. Only tests
// import it.
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/api"
	"holdfast/internal/flow"
	"holdfast/internal/secret"
	"holdfast/internal/store/sqlite"
	"holdfast/internal/tenant"
	"holdfast/internal/testkit"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// What the one client of a Server is given.
const (
	Username = "acme"
	Password = "acme-password"
	Target   = "https://app.acme.example/done"
)

// OldSendLink is where the server answers Send Link beside its own path.
const OldSendLink = "/api/old/send-link"

// Server is the API, running until its test ends.
type Server struct {
	URL     string
	Store   *sqlite.Store
	Access  *access.Access
	Flow    *flow.Flow
	Clock   *testkit.Clock
	Carrier *testkit.Carrier
	Log     *Journal

	key  secret.Key
	t    testing.TB
	mu   sync.Mutex
	sent []verify.Message
}

// Journal is a log that a test may read while the server writes.
type Journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *Journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// New starts a Server with one client, who may send phones to Target's origin and
// sees the click's address. through, where given, is put in front of it.
func New(t testing.TB, through ...func(http.Handler) http.Handler) *Server {
	t.Helper()
	ctx := context.Background()
	key, _ := secret.GenerateKey()
	s := &Server{Clock: testkit.NewClock(), Carrier: testkit.NewCarrier(), Log: &Journal{}, key: key, t: t}
	config := sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	s.must(sqlite.Migrate(ctx, config))
	var err error
	s.Store, err = sqlite.New(ctx, config)
	s.must(err)
	t.Cleanup(func() { _ = s.Store.Close() })

	log := slog.New(slog.NewJSONHandler(s.Log, nil))
	ids := verify.NewIDs(1, s.Clock.Now)
	s.Access, err = access.New(access.Config{Store: s.Store, IDs: ids, Now: s.Clock.Now, Log: log})
	s.must(err)
	_, err = s.Access.AddWithPassword(ctx, access.NewClient{
		Username: Username, Business: "Acme",
		Settings: tenant.Settings{Targets: []string{"https://app.acme.example"}, ShowDeviceIP: true},
	}, Password)
	s.must(err)
	s.Flow, err = flow.New(flow.Config{
		Store: s.Store, Clients: s.Access, Outbox: s, Gateways: &testkit.Gateway{}, Networks: s.Carrier,
		Key: key, IDs: ids, Node: 1, PublicURL: &url.URL{Scheme: "https", Host: "hf.example"}, Now: s.Clock.Now, Log: log,
	})
	s.must(err)

	mux := http.NewServeMux()
	s.must(api.Register(mux, api.Config{Flow: s.Flow, Access: s.Access, SendLinkPaths: []string{OldSendLink}}))
	handler := web.Wrap(mux, web.Config{Log: log})
	for _, wrap := range through {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Hand implements flow.Outbox: it keeps the message.
func (s *Server) Hand(m verify.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, m)
}

// Sent returns the messages handed over so far.
func (s *Server) Sent() []verify.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]verify.Message(nil), s.sent...)
}

// Token logs the client in and returns an access token.
func (s *Server) Token() string {
	s.t.Helper()
	grant, err := s.Access.Login(context.Background(), Username, Password, netip.MustParseAddr("192.0.2.1"))
	s.must(err)
	return grant.Token.Reveal()
}

// Tap plays the phone that got the last message, on the carrier's network: it
// confirms, comes back from the carrier and returns the fingerprint that the
// target was given.
func (s *Server) Tap() string {
	s.t.Helper()
	ctx := context.Background()
	sent := s.Sent()
	last := sent[len(sent)-1]
	link, err := s.key.OpenToken(secret.ForLink, int64(last.ID), last.LinkSealed)
	s.must(err)
	browser := flow.Browser("a browser of 128 bits and more")
	next, err := s.Flow.Confirm(ctx, flow.Tap{Token: link.Reveal(), Browser: browser, Addr: s.Carrier.Prefix.Addr().Next()})
	s.must(err)
	away, err := url.Parse(next.URL)
	s.must(err)
	next, err = s.Flow.Authenticate(ctx, flow.Callback{Carrier: s.Carrier.Name(), Query: away.Query(), Browser: browser})
	s.must(err)
	target, err := url.Parse(next.URL)
	s.must(err)
	return target.Query().Get("vfp")
}
