package config_test

import (
	"os"
	"strings"
	"testing"

	"holdfast/internal/config"
)

// The example must load as it stands, and mention every setting that there is.
func TestExample(t *testing.T) {
	t.Parallel()
	const path = "../../holdfast.example.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, problems := config.Load(config.Source{File: path, ReadFile: files(map[string]string{
		path: string(text), "/etc/holdfast/secret.key": goodKey, "/etc/holdfast/twilio.token": "t",
		"/etc/holdfast/other.key": "k", "/etc/holdfast/other.callback": "c",
	})})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if len(c.SMS.Gateways) != 2 || len(c.Carriers) != 1 || c.Carriers[0].Camara == nil {
		t.Errorf("read %+v", c)
	}
	for _, setting := range config.Settings() {
		key := setting[strings.LastIndexByte(setting, '.')+1:]
		if key != "secret_key" && !strings.Contains(string(text), key) {
			t.Errorf("the example does not mention %s", setting)
		}
	}
}

// What is commented out says the default: uncommented, it must be taken.
func TestExampleUncommented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../holdfast.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		bare := strings.TrimLeft(line, " #")
		key, _, isSetting := strings.Cut(bare, ": ")
		_, isTable := strings.CutSuffix(strings.TrimSpace(bare), ":")
		if strings.HasPrefix(strings.TrimLeft(line, " "), "# ") && (isSetting && !strings.Contains(key, " ") || isTable && !strings.Contains(bare, " ")) {
			line = strings.Replace(line, "# ", "", 1)
			line = strings.Replace(line, "the token endpoint's URL", "https://auth.carrier.example/token", 1)
		}
		lines = append(lines, line)
	}
	c, problems := config.Load(config.Source{File: "f", ReadFile: files(map[string]string{
		"f": strings.Join(lines, ""), "/etc/holdfast/secret.key": goodKey, "/etc/holdfast/twilio.token": "t",
		"/etc/holdfast/other.key": "k", "/etc/holdfast/other.callback": "c",
	})})
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, ""))
	}
	if c.Login.Hashing != 2 || c.CarrierKeys.Overlap == 0 || c.Carriers[0].Camara.Endpoints.JWKS == "" || c.Log.Level != "info" {
		t.Errorf("not all was uncommented:\n%s", strings.Join(lines, ""))
	}
}
