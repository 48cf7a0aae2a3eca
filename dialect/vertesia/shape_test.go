package vertesia_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// The forms of answers. A member is required unless its name ends in "?"; no
// other member may be there.
type form map[string]func(v any) bool

var (
	isText   = func(v any) bool { _, ok := v.(string); return ok }
	isFlag   = func(v any) bool { _, ok := v.(bool); return ok }
	isNumber = func(v any) bool { _, ok := v.(float64); return ok }
	isObject = func(v any) bool { _, ok := v.(object); return ok }
	isTexts  = func(v any) bool {
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(v any) bool { return !isText(v) })
	}
	matches = func(pattern string) func(any) bool {
		p := regexp.MustCompile("^(?:" + pattern + ")$")
		return func(v any) bool { s, ok := v.(string); return ok && p.MatchString(s) }
	}
	isID      = matches(`[0-9a-f]{24}`)
	isMoment  = matches(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	isToken   = matches(`[\w-]+\.[\w-]+\.[\w-]+`)
	isWho     = matches(`user:[0-9a-f]{24}|apikey:[0-9a-f]{24}|system`)
	isRole    = func(v any) bool { s, _ := v.(string); _, ok := latchkey.BuiltinRole(s); return ok }
	isProject = func(v any) bool {
		return len(form{"id": isID, "name": isText, "account": isID}.wrong(v)) == 0
	}
)

// wrong tells in what a value is not of the form.
func (f form) wrong(v any) (wrong []string) {
	members, ok := v.(object)
	if !ok {
		return []string{"not an object"}
	}
	known := map[string]bool{}
	for name, fits := range f {
		name, optional := strings.CutSuffix(name, "?")
		known[name] = true
		switch value, given := members[name]; {
		case !given && !optional:
			wrong = append(wrong, name+" is missing")
		case given && !fits(value):
			wrong = append(wrong, fmt.Sprintf("%s is %v", name, value))
		}
	}
	for name := range members {
		if !known[name] {
			wrong = append(wrong, name+" does not belong here")
		}
	}
	return wrong
}

// keyForm is a key for that client.
func keyForm(r *http.Request) form {
	project := isID
	if r.Header.Get("X-Api-Version") != "" || strings.HasPrefix(r.Header.Get("User-Agent"), "OpenAPI-Generator/") {
		project = isProject
	}
	return form{
		"id": isID, "name": isText, "type": matches("sk"), "role": isRole, "maskedValue": matches(`[^.]*\.\.\.`), "can_retrieve_value": isFlag,
		"account": isID, "project": project, "enabled": isFlag, "created_by": isWho, "updated_by": isWho, "created_at": isMoment, "updated_at": isMoment,
		"expires_at?": isMoment, "properties?": isObject, "clearance?": isNumber, "compartments?": isTexts,
	}
}

func errorForm(status int) form {
	isStatus := func(v any) bool { return v == float64(status) }
	return form{"error": matches(regexp.QuoteMeta(http.StatusText(status))), "status": isStatus, "message?": isText, "details?": isText}
}

// allowedStatuses are those that an operation may answer with, whatever is sent.
var allowedStatuses = []int{200, 400, 401, 403, 404, 405, 409, 413, 415, 429}

// shapeOf tells in what an answer is not as the document has it.
func shapeOf(r *http.Request, a answer) (wrong []string) {
	if !slices.Contains(allowedStatuses, a.Status) {
		wrong = append(wrong, "an undocumented status")
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Access-Control-Allow-Origin") != "" {
		wrong = append(wrong, fmt.Sprintf("headers %v", a.Header))
	}
	if a.Status == 401 != (a.Header.Get("WWW-Authenticate") != "") || a.Status == 429 && a.Header.Get("Retry-After") == "" {
		wrong = append(wrong, fmt.Sprintf("headers %v", a.Header))
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	api := strings.HasPrefix(path, "/api/v1/")
	if api && a.Header.Get("Vary") != "x-api-version, User-Agent" {
		wrong = append(wrong, "no Vary")
	}
	switch {
	case a.Status == 403 && !api:
		return append(wrong, form{"error": isText, "message": isText, "errorCode": matches("token_issuance_forbidden|no_accessible_account")}.wrong(a.Body)...)
	case a.Status != 200:
		return append(wrong, errorForm(a.Status).wrong(a.Body)...)
	}
	changes := api && r.Method != http.MethodGet && r.Method != http.MethodHead
	if changes != (a.Header.Get("X-Latchkey-Effective") != "") {
		wrong = append(wrong, "a change, or not?")
	}
	return append(wrong, successOf(r, path, a)...)
}

func successOf(r *http.Request, path string, a answer) (wrong []string) {
	key := keyForm(r)
	switch of := r.Method + " " + path; {
	case of == "GET "+keysPath:
		list, ok := a.Body.([]any)
		if !ok {
			return []string{"not an array"}
		}
		for _, k := range list {
			wrong = append(wrong, key.wrong(k)...)
		}
		return wrong
	case of == "POST "+keysPath:
		key["value"] = isText
		return key.wrong(a.Body)
	case strings.HasPrefix(of, "GET "+rolesPath):
		for _, r := range a.Body.([]any) {
			wrong = append(wrong, form{"name": isRole, "permissions": isTexts, "domain": matches("system")}.wrong(r)...)
		}
		return wrong
	case strings.HasPrefix(of, "DELETE "):
		return form{"acknowledged": isFlag, "deletedCount": isNumber}.wrong(a.Body)
	case of == "POST /token/issue":
		return form{"token": isToken, "token_type": matches("Bearer"), "expires_in": isNumber}.wrong(a.Body)
	case strings.HasSuffix(path, "/token"), strings.HasPrefix(path, "/token/"):
		return form{"token": isToken}.wrong(a.Body)
	case r.Method == http.MethodGet && r.URL.Query().Get("withValue") == "true":
		key["value?"] = isText
	}
	return key.wrong(a.Body)
}

// The forms find what is wrong with an answer.
func TestFormsFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := form{"a": isText, "b?": isNumber}
	for _, bad := range []any{nil, []any{}, object{}, object{"a": 1.0}, object{"a": "x", "b": "y"}, object{"a": "x", "c": 1.0}, object{"a": nil}} {
		if len(f.wrong(bad)) == 0 {
			t.Errorf("%v passes", bad)
		}
	}
	if wrong := f.wrong(object{"a": "x", "b": 1.0}); len(wrong) > 0 {
		t.Error(wrong)
	}
}
