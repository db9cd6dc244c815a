package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// docs/operations.md must name every setting that there is.
func TestOperationsNamesEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := Settings()
	for _, kind := range []reflect.Type{reflect.TypeFor[Twilio](), reflect.TypeFor[Generic](), reflect.TypeFor[Camara](), reflect.TypeFor[Carrier]()} {
		for i := range kind.NumField() {
			if key := kind.Field(i).Tag.Get("key"); key != "" && !strings.HasSuffix(key, "_file") {
				keys = append(keys, key)
			}
		}
	}
	for _, key := range keys {
		if !strings.Contains(string(text), "`"+key+"`") && !strings.Contains(string(text), "`"+key+".") && !strings.Contains(string(text), "`"+key+":") {
			t.Errorf("docs/operations.md does not name %s", key)
		}
	}
}
