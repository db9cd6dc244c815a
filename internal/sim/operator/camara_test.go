package operator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/sim/operator"
)

// These are the scenarios of CAMARA Number Verification's two feature files, each
// under its own tag, against the operator over HTTP.

func hashed(number string) string {
	digest := sha256.Sum256([]byte(number))
	return hex.EncodeToString(digest[:])
}

func phoneNumber(number string) string { return `{"phoneNumber":"` + number + `"}` }

func hashedNumber(number string) string { return `{"hashedPhoneNumber":"` + hashed(number) + `"}` }

// isError checks ErrorInfo: exactly these three properties, the body's status
// the response's.
func isError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	message, _ := a.body["message"].(string)
	if a.status != status || a.body["status"] != float64(status) || a.body["code"] != code || len(message) < 10 || len(a.body) != 3 {
		t.Errorf("got %d %s, want ErrorInfo %d %s", a.status, a.text, status, code)
	}
	carriesCorrelator(t, a)
}

func carriesCorrelator(t *testing.T, a answer) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := a.header.Get("X-Correlator"); got != "b4333c46-49c0-4f62-80d7-f0ef930f1c46" {
		t.Errorf("x-correlator is %q, not the request's", got)
	}
}

func TestPhoneNumberVerify(t *testing.T) {
	t.Parallel()
	verifies := func(t *testing.T, body string, want bool) {
		t.Helper()
		w := newWorld(t)
		a := w.call("POST", "/verify", w.accessToken(bothUses), body)
		if a.status != 200 || a.body["devicePhoneNumberVerified"] != want || len(a.body) != 1 {
			t.Errorf("got %d %s, want %v", a.status, a.text, want)
		}
		carriesCorrelator(t, a)
	}
	refuses := func(t *testing.T, body string) {
		t.Helper()
		w := newWorld(t)
		isError(t, w.call("POST", "/verify", w.accessToken(bothUses), body), 400, "INVALID_ARGUMENT")
	}
	scenarios := map[string]func(t *testing.T){
		"phone_number_verify_01_generic_success_scenario": func(t *testing.T) {
			verifies(t, phoneNumber(ours), true)
		},
		"phone_number_verify.02_validate_phone_number_success_true": func(t *testing.T) {
			verifies(t, phoneNumber(ours), true)
		},
		"phone_number_verify.03_validate_phone_number_success_false": func(t *testing.T) {
			verifies(t, phoneNumber(theirs), false)
		},
		"phone_number_verify.04_validate_hashed_phone_number_success_true": func(t *testing.T) {
			verifies(t, hashedNumber(ours), true)
			verifies(t, `{"hashedPhoneNumber":"`+strings.ToUpper(hashed(ours))+`"}`, true)
		},
		"phone_number_verify.05_validate_hashed_phone_number_success_false": func(t *testing.T) {
			verifies(t, hashedNumber(theirs), false)
		},
		"phone_number_verify_400.1_no_request_body": func(t *testing.T) {
			refuses(t, "")
		},
		"phone_number_verify_400.2_empty_request_body": func(t *testing.T) {
			refuses(t, "{}")
		},
		"phone_number_verify_400.3_invalid_request_non_existing_property": func(t *testing.T) {
			refuses(t, `{"additional_property":"foo_value"}`)
			refuses(t, `{"phoneNumber":"`+ours+`","additional_property":"foo_value"}`)
		},
		"phone_number_verify_400.4_both_phone_number_and_hashed_in_request": func(t *testing.T) {
			refuses(t, `{"phoneNumber":"`+ours+`","hashedPhoneNumber":"`+hashed(ours)+`"}`)
		},
		"phone_number_verify_401.1_no_authorization_header": func(t *testing.T) {
			isError(t, newWorld(t).call("POST", "/verify", "", phoneNumber(ours)), 401, "UNAUTHENTICATED")
		},
		"phone_number_verify_401.2_expired_access_token": func(t *testing.T) {
			w := newWorld(t)
			token := w.accessToken(bothUses)
			w.clock.Advance(5 * time.Minute)
			isError(t, w.call("POST", "/verify", token, phoneNumber(ours)), 401, "UNAUTHENTICATED")
		},
		"phone_number_verify_401.3_invalid_access_token": func(t *testing.T) {
			isError(t, newWorld(t).call("POST", "/verify", "made-up", phoneNumber(ours)), 401, "UNAUTHENTICATED")
		},
		"phoneNumberVerify_403.1_invalid_token_permissions": func(t *testing.T) {
			w := newWorld(t)
			token := w.accessToken("number-verification:device-phone-number:read")
			isError(t, w.call("POST", "/verify", token, phoneNumber(ours)), 403, "PERMISSION_DENIED")
		},
		"phoneNumberVerify_403.2_not_authenticated_using_network_or_sim_based_authentication": func(t *testing.T) {
			w := newWorld(t, withFault(operator.AtAuthorize, operator.Fault{OtherLogin: true}))
			isError(t, w.call("POST", "/verify", w.accessToken(bothUses), phoneNumber(ours)),
				403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK")
		},
		"phone_number_verify_C02.01_phone_number_not_schema_compliant": func(t *testing.T) {
			for _, number := range []string{"14155550123", "+0123456789", "+123", "+1234567890123456", "+1415555012a", " " + ours, ""} {
				refuses(t, phoneNumber(number))
			}
			for _, body := range []string{`{"phoneNumber":14155550123}`, `{"phoneNumber":null}`, `{"hashedPhoneNumber":"abc"}`, `[]`, `{"phoneNumber":`, `null`, `{"PhoneNumber":"` + ours + `"}`} {
				refuses(t, body)
			}
		},
	}
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t)
		})
	}
}

func TestPhoneNumberShare(t *testing.T) {
	t.Parallel()
	shares := func(t *testing.T) {
		t.Helper()
		w := newWorld(t)
		a := w.call("GET", "/device-phone-number", w.accessToken(bothUses), "")
		number, _ := a.body["devicePhoneNumber"].(string)
		if a.status != 200 || number != ours || len(a.body) != 1 || !regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`).MatchString(number) {
			t.Errorf("got %d %s", a.status, a.text)
		}
		carriesCorrelator(t, a)
	}
	scenarios := map[string]func(t *testing.T){
		"phone_number_share_01_generic_success_scenario": shares,
		"phone_number_share_02_success_scenario":         shares,
		"phone_number_verify_401.1_no_authorization_header": func(t *testing.T) {
			isError(t, newWorld(t).call("GET", "/device-phone-number", "", ""), 401, "UNAUTHENTICATED")
		},
		"phone_number_verify_401.2_expired_access_token": func(t *testing.T) {
			w := newWorld(t)
			token := w.accessToken(bothUses)
			w.clock.Advance(5 * time.Minute)
			isError(t, w.call("GET", "/device-phone-number", token, ""), 401, "UNAUTHENTICATED")
		},
		"phone_number_verify_401.3_invalid_access_token": func(t *testing.T) {
			isError(t, newWorld(t).call("GET", "/device-phone-number", "made-up", ""), 401, "UNAUTHENTICATED")
		},
		"phoneNumberShare_403.1_invalid_token_permissions": func(t *testing.T) {
			w := newWorld(t)
			isError(t, w.call("GET", "/device-phone-number", w.accessToken("number-verification:verify"), ""), 403, "PERMISSION_DENIED")
		},
		"phoneNumberShare_403.2_not_authenticated_using_network_or_sim_based_authentication": func(t *testing.T) {
			w := newWorld(t, withFault(operator.AtAuthorize, operator.Fault{OtherLogin: true}))
			isError(t, w.call("GET", "/device-phone-number", w.accessToken(bothUses), ""),
				403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK")
		},
	}
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t)
		})
	}
}

// The feature files ask nothing of single use; main's document does.
func TestAccessTokenServesOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.accessToken(bothUses)
	if a := w.call("POST", "/verify", token, phoneNumber(ours)); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	isError(t, w.call("POST", "/verify", token, phoneNumber(ours)), 401, "UNAUTHENTICATED")
	isError(t, w.call("GET", "/device-phone-number", token, ""), 401, "UNAUTHENTICATED")
}

func TestCorrelator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for correlator, good := range map[string]bool{
		"":                       true,
		"aZ0-9_:;./<>{}":         true,
		strings.Repeat("x", 256): true,
		strings.Repeat("x", 257): false,
		"with space":             false,
		"with(parens)":           false,
	} {
		r, _ := http.NewRequest("POST", w.issuer+basePath+"/verify", strings.NewReader(phoneNumber(ours)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+w.accessToken(bothUses))
		r.Header.Set("X-Correlator", correlator)
		a := w.do(r)
		if good && (a.status != 200 || a.header.Get("X-Correlator") != correlator) {
			t.Errorf("%q: got %d, %q", correlator, a.status, a.header.Get("X-Correlator"))
		}
		if !good && (a.status != 400 || a.body["code"] != "INVALID_ARGUMENT" || a.header.Get("X-Correlator") != "") {
			t.Errorf("%q: got %d %s", correlator, a.status, a.text)
		}
	}
}

func TestOtherMediaType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, _ := http.NewRequest("POST", w.issuer+basePath+"/verify", strings.NewReader("phoneNumber="+ours))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+w.accessToken(bothUses))
	if a := w.do(r); a.status != 415 || a.body["code"] != "UNSUPPORTED_MEDIA_TYPE" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}
