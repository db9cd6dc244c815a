package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"holdfast/client"
)

// A business's server sends a link, and judges the browser that comes back to its
// target page.
func Example() {
	hf, err := client.New(client.Config{
		BaseURL: "https://holdfast.example", Username: "acme", Password: os.Getenv("HOLDFAST_PASSWORD"),
	})
	if err != nil {
		log.Print(err)
		return
	}
	sessions := map[string]client.Sent{} // by the browser's session cookie

	http.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		sent, err := hf.SendLink(r.Context(), client.Request{
			TargetURL: "https://app.acme.example/done", MobileNumber: r.FormValue("phone"), CountryCode: "US",
		})
		if err != nil {
			http.Error(w, "We could not send the text.", http.StatusBadGateway)
			return
		}
		sessions[sessionOf(r)] = sent
		fmt.Fprintln(w, "Tap the link that we sent to your phone.")
	})
	http.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		result, err := hf.Result(r.Context(), r.FormValue("vfp"), sessions[sessionOf(r)])
		if err != nil || !result.Verified() {
			http.Error(w, "We could not confirm your phone.", http.StatusForbidden)
			return
		}
		fmt.Fprintln(w, "Welcome.")
	})
}

func sessionOf(r *http.Request) string {
	cookie, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	return cookie.Value
}

// Where the browser that asked stays on its page, its server waits.
func ExampleClient_Wait() {
	hf, err := client.New(client.Config{BaseURL: "https://holdfast.example", Username: "acme", Password: os.Getenv("HOLDFAST_PASSWORD")})
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	sent, err := hf.SendLink(ctx, client.Request{TargetURL: "https://app.acme.example/done", MobileNumber: "2125550123", CountryCode: "US"})
	if err != nil {
		log.Print(err)
		return
	}
	result, err := hf.Wait(ctx, sent)
	if err != nil {
		log.Print(err)
		return
	}
	switch result.Verdict {
	case client.Verified:
		fmt.Println("it is their phone")
	case client.Failed:
		fmt.Println("it is not, or they said that they had not asked")
	default:
		fmt.Println("nobody knows:", result.Status, result.Reasons)
	}
}

// What is wrong with a request is in the error, field by field.
func ExampleError() {
	err := error(&client.Error{
		StatusCode: 400, Type: "validation_failed", Message: "The request is not valid.",
		Fields: []client.Field{{Name: "countryCode", Reason: `must be "US" or "CA"`}},
	})
	var refused *client.Error
	if errors.As(err, &refused) && refused.Type == "validation_failed" {
		for _, f := range refused.Fields {
			fmt.Println(f.Name, f.Reason)
		}
	}
	// Output: countryCode must be "US" or "CA"
}
