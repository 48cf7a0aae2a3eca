package server

import (
	"net/http"
	"slices"
	"strings"

	"latchkey.dev/latchkey/dialect/company"
	"latchkey.dev/latchkey/dialect/cycle"
	"latchkey.dev/latchkey/dialect/vertesia"
	"latchkey.dev/latchkey/dialect/voke"
	"latchkey.dev/latchkey/internal/door"
)

// dialect is one foreign API beside the native one.
type dialect interface {
	Handler() http.Handler
	Serves(path string) (length int) // 0: not at all; the longer, the better it fits
}

// Dialects are the names that the setting of that name may hold.
func Dialects() []string { return []string{"voke", "vertesia", "company", "cycle"} }

// dialects makes those that are on.
func (s *Server) dialects(front *door.Door) []dialect {
	config := voke.Config{Door: front, Authority: s.core.authority, PublicURL: s.PublicURL}
	var on []dialect
	for name, d := range map[string]dialect{
		"voke": voke.New(config), "vertesia": vertesia.New(config), "company": company.New(config), "cycle": cycle.New(config),
	} {
		if slices.Contains(s.Dialects, name) {
			on = append(on, d)
		}
	}
	return on
}

// beside gives each request to the API whose path it is: the dialect that fits
// best, else the native one.
func beside(native http.Handler, dialects []dialect) http.Handler {
	handlers := make([]http.Handler, len(dialects))
	for i, d := range dialects {
		handlers[i] = d.Handler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		best, to := 0, native
		for i, d := range dialects {
			if fits := d.Serves(r.URL.Path); fits > best {
				best, to = fits, handlers[i]
			}
		}
		to.ServeHTTP(w, r)
	})
}

func (s *settings) checkDialects() error {
	if s.Dialects == nil {
		s.Dialects = Dialects()
	}
	for _, name := range s.Dialects {
		if name != "none" && !slices.Contains(Dialects(), name) {
			return &Problem{
				What: "The setting dialects names an API that this program does not speak.",
				Do:   "Name any of " + strings.Join(Dialects(), ", ") + ", with commas between them, or none.",
			}
		}
	}
	return nil
}
