package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The times of connections. Bodies are at most 64 KiB and pages a few, so that
// even a slow phone is done well within them; an answer may wait for a carrier.
const (
	readTime  = 20 * time.Second
	writeTime = 60 * time.Second
	idleTime  = 2 * time.Minute
	// maxHeader is generous for cookies and proxies, in bytes.
	maxHeader = 32 << 10
)

// listen opens a TCP address.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("can't listen on %s: %w", address, err)
	}
	return listener, nil
}

// httpServer is a listener and what answers on it.
type httpServer struct {
	http.Server
	listener net.Listener
}

func newHTTPServer(listener net.Listener, handler http.Handler, log *slog.Logger) *httpServer {
	return &httpServer{listener: listener, Server: http.Server{
		Handler:        handler,
		ReadTimeout:    readTime,
		WriteTimeout:   writeTime,
		IdleTimeout:    idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// serve answers until the server is stopped.
func (s *httpServer) serve() error {
	err := s.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// stop closes the listener, lets requests under way end until ctx does, and then
// cuts them.
func (s *httpServer) stop(ctx context.Context) error {
	err := s.Shutdown(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("requests were still under way: %w", err), s.Close())
	}
	return nil
}
