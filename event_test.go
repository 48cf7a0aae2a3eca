package latchkey_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

func TestEveryEventTypeDeclaresItsConsequence(t *testing.T) {
	types := declared[latchkey.EventType](t, "EventType")
	if listed := latchkey.EventTypes(); !slices.Equal(listed, slices.Sorted(slices.Values(types))) {
		t.Errorf("listed are  %q\ndeclared are %q", listed, types)
	}
	for i, typ := range types {
		if _, ok := typ.Consequence(); !ok || slices.Contains(types[:i], typ) {
			t.Errorf("%s has no consequence, or is declared twice", typ)
		}
	}
	if c, ok := latchkey.EventType("key.unheard_of").Consequence(); ok || c != (latchkey.Consequence{}) {
		t.Errorf("an unknown type has the consequence %+v", c)
	}
}

// A change that can end a key's validity must say so, or it would be
// acknowledged before every node refuses the key.
func TestConsequences(t *testing.T) {
	want := map[latchkey.EventType]latchkey.Consequence{
		latchkey.KeyCreated:           {Widens: true},
		latchkey.KeysImported:         {Widens: true},
		latchkey.KeyUpdated:           {Narrows: true, Widens: true},
		latchkey.KeyRotated:           {Narrows: true, Widens: true},
		latchkey.KeyRotationCompleted: {Narrows: true},
		latchkey.KeyRotationCancelled: {Narrows: true, Widens: true},
		latchkey.KeyRevoked:           {Narrows: true},
		latchkey.RingVersionRetired:   {Narrows: true},
		latchkey.TokenKeyAdded:        {Widens: true},
		latchkey.TokenKeyRemoved:      {Narrows: true},
		latchkey.TokenRevoked:         {Narrows: true},
		latchkey.NodeForgotten:        {},
		latchkey.IssuerCreated:        {Widens: true},
		latchkey.IssuerUpdated:        {Narrows: true, Widens: true},
		latchkey.IssuerDeleted:        {Narrows: true},
		latchkey.GatewayCreated:       {Widens: true},
		latchkey.GatewayUpdated:       {Narrows: true, Widens: true},
		latchkey.GatewayTokenRotated:  {Narrows: true, Widens: true},
		latchkey.OrganizationUpdated:  {Narrows: true, Widens: true},
		latchkey.UserUpdated:          {Narrows: true, Widens: true},
		latchkey.RoleUpdated:          {Narrows: true, Widens: true},
	}
	for _, typ := range latchkey.EventTypes() {
		expected, told := want[typ]
		if strings.HasSuffix(string(typ), ".deleted") {
			expected, told = latchkey.Consequence{Narrows: true}, true
		}
		if got, _ := typ.Consequence(); got != expected {
			t.Errorf("%s has the consequence %+v, want %+v (told: %t)", typ, got, expected, told)
		}
	}
}

func TestObjectNative(t *testing.T) {
	id, err := latchkey.ParseHex("6563c2805a17c0de01234567")
	if err != nil {
		t.Fatal(err)
	}
	if got := (latchkey.Object{Kind: latchkey.KindRole, ID: id}).Native(); got != "role_0sb3ra05m5y0vr0j6hb7" {
		t.Errorf("got %q", got)
	}
	if got := (latchkey.Object{}).Native(); got != "" {
		t.Errorf("the installation is %q", got)
	}
}
