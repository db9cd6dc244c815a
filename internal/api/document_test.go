package api

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the emitted document to docs/openapi.json")

const committed = "../../docs/openapi.json"

func TestDocument(t *testing.T) {
	emitted, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, emitted, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(emitted, stored) {
		t.Errorf("docs/openapi.json is not what the API emits: run go generate ./internal/api and look at the difference")
	}
}
