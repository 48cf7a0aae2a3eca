package company

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// key is a key on the wire. Every member is always there.
type key struct {
	ID             string    `json:"id"`
	CompanyID      string    `json:"companyId"`
	UserID         string    `json:"userId"`
	Key            string    `json:"key"` // masked, save in the answer that creates it
	WhitelistedIPs addresses `json:"whitelistedIPs"`
	Status         string    `json:"status"`
	CreatedAt      body.Time `json:"createdAt"`
	UpdatedAt      body.Time `json:"updatedAt"` // null until the first change
	DeletedAt      body.Time `json:"deletedAt"` // null unless revoked
}

// The two values of a key's status, and of the filter.
const (
	active   = "active"
	inactive = "inactive"
)

func spell(k *authority.Described) key {
	out := key{
		ID: k.ID.Native(latchkey.KindKey), CompanyID: k.Organization.Native(latchkey.KindOrganization), UserID: k.Owner.Native(latchkey.KindUser),
		Key: k.Newest(k.At).Masked(), WhitelistedIPs: k.Policy.Addresses.Entries(), Status: inactive,
		CreatedAt: body.Time(k.CreatedAt), DeletedAt: body.Time(k.RevokedAt),
	}
	if k.State == latchkey.StateLive {
		out.Status = active
	}
	if k.Changed() {
		out.UpdatedAt = body.Time(k.UpdatedAt)
	}
	return out
}

// newKey is the body of a creation. The document calls it "the company app
// domain data", a leftover of another resource.
type newKey struct {
	UserID         *string   `json:"userId"`
	WhitelistedIPs addresses `json:"whitelistedIPs"`
}

// owner reads whose key it is to be. A string that is no id of ours is no user of
// the company: the two are not told apart.
func (in *newKey) owner() (latchkey.ID, error) {
	if in.UserID == nil || *in.UserID == "" {
		return latchkey.ID{}, latchkey.Invalid("/userId", "required", "This is a required property: the id of a user of the company.")
	}
	id, err := latchkey.ParseNative(latchkey.KindUser, *in.UserID)
	if err != nil {
		return id, latchkey.Invalid("/userId", "unknown", "There is no such active user in the company.")
	}
	return id, nil
}

// addresses is a list of addresses in the forms that the document has had over
// time: an array, items of it with commas inside, and one string with commas. It
// is written as an array; nil is null.
type addresses []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *addresses) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	var given []string
	switch in.PeekKind() {
	case jsontext.KindNull:
		*a = nil
		return in.SkipValue()
	case jsontext.KindString:
		given = make([]string, 1)
		if err := json.UnmarshalDecode(in, &given[0]); err != nil {
			return err
		}
	case jsontext.KindBeginArray:
		if err := json.UnmarshalDecode(in, &given); err != nil {
			return err
		}
	default:
		return body.Rule{Code: body.RuleWrongType, Detail: "This must be an array of addresses and networks, or null."}
	}
	*a = split(given)
	return nil
}

// MarshalJSONTo implements json.MarshalerTo.
func (a addresses) MarshalJSONTo(out *jsontext.Encoder) error {
	if a == nil {
		return out.WriteToken(jsontext.Null)
	}
	return json.MarshalEncode(out, []string(a))
}

// split takes items apart at commas. An empty list stays one; an empty item is
// kept, and refused as no address.
func split(given []string) addresses {
	out := make(addresses, 0, len(given))
	for _, item := range given {
		for entry := range strings.SplitSeq(item, ",") {
			out = append(out, strings.Trim(entry, " \t"))
		}
	}
	return slices.Clip(out)
}
