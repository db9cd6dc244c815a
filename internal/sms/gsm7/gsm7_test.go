package gsm7_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"holdfast/internal/sms/gsm7"
)

// The alphabet as 3GPP TS 23.038 prints it, column by column of the tables in
// section 6.2.1; written down here a second time so that the package's own table
// is checked against something.
const (
	defaultTable = "@Δ 0¡P¿p" + "£_!1AQaq" + "$Φ\"2BRbr" + "¥Γ#3CScs" + "èΛ¤4DTdt" + "éΩ%5EUeu" + "ùΠ&6FVfv" + "ìΨ'7GWgw" +
		"òΣ(8HXhx" + "ÇΘ)9IYiy" + "\nΞ*:JZjz" + "Ø+;KÄkä" + "øÆ,<LÖlö" + "\ræ-=MÑmñ" + "Åß.>NÜnü" + "åÉ/?O§oà"
	extensionTable = "\f^{}\\[~]|€"
)

func TestAlphabet(t *testing.T) {
	t.Parallel()
	if n := len([]rune(defaultTable)); n != 127 {
		t.Fatalf("the default table has %d characters, want 127 (128 without the escape)", n)
	}
	for r := range rune(0x11000) {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		want := gsm7.Size{Encoding: gsm7.UCS2, Units: len(utf16.Encode([]rune{r})), Segments: 1, PerSegment: 70}
		switch {
		case strings.ContainsRune(defaultTable, r):
			want = gsm7.Size{Encoding: gsm7.GSM7, Units: 1, Segments: 1, PerSegment: 160}
		case strings.ContainsRune(extensionTable, r):
			want = gsm7.Size{Encoding: gsm7.GSM7, Units: 2, Segments: 1, PerSegment: 160}
		}
		if got := gsm7.Count(string(r)); got != want {
			t.Errorf("Count(%U) = %+v, want %+v", r, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for _, c := range []struct {
		name, text string
		encoding   gsm7.Encoding
		units      int
		segments   int
		per        int
	}{
		{"empty is one SMS", "", gsm7.GSM7, 0, 1, 160},
		{"160 septets are one", repeat("a", 160), gsm7.GSM7, 160, 1, 160},
		{"161 are two", repeat("a", 161), gsm7.GSM7, 161, 2, 153},
		{"two full parts", repeat("a", 306), gsm7.GSM7, 306, 2, 153},
		{"one more", repeat("a", 307), gsm7.GSM7, 307, 3, 153},
		{"80 escape pairs are one", repeat("€", 80), gsm7.GSM7, 160, 1, 160},
		{"a pair over the end of one", repeat("a", 159) + "{", gsm7.GSM7, 161, 2, 153},
		{"a pair at the end of a part fits", repeat("a", 151) + "€" + repeat("a", 153), gsm7.GSM7, 306, 2, 153},
		{"a pair over the end of a part moves on", repeat("a", 152) + "€" + repeat("a", 152), gsm7.GSM7, 306, 3, 153},
		{"76 pairs in a part, not 76.5", repeat("|", 152), gsm7.GSM7, 304, 2, 153},
		{"153 pairs need three parts", repeat("|", 153), gsm7.GSM7, 306, 3, 153},
		{"70 code units are one", repeat("ж", 70), gsm7.UCS2, 70, 1, 70},
		{"71 are two", repeat("ж", 71), gsm7.UCS2, 71, 2, 67},
		{"134 are two", repeat("ж", 134), gsm7.UCS2, 134, 2, 67},
		{"135 are three", repeat("ж", 135), gsm7.UCS2, 135, 3, 67},
		{"35 emoji are one", repeat("🔒", 35), gsm7.UCS2, 70, 1, 70},
		{"33 emoji in a part, not 33.5", repeat("🔒", 67), gsm7.UCS2, 134, 3, 67},
		{"a surrogate pair moves on whole", repeat("ж", 66) + "🔒" + repeat("ж", 66), gsm7.UCS2, 134, 3, 67},
		{"one character turns the whole text", repeat("a", 159) + "ç", gsm7.UCS2, 160, 3, 67},
		{"an extension character is one unit in UCS-2", "€ж", gsm7.UCS2, 2, 1, 70},
		{"bytes that are not UTF-8", "a\xff\xfe", gsm7.UCS2, 3, 1, 70},
		{"the escape is no character", "\x1b", gsm7.UCS2, 1, 1, 70},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := gsm7.Size{Encoding: c.encoding, Units: c.units, Segments: c.segments, PerSegment: c.per}
			if got := gsm7.Count(c.text); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestForcesUCS2(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"curly quotes": "‘’“”", "en dash": "–", "em dash": "—", "ellipsis": "…", "bullet": "•", "backtick": "`",
		"small c cedilla": "ç", "e circumflex": "ê", "A acute": "Á", "tab": "\t", "emoji": "🙂", "no-break space": "\u00a0",
	} {
		if got := gsm7.Count("ok " + text).Encoding; got != gsm7.UCS2 {
			t.Errorf("%s: %v", name, got)
		}
	}
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if got := gsm7.Count(base64url); got.Units != len(base64url) || got.Encoding != gsm7.GSM7 {
		t.Errorf("base64url is not one septet each: %+v", got)
	}
}

// naive packs widths one part after the other, with the whole list in hand.
func naive(widths []int, single, part int) (units, segments int) {
	for _, w := range widths {
		units += w
	}
	if units <= single {
		return units, 1
	}
	for len(widths) > 0 {
		room := part
		for len(widths) > 0 && widths[0] <= room {
			room -= widths[0]
			widths = widths[1:]
		}
		segments++
	}
	return units, segments
}

func TestCountAgreesWithNaivePacker(t *testing.T) {
	t.Parallel()
	alphabet := []rune(defaultTable + extensionTable)
	rapid.Check(t, func(t *rapid.T) {
		runes := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 500).Draw(t, "gsm")
		if rapid.Bool().Draw(t, "ucs2") {
			runes = append(runes, rapid.SliceOfN(rapid.Rune(), 1, 300).Draw(t, "any")...)
		}
		text := string(runes)
		widths, want := make([]int, 0, len(runes)), gsm7.Size{PerSegment: 153}
		for _, r := range text {
			switch {
			case strings.ContainsRune(extensionTable, r):
				widths = append(widths, 2)
			case strings.ContainsRune(defaultTable, r):
				widths = append(widths, 1)
			default:
				want.Encoding = gsm7.UCS2
			}
		}
		single := 160
		if want.Encoding == gsm7.UCS2 {
			single, want.PerSegment, widths = 70, 67, widths[:0]
			for _, r := range text {
				widths = append(widths, len(utf16.Encode([]rune{r})))
			}
		}
		want.Units, want.Segments = naive(widths, single, want.PerSegment)
		if want.Segments == 1 {
			want.PerSegment = single
		}
		if got := gsm7.Count(text); got != want {
			t.Fatalf("Count(%q) = %+v, want %+v", text, got, want)
		}
	})
}

func FuzzCount(f *testing.F) {
	for _, seed := range []string{
		"", "hello", "€", "\x1b", "\xff", strings.Repeat("a", 161), strings.Repeat("{", 153), strings.Repeat("🔒", 67), "ç" + strings.Repeat("a", 300),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size := gsm7.Count(text)
		if size.Segments < 1 || size.Units > size.Segments*size.PerSegment {
			t.Errorf("%q does not fit: %+v", text, size)
		}
		// A part ends at most one unit early.
		if size.Segments > 1 && size.Units <= (size.Segments-1)*(size.PerSegment-1) {
			t.Errorf("%q takes a part too many: %+v", text, size)
		}
	})
}

func TestCountAllocatesNothing(t *testing.T) {
	text := strings.Repeat("Acme: tap https://ok.example/l/x {5 €} ", 8)
	if n := testing.AllocsPerRun(100, func() { gsm7.Count(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	text := "Acme Bank: to confirm your phone, turn off Wi-Fi and tap https://ok.example/l/00000000000000000000000000000000 Not expected? Don't tap."
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		gsm7.Count(text)
	}
}
