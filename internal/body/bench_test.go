package body_test

import (
	"bytes"
	stdjson "encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey/internal/body"
)

const typical = `{"name":"Partner integration, north region","scopes":["plants:read","telemetry:read","telemetry:write"],` +
	`"restrictions":{"addresses":["203.0.113.5/32","2001:db8::/48"],"resources":{"plant":["7f1d3f9e-1a4b-4a31-9a77-2f7a1d3c5b60","0a52e6a4-8f55-4a58-b7a9-51f0c8d1e2f3"]}},` +
	`"expires_at":"2027-01-02T03:04:05Z","retrievable":false,"metadata":{"ticket":"OPS-1234","team":"grid"}}`

func BenchmarkDecode(b *testing.B) {
	data := []byte(typical)
	for name, decode := range map[string]func(into *creation) error{
		"door": func(into *creation) error { return body.Decode(data, into) },
		"encoding-json": func(into *creation) error {
			d := stdjson.NewDecoder(bytes.NewReader(data))
			d.DisallowUnknownFields()
			return d.Decode(into)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var into creation
				if err := decode(&into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", nil)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(typical))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(typical))
		if _, err := body.Read(nil, r, body.MaxManagement); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefuse is what an attacker can make a megabyte cost.
func BenchmarkRefuse(b *testing.B) {
	var members strings.Builder
	for n := range 100_000 {
		members.WriteString(`"` + strconv.Itoa(n) + `":0,`)
	}
	for name, in := range map[string]string{
		"members":    `{"metadata":{` + members.String() + `"0":0}}`,
		"brackets":   strings.Repeat("[", body.MaxBatch),
		"zeros":      `{"a":[` + strings.Repeat("0,", body.MaxBatch/2) + "0]}",
		"digits":     `{"count":` + strings.Repeat("9", body.MaxBatch) + "}",
		"escapes":    `{"a":"` + strings.Repeat(`\u0061`, body.MaxBatch/6) + `"}`,
		"NUL bluffs": `{"a":[` + strings.Repeat(`"\\u0000",`, body.MaxBatch/10) + "0]}",
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(in)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if body.Decode(data, new(creation)) == nil {
					b.Fatal("taken")
				}
			}
		})
	}
}
