// Package gsm7 counts how many SMS a text takes on the air, exactly: in the GSM
// 7 bit default alphabet with its extension table where the text allows it
// (3GPP TS 23.038 section 6.2.1), else in UCS-2, which phones read as UTF-16.
//
// Every SMS is paid for, and one character outside the alphabet more than halves
// what fits into one; so the count is made before a text is accepted, by the
// same rules by which gateways split it.
package gsm7

import "unicode/utf8"

// Encoding is the alphabet in which a text goes out.
type Encoding int

// The encodings.
const (
	GSM7 Encoding = iota // septets
	UCS2                 // UTF-16 code units
)

// What fits into one SMS of 140 octets: alone, or as part of a longer text, in
// which 6 octets go to the header that joins the parts (3GPP TS 23.040 section
// 9.2.3.24.1).
const (
	singleGSM7, partGSM7 = 160, 153
	singleUCS2, partUCS2 = 70, 67
)

// Size is a text's size on the air.
type Size struct {
	Encoding   Encoding
	Units      int // septets or UTF-16 code units, all parts together, padding left out
	Segments   int // how many SMS, 1 and more: an empty text still is one
	PerSegment int // how many units fit into each of them: 160 or 153, 70 or 67
}

// widths has, for U+0000 to U+00FF, the septets that a character takes: 1 in the
// default alphabet, 2 in the extension table (an escape and the character), 0
// where GSM-7 lacks it. The escape itself is no character.
var widths = func() (w [256]uint8) {
	for _, r := range "@£$¥èéùìòÇ\nØø\rÅå_ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà" {
		w[r] = 1
	}
	for _, r := range "\f^{}\\[~]|" {
		w[r] = 2
	}
	return w
}()

// width is the septets that r takes in GSM-7, 0 where it has none.
func width(r rune) int {
	if r >= 0 && r < 256 {
		return int(widths[r])
	}
	switch r {
	case 'Δ', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ':
		return 1
	case '€':
		return 2
	}
	return 0
}

// Count returns text's size. One character outside GSM-7 turns the whole text to
// UCS-2. A pair of units that makes one character (an escape and what follows it,
// a surrogate pair) is never split across two SMS, so a part may end one unit
// early. A byte that is not UTF-8 counts as the replacement character.
func Count(text string) Size {
	p := parts{limit: partGSM7}
	for i := 0; i < len(text); {
		w := 0
		if b := text[i]; b < utf8.RuneSelf {
			w = int(widths[b])
			i++
		} else {
			r, n := utf8.DecodeRuneInString(text[i:])
			w = width(r)
			i += n
		}
		if w == 0 {
			return countUCS2(text)
		}
		p.add(w)
	}
	return p.size(GSM7, singleGSM7)
}

func countUCS2(text string) Size {
	p := parts{limit: partUCS2}
	for _, r := range text {
		if r > 0xFFFF {
			p.add(2)
		} else {
			p.add(1)
		}
	}
	return p.size(UCS2, singleUCS2)
}

// parts packs characters into parts, each as full as it gets.
type parts struct {
	limit int // units in a part
	units int // in all
	full  int // parts that are closed
	last  int // units in the open one
}

func (p *parts) add(width int) {
	p.units += width
	if p.last+width > p.limit {
		p.full++
		p.last = 0
	}
	p.last += width
}

func (p *parts) size(e Encoding, single int) Size {
	if p.units <= single {
		return Size{Encoding: e, Units: p.units, Segments: 1, PerSegment: single}
	}
	return Size{Encoding: e, Units: p.units, Segments: p.full + 1, PerSegment: p.limit}
}
