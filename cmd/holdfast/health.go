package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// pingTime bounds the store's answer to a readiness check.
const pingTime = 2 * time.Second

// health answers whoever watches the server.
type health struct {
	ping     func(context.Context) error
	log      *slog.Logger
	draining atomic.Bool
}

// register mounts /healthz, which says that the process runs, and /readyz, which
// says that it should be sent requests.
func (h *health) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", h.ready)
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		answer(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTime)
	defer cancel()
	if err := h.ping(ctx); err != nil {
		h.log.WarnContext(r.Context(), "not ready: the store does not answer", "error", err)
		answer(w, http.StatusServiceUnavailable, "database unavailable")
		return
	}
	answer(w, http.StatusOK, "ok")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // who is gone needs no answer
}
