package main

import (
	"strings"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func issuersCommand(r *remote) *cobra.Command {
	n := noun[client.Issuer, client.NewIssuer, client.IssuerPatch]{
		r: r, name: "issuer", plural: "issuers", argument: "ISSUER_ID",
		examples: map[string]string{
			"create": `  latchkey issuers create --name staff --url https://id.example.com --audience latchkey \
    --role-claim groups --role platform=admin --role support=auditor`,
			"list":   `  latchkey issuers list`,
			"get":    `  latchkey issuers get iss_0d5qh0w2e9x8v3k7m1ac`,
			"update": `  latchkey issuers update iss_0d5qh0w2e9x8v3k7m1ac --enabled=false`,
			"delete": `  latchkey issuers delete iss_0d5qh0w2e9x8v3k7m1ac`,
		},
		directory: func(c *client.Client) client.Directory[client.Issuer, client.NewIssuer, client.IssuerPatch] {
			return c.Issuers.Directory
		},
		header:   []string{"ISSUER", "ENABLED", "NAME", "URL"},
		row:      func(i *client.Issuer) []string { return []string{i.ID, yesNo(i.Enabled), i.Name, i.URL} },
		describe: issuerFacts,
		create:   newIssuerFlags,
		update:   issuerPatchFlags,
	}
	c := &cobra.Command{
		Use: n.plural, Short: "Manage issuers: OpenID providers whose tokens are credentials",
		Long: `Whoever has a token of an issuer, for one of its audiences, may call with it as
with a key, and do what the roles may to which the token's claim is mapped. The
issuer's keys are found by OpenID Connect Discovery.`,
		Example: n.examples["create"] + "\n" + n.examples["list"],
	}
	c.AddCommand(n.createCommand(), n.listCommand(), n.getCommand(), n.updateCommand(), n.plainDeleteCommand("Its tokens open nothing from then on."))
	return c
}

func issuerFacts(i *client.Issuer) []fact {
	list := []fact{
		{"Issuer", i.ID}, {"Name", i.Name}, {"URL", i.URL}, {"Enabled", yesNo(i.Enabled)}, {"Audiences", strings.Join(i.Audiences, ", ")},
		{"Algorithms", strings.Join(i.Algorithms, ", ")}, {"Role claim", i.RoleClaim},
	}
	for _, m := range i.Roles {
		list = append(list, fact{"Role", m.Value + "=" + m.RoleID})
	}
	return append(list, fact{"Project", orNone(i.ProjectID)}, fact{"Organization", i.OrganizationID}, created(i.CreatedAt, i.CreatedBy))
}

// mappingFlags are the mappings, as VALUE=ROLE.
type mappingFlags struct{ texts textsValue }

func (f *mappingFlags) offer(c *cobra.Command) {
	c.Flags().Var(&f.texts, "role", "give those with a value a role, as VALUE=ROLE; can be repeated")
}

func (f *mappingFlags) read() ([]client.RoleMapping, error) {
	var list []client.RoleMapping
	for _, text := range f.texts {
		at := strings.LastIndex(text, "=") // a role has none
		if at < 1 || at == len(text)-1 {
			return nil, usagef("--role: write VALUE=ROLE, such as admins=manager")
		}
		list = append(list, client.RoleMapping{Value: text[:at], Role: text[at+1:]})
	}
	return list, nil
}

const (
	issuerAudienceUsage  = "a token must be for this `name`; can be repeated"
	issuerAlgorithmUsage = "allow tokens that are signed with this `algorithm` (default RS256 and ES256); can be repeated"
	issuerClaimUsage     = "the `claim` that says who the bearer is: a member, or a JSON pointer (default roles)"
	issuerProjectUsage   = "let its callers reach this `project` alone"
)

func newIssuerFlags(c *cobra.Command) func() (client.NewIssuer, error) {
	var in client.NewIssuer
	var audiences, algorithms textsValue
	var roles mappingFlags
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "its `name`")
	f.StringVar(&in.URL, "url", "", "its `URL`, exactly as its tokens say it (iss)")
	f.Var(&audiences, "audience", issuerAudienceUsage)
	f.Var(&algorithms, "algorithm", issuerAlgorithmUsage)
	f.StringVar(&in.RoleClaim, "role-claim", "", issuerClaimUsage)
	f.StringVar(&in.ProjectID, "project", "", issuerProjectUsage)
	roles.offer(c)
	return func() (client.NewIssuer, error) {
		in.Audiences, in.Algorithms = audiences, algorithms
		var err error
		in.Roles, err = roles.read()
		return in, err
	}
}

func issuerPatchFlags(c *cobra.Command) func(*cobra.Command) (client.IssuerPatch, error) {
	var audiences, algorithms textsValue
	var roles mappingFlags
	f := c.Flags()
	name := f.String("name", "", "its `name`")
	f.Var(&audiences, "audience", issuerAudienceUsage+"; all of them are replaced")
	f.Var(&algorithms, "algorithm", issuerAlgorithmUsage+"; all of them are replaced")
	claim := f.String("role-claim", "", issuerClaimUsage)
	project := f.String("project", "", issuerProjectUsage+", or '' for the whole organization")
	enabled := f.Bool("enabled", true, "take its tokens")
	roles.offer(c)
	return func(c *cobra.Command) (client.IssuerPatch, error) {
		patch := client.IssuerPatch{
			Name: setIfGiven(c, "name", *name), RoleClaim: setIfGiven(c, "role-claim", *claim), ProjectID: setIfGiven(c, "project", *project),
			Enabled: setIfGiven(c, "enabled", *enabled), Audiences: setIfGiven(c, "audience", []string(audiences)),
			Algorithms: setIfGiven(c, "algorithm", []string(algorithms)),
		}
		if c.Flags().Changed("project") && *project == "" {
			patch.ProjectID = client.Clear[string]()
		}
		if !c.Flags().Changed("role") {
			return patch, nil
		}
		wanted, err := roles.read()
		patch.Roles = client.Set(wanted)
		return patch, err
	}
}
