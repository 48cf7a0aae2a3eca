package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchkey.dev/latchkey/client"
)

func keysCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Create, restrict, verify, rotate and revoke keys",
		Example: `  latchkey keys create --name "Billing" --role reader --expires-in 90d
  latchkey keys list --state live
  latchkey keys revoke key_0d5qh0w2e9x8v3k7m1ac --reason "leaked in a log"`,
	}
	c.AddCommand(
		keysCreateCommand(r), keysListCommand(r), keysGetCommand(r), keysUpdateCommand(r), keysRotateCommand(r), keysRotationCommand(r),
		keysRevokeCommand(r), keysRevokeSelfCommand(r), keysRevealCommand(r), keysVerifyCommand(r), keysImportCommand(r), keysUsageCommand(r),
	)
	return c
}

// keyFlags are the flags that say what a key is to be.
type keyFlags struct {
	name      string
	role      string
	scopes    textsValue
	addresses textsValue
	resources resourcesValue
	expiresAt momentValue
	expiresIn spanValue
	metadata  metadataValue
	signing   string
	publicKey string // the file
}

func (k *keyFlags) offer(c *cobra.Command) {
	k.expiresAt.never, k.expiresIn.positive = true, true
	f := c.Flags()
	f.StringVar(&k.name, "name", "", "what the key is for, in your `words`")
	f.StringVar(&k.role, "role", "", "role, by its identifier or `id`")
	f.Var(&k.scopes, "scope", "a permission granted directly, such as api_key:verify or orders:*; can be repeated")
	f.Var(&k.addresses, "address", "an address or CIDR block from which alone the key may be used; can be repeated")
	f.Var(&k.resources, "resource", "an object to which the key is restricted among those of its type; can be repeated; type= allows none")
	f.Var(&k.expiresAt, "expires-at", "when the key ends, like 2026-12-31T23:59:59Z or 2026-12-31 (UTC), or never")
	f.Var(&k.expiresIn, "expires-in", "after how long the key ends, like 90d or 36h")
	f.Var(&k.metadata, "metadata", "something to keep with the key; can be repeated")
	c.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
	f.StringVar(&k.signing, "signing", "", "whether requests with the key are signed: off, optional or required (`mode`)")
	f.StringVar(&k.publicKey, "public-key", "", "`file` with the Ed25519 public key, in PEM, of the pair with which they are signed")
}

// sign is what requests are signed with; nil if no flag says so.
func (k *keyFlags) sign() (*client.Signing, error) {
	if k.signing == "" && k.publicKey == "" {
		return nil, nil
	}
	s := &client.Signing{Mode: k.signing}
	if k.publicKey == "" {
		return s, nil
	}
	text, err := os.ReadFile(k.publicKey)
	if err != nil {
		return nil, err
	}
	s.Algorithm, s.PublicKey = "ed25519", string(text)
	return s, nil
}

// expiry is when the key is to end; zero for never.
func (k *keyFlags) expiry() time.Time {
	if k.expiresIn.Duration > 0 {
		return time.Now().UTC().Add(k.expiresIn.Duration).Truncate(time.Millisecond)
	}
	return k.expiresAt.Time
}

func keysCreateCommand(r *remote) *cobra.Command {
	var given keyFlags
	var in client.NewKey
	c := &cobra.Command{
		Use:   "create --name TEXT",
		Short: "Create a key and print its secret, once",
		Long: `Create makes a key. Its secret is printed this once; the server keeps a digest.

What the key may do is its role's permissions and its scopes together. With an
owner and neither, it may do what its owner may, as that changes. Nobody can
give a key more than they hold themselves.`,
		Example: `  # For a partner, from two networks, for a quarter
  latchkey keys create --name "Acme, production" --partner acme --scope 'orders:*' \
    --address 192.0.2.0/24 --address 2001:db8::/32 --expires-in 90d

  # Restricted to two plants; the secret alone, for a script
  latchkey keys create --name meter --scope telemetry:write \
    --resource plant=17 --resource plant=18 --json | jq -r .secret

  # Requests have to be signed; the signing key is printed beside the secret
  latchkey keys create --name payments --scope 'payments:*' --signing required`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			in.Name, in.Role, in.Scopes, in.ExpiresAt = given.name, given.role, given.scopes, given.expiry()
			in.Restrictions = client.Restrictions{Addresses: given.addresses, Resources: given.resources}
			if in.Metadata, err = given.metadata.object(); err != nil {
				return err
			}
			if in.Signing, err = given.sign(); err != nil {
				return err
			}
			if in.Signing != nil && in.Signing.Mode == "" {
				in.Signing.Mode = "required" // who registers a key means it
			}
			a, err := api.Keys.Create(c.Context(), in)
			return r.tellIssued(a, err)
		},
	}
	given.offer(c)
	f := c.Flags()
	f.StringVar(&in.ProjectID, "project", "", "project, by its `id` prj_…; without it your own, or the default one")
	f.StringVar(&in.Reach, "reach", "", "what the key can touch: its `project` (as without this), its organization, or all of them")
	f.StringVar(&in.OwnerID, "owner", "", "user who owns the key, by `id` usr_…")
	f.StringVar(&in.Partner, "partner", "", "the external party the key is for, in your `words`")
	f.BoolVar(&in.Retrievable, "retrievable", false, "let the server keep the secret, sealed, so that it can be revealed; the project must allow it")
	require(c, "name")
	return c
}

// require makes a command refuse to begin without these flags.
func require(c *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // it was declared a few lines above
		}
	}
}

// tellIssued prints a key with its secret.
func (r *remote) tellIssued(a client.Answer[client.IssuedKey], err error) error {
	printed := tell(r, a, err, func(k client.IssuedKey) error {
		secrets := []fact{{"Secret", k.Secret.Expose()}}
		if k.SigningKey.Expose() != "" {
			secrets = append(secrets, fact{"Signing key", k.SigningKey.Expose()})
		}
		return facts(r.Stdout, append(secrets, describeKey(&k.Key)...))
	})
	switch {
	case err != nil:
		return printed
	case printed != nil:
		return lostSecret(a.Value.Key.ID, printed)
	}
	r.noteSecret()
	r.noteEffect(a.Value.Effect())
	return nil
}

func describeKey(k *client.Key) []fact {
	list := []fact{
		{"Key", k.ID},
		{"Name", k.Name},
		{"State", k.State},
		{"Shown as", k.Masked},
		{"Organization", k.OrganizationID},
		{"Project", k.ProjectID},
		{"Environment", k.Environment},
		{"Reach", k.Reach},
		{"Role", k.Role},
		{"Scopes", strings.Join(k.Scopes, ", ")},
		{"Addresses", strings.Join(k.Restrictions.Addresses, ", ")},
		{"Resources", resourcesText(k.Restrictions.Resources)},
		{"Owner", k.OwnerID},
		{"Partner", k.Partner},
		{"Retrievable", yesNo(k.Retrievable)},
		{"Signing", signingText(k.Signing)},
		{"Metadata", objectText(k.Metadata)},
		{"Expires", orNever(k.ExpiresAt)},
		{"Last used", orNever(k.LastUsedAt)},
		{"From", k.LastAddress},
		{"By", k.LastUserAgent},
		created(k.CreatedAt, k.CreatedBy),
	}
	if k.Rotation != nil {
		list = append(list, fact{"Rotation", fmt.Sprintf("from %s to %s, until %s", k.Rotation.Old, k.Rotation.New, moment(k.Rotation.EndsAt))})
	}
	return list
}

func signingText(s *client.Signing) string {
	if s == nil {
		return ""
	}
	return s.Mode + ", " + s.Algorithm
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return moment(t)
}

func keysGetCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:     "get KEY_ID",
		Short:   "Describe a key",
		Example: "  latchkey keys get key_0d5qh0w2e9x8v3k7m1ac",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.Get(c.Context(), args[0])
			return tell(r, a, err, func(k client.Key) error { return facts(r.Stdout, describeKey(&k)) })
		},
	}
}

func keysUpdateCommand(r *remote) *cobra.Command {
	var given keyFlags
	var enable, disable bool
	c := &cobra.Command{
		Use:   "update KEY_ID",
		Short: "Change a key",
		Long: `Update changes what its flags name and leaves the rest. A list or the metadata is
replaced as a whole. An empty value takes away: --role '' the role, --scope ''
all scopes, --address '' and --resource '' the restriction.`,
		Example: `  latchkey keys update key_0d5qh0w2e9x8v3k7m1ac --name "Acme, staging" --disable
  latchkey keys update key_0d5qh0w2e9x8v3k7m1ac --address '' --expires-at never`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			patch, err := given.patch(c)
			if err != nil {
				return err
			}
			if enable || disable {
				patch.Enabled = client.Set(enable)
			}
			if err := somethingGiven(c); err != nil {
				return err
			}
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.Update(c.Context(), args[0], patch)
			return r.tellChanged(a, err, "Changed")
		},
	}
	given.offer(c)
	c.Flags().BoolVar(&enable, "enable", false, "let a disabled key be used again")
	c.Flags().BoolVar(&disable, "disable", false, "refuse the key until it is enabled again")
	c.MarkFlagsMutuallyExclusive("enable", "disable")
	return c
}

// patch is what the flags that were given ask for.
func (k *keyFlags) patch(c *cobra.Command) (p client.KeyPatch, err error) {
	changed := c.Flags().Changed
	if changed("name") {
		p.Name = client.Set(k.name)
	}
	if changed("role") {
		p.Role = setOrClear(k.role)
	}
	if changed("scope") {
		p.Scopes = client.Set([]string(k.scopes))
	}
	if changed("address") {
		p.Restrictions.Addresses = client.Set([]string(k.addresses))
	}
	if changed("resource") {
		p.Restrictions.Resources = client.Set(map[string][]string(k.resources))
	}
	if changed("expires-at") || changed("expires-in") {
		if p.ExpiresAt = client.Set(k.expiry()); k.expiry().IsZero() {
			p.ExpiresAt = client.Clear[time.Time]()
		}
	}
	if changed("metadata") {
		object, err := k.metadata.object()
		if err != nil {
			return p, err
		}
		p.Metadata = client.Set(object)
	}
	signing, err := k.sign()
	if signing != nil {
		p.Signing = client.Set(client.SigningPatch(*signing))
	}
	if err != nil {
		return p, err
	}
	return p, nil
}

// somethingGiven refuses a change without any of the command's own flags.
func somethingGiven(c *cobra.Command) error {
	given := false
	c.LocalFlags().VisitAll(func(f *pflag.Flag) { given = given || f.Changed })
	if given {
		return nil
	}
	return usagef("nothing is to be changed: say what with a flag (`%s --help` lists them)", c.CommandPath())
}

func setOrClear(s string) client.Field[string] {
	if s == "" {
		return client.Clear[string]()
	}
	return client.Set(s)
}

// tellChanged says that a change was made, and to what.
func (r *remote) tellChanged(a client.Answer[client.ChangedKey], err error, what string) error {
	err = tell(r, a, err, func(k client.ChangedKey) error {
		_, err := fmt.Fprintf(r.Stdout, "%s %s, %s: now %s\n", what, k.Key.ID, printable(k.Key.Name), k.Key.State)
		return err
	})
	if err == nil {
		r.noteEffect(a.Value.Effect)
	}
	return err
}

func keysListCommand(r *remote) *cobra.Command {
	var filter client.KeyFilter
	var all bool
	before, since := momentValue{sign: 1}, momentValue{sign: -1}
	c := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Long: `List shows keys in every state, revoked ones included, unless --state says
otherwise. It shows one page; --all shows all of them.`,
		Example: `  # What will end within a month, soonest first
  latchkey keys list --expiring-before 30d --sort expires_at --all

  # What nobody has used for 90 days
  latchkey keys list --unused-since 90d

  # Find a key by the part that is shown of it
  latchkey keys list --search 7Hk2mQ9x`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			filter.ExpiringBefore, filter.UnusedSince = before.Time, since.Time
			l := keyListing(r)
			if all {
				if filter.Limit == 0 {
					filter.Limit = mostPerPage
				}
				return l.all(api.Keys.Pages(c.Context(), filter))
			}
			a, err := api.Keys.List(c.Context(), filter)
			return l.page(a, err)
		},
	}
	f := c.Flags()
	f.StringVar(&filter.State, "state", "", "only keys in this `state`: live, disabled, expired or revoked")
	f.StringVar(&filter.ProjectID, "project", "", "only keys of this project, by `id`")
	f.StringVar(&filter.Role, "role", "", "only keys with this role, by identifier or `id`")
	f.StringVar(&filter.OwnerID, "owner", "", "only keys that this user owns, by `id`")
	f.StringVar(&filter.Partner, "partner", "", "only keys for this partner, in exactly these `words`")
	f.StringVar(&filter.Search, "search", "", "only keys with this `text` in their name, or at the beginning of their kid")
	f.Var(&before, "expiring-before", "only keys that are not revoked and end before this time, or within this span: 30d")
	f.Var(&since, "unused-since", "only keys not used since this time, or for this span: 90d")
	f.StringVar(&filter.Sort, "sort", "", "`order`: created, updated, name or expires_at, with - before it for descending (default -created)")
	f.IntVar(&filter.Limit, "limit", 0, "most keys on a page, 1 to 100 (default 25)")
	f.StringVar(&filter.Cursor, "cursor", "", "the page after the one that gave this `cursor`")
	f.BoolVar(&all, "all", false, "all pages, one after the other")
	return c
}

// keyListing has what is of one length first, so that pages line up.
func keyListing(r *remote) *listing[client.Key] {
	return &listing[client.Key]{
		r: r, noun: "keys",
		header: []string{"KEY", "STATE", "ENV", "SECRETS", "EXPIRES", "LAST USED", "ROLE", "NAME"},
		row: func(k *client.Key) []string {
			return []string{
				k.ID, k.State, k.Environment, strconv.Itoa(len(k.Secrets)), orNever(k.ExpiresAt), orNever(k.LastUsedAt), orNone(k.Role), k.Name,
			}
		},
	}
}
