// Package demo is the example business of `holdfast dev`: a form that asks its
// user for a phone number, the server behind it that calls Send Link and redeems
// the fingerprint as any client's server would, and the front page that explains
// what there is to play with. It is in no production server.
//
// It keeps to the rules that a real business should: the browser never sees a
// token, the page that a link returns to names the journey by a random id of its
// own, and a result counts only when its SessionId is that journey's.
package demo

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"holdfast/client"
	"holdfast/internal/sim/look"
)

//go:embed pages
var files embed.FS

// Client is what the demo asks of the API: of a *client.Client, as every
// business's server would.
type Client interface {
	SendLink(ctx context.Context, r client.Request) (client.Sent, error)
	Status(ctx context.Context, started client.Sent) (client.Result, error)
	Result(ctx context.Context, vfp string, started client.Sent) (client.Result, error)
}

// Config is what the demo is made of.
type Config struct {
	// Client is required.
	Client Client
	// Business is the name on the page; "" means "Northwind Bank". Give it the name
	// that the demo client has, since that is what the SMS says.
	Business string
	// BaseURL is where this server is reached, without a path. It is required, and
	// must be on the demo client's list of targets.
	BaseURL string
	// Script is the journey by curl that the front page offers; "" offers none.
	Script string
}

type demo struct {
	Config
	journeys   journeys
	sameOrigin *http.CrossOriginProtection
	home, play, form, wait, result,
	stray *look.Page
}

// Register adds the demo's routes to mux: the front page, the form, and the page
// that links return to.
func Register(mux *http.ServeMux, c Config) {
	if c.Business == "" {
		c.Business = "Northwind Bank"
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	pages, err := fs.Sub(files, "pages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	d := &demo{
		Config: c, sameOrigin: http.NewCrossOriginProtection(),
		home: look.New(pages, "home"), play: look.New(pages, "play"), form: look.New(pages, "form"),
		wait: look.New(pages, "wait"), result: look.New(pages, "result"), stray: look.New(pages, "stray"),
	}
	mux.HandleFunc("GET /{$}", d.showHome)
	mux.HandleFunc("GET /play", func(w http.ResponseWriter, _ *http.Request) { d.play.Render(w, http.StatusOK, nil) })
	mux.HandleFunc("GET /demo", d.show)
	mux.Handle("POST /demo", d.sameOrigin.Handler(http.HandlerFunc(d.send)))
	mux.HandleFunc("GET /demo/status", d.status)
	mux.HandleFunc("GET /demo/return", d.back)
}

func (d *demo) showHome(w http.ResponseWriter, _ *http.Request) {
	d.home.Render(w, http.StatusOK, struct{ BaseURL, Script string }{d.BaseURL, d.Script})
}

// formView is what the form shows, with what was typed and why it was refused.
type formView struct {
	Business, Number, Country, Wrong string
}

// show is the form or, with a journey, how far that is.
func (d *demo) show(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("journey")
	if id == "" {
		d.form.Render(w, http.StatusOK, formView{Business: d.Business, Number: "(212) 555-0123", Country: "US"})
		return
	}
	j, known := d.journeys.get(id)
	if !known {
		d.showStray(w, http.StatusNotFound, "This journey is not known here any more; the demo forgets them all when it is restarted.", "")
		return
	}
	res, err := d.resultOf(r.Context(), id, j)
	switch {
	case err != nil:
		d.showStray(w, http.StatusBadGateway, "The result could not be read: "+refusal(err), "")
	case res.Status.Final():
		d.result.Render(w, http.StatusOK, d.told(res, false))
	default:
		d.wait.Render(w, http.StatusOK, struct {
			Business, LastDigits, ID string
			Result                   client.Result
		}{d.Business, j.lastDigits, id, res})
	}
}

// send is what a business's server does when its user has typed a number.
func (d *demo) send(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	number, country := r.PostFormValue("number"), r.PostFormValue("country")
	id := rand.Text()
	sent, err := d.Client.SendLink(r.Context(), client.Request{
		TargetURL:    d.BaseURL + "/demo/return?journey=" + url.QueryEscape(id),
		MobileNumber: number, CountryCode: country, SourceIP: hostOf(r.RemoteAddr),
	})
	if err != nil {
		d.form.Render(w, http.StatusBadRequest, formView{d.Business, number, country, refusal(err)})
		return
	}
	d.journeys.put(id, journey{sent: sent, lastDigits: lastDigits(number)})
	http.Redirect(w, r, "/demo?journey="+url.QueryEscape(id), http.StatusSeeOther)
}

// back is the target page: the consumer's browser comes here with the fingerprint.
func (d *demo) back(w http.ResponseWriter, r *http.Request) {
	id, vfp := r.URL.Query().Get("journey"), r.URL.Query().Get("vfp")
	j, known := d.journeys.get(id)
	switch {
	case vfp == "":
		d.showStray(w, http.StatusBadRequest, "Links return to this page with a fingerprint, the vfp in the address. There is none.", "")
		return
	case !known:
		d.showStray(w, http.StatusOK, "A link returned here with a fingerprint, but this demo did not send it: it was started by a script, or before a restart. Redeem it with the API.", vfp)
		return
	}
	res, err := d.Client.Result(r.Context(), vfp, j.sent)
	if err != nil {
		d.showStray(w, http.StatusBadRequest, "The fingerprint was not accepted: "+refusal(err), "")
		return
	}
	d.journeys.end(id, res)
	d.result.Render(w, http.StatusOK, d.told(res, true))
}

// status is what the waiting page asks for.
func (d *demo) status(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("journey")
	j, known := d.journeys.get(id)
	err := errors.New("unknown journey")
	var res client.Result
	if known {
		res, err = d.resultOf(r.Context(), id, j)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"over":false}` + "\n"))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // who is gone needs no answer
		"over": res.Status.Final(), "delivery": res.Delivery, "clicked": res.LinkClicked,
	})
}

// resultOf asks the API until the journey is over, and then knows.
func (d *demo) resultOf(ctx context.Context, id string, j journey) (client.Result, error) {
	if j.result != nil {
		return *j.result, nil
	}
	res, err := d.Client.Status(ctx, j.sent)
	if err == nil && res.Status.Final() {
		d.journeys.end(id, res)
	}
	return res, err
}

// refusal is an error in the words that the API has for whoever calls it.
func refusal(err error) string {
	var no *client.Error
	if !errors.As(err, &no) {
		return err.Error()
	}
	var words []string
	for _, f := range no.Fields {
		words = append(words, f.Name+" "+f.Reason)
	}
	if len(words) == 0 {
		return strings.TrimSpace(no.Message + " " + no.Reason)
	}
	return strings.Join(words, "; ")
}

func (d *demo) showStray(w http.ResponseWriter, status int, what, vfp string) {
	d.stray.Render(w, status, struct{ What, VFP, BaseURL string }{what, vfp, d.BaseURL})
}

func lastDigits(number string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	return digits[max(0, len(digits)-2):]
}

func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}
