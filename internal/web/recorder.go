package web

import "net/http"

// recorder notes what was answered, and puts a JSON error in the place of the
// plain text that http.ServeMux writes by itself.
type recorder struct {
	http.ResponseWriter
	r        *http.Request
	status   int
	bytes    int64
	replaced bool // the mux's text was replaced; whatever follows of it is dropped
}

// Unwrap lets http.ResponseController find the server's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the first final status.
func (w *recorder) WriteHeader(status int) {
	if w.status != 0 {
		if !w.replaced {
			w.ResponseWriter.WriteHeader(status) // net/http reports the mistake
		}
		return
	}
	if status >= 400 && w.r.Pattern == "" {
		// No route matched, so it is the mux that speaks.
		write(w, unmatched(status, w.Header().Get("Allow")))
		w.replaced = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
}

// Write counts what goes out.
func (w *recorder) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// send writes a whole answer, past the rule about the mux.
func (w *recorder) send(status int, body []byte) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
	n, _ := w.ResponseWriter.Write(body)
	w.bytes += int64(n)
}

// Flush sends what was written so far; for streams of events.
func (w *recorder) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// The server's writer can flush; a test's that can't has nobody waiting.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
