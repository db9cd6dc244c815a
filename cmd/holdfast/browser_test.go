package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/client"
	"holdfast/internal/secret"
)

// TestBrowser plays the whole journey with a real browser against a running
// `holdfast dev`: the form on one side, the phone on the other. With
// HOLDFAST_SCREENSHOTS=folder it keeps pictures of what it sees.
func TestBrowser(t *testing.T) {
	t.Parallel()
	browser := startChromium(t)
	for name, test := range map[string]func(*testing.T, *chromium){
		"journey":              testJourneys,
		"without script":       testWithoutScript,
		"landing auto":         testLandingAuto,
		"a stranger's browser": testStranger,
		"double tap":           testDoubleTap,
		"back":                 testBack,
		"phone pages":          testPhonePages,
		"dev pages":            testDevPages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, browser)
		})
	}
}

// The number that the form suggests, and that the phone has.
const theNumber = "+12125550123"

// Titles of the phone's pages.
const (
	titleLink     = "Confirm your phone for " + devBusiness
	titleWiFi     = "Turn Wi-Fi off for a moment"
	titleDenied   = "Thank you for telling us"
	titleExpired  = "This link has expired"
	titleUnusable = "This link can't be used"
)

// Names of the networks on the phone's page.
var signals = map[string]string{"cellular": "5G", "other-sim": "5G, another SIM", "wifi": "Wi-Fi"}

// walk is one journey under way.
type walk struct {
	*testing.T
	dev   *devServer
	form  *tab // the business's page, which waits
	phone *tab // the phone's messages
	link  *tab // what the link opened
}

// begin has a link sent by the form and opens the phone's page, which shows it.
// Both are in one browser, unless apart.
func begin(t *testing.T, browser *chromium, dev *devServer, apart bool) *walk {
	t.Helper()
	person := browser.profile(t, true)
	desk := person
	if apart {
		desk = browser.profile(t, false)
	}
	j := &walk{T: t, dev: dev, form: desk.tab(), phone: person.tab()}
	j.phone.open(dev.base + "/phone?number=" + url.QueryEscape(theNumber))
	texts := evaluate[int](j.phone, "document.querySelectorAll('.bubble').length")
	j.form.open(dev.base + "/demo")
	j.form.write("#number", "212 555 0123")
	j.form.tap("form button")
	j.form.shows("#wait")
	j.phone.until(fmt.Sprintf("document.querySelectorAll('.bubble a').length === %d", texts+1))
	return j
}

// choose puts the phone on a network, by hand.
func (j *walk) choose(network string) {
	j.Helper()
	j.phone.tap(fmt.Sprintf("#networks input[value=%s]", network))
	j.phone.until("document.getElementById('signal').textContent === " + quoted(signals[network]))
}

// open taps the link.
func (j *walk) open() {
	j.Helper()
	j.link = j.phone.follow(".bubble:last-child a")
	j.link.titled(titleLink)
}

// landed is the title of the target's pages, whatever the result on them.
const landed = "the target page, with vfp"

// ending is what there is to see of a journey's end.
type ending struct {
	Phone string // the title of the phone's last page, or landed
	// Target and Form are the results on the target's page and on the form's, which
	// waited; Target is the same as Form where the phone never got there.
	Target, Form seen
}

// seen is a result on a page.
type seen struct {
	Title   string // what people read
	Status  client.Status
	Verdict client.Verdict
	Match   client.PhoneMatch
	Clicked bool
	Reasons string
}

// read waits for the result on a page.
func (b *tab) read(t *testing.T) seen {
	t.Helper()
	b.shows("#verdict")
	var res client.Result
	if err := json.Unmarshal([]byte(evaluate[string](b, "document.getElementById('json').textContent")), &res); err != nil {
		t.Fatal(err)
	}
	if res.PhoneNumber != theNumber || res.CountryCode != "US" || res.Delivery != "delivered" || res.IPAddressMatch != res.LinkClicked {
		t.Errorf("the result is %+v", res)
	}
	return seen{
		Title: evaluate[string](b, "document.getElementById('verdict').textContent"), Status: res.Status,
		Verdict: res.Verdict, Match: res.PhoneMatch, Clicked: res.LinkClicked, Reasons: strings.Join(res.Reasons, " "),
	}
}

// end waits for the phone's last page and for the results.
func (j *walk) end(phone string) ending {
	j.Helper()
	if phone != landed {
		j.link.titled(phone)
		result := j.form.read(j.T)
		return ending{phone, result, result}
	}
	result := j.link.read(j.T)
	at, err := url.Parse(evaluate[string](j.link, "location.href"))
	if err != nil {
		j.Fatal(err)
	}
	if query := at.Query(); at.Path != "/demo/return" || query.Get("journey") == "" || len(query["vfp"]) != 1 || len(query.Get("vfp")) != secret.TokenSize {
		j.Errorf("the phone landed on %s", at.Redacted())
	}
	return ending{landed, result, j.form.read(j.T)}
}

// both is the ending of a journey that came back to the target.
func both(s seen) ending { return ending{landed, s, s} }

var (
	verified = both(seen{"Verified", client.Completed, client.Verified, client.MatchTrue, true, ""})
	refused  = both(seen{"Not verified", client.Completed, client.Failed, client.MatchFalse, true, "phone_mismatch"})
	unasked  = both(seen{"Nobody can tell", client.Completed, client.Indeterminate, client.MatchIndeterminate, true, "wifi"})
)

// nowhere is the ending of a journey that ended on one of our own pages.
func nowhere(phone string, s seen) ending { return ending{phone, s, s} }

// journeys are all ways through, and what each must come to.
var journeys = []struct {
	name    string
	network string // before the tap
	apart   bool   // the form and the phone are not in one browser
	play    func(*walk)
	want    ending
}{
	{"match", "cellular", false, proceed, verified},
	{"match, two browsers", "cellular", true, proceed, verified},
	{"other SIM", "other-sim", false, proceed, refused},
	{"Wi-Fi, then cellular on the phone", "wifi", false, switchByHand, verified},
	{"Wi-Fi, then cellular by a script", "wifi", true, switchByScript, verified},
	{"Wi-Fi, then cellular and the button", "wifi", false, switchAndSay, verified},
	{"Wi-Fi kept", "wifi", false, goWithout, unasked},
	{"denied", "cellular", false, deny, nowhere(titleDenied, seen{
		"Not verified", client.Denied, client.Failed, client.MatchIndeterminate, false, "denied_by_consumer",
	})},
	{"expired before the tap", "cellular", false, openLate, nowhere(titleExpired, seen{
		"Nobody can tell", client.Expired, client.Indeterminate, client.MatchIndeterminate, false, "link_expired",
	})},
	{"expired before Continue", "cellular", true, proceedLate, nowhere(titleExpired, seen{
		"Nobody can tell", client.Expired, client.Indeterminate, client.MatchIndeterminate, false, "link_expired",
	})},
}

func proceed(j *walk) {
	j.open()
	j.link.shoot("link")
	j.link.tap("#continue button")
}

func holdForNetwork(j *walk) {
	proceed(j)
	j.link.titled(titleWiFi)
	j.link.shows("#watch")
	j.link.shoot("wifi")
}

// The page notices when it is looked at again.
func switchByHand(j *walk) {
	holdForNetwork(j)
	j.choose("cellular")
	j.link.front()
}

// The page notices while it is looked at.
func switchByScript(j *walk) {
	holdForNetwork(j)
	j.dev.put(j.T, theNumber, "cellular")
}

func switchAndSay(j *walk) {
	holdForNetwork(j)
	j.link.leave(func() { j.link.tap("#off button") }) // which is not yet true
	j.link.titled(titleWiFi)
	j.link.hang("*/network") // a phone's requests do while it changes networks
	j.choose("cellular")
	j.link.tap("#off button")
}

func goWithout(j *walk) {
	holdForNetwork(j)
	j.link.tap("#without button")
}

func deny(j *walk) {
	j.open()
	j.link.tap("#deny button")
}

// overdue is just more than the time that a link works.
const overdue = 5*time.Minute + time.Second

func openLate(j *walk) {
	j.dev.clock.move(overdue)
	j.link = j.phone.follow(".bubble:last-child a")
}

func proceedLate(j *walk) {
	j.open()
	j.dev.clock.move(overdue)
	j.link.tap("#continue button")
}

func testJourneys(t *testing.T, browser *chromium) {
	var mu sync.Mutex
	got := map[string]ending{}
	t.Cleanup(func() {
		table := new(strings.Builder)
		w := tabwriter.NewWriter(table, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "JOURNEY\tAS EXPECTED\tTHE PHONE ENDS ON\tTHE PAGES SAY\tSTATUS\tVERDICT\tMATCH\tCLICKED\tREASONS")
		for _, tt := range journeys {
			o, played := got[tt.name]
			if s := o.Form; played {
				fmt.Fprintf(w, "%s\t%t\t%s\t%s\t%s\t%s\t%s\t%t\t%s\n", tt.name, o == tt.want, o.Phone, s.Title, s.Status, s.Verdict, s.Match, s.Clicked, s.Reasons)
			}
		}
		_ = w.Flush()
		t.Logf("what was seen:\n%s", table)
	})
	for _, tt := range journeys {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, browser, startDev(t), tt.apart)
			j.choose(tt.network)
			tt.play(j)
			o := j.end(tt.want.Phone)
			j.link.shoot("end on the phone")
			j.form.shoot("end of the form")
			mu.Lock()
			defer mu.Unlock()
			got[tt.name] = o
			if diff := cmp.Diff(tt.want, o); diff != "" {
				t.Errorf("the journey ended otherwise (-want +got):\n%s", diff)
			}
		})
	}
}
