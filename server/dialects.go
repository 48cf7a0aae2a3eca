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
	"latchkey.dev/latchkey/oauth"
)

// face is one API beside the native one: a dialect, that of gateways, or OAuth.
type face interface {
	Handler() http.Handler
	Serves(path string) (length int) // 0: not at all; the longer, the better it fits
}

// Dialects are the names that the setting of that name may hold.
func Dialects() []string { return []string{"voke", "vertesia", "company", "cycle"} }

// dialects makes those that are on. own is where they are listened for.
func (s *Server) dialects(front *door.Door, own string) []face {
	config := voke.Config{Door: front, Authority: s.core.authority, PublicURL: s.PublicURL, OwnURL: own}
	var on []face
	for name, d := range map[string]face{
		"voke": voke.New(config), "vertesia": vertesia.New(config), "company": company.New(config), "cycle": cycle.New(config),
	} {
		if slices.Contains(s.Dialects, name) {
			on = append(on, d)
		}
	}
	return on
}

// oauth answers those who want tokens, ask about them or end them. It is on
// whichever dialects are.
func (s *Server) oauth(front *door.Door, own string, m *metrics) face {
	return oauth.New(oauth.Config{Door: front, Authority: s.core.authority, PublicURL: s.PublicURL, OwnURL: own, Observe: m.token})
}

// beside gives each request to the API whose path it is: the face that fits
// best, else the native one.
func beside(native http.Handler, faces []face) http.Handler {
	handlers := make([]http.Handler, len(faces))
	for i, d := range faces {
		handlers[i] = d.Handler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		best, to := 0, native
		for i, d := range faces {
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
