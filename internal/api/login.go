package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/internal/verify"
	"holdfast/internal/web"
)

var loginDoc = doc{
	id: "login", summary: "Log in", open: true,
	text: "Takes a client's user name and password and answers an access token. Log in once and keep the token for its ttl: " +
		"logins are limited, right ones like wrong ones.",
	errors: []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable},
}

type loginInput struct{ Body loginRequest }

type loginRequest struct {
	Username string `json:"username" minLength:"1" maxLength:"64" doc:"The client's user name" example:"demo"`
	Password string `json:"password" minLength:"1" maxLength:"1024" format:"password" doc:"The client's password" example:"demo-password"`
	read     reading
}

var loginFields = []field{{name: "username", max: 64}, {name: "password", max: 1024}}

func (*loginRequest) fields() []field      { return loginFields }
func (b *loginRequest) reading() *reading  { return &b.read }
func (b *loginRequest) text(i int) *string { return [...]*string{&b.Username, &b.Password}[i] }

type loginOutput struct{ Body loginAnswer }

type loginAnswer struct {
	ID      string    `json:"id" doc:"The access token, for the Authorization header. Keep it secret." example:"AZ1c2V4gEAAxq0r3o1yM7nT5wQp8sZbd"`
	TTL     int64     `json:"ttl" doc:"Seconds for which the token is valid" example:"1209600"`
	Created time.Time `json:"created" doc:"When the token was made (RFC 3339)" example:"2026-07-01T12:00:00Z"`
	UserID  string    `json:"userId" doc:"The client's id" example:"331776000000000000"`
}

func (a *api) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	b := &in.Body
	if !b.read.broken {
		b.read.require(b)
	}
	if len(b.read.bad) > 0 {
		return nil, failed(ctx, verify.Invalid(b.read.bad...))
	}
	grant, err := a.Access.Login(ctx, b.Username, b.Password, web.Addr(ctx))
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &loginOutput{loginAnswer{
		ID: grant.Token.Reveal(), TTL: int64(grant.TTL / time.Second), Created: grant.Created, UserID: grant.UserID,
	}}, nil
}
