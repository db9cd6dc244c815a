package handset

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"holdfast/internal/phone"
	"holdfast/internal/verify"
)

// Register adds the phones' routes to mux.
func (p *Phones) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /phone", p.showPhone)
	mux.HandleFunc("GET /phone/events", p.events)
	mux.HandleFunc("GET /phone/messages", p.messages)
	mux.HandleFunc("PUT /phone/network", p.network)
}

// messages is the inbox for scripts: the newest first.
func (p *Phones) messages(w http.ResponseWriter, r *http.Request) {
	number, err := parseNumber(r.URL.Query().Get("number"))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	answer(w, http.StatusOK, p.Messages(number))
}

// wish is the body of PUT /phone/network, and its answer.
type wish struct {
	Number  string  `json:"number"`
	Network Network `json:"network"`
}

func (p *Phones) network(w http.ResponseWriter, r *http.Request) {
	var in wish
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	dec.DisallowUnknownFields()
	err := dec.Decode(&in)
	if _, more := dec.Token(); err != nil || !errors.Is(more, io.EOF) {
		p.Error(w, r, verify.Invalid(verify.Field{Name: "body", Reason: `must be JSON: {"number": "+1…", "network": "cellular"}`}))
		return
	}
	number, err := parseNumber(in.Number)
	if err == nil {
		err = p.SetNetwork(number, in.Network)
	}
	if err != nil {
		p.Error(w, r, err)
		return
	}
	answer(w, http.StatusOK, wish{Number: number.E164(), Network: in.Network})
}

// answer writes JSON in which a link in a text is found as it is.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // who is gone needs no answer
}

func bareError(w http.ResponseWriter, _ *http.Request, err error) {
	var coded *verify.Error
	if !errors.As(err, &coded) {
		coded = &verify.Error{Code: "internal_error", Message: "internal error"}
	}
	status := http.StatusInternalServerError
	if coded.Code == verify.CodeInvalid {
		status = http.StatusBadRequest
	}
	answer(w, status, map[string]any{"error": map[string]any{"type": coded.Code, "message": coded.Error(), "statusCode": status}})
}

// pretty writes a number as people read it: (212) 555-0123.
func pretty(n phone.Number) string {
	d := n.National()
	if len(d) != 10 {
		return d
	}
	return "(" + d[:3] + ") " + d[3:6] + "-" + d[6:]
}
