package bench

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/phone"
)

func TestNumbersAreTextable(t *testing.T) {
	t.Parallel()
	var digits [numberSize]byte
	for i := range numbers {
		putNumber(digits[:], i)
		if numberIndex(digits[:]) != i {
			t.Fatalf("number %d, %s, reads as number %d", i, digits, numberIndex(digits[:]))
		}
		if i%100 > 0 {
			continue // one for each area code
		}
		if _, err := phone.Parse(string(digits[:]), phone.US); err != nil {
			t.Errorf("area code %s: %v", digits[:3], err)
		}
	}
	for _, foreign := range []string{"", "2125550200", "2125550099", "9995550100", "212555010x", "21255501000"} {
		if i := numberIndex([]byte(foreign)); i != -1 {
			t.Errorf("%q is number %d", foreign, i)
		}
	}
}

func TestSinkTakesTexts(t *testing.T) {
	t.Parallel()
	sink, err := NewSink()
	if err != nil {
		t.Fatal(err)
	}
	sink.Start()
	got := make(chan link, 3)
	sink.deliverTo(func(l link) { got <- l })
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	token := strings.Repeat("t", tokenSize)
	for n := range 3 {
		body := fmt.Sprintf(`{"to":"+1212555010%d","text":"Bench: tap http://127.0.0.1:1/l/%s Not expected?","ref":"r"}`, n, token)
		answer, err := client.Post(sink.URL(), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, err = text.ReadFrom(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != 200 || text.String() != `{"id":"sink-1"}` {
			t.Errorf("the sink answers %d %s, %v", answer.StatusCode, &text, err)
		}
		l := <-got
		var digits [numberSize]byte
		putNumber(digits[:], int(l.number))
		if string(l.token[:]) != token || string(digits[:]) != fmt.Sprintf("212555010%d", n) {
			t.Errorf("text %d went to %s", n, digits)
		}
	}
	if sink.Taken() != 3 || !sink.drained(t.Context(), 3) {
		t.Errorf("the sink has taken %d of 3", sink.Taken())
	}
	transport.CloseIdleConnections()
	for range 2 {
		if err := sink.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestSinkRefusesWhatItCantRead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `{"to":"+12125550100","text":"no link"}`, `{"to":"+12125550100","text":"/l/short"}`,
		`{"to":"+19995550100","text":"/l/` + strings.Repeat("t", tokenSize) + `"}`,
	} {
		if _, ok := parseMessage([]byte(body)); ok {
			t.Errorf("%q is taken for a text of ours", body)
		}
	}
	for _, raw := range []string{"POST / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"} {
		if _, _, err := parseRequest([]byte(raw)); err == nil {
			t.Errorf("%q is taken for a request", raw)
		}
	}
}
