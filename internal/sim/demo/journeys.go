package demo

import (
	"slices"
	"sync"

	"holdfast/client"
)

// maxJourneys bounds the memory; the oldest are forgotten.
const maxJourneys = 1000

// journey is one link that the demo had sent.
type journey struct {
	sent       client.Sent
	lastDigits string
	result     *client.Result // nil until it is over
}

// journeys are kept in memory by the demo's own id. Its zero value is empty.
type journeys struct {
	mu    sync.Mutex
	byID  map[string]journey
	order []string
}

func (s *journeys) put(id string, j journey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]journey{}
	}
	s.byID[id] = j
	s.order = append(s.order, id)
	if len(s.order) > maxJourneys {
		delete(s.byID, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
}

func (s *journeys) get(id string) (journey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.byID[id]
	return j, ok
}

// end keeps the result, so that every page of the journey shows the same.
func (s *journeys) end(id string, res client.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, ok := s.byID[id]; ok {
		j.result = &res
		s.byID[id] = j
	}
}
