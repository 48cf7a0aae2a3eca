package voke

import (
	"net/netip"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

type listAnswer struct {
	Data []partnerKey `json:"data"`
	Meta meta         `json:"meta"`
}

type meta struct {
	Page       int   `json:"page"`
	Limit      int   `json:"limit"`
	Total      int64 `json:"total"`
	TotalPages int64 `json:"totalPages"`
}

type createdAnswer struct {
	APIKey     partnerKey `json:"apiKey"`
	Key        string     `json:"key"`
	SigningKey string     `json:"signingKey"`
}

type revokedAnswer struct {
	Message string `json:"message"`
}

// partnerKey is a key as lists and creations show it. Its plants are not shown:
// the document has no member for them.
type partnerKey struct {
	AllowedIPs     []string  `json:"allowedIps"`
	CreatedAt      body.Time `json:"createdAt"`
	CreatedBy      string    `json:"createdBy"`
	Creator        *creator  `json:"creator"`
	ExpiresAt      body.Time `json:"expiresAt"`
	ID             string    `json:"id"`
	IsActive       bool      `json:"isActive"`
	KeyPrefix      string    `json:"keyPrefix"`
	LastUsedAt     body.Time `json:"lastUsedAt"`
	Name           string    `json:"name"`
	OrganizationID string    `json:"organizationId"`
	PartnerID      string    `json:"partnerId"`
	Scopes         []string  `json:"scopes"`
	UpdatedAt      body.Time `json:"updatedAt"`
	VHost          string    `json:"vhost"`
}

type creator struct {
	CreatedAt body.Time `json:"createdAt"`
	Email     string    `json:"email"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	UpdatedAt body.Time `json:"updatedAt"`
}

// spellKeys spells keys with their creators.
func spellKeys(x *exchange.Exchange, keys []authority.Described) ([]partnerKey, error) {
	creators, err := x.Dialect.Authority.Creators(x.R.Context(), &x.Call, keys)
	if err != nil {
		return nil, err
	}
	out := make([]partnerKey, len(keys))
	for i := range keys {
		out[i] = spellKey(&keys[i])
		if c, known := creators[keys[i].CreatedBy.ID]; known {
			out[i].Creator = spellCreator(&c)
		}
	}
	return out, nil
}

func spellKey(d *authority.Described) partnerKey {
	return partnerKey{
		AllowedIPs: networks(d.Policy.Addresses), Scopes: texts(d.Policy.Scopes),
		CreatedAt: body.Time(d.CreatedAt), UpdatedAt: body.Time(d.UpdatedAt), ExpiresAt: body.Time(d.ExpiresAt), LastUsedAt: body.Time(d.LastUse().At),
		CreatedBy: spellID(d.CreatedBy.ID), ID: spellID(d.ID), OrganizationID: spellID(d.Organization),
		IsActive: d.State == latchkey.StateLive, KeyPrefix: d.Newest(d.At).Public, Name: d.Name, PartnerID: d.Partner,
		VHost: vhost(d.ID),
	}
}

// adminRank is the least rank that the document calls an administrator's.
const adminRank = 7

func spellCreator(c *authority.Creator) *creator {
	role := "USER"
	if c.Rank >= adminRank {
		role = "ADMIN"
	}
	return &creator{
		CreatedAt: body.Time(c.CreatedAt), UpdatedAt: body.Time(c.UpdatedAt), Email: c.Email, ID: spellID(c.ID), Name: c.Name, Role: role,
	}
}

// spellID spells what no user and no key did as the nil UUID (RFC 9562, section 5.9).
func spellID(id latchkey.ID) string {
	if id.IsZero() {
		return "00000000-0000-0000-0000-000000000000"
	}
	return id.UUID()
}

// vhost names the virtual host of a broker that the key may use.
func vhost(id latchkey.ID) string { return "partner-" + id.UUID() }

// networks spells an address list as the document does: single addresses are
// networks of one.
func networks(list latchkey.AddressList) []string {
	entries := list.Entries()
	for i, entry := range entries {
		if addr, err := netip.ParseAddr(entry); err == nil {
			entries[i] = netip.PrefixFrom(addr, addr.BitLen()).String()
		}
	}
	return entries
}

func texts(in latchkey.Permissions) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}
