package bench

import (
	"encoding/json"
	"io"
	"net/http"
)

// Bare is the yardstick: a handler that takes and gives the same bytes as Send
// Link and a confirmation, and does nothing else.
func Bare() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+sendPath, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			TargetURL    string `json:"targetUrl"`
			MobileNumber string `json:"mobileNumber"`
			CountryCode  string `json:"countryCode"`
			SourceIP     string `json:"sourceIp"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(struct {
			RequestID string `json:"requestId"`
			SessionID string `json:"sessionId"`
		}{"0192f3c8-0000-7000-8000-000000000000", "00000000-0000-4000-8000-000000000000"})
	})
	mux.HandleFunc("POST /l/{token}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", bareLocation)
		w.WriteHeader(http.StatusSeeOther)
	})
	return mux
}

// bareLocation has the length that an authorization request usually has.
const bareLocation = "https://carrier.example/authorize?client_id=holdfast&code_challenge=0000000000000000000000000000000000000000000" +
	"&code_challenge_method=S256&nonce=0000000000000000000000000000000000000000000&prompt=none" +
	"&redirect_uri=https%3A%2F%2Fverify.example%2Fcarrier%2Fbench%2Fcallback&response_type=code" +
	"&scope=openid+dpv%3AFraudPreventionAndDetection+number-verification%3Averify&state=00000000000000000000000000000000"
