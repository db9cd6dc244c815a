package handset

import (
	_ "embed"
	"strings"
)

//go:embed journey.sh
var journey string

// CurlJourney is the whole journey as a script for a POSIX shell with curl, sed
// and grep, against the server at baseURL ("http://127.0.0.1:8080"). It works as
// it is, pasted into a terminal or run as a file, and ends by printing the result.
func CurlJourney(baseURL string) string {
	return strings.ReplaceAll(journey, "{base}", strings.TrimSuffix(baseURL, "/"))
}
