package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := NewToken(rapid.Int64Range(1, 1<<62).Draw(t, "id"))
		text := token.Reveal()
		back, ok := ParseToken(text)
		if !ok || back != token || len(text) != TokenSize {
			t.Fatalf("ParseToken = %v, %v", back, ok)
		}
		if token.Digest(ForLink) == token.Digest(ForVFP) {
			t.Fatal("one purpose's digest serves another")
		}
		if NewToken(token.ID).Digest(ForLink).Equal(token.Digest(ForLink)) {
			t.Fatal("two tokens of one row are equal")
		}
	})
}

func TestParseTokenRefuses(t *testing.T) {
	good := NewToken(5).Reveal()
	for _, text := range []string{"", good[1:], good + "A", good[:31] + "=", good[:31] + " ", good[:31] + "\n", good[:31] + "+", strings.Repeat("_", 32), strings.Repeat("A", 32)} {
		if token, ok := ParseToken(text); ok {
			t.Errorf("ParseToken(%q) = id %d", text, token.ID)
		}
	}
}

func TestZeroDigestEqualsNothing(t *testing.T) {
	if (Digest{}).Equal(Digest{}) {
		t.Error("an unset digest proves something")
	}
	d := DigestOf(ForLink, []byte("x"))
	if !d.Equal(d) || d.Equal(Digest{}) || d.Equal(DigestOf(ForVFP, []byte("x"))) {
		t.Error("Equal is wrong")
	}
}

func TestKeyDerivesBySeparatePurposeRowAndParts(t *testing.T) {
	key, text := GenerateKey()
	again, err := ParseKey(" " + text.Reveal() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	base := key.Derive(ForState, 7, []byte("ab"), []byte("c"))
	if again.Derive(ForState, 7, []byte("ab"), []byte("c")) != base {
		t.Error("the same key derives something else")
	}
	other, _ := GenerateKey()
	for name, got := range map[string][32]byte{
		"purpose": key.Derive(ForNonce, 7, []byte("ab"), []byte("c")),
		"row":     key.Derive(ForState, 8, []byte("ab"), []byte("c")),
		"framing": key.Derive(ForState, 7, []byte("a"), []byte("bc")),
		"joined":  key.Derive(ForState, 7, []byte("abc")),
		"key":     other.Derive(ForState, 7, []byte("ab"), []byte("c")),
	} {
		if got == base {
			t.Errorf("another %s derives the same", name)
		}
	}
}

func TestSealOpensOnlyWhereItBelongs(t *testing.T) {
	key, _ := GenerateKey()
	other, _ := GenerateKey()
	token := NewToken(42)
	sealed := key.SealToken(ForLink, token)
	if back, err := key.OpenToken(ForLink, 42, sealed); err != nil || back != token {
		t.Fatalf("OpenToken: %v", err)
	}
	broken := append([]byte{}, sealed...)
	broken[3] ^= 1
	for name, open := range map[string]func() (Token, error){
		"row":     func() (Token, error) { return key.OpenToken(ForLink, 43, sealed) },
		"purpose": func() (Token, error) { return key.OpenToken(ForVFP, 42, sealed) },
		"key":     func() (Token, error) { return other.OpenToken(ForLink, 42, sealed) },
		"changed": func() (Token, error) { return key.OpenToken(ForLink, 42, broken) },
		"short":   func() (Token, error) { return key.OpenToken(ForLink, 42, nil) },
	} {
		if _, err := open(); err == nil {
			t.Errorf("another %s opens the seal", name)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("A", 42), strings.Repeat("A", 64), strings.Repeat("!", 43)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("ParseKey(%q) passed", text)
		}
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	token := NewToken(9)
	text := Text("hunter2-hunter2")
	key, keyText := GenerateKey()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "text", text, "key", key, "in", struct{ T Text }{text})
	asJSON, _ := json.Marshal(map[string]any{"a": text})
	for _, out := range []string{
		fmt.Sprintf("%v %+v %#v %s", token, token, token, token), fmt.Sprintf("%v %+v %#v %s %q", text, text, text, text, text),
		fmt.Sprintf("%v %+v %#v", key, key, key), fmt.Sprintf("%v %+v", struct{ K Key }{key}, []Text{text}), log.String(), string(asJSON),
	} {
		for _, s := range []string{token.Reveal(), string(text), keyText.Reveal(), "hunter2"} {
			if strings.Contains(out, s) {
				t.Errorf("a secret was printed: %s", out)
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	key, _ := GenerateKey()
	token := NewToken(9)
	for b.Loop() {
		key.SealToken(ForLink, token)
	}
}

func BenchmarkDerive(b *testing.B) {
	key, _ := GenerateKey()
	for b.Loop() {
		key.DeriveToken(ForState, 9, []byte("0123456789abcdef"))
	}
}
