package rest

import (
	"encoding/hex"
	"strconv"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

func (api *API) createKey(x *exchange) error {
	var broken []latchkey.FieldError
	in := x.in.(*KeyInput).read("", &broken)
	if err := refusedFields(broken); err != nil {
		return err
	}
	issued, e, err := api.Authority.CreateKey(x.r.Context(), &x.Call, in)
	if err != nil {
		return err
	}
	return x.answerRevision(issued.Revision, issued.ID.Native(latchkey.KindKey), spellIssued(&issued, e))
}

func spellIssued(k *authority.Issued, e authority.Effective) issuedAnswer {
	return issuedAnswer{spellKey(&k.Described), k.Secret.Expose(), k.SigningKey.Expose(), spellUsable(e)}
}

func (api *API) batchCreate(x *exchange) error {
	items := x.in.(*batchCreateInput).Items
	var broken []latchkey.FieldError
	in := make([]authority.NewKey, len(items))
	for i := range items {
		in[i] = items[i].read("/items/"+strconv.Itoa(i), &broken)
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	issued, e, err := api.Authority.CreateKeys(x.r.Context(), &x.Call, in)
	if err != nil {
		return err
	}
	out := batchIssuedAnswer{Usable: spellUsable(e)}
	for i := range issued {
		out.Results = append(out.Results, issuedItem{spellKey(&issued[i].Described), issued[i].Secret.Expose(), issued[i].SigningKey.Expose()})
	}
	return x.answer(out)
}

func (api *API) importKeys(x *exchange) error {
	in := x.in.(*importInput)
	var broken []latchkey.FieldError
	if in.Scheme != "sha256" {
		broken = append(broken, latchkey.FieldError{Pointer: "/scheme", Code: "not_allowed", Detail: "The one scheme is sha256: the SHA-256 of the whole key."})
	}
	keys := make([]authority.NewKey, len(in.Items))
	for i := range in.Items {
		keys[i] = in.Items[i].read("/items/"+strconv.Itoa(i), &broken)
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	made, e, err := api.Authority.ImportKeys(x.r.Context(), &x.Call, keys)
	if err != nil {
		return err
	}
	out := batchIssuedAnswer{Usable: spellUsable(e)}
	for i := range made {
		out.Results = append(out.Results, issuedItem{Key: spellKey(&made[i])})
	}
	return x.answer(out)
}

func (item *importItem) read(at string, broken *[]latchkey.FieldError) authority.NewKey {
	k := item.KeyInput.read(at, broken)
	var sum [32]byte
	if n, err := hex.Decode(sum[:], []byte(item.Digest[:min(len(item.Digest), 64)])); err != nil || n != len(sum) || len(item.Digest) != 64 {
		*broken = append(*broken, latchkey.FieldError{Pointer: at + "/digest", Code: "format", Detail: "A digest is 64 hexadecimal digits."})
	}
	if item.Retrievable {
		*broken = append(*broken, latchkey.FieldError{Pointer: at + "/retrievable", Code: "not_allowed", Detail: "The value of an imported key was never here, so it cannot be stored."})
	}
	k.Digest, k.Public = &sum, value(item.Public)
	return k
}

func (api *API) getKey(x *exchange) error {
	id := x.pathID(latchkey.KindKey)
	d, err := api.Authority.GetKey(x.r.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.answerRevision(d.Revision, "", spellKey(&d))
}

func (api *API) listKeys(x *exchange) error {
	q := x.queries()
	f := authority.KeyFilter{
		States: readState(q.text("state")), Project: q.id("project_id", latchkey.KindProject), Role: readRole(q.text("role")),
		Owner: q.id("owner_id", latchkey.KindUser), Partner: q.text("partner"), Search: q.text("search"),
		ExpiringBefore: q.time("expiring_before"), UnusedSince: q.time("unused_since"),
		Sort: q.text("sort"), Limit: q.limit(), Cursor: q.text("cursor"),
	}
	if err := q.err(); err != nil {
		return err
	}
	keys, next, err := api.Authority.ListKeys(x.r.Context(), &x.Call, f)
	if err != nil {
		return err
	}
	return x.answer(pageOf(keys, next, spellKey))
}

// readState is none for "".
func readState(text string) []latchkey.State {
	if text == "" {
		return nil
	}
	return []latchkey.State{latchkey.State(text)}
}

// keyPatch is what is to be different about a key.
type keyPatch struct {
	Name         body.Optional[string]            `json:"name" required:"false" nullable:"false"`
	Role         body.Optional[string]            `json:"role" required:"false" doc:"null takes it away."`
	Scopes       body.Optional[[]string]          `json:"scopes" required:"false"`
	Restrictions body.Optional[restrictionsPatch] `json:"restrictions" required:"false" doc:"null lifts all."`
	Enabled      body.Optional[bool]              `json:"enabled" required:"false" nullable:"false"`
	ExpiresAt    body.Optional[moment]            `json:"expires_at" required:"false" doc:"null: never."`
	Metadata     body.Optional[metadata]          `json:"metadata" required:"false" doc:"Replaces all of it."`
	Signing      body.Optional[signingPatch]      `json:"signing" required:"false" doc:"null takes the signing key or the public key away, and looks at no signature any more."`
}

type restrictionsPatch struct {
	Addresses body.Optional[[]string]            `json:"addresses" required:"false"`
	Resources body.Optional[map[string][]string] `json:"resources" required:"false"`
}

// set is the value of a member that is there; nil if it is absent.
func set[T any](o body.Optional[T]) *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}

// needed refuses null for members that cannot be cleared.
func needed[T any](pointer string, o body.Optional[T], broken *[]latchkey.FieldError) *T {
	if o.Null {
		*broken = append(*broken, latchkey.FieldError{Pointer: pointer, Code: "required", Detail: "This cannot be cleared; leave it out to keep it."})
	}
	return set(o)
}

func (in *keyPatch) read() (authority.KeyPatch, error) {
	var broken []latchkey.FieldError
	p := authority.KeyPatch{Name: needed("/name", in.Name, &broken), Enabled: needed("/enabled", in.Enabled, &broken), Scopes: set(in.Scopes)}
	if in.Role.Set {
		ref := authority.RoleRef{}
		if !in.Role.Null {
			ref = readRole(in.Role.Value)
			if ref == (authority.RoleRef{}) {
				broken = append(broken, latchkey.FieldError{Pointer: "/role", Code: "required", Detail: "This is empty; null takes the role away."})
			}
		}
		p.Role = &ref
	}
	if r := in.Restrictions; r.Set {
		p.Addresses, p.Resources = set(r.Value.Addresses), set(r.Value.Resources)
		if r.Null {
			p.Addresses, p.Resources = new([]string), new(map[string][]string)
		}
	}
	if in.ExpiresAt.Set {
		at := time.Time(in.ExpiresAt.Value)
		p.ExpiresAt = &at
	}
	if in.Metadata.Set {
		d, err := in.Metadata.Value.document()
		if err != nil {
			return p, err
		}
		p.Metadata = &d
	}
	if in.Signing.Set {
		p.Signing = in.Signing.Value.read(in.Signing.Null, &broken)
	}
	return p, refusedFields(broken)
}

func (api *API) updateKey(x *exchange) error {
	patch, err := x.in.(*keyPatch).read()
	if err != nil {
		return err
	}
	return x.changeKey(func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return api.Authority.UpdateKey(x.r.Context(), &x.Call, id, patch)
	})
}

// changeKey answers with the changed key.
func (x *exchange) changeKey(change func(id latchkey.ID) (authority.Described, authority.Effective, error)) error {
	id := x.pathID(latchkey.KindKey)
	d, e, err := change(id)
	if err != nil {
		return err
	}
	return x.answerRevision(d.Revision, "", changedKeyAnswer{spellKey(&d), spellEffective(e)})
}

type revokeInput struct {
	Reason *string        `json:"reason" required:"false" maxLength:"500"`
	Wait   *body.Duration `json:"wait" required:"false" doc:"How long to wait for every node, 0s to 30s; 2s by default. The query may say it instead."`
}

func (api *API) revokeKey(x *exchange) error {
	in := x.in.(*revokeInput)
	if in.Wait != nil {
		if err := x.wait("/wait", time.Duration(*in.Wait)); err != nil {
			return err
		}
	}
	return x.changeKey(func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return api.Authority.RevokeKey(x.r.Context(), &x.Call, id, value(in.Reason))
	})
}

func (api *API) deleteKey(x *exchange) error {
	return x.changeKey(func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return api.Authority.RevokeKey(x.r.Context(), &x.Call, id, "")
	})
}

type rotateInput struct {
	Overlap *body.Duration `json:"overlap" required:"false" doc:"How long the present secret lives on: 0s to 720h; 24h by default."`
}

func (api *API) rotateKey(x *exchange) error {
	overlap := latchkey.DefaultOverlap
	if in := x.in.(*rotateInput); in.Overlap != nil {
		overlap = time.Duration(*in.Overlap)
	}
	id := x.pathID(latchkey.KindKey)
	issued, e, err := api.Authority.RotateKey(x.r.Context(), &x.Call, id, overlap)
	if err != nil {
		return err
	}
	return x.answerRevision(issued.Revision, "", spellIssued(&issued, e))
}

func (api *API) completeRotation(x *exchange) error {
	return x.changeKey(func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return api.Authority.CompleteRotation(x.r.Context(), &x.Call, id)
	})
}

func (api *API) cancelRotation(x *exchange) error {
	return x.changeKey(func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return api.Authority.CancelRotation(x.r.Context(), &x.Call, id)
	})
}

type revealInput struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why; it is in the event."`
}

type revealAnswer struct {
	Secret string `json:"secret" doc:"The whole key."`
}

func (api *API) revealKey(x *exchange) error {
	id := x.pathID(latchkey.KindKey)
	plain, err := api.Authority.RevealKey(x.r.Context(), &x.Call, id, x.in.(*revealInput).Reason)
	if err != nil {
		return err
	}
	return x.answer(revealAnswer{plain.Expose()})
}

type revokeSelfInput struct {
	Key string `json:"key" maxLength:"512" doc:"The key itself."`
}

type revokedSelfAnswer struct {
	KeyID string `json:"key_id"`
	Effective
}

func (api *API) revokeSelf(x *exchange) error {
	d, e, err := api.Authority.RevokeSelf(x.r.Context(), &x.Call, latchkey.NewPlaintext(x.in.(*revokeSelfInput).Key))
	if err != nil {
		return api.Throttled(x.w, x.r, err)
	}
	return x.answer(revokedSelfAnswer{d.ID.Native(latchkey.KindKey), spellEffective(e)})
}
