package handset

import (
	"embed"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"holdfast/internal/phone"
	"holdfast/internal/sim/look"
)

//go:embed pages
var files embed.FS

var phonePage = look.New(sub(files), "phone", "bubble")

// firstNumber is the phone that a newcomer holds.
var firstNumber = phone.Stored("+12125550123", phone.US)

// phoneView is what the phone's page shows.
type phoneView struct {
	Number   string // E.164
	Typed    string // the number's field, as it was typed
	Pretty   string
	Wrong    string // why the number that was asked for is none
	Bubbles  []bubble
	Seq      uint64 // of the last message that the page has
	Networks []choice
	Others   []other
}

type choice struct {
	Value         Network
	Title, Detail string
	Chosen        bool
}

// other is a phone that was texted too.
type other struct{ Number, Pretty string }

// bubble is one message, its links made tappable.
type bubble struct {
	Parts []part
	At    time.Time
}

type part struct {
	Text string
	Link bool
}

// showPhone hands the browser a phone: the one it asks for, the one it has, the
// one last texted, or the first.
func (p *Phones) showPhone(w http.ResponseWriter, r *http.Request) {
	number, held := chosen(r)
	if !held {
		number = p.suggested()
	}
	asked, status, wrong := r.URL.Query().Get("number"), http.StatusOK, ""
	if asked != "" {
		wanted, err := typed(asked)
		if err != nil {
			status, wrong = http.StatusBadRequest, "That is no phone number of the United States or Canada: ten digits, such as 212 555 0123."
		} else {
			number, asked = wanted, ""
		}
	}
	choose(w, number)
	v := p.view(number)
	v.Wrong = wrong
	if asked != "" {
		v.Typed = asked
	}
	phonePage.Render(w, status, v)
}

func (p *Phones) suggested() phone.Number {
	p.mu.Lock()
	defer p.mu.Unlock()
	if number, ok := p.texted(); ok {
		return number
	}
	return firstNumber
}

func (p *Phones) view(number phone.Number) phoneView {
	v := phoneView{Number: number.E164(), Pretty: pretty(number), Typed: pretty(number)}
	p.mu.Lock()
	defer p.mu.Unlock()
	v.Seq = p.seq
	if h := p.phones[number]; h != nil {
		for _, m := range h.messages {
			v.Bubbles = append(v.Bubbles, bubbleOf(m))
		}
	}
	for _, n := range slices.Backward(p.order) {
		if n != number && len(p.phones[n].messages) > 0 && len(v.Others) < 5 {
			v.Others = append(v.Others, other{n.E164(), pretty(n)})
		}
	}
	titles := map[Network][2]string{
		Cellular: {"Mobile data, own SIM", "The carrier says: yes, this is that phone."},
		OtherSIM: {"Mobile data, another SIM", "The carrier sees " + pretty(otherSIM(number)) + " and says no."},
		WiFi:     {"Wi-Fi", "No carrier to ask. Switch while the page waits, and it notices."},
	}
	for _, n := range Networks {
		v.Networks = append(v.Networks, choice{n, titles[n][0], titles[n][1], n == p.networkOf(number)})
	}
	return v
}

// typed reads a number as a person writes it, with or without country code.
func typed(text string) (phone.Number, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()+", r) {
			return -1
		}
		return r
	}, text)
	if len(digits) == 10 {
		digits = "1" + digits
	}
	return parseNumber(digits)
}

// links finds web addresses in a text. A full stop or bracket at the end belongs
// to the sentence.
var links = regexp.MustCompile(`https?://[^\s<>"]*[^\s<>".,;:!?)\]}']`)

func bubbleOf(m Message) bubble {
	b := bubble{At: m.At.Local()}
	rest := m.Text
	for _, at := range links.FindAllStringIndex(m.Text, -1) {
		start := len(m.Text) - len(rest)
		b.Parts = append(b.Parts, part{Text: m.Text[start:at[0]]}, part{Text: m.Text[at[0]:at[1]], Link: true})
		rest = m.Text[at[1]:]
	}
	b.Parts = append(b.Parts, part{Text: rest})
	b.Parts = slices.DeleteFunc(b.Parts, func(x part) bool { return x.Text == "" })
	return b
}
