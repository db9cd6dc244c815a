package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// sink takes lines, and can be held so that writers must wait.
type sink struct {
	mu      sync.Mutex
	text    bytes.Buffer
	arrived chan struct{} // one token when something came
}

func newSink() *sink { return &sink{arrived: make(chan struct{}, 1)} }

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestLogLosesNothing(t *testing.T) {
	t.Parallel()
	to := newSink()
	log := newLogs(to, slog.LevelInfo)
	var writers sync.WaitGroup
	for n := range 8 {
		writers.Go(func() {
			for i := range 2000 { // more than maxUnwritten in all
				log.Info("line", "writer", n, "i", i, "filling", strings.Repeat("x", 200))
			}
		})
	}
	writers.Wait()
	log.Stop()
	log.Stop()
	log.Info("late")
	next := map[string]int{}
	lines := 0
	for line := range strings.Lines(to.String()) {
		var entry struct {
			Msg    string
			Writer int
			I      int
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("a torn line: %v", err)
		}
		if entry.Msg == "late" {
			continue
		}
		lines++
		key := fmt.Sprint(entry.Writer)
		if entry.I != next[key] {
			t.Fatalf("writer %s: line %d where %d is due", key, entry.I, next[key])
		}
		next[key]++
	}
	if lines != 16000 || !strings.Contains(to.String(), `"late"`) {
		t.Errorf("%d lines", lines)
	}
}

func TestWarningLeavesAtOnce(t *testing.T) {
	t.Parallel()
	to := newSink()
	log := newLogs(to, slog.LevelInfo)
	defer log.Stop()
	log.With("a", 1).WithGroup("g").Warn("now")
	<-to.arrived
	if !strings.Contains(to.String(), `"msg":"now","a":1`) {
		t.Errorf("log = %q", to.String())
	}
	log.Debug("not this")
	log.Stop()
	if strings.Contains(to.String(), "not this") {
		t.Error("a level below was logged")
	}
}
