package extauthz

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"latchkey.dev/latchkey/gateway/internal/gate"
)

// allowed lets a request through: the identity headers are set in place of the
// client's own, and taken away where there is nothing to say, for some versions
// of Envoy skip empty ones. Taken away as well are the key, and what looks like
// an identity header in any spelling.
func (a *api) allowed(who gate.Identity, keyHeaders []string, sent headers) *auth.CheckResponse {
	ok := &auth.OkHttpResponse{
		Headers:         make([]*core.HeaderValueOption, 0, len(who)),
		HeadersToRemove: make([]string, 0, len(keyHeaders)+3*len(who)),
	}
	ok.HeadersToRemove = append(ok.HeadersToRemove, keyHeaders...)
	for i, name := range a.names {
		if who[i] == "" {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name.dashes)
		} else {
			ok.Headers = append(ok.Headers, set(name.dashes, who[i]))
		}
		ok.HeadersToRemove = append(ok.HeadersToRemove, name.lines, name.dots)
	}
	for name := range sent {
		if imitates(name) && !slices.Contains(ok.HeadersToRemove, name) && !isSet(ok.Headers, name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	return &auth.CheckResponse{Status: &rpc.Status{Code: int32(codes.OK)}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok}}
}

// spelling is the name of an identity header in the ways in which a server may
// read it.
type spelling struct{ dashes, lines, dots string }

func spellings() (all [len(gate.Identity{})]spelling) {
	for i, name := range gate.IdentityHeaders() {
		name = strings.ToLower(name)
		all[i] = spelling{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")}
	}
	return all
}

func isSet(list []*core.HeaderValueOption, name string) bool {
	return slices.ContainsFunc(list, func(h *core.HeaderValueOption) bool { return h.GetHeader().GetKey() == name })
}

// imitates reports whether some server could take the name for one of ours.
func imitates(name string) bool {
	const ours = "x-latchkey-"
	if len(name) < len(ours) {
		return false
	}
	for i := range len(ours) {
		if c := name[i]; c != ours[i] && (ours[i] != '-' || c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// set makes a header the only one of its name.
func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header: &core.HeaderValue{Key: name, Value: value}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// denied answers with a refusal, and with what Envoy is to tell the client.
func denied(no *gate.Refusal) *auth.CheckResponse {
	told := []*core.HeaderValueOption{set("x-latchkey-code", no.Code)}
	if no.Status == http.StatusUnauthorized {
		told = append(told, set("www-authenticate", "Bearer"))
	}
	if no.RetryAfter > 0 {
		told = append(told, set("retry-after", strconv.Itoa(int(no.RetryAfter/time.Second))))
	}
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(codeOf(no.Status)), Message: no.Code}, //nolint:gosec // one of gRPC's few codes
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &envoytype.HttpStatus{Code: envoytype.StatusCode(no.Status)}, Headers: told, //nolint:gosec // an HTTP status
		}},
	}
}

// codeOf is the status of gRPC that goes with one of HTTP. Any but OK refuses.
func codeOf(status int) codes.Code {
	switch status {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.PermissionDenied
}
