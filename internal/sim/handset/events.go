package handset

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"holdfast/internal/phone"
)

// heartbeat keeps a stream from looking dead to whatever is in between.
const heartbeat = 20 * time.Second

// events streams what happens to a phone as server-sent events (HTML standard,
// section 9.2): "message" with the bubble to insert, "network", and "elsewhere"
// for a text that went to another phone.
func (p *Phones) events(w http.ResponseWriter, r *http.Request) {
	number, err := parseNumber(r.URL.Query().Get("number"))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	stream := http.NewResponseController(w)
	_ = stream.SetWriteDeadline(time.Time{}) // a stream outlives the server's own limit
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	after := p.resumeAt(r)
	network := Network("")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		news := p.newsFor(number, after)
		after = news.seq
		for _, m := range news.messages {
			event(w, "message", m.seq, map[string]string{"html": phonePage.Fragment("bubble", bubbleOf(m))})
		}
		for _, n := range news.elsewhere {
			event(w, "elsewhere", after, map[string]string{"number": n.E164(), "pretty": pretty(n)})
		}
		if news.network != network {
			network = news.network
			event(w, "network", after, map[string]string{"network": string(network)})
		}
		if stream.Flush() != nil {
			return
		}
		select {
		case <-news.changed:
		case <-beat.C:
			_, _ = fmt.Fprint(w, ":\n\n") // who is gone is noticed at the next flush
		case <-r.Context().Done():
			return
		case <-p.stopped:
			return
		}
	}
}

// resumeAt is the number of the last message that the page has: of the stream
// that broke off, else of the page. A number from before a restart means nothing.
func (p *Phones) resumeAt(r *http.Request) uint64 {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	after, _ := strconv.ParseUint(text, 10, 64) // what can't be read is 0: all of them
	p.mu.Lock()
	defer p.mu.Unlock()
	if after > p.seq {
		return 0
	}
	return after
}

// news is what a page does not have yet.
type news struct {
	messages  []Message
	elsewhere []phone.Number
	network   Network
	seq       uint64
	changed   <-chan struct{}
}

func (p *Phones) newsFor(number phone.Number, after uint64) news {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := news{network: p.networkOf(number), seq: p.seq, changed: p.changed}
	for of, h := range p.phones {
		last := len(h.messages) - 1
		switch {
		case last < 0 || h.messages[last].seq <= after:
		case of != number:
			n.elsewhere = append(n.elsewhere, of)
		default:
			for _, m := range h.messages {
				if m.seq > after {
					n.messages = append(n.messages, m)
				}
			}
		}
	}
	return n
}

func event(w http.ResponseWriter, kind string, id uint64, data map[string]string) {
	body, err := json.Marshal(data)
	if err != nil {
		panic(err) // a map of strings
	}
	_, _ = fmt.Fprintf(w, "event: %s\nid: %d\ndata: %s\n\n", kind, id, body)
}

func sub(all fs.FS) fs.FS {
	pages, err := fs.Sub(all, "pages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return pages
}
