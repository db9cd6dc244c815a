// Package receipts is what SMS gateways call back: it takes their delivery
// receipts, has the gateway's own code prove and read them, and acknowledges each
// only after it is stored, so that a gateway whose receipt met a database that was
// away comes again.
package receipts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"holdfast/internal/sms"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// Path is where receipts arrive: the gateway's name and the message's reference
// follow it. Gateways write the same into the requests that they send.
const Path = "/receipts/"

// maxBody is the largest receipt in bytes.
const maxBody = 64 << 10

// comeAgain is when a gateway should repeat a receipt that could not be stored.
const comeAgain = 10 * time.Second

// Flow takes receipts. It returns after the receipt is stored; a reference that
// was not ours is verify.ErrNotFound.
type Flow interface {
	Receipt(ctx context.Context, r sms.Receipt) error
}

// Gateway proves that a receipt comes from the provider, and reads it. An error
// is a *verify.Error, fit for the caller; any other one refuses the receipt.
type Gateway interface {
	ReadReceipt(r *http.Request, body []byte) (sms.Receipt, error)
}

// Config is what the route needs.
type Config struct {
	// Flow is required.
	Flow Flow
	// Gateways are the ones that send receipts, by configured name; nil means none.
	Gateways map[string]Gateway
}

// Register adds the route to mux:
//
//	POST /receipts/{gateway}/{ref}
//	204  stored, or it says nothing new
//	400  proved, but unreadable
//	403  not proved
//	404  no such gateway, or not our reference
//	413  more than 64 KiB
//	503  not stored; come again
func Register(mux *http.ServeMux, c Config) {
	mux.HandleFunc("POST "+Path+"{gateway}/{ref}", func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(w, r); err != nil {
			web.Error(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

var (
	errUnproved    = &verify.Error{Code: verify.CodeForbidden, Message: "The receipt can't be proved."}
	errUnreadable  = verify.Invalid(verify.Field{Name: "body", Reason: "could not be read to its end"})
	errUnavailable = &verify.Error{
		Code: verify.CodeUnavailable, Message: "The receipt could not be stored.",
		Reason: "Send it again.", RetryAfter: comeAgain,
	}
)

func (c Config) take(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("gateway")
	gateway, known := c.Gateways[name]
	if !known {
		return verify.ErrNotFound
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case err != nil:
		return errUnreadable
	}
	var coded *verify.Error
	receipt, err := gateway.ReadReceipt(r, body)
	switch {
	case errors.As(err, &coded):
		return coded
	case err != nil:
		return errUnproved
	case receipt.Ref != r.PathValue("ref"):
		return verify.ErrNotFound
	}
	err = c.Flow.Receipt(r.Context(), receipt)
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case r.Context().Err() != nil: // the gateway went away, and will come again
		return err
	}
	return fmt.Errorf("a receipt of %s: %w: %w", name, errUnavailable, err)
}
