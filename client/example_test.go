package client_test

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"latchkey.dev/latchkey/client"
)

// A handler that needs a scope, and learns who calls.
func ExampleGuard() {
	latchkey, err := client.New("https://keys.example.com", client.NewSecret(os.Getenv("LATCHKEY_TOKEN")), client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	guard := client.NewGuard(latchkey, client.GuardOptions{})
	docs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s\n", client.Identity(r.Context()).Partner)
	})
	http.Handle("GET /docs", guard.Require(client.Need{AllScopes: []string{"docs:read"}}, docs))
}

// What is required can depend on the request.
func ExampleGuard_RequireFor() {
	latchkey, err := client.New("https://keys.example.com", client.NewSecret(os.Getenv("LATCHKEY_TOKEN")), client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	plant := func(r *http.Request) client.Need {
		return client.Need{AllScopes: []string{"plants:read"}, Resource: &client.Resource{Type: "plant", ID: r.PathValue("plant")}}
	}
	show := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	http.Handle("GET /plants/{plant}", client.NewGuard(latchkey, client.GuardOptions{}).RequireFor(plant, show))
}
