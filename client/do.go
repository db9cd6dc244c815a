package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// How often, and how patiently, a call is tried.
const (
	attempts  = 4
	firstWait = 250 * time.Millisecond
	maxWait   = 30 * time.Second // a server that asks for more is not waited for
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// call is one request. It must be safe to repeat.
type call struct {
	method, path string
	body         any    // nil: none
	key          string // Idempotency-Key; "": none
	token        string // "": none
}

// token is an access token as it is kept.
type token struct {
	text  string
	renew time.Time // well before its end
}

// authorized makes a call with the access token, logging in where that is needed:
// for the first time, when the token is nearly over, and when it was refused.
func (c *Client) authorized(ctx context.Context, attempts int, what call, answer any) error {
	var err error
	for range 2 {
		if what.token, err = c.accessToken(ctx, attempts, what.token); err != nil {
			return err
		}
		err = c.try(ctx, attempts, what, answer)
		var refused *Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
			return err
		}
	}
	return err
}

// accessToken returns a valid token that is not the refused one. Whoever comes
// while somebody logs in waits for that.
func (c *Client) accessToken(ctx context.Context, attempts int, refused string) (string, error) {
	select {
	case <-c.login:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { c.login <- struct{}{} }()
	if c.token.text != "" && c.token.text != refused && c.now().Before(c.token.renew) {
		return c.token.text, nil
	}
	c.token = token{}
	var granted struct {
		ID  string `json:"id"`
		TTL int64  `json:"ttl"`
	}
	body := struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}{c.username, c.password}
	start := c.now()
	if err := c.try(ctx, attempts, call{method: http.MethodPost, path: loginPath, body: body}, &granted); err != nil {
		return "", err
	}
	if granted.ID == "" || granted.TTL <= 0 {
		return "", errors.New("holdfast: the login's answer has no token")
	}
	lifetime := time.Duration(granted.TTL) * time.Second
	c.token = token{text: granted.ID, renew: start.Add(lifetime - lifetime/10)}
	return c.token.text, nil
}

// Login makes sure that there is a valid access token; the other methods do so by
// themselves. Call it at start to find wrong credentials early.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.accessToken(ctx, attempts, "")
	return err
}

// Logout revokes the access token, if there is one. The next call logs in again.
func (c *Client) Logout(ctx context.Context) error {
	select {
	case <-c.login:
	case <-ctx.Done():
		return ctx.Err()
	}
	held := c.token.text
	c.token = token{}
	c.login <- struct{}{}
	if held == "" {
		return nil
	}
	err := c.try(ctx, attempts, call{method: http.MethodPost, path: logoutPath, token: held}, nil)
	var refused *Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized {
		return nil // it is out already
	}
	return err
}

// try makes a call up to attempts times, while what is wrong may pass by itself.
func (c *Client) try(ctx context.Context, attempts int, what call, answer any) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := c.once(ctx, what, answer)
		if err == nil || n >= attempts || !passing(ctx, err) {
			return err
		}
		asked := retryAfter(err)
		if asked > maxWait {
			return err
		}
		// Half of the wait is random, so that clients that failed together don't
		// come back together.
		pause := max(wait/2+rand.N(wait/2), asked)
		if c.sleep(ctx, pause) != nil {
			return err
		}
		wait *= 2
	}
}

func (c *Client) once(ctx context.Context, what call, answer any) error {
	var body io.Reader
	if what.body != nil {
		encoded, err := json.Marshal(what.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, what.method, c.base+what.path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "holdfast-client-go/1")
	for name, value := range map[string]string{"Authorization": what.token, "Idempotency-Key": what.key} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return &networkError{bare(err)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &networkError{err}
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return errorOf(res, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("holdfast: the answer can't be read (request %s)", res.Header.Get("X-Request-Id"))
	}
	return nil
}

// bare takes the URL out of an error: the ids in it have no business in a log.
func bare(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return withURL.Err
	}
	return err
}
