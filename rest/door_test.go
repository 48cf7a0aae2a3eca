package rest_test

import (
	"strings"
	"testing"
)

// bodies are bodies that each operation takes, by operation.
var bodies = map[string]object{
	"createKey":            {"name": "A key"},
	"updateKey":            {"name": "Another name"},
	"revokeKey":            {"reason": "done"},
	"rotateKey":            {"overlap": "1h"},
	"revealKey":            {"reason": "lost"},
	"batchCreateKeys":      {"items": []object{{"name": "One"}, {"name": "Two"}}},
	"importKeys":           {"scheme": "sha256", "items": []object{{"name": "Foreign", "digest": strings.Repeat("ab", 32)}}},
	"revokeSelf":           {"key": "nobody's"},
	"verifyKey":            {"key": "nobody's"},
	"explainKey":           {"key": "nobody's"},
	"batchVerifyKeys":      {"items": []object{{"key": "nobody's"}}},
	"createOrganization":   {"name": "Tenant"},
	"updateOrganization":   {"name": "Tenant"},
	"createProject":        {"name": "Project"},
	"updateProject":        {"name": "Project"},
	"createUser":           {"name": "Service", "kind": "service"},
	"updateUser":           {"name": "Service"},
	"createRole":           {"identifier": "made", "name": "Made", "permissions": []string{"docs:read"}},
	"updateRole":           {"name": "Made"},
	"retireKeyRingVersion": {"force": false},
}

// bodyOf is a body that the operation takes; nil if it takes none.
func (h *house) bodyOf(r route) any {
	h.Helper()
	if r.RequestBody == nil {
		return nil
	}
	body, known := bodies[r.OperationID]
	if !known {
		h.Fatalf("give bodies a body for %s", r.OperationID)
	}
	return body
}

var _ = testing.Short
