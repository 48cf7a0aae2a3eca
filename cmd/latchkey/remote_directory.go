package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

// noun is one of the things that keys hang on: T is the object, N what a new
// one is made from, P what is to be different. Its commands differ in their
// flags and words alone.
type noun[T, N, P any] struct {
	r *remote

	name, plural string // also the command's
	short, long  string
	argument     string // what names one, such as PROJECT_ID
	deleting     string // what deleting one means
	examples     map[string]string

	directory func(*client.Client) client.Directory[T, N, P]
	header    []string
	row       func(*T) []string
	describe  func(*T) []fact
	create    func(*cobra.Command) func() (N, error)               // declares flags; the result reads them
	update    func(*cobra.Command) func(*cobra.Command) (P, error) // the same
}

func (n *noun[T, N, P]) command() *cobra.Command {
	c := &cobra.Command{Use: n.plural, Short: n.short, Long: n.long, Example: n.examples["create"] + "\n" + n.examples["list"]}
	c.AddCommand(n.createCommand(), n.listCommand(), n.getCommand(), n.updateCommand(), n.deleteCommand())
	return c
}

func (n *noun[T, N, P]) tell(a client.Answer[T], err error) error {
	return tell(n.r, a, err, func(v T) error { return facts(n.r.Stdout, n.describe(&v)) })
}

func (n *noun[T, N, P]) createCommand() *cobra.Command {
	c := &cobra.Command{Use: "create", Short: "Make a " + n.name, Example: n.examples["create"], Args: cobra.NoArgs}
	if strings.ContainsAny(n.name[:1], "aeio") {
		c.Short = "Make an " + n.name
	}
	read := n.create(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		in, err := read()
		if err != nil {
			return err
		}
		api, err := n.r.connect(c.Context())
		if err != nil {
			return err
		}
		return n.tell(n.directory(api).Create(c.Context(), in))
	}
	return c
}

func (n *noun[T, N, P]) listCommand() *cobra.Command {
	var filter client.PageFilter
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "List " + n.plural + ", newest first", Example: n.examples["list"], Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := n.r.connect(c.Context())
			if err != nil {
				return err
			}
			l := listing[T]{r: n.r, noun: n.plural, header: n.header, row: n.row}
			if all {
				if filter.Limit == 0 {
					filter.Limit = mostPerPage
				}
				return l.all(n.directory(api).Pages(c.Context(), filter))
			}
			return l.page(n.directory(api).List(c.Context(), filter))
		},
	}
	f := c.Flags()
	f.IntVar(&filter.Limit, "limit", 0, "`how` many on a page at most, 1 to 100 (default 25)")
	f.StringVar(&filter.Cursor, "cursor", "", "the page after the one that gave this `cursor`")
	f.BoolVar(&all, "all", false, "all pages, one after the other")
	return c
}

func (n *noun[T, N, P]) getCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get " + n.argument, Short: "Describe one", Example: n.examples["get"], Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := n.r.connect(c.Context())
			if err != nil {
				return err
			}
			return n.tell(n.directory(api).Get(c.Context(), args[0]))
		},
	}
}

func (n *noun[T, N, P]) updateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "update " + n.argument, Short: "Change what the flags name, and leave the rest", Example: n.examples["update"], Args: cobra.ExactArgs(1),
	}
	read := n.update(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := somethingGiven(c); err != nil {
			return err
		}
		patch, err := read(c)
		if err != nil {
			return err
		}
		api, err := n.r.connect(c.Context())
		if err != nil {
			return err
		}
		a, err := n.directory(api).Update(c.Context(), args[0], patch)
		err = tell(n.r, a, err, func(changed client.Changed[T]) error { return facts(n.r.Stdout, n.describe(&changed.Object)) })
		if err == nil {
			n.r.noteEffect(a.Value.Effect)
		}
		return err
	}
	return c
}

func (n *noun[T, N, P]) deleteCommand() *cobra.Command {
	var revokeKeys bool
	c := &cobra.Command{
		Use: "delete " + n.argument, Short: "Delete one for good", Long: n.deleting, Example: n.examples["delete"], Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := n.r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := n.directory(api).Delete(c.Context(), args[0], revokeKeys)
			return tellEffect(n.r, a, err, "Deleted %s", printable(args[0]))
		},
	}
	c.Flags().BoolVar(&revokeKeys, "revoke-keys", false, "revoke the keys that hang on it, instead of being refused because of them")
	return c
}

// setIfGiven is a member of a patch that is there if the flag is.
func setIfGiven[T any](c *cobra.Command, flag string, value T) (f client.Field[T]) {
	if c.Flags().Changed(flag) {
		f = client.Set(value)
	}
	return f
}

// stateFlags are --suspend and --activate.
type stateFlags struct{ suspend, activate bool }

func (s *stateFlags) offer(c *cobra.Command, effect string) {
	c.Flags().BoolVar(&s.suspend, "suspend", false, effect)
	c.Flags().BoolVar(&s.activate, "activate", false, "end the suspension")
	c.MarkFlagsMutuallyExclusive("suspend", "activate")
}

func (s *stateFlags) field() client.Field[string] {
	switch {
	case s.suspend:
		return client.Set("suspended")
	case s.activate:
		return client.Set("active")
	}
	return client.Field[string]{}
}

func projectsCommand(r *remote) *cobra.Command {
	n := noun[client.Project, client.NewProject, client.ProjectPatch]{
		r: r, name: "project", plural: "projects", argument: "PROJECT_ID",
		short: "Manage projects: sets of keys with a prefix and an environment",
		deleting: `A project that holds keys which are not revoked is not deleted, unless
--revoke-keys says to revoke them first.`,
		examples: map[string]string{
			"create": `  latchkey projects create --name "Meters, trial" --prefix mtr --environment test`,
			"list":   `  latchkey projects list`,
			"get":    `  latchkey projects get prj_0d5qh0w2e9x8v3k7m1ac`,
			"update": `  latchkey projects update prj_0d5qh0w2e9x8v3k7m1ac --name Meters --retrievable=false`,
			"delete": `  latchkey projects delete prj_0d5qh0w2e9x8v3k7m1ac --revoke-keys`,
		},
		directory: func(c *client.Client) client.Directory[client.Project, client.NewProject, client.ProjectPatch] {
			return c.Projects
		},
		header: []string{"PROJECT", "ENV", "PREFIX", "DEFAULT", "NAME"},
		row: func(p *client.Project) []string {
			return []string{p.ID, p.Environment, p.Prefix, yesNo(p.Default), p.Name}
		},
		describe: func(p *client.Project) []fact {
			return []fact{
				{"Project", p.ID},
				{"Name", p.Name},
				{"Organization", p.OrganizationID},
				{"Prefix", p.Prefix},
				{"Environment", p.Environment},
				{"Default", yesNo(p.Default)},
				{"Retrievable", yesNo(p.Retrievable)},
				{"Forbids that", yesNo(p.ForbidRetrievable)},
				created(p.CreatedAt, p.CreatedBy),
			}
		},
		create: func(c *cobra.Command) func() (client.NewProject, error) {
			var in client.NewProject
			f := c.Flags()
			f.StringVar(&in.Name, "name", "", "what the project is for, in your `words`")
			f.StringVar(&in.Prefix, "prefix", "", "beginning of its keys: a `word` of 2 to 16 lower-case letters and digits (default lk); it stays")
			f.StringVar(&in.Environment, "environment", "", "`environment` of its keys: live or test (default live); it stays")
			f.BoolVar(&in.Retrievable, "retrievable", false, "let keys be made whose secret is kept, sealed, and can be revealed")
			f.BoolVar(&in.ForbidRetrievable, "forbid-retrievable", false, forbidRetrievable)
			require(c, "name")
			return func() (client.NewProject, error) { return in, nil }
		},
		update: func(c *cobra.Command) func(*cobra.Command) (client.ProjectPatch, error) {
			name := c.Flags().String("name", "", "what the project is for, in your `words`")
			retrievable := c.Flags().Bool("retrievable", false, "let keys be made whose secret is kept; =false ends that")
			forbid := c.Flags().Bool("forbid-retrievable", false, forbidRetrievable+"; =false ends that")
			return func(c *cobra.Command) (client.ProjectPatch, error) {
				return client.ProjectPatch{
					Name: setIfGiven(c, "name", *name), Retrievable: setIfGiven(c, "retrievable", *retrievable),
					ForbidRetrievable: setIfGiven(c, "forbid-retrievable", *forbid),
				}, nil
			}
		},
	}
	return n.command()
}

func usersCommand(r *remote) *cobra.Command {
	n := noun[client.User, client.NewUser, client.UserPatch]{
		r: r, name: "user", plural: "users", argument: "USER_ID",
		short: "Manage users: people and service accounts, and their roles",
		deleting: `A user who owns keys which are not revoked is not deleted, unless --revoke-keys
says to revoke them first. To keep someone out for a while, suspend them instead.`,
		examples: map[string]string{
			"create": `  latchkey users create --name "Ada" --email ada@example.com --role developer \
    --role prj_0d5qh0w2e9x8v3k7m1ac=owner`,
			"list":   `  latchkey users list`,
			"get":    `  latchkey users get usr_0d5qh0w2e9x8v3k7m1ac`,
			"update": `  latchkey users update usr_0d5qh0w2e9x8v3k7m1ac --suspend`,
			"delete": `  latchkey users delete usr_0d5qh0w2e9x8v3k7m1ac`,
		},
		directory: func(c *client.Client) client.Directory[client.User, client.NewUser, client.UserPatch] { return c.Users },
		header:    []string{"USER", "KIND", "STATE", "NAME", "EMAIL", "ROLES"},
		row: func(u *client.User) []string {
			return []string{u.ID, u.Kind, u.State, u.Name, orNone(u.Email), orNone(memberships(u.Roles))}
		},
		describe: func(u *client.User) []fact {
			return []fact{
				{"User", u.ID},
				{"Name", u.Name},
				{"Kind", u.Kind},
				{"Email", u.Email},
				{"State", u.State},
				{"Organization", u.OrganizationID},
				{"Roles", memberships(u.Roles)},
				created(u.CreatedAt, u.CreatedBy),
			}
		},
		create: newUserFlags,
		update: userPatchFlags,
	}
	return n.command()
}

const forbidRetrievable = "keep and reveal no key's secret, not even of a key that is made for an API which promises it"

const roleUsage = "a role over the organization, by identifier or id, or over one project as prj_…=ROLE; can be repeated"

func newUserFlags(c *cobra.Command) func() (client.NewUser, error) {
	in := client.NewUser{}
	var service bool
	var roles textsValue
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "their `name`")
	f.StringVar(&in.Email, "email", "", "their e-mail `address`; required of a person")
	f.BoolVar(&service, "service", false, "a service account: it has no e-mail address")
	f.Var(&roles, "role", roleUsage)
	require(c, "name")
	c.MarkFlagsMutuallyExclusive("email", "service")
	c.MarkFlagsOneRequired("email", "service")
	return func() (client.NewUser, error) {
		in.Kind = "person"
		if service {
			in.Kind = "service"
		}
		var err error
		in.Roles, err = parseMemberships(roles)
		return in, err
	}
}

func userPatchFlags(c *cobra.Command) func(*cobra.Command) (client.UserPatch, error) {
	var state stateFlags
	var roles textsValue
	name := c.Flags().String("name", "", "their `name`")
	email := c.Flags().String("email", "", "their e-mail `address`")
	c.Flags().Var(&roles, "role", roleUsage+"; all of them are replaced, and '' leaves none")
	state.offer(c, "refuse them and every key that they own")
	return func(c *cobra.Command) (client.UserPatch, error) {
		members, err := parseMemberships(roles)
		return client.UserPatch{
			Name: setIfGiven(c, "name", *name), Email: setIfGiven(c, "email", *email), State: state.field(), Roles: setIfGiven(c, "role", members),
		}, err
	}
}

func parseMemberships(texts []string) ([]client.MemberRole, error) {
	members := make([]client.MemberRole, len(texts))
	for i, text := range texts {
		project, role, over := strings.Cut(text, "=")
		if !over {
			project, role = "", text
		}
		if role == "" || over && project == "" {
			return nil, usagef("--role is ROLE or prj_…=ROLE")
		}
		members[i] = client.MemberRole{ProjectID: project, Role: role}
	}
	return members, nil
}

func memberships(members []client.MemberRole) string {
	texts := make([]string, len(members))
	for i, m := range members {
		if texts[i] = m.Role; m.ProjectID != "" {
			texts[i] = m.ProjectID + "=" + m.Role
		}
	}
	return strings.Join(texts, ", ")
}

func rolesCommand(r *remote) *cobra.Command {
	n := noun[client.Role, client.NewRole, client.RolePatch]{
		r: r, name: "role", plural: "roles", argument: "ROLE",
		short: "Manage roles: named sets of permissions",
		long: `A role is a named set of permissions with a rank from 0 to 10. The built-in ones
are the same everywhere and stay as they are; others can be made. ROLE is an
identifier or an id; to change or delete one takes its id.`,
		deleting: `A role that keys or users have is not deleted; --revoke-keys revokes the keys first.`,
		examples: map[string]string{
			"create": `  latchkey roles create --identifier meter-reader --name "Meter reader" --rank 1 \
    --permission telemetry:read --permission 'meter:*'`,
			"list":   `  latchkey roles list`,
			"get":    `  latchkey roles get developer`,
			"update": `  latchkey roles update role_0d5qh0w2e9x8v3k7m1ac --permission telemetry:read`,
			"delete": `  latchkey roles delete role_0d5qh0w2e9x8v3k7m1ac`,
		},
		directory: func(c *client.Client) client.Directory[client.Role, client.NewRole, client.RolePatch] { return c.Roles },
		header:    []string{"ROLE", "RANK", "BUILT IN", "IDENTIFIER", "NAME"},
		row: func(r *client.Role) []string {
			return []string{r.ID, strconv.Itoa(r.Rank), yesNo(r.Builtin), r.Identifier, r.Name}
		},
		describe: func(r *client.Role) []fact {
			list := []fact{
				{"Role", r.ID},
				{"Identifier", r.Identifier},
				{"Name", r.Name},
				{"Rank", strconv.Itoa(r.Rank)},
				{"Permissions", strings.Join(r.Permissions, ", ")},
				{"Built in", yesNo(r.Builtin)},
			}
			if r.Builtin {
				return list
			}
			return append(list, fact{"Organization", r.OrganizationID}, created(r.CreatedAt, r.CreatedBy))
		},
		create: newRoleFlags,
		update: rolePatchFlags,
	}
	return n.command()
}

const permissionUsage = "a permission, such as api_key:read or orders:*; can be repeated"

func newRoleFlags(c *cobra.Command) func() (client.NewRole, error) {
	var in client.NewRole
	var permissions textsValue
	f := c.Flags()
	f.StringVar(&in.Identifier, "identifier", "", "the `word` that names the role: lower-case letters, digits, - and _; it stays")
	f.StringVar(&in.Name, "name", "", "its `name` for people (default the identifier)")
	f.IntVar(&in.Rank, "rank", 0, "its `rank`, 0 to 10: nobody manages those above them")
	f.Var(&permissions, "permission", permissionUsage)
	require(c, "identifier")
	return func() (client.NewRole, error) {
		in.Permissions = append([]string{}, permissions...)
		if in.Name == "" {
			in.Name = in.Identifier
		}
		return in, nil
	}
}

func rolePatchFlags(c *cobra.Command) func(*cobra.Command) (client.RolePatch, error) {
	var permissions textsValue
	name := c.Flags().String("name", "", "its `name` for people")
	rank := c.Flags().Int("rank", 0, "its `rank`, 0 to 10")
	c.Flags().Var(&permissions, "permission", permissionUsage+"; all of them are replaced, and '' leaves none")
	return func(c *cobra.Command) (client.RolePatch, error) {
		return client.RolePatch{
			Name: setIfGiven(c, "name", *name), Rank: setIfGiven(c, "rank", *rank), Permissions: setIfGiven(c, "permission", []string(permissions)),
		}, nil
	}
}

func organizationsCommand(r *remote) *cobra.Command {
	n := noun[client.Organization, client.NewOrganization, client.OrganizationPatch]{
		r: r, name: "organization", plural: "organizations", argument: "ORGANIZATION_ID",
		short: "Manage organizations: the tenants",
		long: `An organization is a tenant: nothing crosses it. To make, limit, suspend and delete
them is for the operator, which is the first one. To act in another one, give the
commands --organization; that is how its first user and key are made.`,
		deleting: `An organization that holds keys which are not revoked is not deleted, unless
--revoke-keys says to revoke them first.`,
		examples: map[string]string{
			"create": `  latchkey organizations create --name "Acme"
  latchkey users create --name Ada --email ada@example.com --role owner \
    --organization org_0d5qh0w2e9x8v3k7m1ac`,
			"list":   `  latchkey organizations list --all`,
			"get":    `  latchkey organizations get org_0d5qh0w2e9x8v3k7m1ac`,
			"update": `  latchkey organizations update org_0d5qh0w2e9x8v3k7m1ac --key-limit 50000`,
			"delete": `  latchkey organizations delete org_0d5qh0w2e9x8v3k7m1ac --revoke-keys`,
		},
		directory: func(c *client.Client) client.Directory[client.Organization, client.NewOrganization, client.OrganizationPatch] {
			return c.Organizations
		},
		header: []string{"ORGANIZATION", "STATE", "OPERATOR", "KEYS", "NAME"},
		row: func(o *client.Organization) []string {
			return []string{o.ID, o.State, yesNo(o.Operator), strconv.FormatInt(o.Keys, 10), o.Name}
		},
		describe: func(o *client.Organization) []fact {
			return []fact{
				{"Organization", o.ID},
				{"Name", o.Name},
				{"State", o.State},
				{"Operator", yesNo(o.Operator)},
				{"UUID", o.UUID},
				{"Hub id", o.HubID},
				{"Keys", fmt.Sprintf("%d of %d, revoked ones counted", o.Keys, o.Limits.Keys)},
				{"Changes", fmt.Sprintf("%d per second at most", o.Limits.ChangesPerSecond)},
				created(o.CreatedAt, o.CreatedBy),
			}
		},
		create: func(c *cobra.Command) func() (client.NewOrganization, error) {
			var in client.NewOrganization
			c.Flags().StringVar(&in.Name, "name", "", "its `name`")
			require(c, "name")
			return func() (client.NewOrganization, error) { return in, nil }
		},
		update: organizationPatchFlags,
	}
	return n.command()
}

func organizationPatchFlags(c *cobra.Command) func(*cobra.Command) (client.OrganizationPatch, error) {
	var state stateFlags
	name := c.Flags().String("name", "", "its `name`")
	keys := c.Flags().Int64("key-limit", 0, "`how` many keys it may have, revoked ones counted")
	changes := c.Flags().Int64("changes-per-second", 0, "`how` many changes it may make in a second")
	state.offer(c, "refuse every key of the organization")
	return func(c *cobra.Command) (client.OrganizationPatch, error) {
		p := client.OrganizationPatch{Name: setIfGiven(c, "name", *name), State: state.field(), Limits: client.LimitsPatch{
			Keys: setIfGiven(c, "key-limit", *keys), ChangesPerSecond: setIfGiven(c, "changes-per-second", *changes),
		}}
		return p, nil
	}
}

// plainDeleteCommand deletes one on which no keys hang.
func (n *noun[T, N, P]) plainDeleteCommand(long string) *cobra.Command {
	return &cobra.Command{
		Use: "delete " + n.argument, Short: "Delete one for good", Long: long, Example: n.examples["delete"], Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := n.r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := n.directory(api).Delete(c.Context(), args[0], false)
			return tell(n.r, a, err, func(client.Effect) error {
				_, err := fmt.Fprintf(n.r.Stdout, "Deleted %s\n", printable(args[0]))
				return err
			})
		},
	}
}
