// Package click is what the consumer's phone sees: the link's page, its two
// buttons, the Wi-Fi page, and the way back from the carrier. It decodes a
// request, makes one call of the flow, and shows what the flow says comes next.
//
// The pages work without script and load nothing: style and scripts are in the
// page and allowed by their digests, so a phone needs one round trip for each.
// They are made by html/template and not by a generator, because they are few.
//
// GET and HEAD change nothing but the browser's own cookie, since message apps,
// carriers and scanners fetch every link they see.
package click

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"holdfast/internal/flow"
	"holdfast/internal/verify"
	"holdfast/internal/web"
)

// Flow is the journey as phones go through it.
type Flow interface {
	Link
	Network
}

// Link is what the link's page asks. An unknown or unusable link is no error but
// a page.
type Link interface {
	Open(ctx context.Context, tap flow.Tap) (flow.Next, error)
	Confirm(ctx context.Context, tap flow.Tap) (flow.Next, error)
	Deny(ctx context.Context, tap flow.Tap) (flow.Next, error)
}

// Network is what the steps around the carrier ask. OnNetwork changes nothing.
type Network interface {
	OnNetwork(ctx context.Context, addr netip.Addr) bool
	Authenticate(ctx context.Context, cb flow.Callback) (flow.Next, error)
}

// Config is what the pages are made of.
type Config struct {
	// Flow is required.
	Flow Flow
	// Insecure is for development over plain HTTP: beside the cookie goes one
	// without Secure and prefix, for the browsers and HTTP libraries that send
	// no Secure cookie to a loopback host. The zero value is the safe one.
	Insecure bool
	// Now is the clock of "asked 2 minutes ago"; nil means time.Now.
	Now func() time.Time
}

// maxForm is the largest form in bytes: the page's own has one short field.
const maxForm = 4 << 10

type handler struct {
	Config
	cookie     cookie
	sameOrigin *http.CrossOriginProtection
}

// Register adds the routes of the consumer's phone to mux. Requests must have
// passed web.Wrap.
func Register(mux *http.ServeMux, c Config) {
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &handler{Config: c, cookie: cookie{insecure: c.Insecure}, sameOrigin: http.NewCrossOriginProtection()}
	link := flow.LinkPath + "{token}"
	mux.HandleFunc("GET "+link, h.open)
	mux.HandleFunc("POST "+link, h.guarded(h.confirm))
	mux.HandleFunc("POST "+link+"/deny", h.guarded(h.deny))
	mux.HandleFunc("GET "+link+"/deny", h.back)
	mux.HandleFunc("GET "+link+"/network", h.network)
	mux.HandleFunc("GET "+flow.LinkPath, h.unknown)
	mux.HandleFunc("GET "+flow.CarrierPath+"{name}/callback", h.callback)
}

// open gives the browser its cookie already with the page, so that the two
// requests of a double tap come from one browser.
func (h *handler) open(w http.ResponseWriter, r *http.Request) {
	browser := h.cookie.read(r)
	tap := h.tap(r, browser)
	if browser == "" {
		h.cookie.write(w, newBrowser())
	}
	next, err := h.Flow.Open(r.Context(), tap)
	h.show(w, r, next, err)
}

func (h *handler) confirm(w http.ResponseWriter, r *http.Request) {
	browser := h.bind(w, r)
	tap := h.tap(r, browser)
	tap.Without = r.PostForm.Get("without") == "1"
	next, err := h.Flow.Confirm(r.Context(), tap)
	h.showPosted(w, r, next, err)
}

func (h *handler) deny(w http.ResponseWriter, r *http.Request) {
	next, err := h.Flow.Deny(r.Context(), h.tap(r, h.bind(w, r)))
	h.showPosted(w, r, next, err)
}

// network answers the Wi-Fi page's script. It says nothing of the link, so it
// needs no proof of it.
func (h *handler) network(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header(), "application/json", bareCSP)
	body := `{"cellular":false}`
	if h.Flow.OnNetwork(r.Context(), web.Addr(r.Context())) {
		body = `{"cellular":true}`
	}
	_, _ = w.Write([]byte(body + "\n")) // who is gone needs no answer
}

// back is for browsers that open a closed tab again, by GET, where a form's
// answer was.
func (h *handler) back(w http.ResponseWriter, r *http.Request) { redirect(w, linkURL(r)) }

// unknown is for mangled links: a page, where a mux would speak to programs.
func (h *handler) unknown(w http.ResponseWriter, r *http.Request) {
	h.show(w, r, flow.Next{Show: flow.ShowUnusable}, nil)
}

func (h *handler) callback(w http.ResponseWriter, r *http.Request) {
	next, err := h.Flow.Authenticate(r.Context(), flow.Callback{
		Carrier: r.PathValue("name"), Query: r.URL.Query(), Browser: h.cookie.read(r),
	})
	h.show(w, r, next, err)
}

// guarded lets only our own pages' forms through.
func (h *handler) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.fromHere(r) {
			foreignForm.render(w, http.StatusForbidden, view{})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			h.failed(w, r, badForm(err))
			return
		}
		next(w, r)
	}
}

// fromHere reports whether a form was sent by our own page. Under our own
// Referrer-Policy a browser that is too old for Sec-Fetch-Site (Safari before
// 16.4), or that reaches a development server by its address, says "Origin:
// null" for our own forms too (Fetch standard, "append a request Origin header").
// It is taken like no Origin at all: whoever can name the action of a form holds
// the link's secret, and the cookie's SameSite keeps the browser's binding out.
func (h *handler) fromHere(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return true
	}
	return h.sameOrigin.Check(r) == nil
}

func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return &verify.Error{Code: web.CodeBadRequest, Message: "The form can't be read."}
}

func (h *handler) tap(r *http.Request, browser flow.Browser) flow.Tap {
	return flow.Tap{Token: r.PathValue("token"), Browser: browser, Addr: web.Addr(r.Context())}
}

// bind returns the browser's cookie, minted if need be, and renews it: the way
// through the carrier must not outlast it.
func (h *handler) bind(w http.ResponseWriter, r *http.Request) flow.Browser {
	browser := h.cookie.read(r)
	if browser == "" {
		browser = newBrowser()
	}
	h.cookie.write(w, browser)
	return browser
}

// showPosted is show for the answer to a form.
func (h *handler) showPosted(w http.ResponseWriter, r *http.Request, next flow.Next, err error) {
	switch {
	case err == nil && next.Show == flow.ShowWait:
		// That page loads itself again, which must not send the form again.
		redirect(w, linkURL(r))
	case err == nil && next.Show == flow.ShowDenied:
		pages[flow.ShowDenied].render(w, http.StatusOK, h.view(r, next.Page))
	default:
		h.show(w, r, next, err)
	}
}

// show turns what the flow decided into an answer.
func (h *handler) show(w http.ResponseWriter, r *http.Request, next flow.Next, err error) {
	switch {
	case err != nil:
		h.failed(w, r, err)
	case next.Show == flow.ShowRedirect:
		redirect(w, next.URL)
	case next.Show == flow.ShowLink && next.Page.AutoSubmit:
		autoLink.render(w, http.StatusOK, h.view(r, next.Page))
	default:
		pages[next.Show].render(w, statuses[next.Show], h.view(r, next.Page))
	}
}

// statuses of the pages. "Gone" for what ended is for machines that fetch links;
// people see the same page. A used link is "not found" like an unknown one.
var statuses = map[flow.Show]int{
	flow.ShowForeignAnswer: http.StatusForbidden,
	flow.ShowUnusable:      http.StatusNotFound,
	flow.ShowLink:          http.StatusOK,
	flow.ShowWiFi:          http.StatusOK,
	flow.ShowWait:          http.StatusOK,
	flow.ShowExpired:       http.StatusGone,
	flow.ShowDenied:        http.StatusGone,
	flow.ShowOtherBrowser:  http.StatusForbidden,
	flow.ShowFinished:      http.StatusOK,
}

// failed shows a person what web.Error would tell a program.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	problem := web.ProblemOf(r.Context(), err)
	for name, values := range problem.Headers() {
		w.Header()[name] = values
	}
	v := view{RequestID: web.RequestID(r.Context())}
	if problem.Error.StatusCode < http.StatusInternalServerError {
		v.RequestID = ""
	}
	failedPage.render(w, problem.Error.StatusCode, v)
}

// redirect sends the browser on by GET. It writes no body, which would hold the
// fingerprint once more.
func redirect(w http.ResponseWriter, to string) {
	setHeaders(w.Header(), "", bareCSP)
	w.Header().Set("Location", to)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
}

func linkURL(r *http.Request) string { return flow.LinkPath + url.PathEscape(r.PathValue("token")) }
