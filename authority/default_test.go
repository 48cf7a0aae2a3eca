package authority_test

import (
	"context"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/store"
)

// asked counts how often the default project is read.
type asked struct {
	store.Store
	defaults int
}

func (s *asked) DefaultProject(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	s.defaults++
	return s.Store.DefaultProject(ctx, organization)
}

// Of two nodes, one changes what the default project allows: the other knows the
// project already, and must go by what is allowed now.
func TestANewKeyGoesByWhatItsProjectAllowsNow(t *testing.T) {
	h := open(t)
	other := authority.New(h.Config)
	counted := &asked{Store: h.Store}
	h.Config.Store = counted
	plain := authority.NewKey{Name: "plain"}
	project := h.make(plain).Project
	h.make(plain)
	if counted.defaults != 1 {
		t.Errorf("the default project was read %d times for two keys", counted.defaults)
	}
	for _, now := range []struct {
		allows, forbids bool
		asked, short    bool // whether the value of a key is stored that asks for it, and of one in the short format
	}{{false, false, false, true}, {true, false, true, true}, {true, true, false, false}, {false, true, false, false}, {false, false, false, true}} {
		_, _, err := other.UpdateProject(ctx(), h.socket(), project, authority.ProjectPatch{Retrievable: &now.allows, ForbidRetrievable: &now.forbids})
		h.ok(err)
		_, _, err = h.CreateKey(ctx(), h.socket(), authority.NewKey{Name: "asks", Retrievable: true})
		if stored := err == nil; stored != now.asked {
			t.Errorf("%+v: a key that asks to be stored: %v", now, err)
		}
		short := h.make(authority.NewKey{Name: "short", Format: latchkey.FormatShort})
		if stored := short.Retrievable; stored != now.short {
			t.Errorf("%+v: a key in the short format is stored: %t", now, stored)
		}
		if made := h.make(plain); made.Retrievable || made.Project != project {
			t.Errorf("%+v: a key that asks for nothing: %+v", now, made.Described)
		}
	}
}
