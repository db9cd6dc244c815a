package twilio

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"holdfast/internal/sms"
	"holdfast/internal/sms/exchange"
)

// Rule is what one of Twilio's error codes means.
type Rule struct {
	Class  sms.Class // Retry or Refused
	OptOut bool      // the number has opted out; final across all gateways
	Advice string    // what an operator can do, in one sentence; "" where there is nothing
}

// retry, refuse: the two kinds of rules.
func retry(advice string) Rule  { return Rule{Class: sms.Retry, Advice: advice} }
func refuse(advice string) Rule { return Rule{Class: sms.Refused, Advice: advice} }

// Advice that several codes share.
const (
	adviceAccount  = "the account or its credentials are refused or suspended; check them and the balance in Twilio's console"
	adviceNumber   = "the number can't get a text"
	adviceCampaign = "the sending number is not registered for 10DLC; register the brand and its campaign, and add the number to it"
	adviceTollFree = "the toll-free sending number is not verified; verify it, or send from another"
	adviceSender   = "the sending number can't be used; check from and messaging_service_sid"
)

// codes are the ones that matter for texts to the United States and Canada.
var codes = map[int]Rule{
	// What Twilio or the account can't do now.
	20003: retry(adviceAccount),
	20005: retry(adviceAccount),
	20429: retry("too many requests at once; raise the account's limits, or send less"),
	30001: retry("the sending queue is full; the number's rate is below what is sent"),
	30002: retry(adviceAccount),
	30003: retry("the phone is off or out of reach"),
	30008: retry("the network gave no reason"),

	// The person does not want it.
	21610: {Class: sms.Refused, OptOut: true, Advice: "the number has sent STOP; only its owner can undo that, with START"},

	// The number.
	21211: refuse(adviceNumber),
	21408: refuse("the account may not send to this country; allow it in the messaging geographic permissions"),
	21614: refuse(adviceNumber),
	30004: refuse("the phone blocks texts from this sender"),
	30005: refuse(adviceNumber),
	30006: refuse(adviceNumber + ": a landline, or a carrier that can't be reached"),

	// The text and its sender. Another number with the same text would be filtered
	// too, and then be blocked itself.
	30007: refuse("the carrier filtered the text as unwanted; do not send it from other numbers, look at its wording and its link's host"),
	21606: refuse(adviceSender),
	21659: refuse(adviceSender),
	21617: refuse("the text is longer than 1600 characters"),

	// Registration of senders in the United States.
	30032: refuse(adviceTollFree),
	30034: refuse(adviceCampaign),
	30035: refuse(adviceCampaign),
	30909: refuse("the 10DLC campaign was rejected for its call to action; correct it in Twilio's console and submit it again"),
}

// table is codes with the operator's own on top.
func table(own map[int]Rule) map[int]Rule {
	if len(own) == 0 {
		return codes
	}
	all := maps.Clone(codes)
	for code, rule := range own {
		if rule.OptOut {
			rule.Class = sms.Refused
		}
		all[code] = rule
	}
	return all
}

// Advice is what an operator can do about a code of Twilio's, as attempts,
// receipts and logs have it; "" where nothing is known.
func (g *Gateway) Advice(code string) string {
	n, err := strconv.Atoi(code)
	if err != nil {
		return ""
	}
	return g.codes[n].Advice
}

// failure classifies an answer that is no success: by its status, and with
// 4xx by Twilio's code.
func (g *Gateway) failure(a exchange.Answer) *sms.Error {
	e := a.Error()
	if a.Status < 400 || a.Status > 499 {
		return e
	}
	var told struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(a.Body, &told) == nil && told.Code > 0 {
		e.Code = strconv.Itoa(told.Code)
	}
	e.Class, e.Retry = sms.Retry, a.RetryAfter
	rule, known := g.codes[told.Code]
	if known && a.Status != http.StatusTooManyRequests {
		e.Class, e.OptOut = rule.Class, rule.OptOut
	}
	if e.Class != sms.Retry {
		e.Retry = 0
	}
	if rule.Advice != "" {
		e.Err = errors.New(rule.Advice)
	}
	return e
}
