package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"holdfast/internal/verify"
)

// The paths of contract section 2.
const (
	apiPrefix    = "/api/"
	loginPath    = "/api/customers/login"
	logoutPath   = "/api/customers/logout"
	sendLinkPath = "/api/v3/us-kyc/send-link"
	statusPrefix = "/api/v3/us-kyc/poll-check-verify/"
	statusPath   = statusPrefix + "request/{requestId}/session/{sessionId}"
	resultPath   = "/api/v3/us-kyc/link-result"
)

// plainPath is a path without wildcard, and with nothing that a mux would clean.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// WrongPaths tells what is wrong with further paths of Send Link, by the names
// send_link_paths[0] and so on. Send Link's own path may be among them.
func WrongPaths(further []string) []verify.Field {
	var bad []verify.Field
	for i, path := range further {
		reason := ""
		switch {
		case !plainPath.MatchString(path):
			reason = `must be a plain path, such as "/api/v3/instant-link"`
		case !strings.HasPrefix(path, apiPrefix):
			reason = `must begin with "/api/": all else is for phones, carriers and gateways`
		case slices.Contains([]string{loginPath, logoutPath, resultPath}, path), strings.HasPrefix(path+"/", statusPrefix):
			reason = "is another call's path"
		case slices.Index(further, path) != i:
			reason = "is there twice"
		}
		if reason != "" {
			bad = append(bad, verify.Field{Name: fmt.Sprintf("send_link_paths[%d]", i), Reason: reason})
		}
	}
	return bad
}
