// Package flow is the product, top to bottom: one file per step of a
// verification's journey, in the order in which they happen.
//
//	request.go       a client asks: check, write, hand to the outbox
//	send.go          the outbox asks: compose the text, hand it to a gateway; receipts
//	open.go          the phone opens the link (GET, changes nothing), confirms or denies (POST)
//	authenticate.go  the browser comes back from the carrier
//	result.go        the verification ends, the client reads the result
//	next.go          what comes next, for every state; the steps don't call each other
//
// What next.go decides, for a browser that holds the link's secret ("same" is
// the browser that confirmed, within ReplayTime):
//
//	link       browser  GET link        POST link              callback
//	pending    any      link page       consume → carrier,     refused
//	                                    or the Wi-Fi page
//	consumed   same     link page,      the carrier again      claim → ask → target
//	                    Continue alone
//	 (answered) same    wait            wait                   wait
//	consumed   other    unusable        unusable               other browser
//	completed  same     target          target                 target
//	completed  other    unusable        unusable               other browser
//	 (by time) same     finished        finished               finished
//	expired    any      expired         expired                unusable
//	denied     any      denied          denied                 unusable
//	cancelled  any      unusable        unusable               unusable
//
// Whoever lacks the secret sees "unusable", whatever the state: unknown and used
// links look the same to a stranger.
//
// The flow knows the rules' order and nothing of HTTP, SQL or any vendor: those
// are behind the interfaces in flow.go.
package flow
