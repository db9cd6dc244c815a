package access

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// memory is a store in memory that counts questions.
type memory struct {
	mu      sync.Mutex
	clients map[verify.ClientID]tenant.Client
	tokens  map[int64]tenant.AccessToken
	asked   int
	create  func() // called before a token is created
	change  func() // called before a client is changed
}

func newMemory() *memory {
	return &memory{clients: map[verify.ClientID]tenant.Client{}, tokens: map[int64]tenant.AccessToken{}}
}

func (m *memory) Client(_ context.Context, id verify.ClientID) (tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if c, ok := m.clients[id]; ok {
		return c, nil
	}
	return tenant.Client{}, verify.ErrNotFound
}

func (m *memory) ClientByUsername(_ context.Context, name string) (tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		if c.Username == name {
			return c, nil
		}
	}
	return tenant.Client{}, verify.ErrNotFound
}

func (m *memory) Clients(context.Context) ([]tenant.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []tenant.Client
	for _, c := range m.clients {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b tenant.Client) int { return strings.Compare(a.Username, b.Username) })
	return all, nil
}

func (m *memory) CreateClient(_ context.Context, c tenant.Client) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.clients {
		if other.Username == c.Username {
			return verify.ErrConflict
		}
	}
	m.clients[c.ID] = c
	return nil
}

func (m *memory) SetPassword(_ context.Context, id verify.ClientID, hash string, at time.Time) error {
	return m.update(id, func(c *tenant.Client) {
		c.PasswordHash = hash
		m.revoke(id, at)
	})
}

func (m *memory) SetDisabled(_ context.Context, id verify.ClientID, disabled bool, at time.Time) error {
	return m.update(id, func(c *tenant.Client) {
		if c.Disabled = disabled; disabled {
			m.revoke(id, at)
		}
	})
}

func (m *memory) SetSettings(_ context.Context, id verify.ClientID, business string, s tenant.Settings) error {
	return m.update(id, func(c *tenant.Client) { c.Business, c.Settings = business, s })
}

func (m *memory) update(id verify.ClientID, change func(*tenant.Client)) error {
	if m.change != nil {
		m.change()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.clients[id]
	if !ok {
		return verify.ErrNotFound
	}
	change(&c)
	m.clients[id] = c
	return nil
}

func (m *memory) CreateToken(_ context.Context, t tenant.AccessToken) error {
	if m.create != nil {
		m.create()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[t.ID] = t
	return nil
}

func (m *memory) Token(_ context.Context, id int64) (tenant.AccessToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if t, ok := m.tokens[id]; ok {
		return t, nil
	}
	return tenant.AccessToken{}, verify.ErrNotFound
}

func (m *memory) RevokeToken(_ context.Context, id int64, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[id]
	if !ok {
		return verify.ErrNotFound
	}
	if t.RevokedAt.IsZero() {
		t.RevokedAt = at
	}
	m.tokens[id] = t
	return nil
}

// revoke revokes all tokens of a client. The lock is held.
func (m *memory) revoke(client verify.ClientID, at time.Time) {
	for id, t := range m.tokens {
		if t.ClientID == client && t.RevokedAt.IsZero() {
			t.RevokedAt = at
			m.tokens[id] = t
		}
	}
}
