package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func keysVerifyCommand(r *remote) *cobra.Command {
	var v client.Verification
	var all, some textsValue
	var resource resourceValue
	var explained bool
	c := &cobra.Command{
		Use:   "verify [KEY | -]",
		Short: "Tell whether a key may do something, and with --explain why",
		Long: `Verify asks the server about a key as a gateway would. Without an argument, or
with -, it reads the key from standard input, so that it is in no history and no
list of processes.

The exit status is 0 if the key is valid, and 1 if it is not or if the server
could not be asked; a verdict on standard output tells these two apart. It is 2
for a command line that cannot be meant.`,
		Example: `  latchkey keys verify --scope orders:write --ip 192.0.2.7 < key.txt

  # Every check, not the first that fails alone
  latchkey keys verify --explain --resource plant:17 < key.txt

  # In a script
  if echo "$KEY" | latchkey keys verify --any-scope a:read --any-scope a:write; then …`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if v.Key, err = r.presentedKey(args); err != nil {
				return err
			}
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			v.AllScopes, v.AnyScopes, v.Resource = all, some, resource.Resource
			if explained {
				return r.explainKey(c.Context(), api, v)
			}
			a, err := api.Keys.Verify(c.Context(), v)
			if err := tell(r, a, err, func(verdict client.Verdict) error { return facts(r.Stdout, describeVerdict(&verdict)) }); err != nil {
				return err
			}
			return verdictStatus(&a.Value)
		},
	}
	f := c.Flags()
	f.Var(&all, "scope", "a permission that the key must have; can be repeated")
	f.Var(&some, "any-scope", "permissions of which the key must have one; repeat it for each")
	f.StringVar(&v.IP, "ip", "", "the `address` that the key was presented from; a key with an address list is refused without it")
	f.StringVar(&v.UserAgent, "user-agent", "", "what the client program calls itself, in its `words`; kept with the key's last use")
	f.Var(&resource, "resource", "the object that is to be touched, like plant:17")
	f.StringVar(&v.Environment, "environment", "", "the `environment` that the key must be of: live or test")
	f.BoolVar(&explained, "explain", false, "make every check and report each; counts as no use of the key")
	return c
}

// explainKey prints every check beside the verdict.
func (r *remote) explainKey(ctx context.Context, api *client.Client, v client.Verification) error {
	a, err := api.Keys.Explain(ctx, v)
	if err := tell(r, a, err, func(e client.Explanation) error {
		if err := facts(r.Stdout, describeVerdict(&e.Verdict)); err != nil {
			return err
		}
		fmt.Fprintln(r.Stdout)
		var rows [][]string
		for _, check := range e.Checks {
			rows = append(rows, []string{check.Name, strings.ReplaceAll(check.Outcome, "_", " "), check.Detail})
		}
		return columns(r.Stdout, []string{"CHECK", "OUTCOME", "DETAIL"}, rows)
	}); err != nil {
		return err
	}
	return verdictStatus(&a.Value.Verdict)
}

func describeVerdict(v *client.Verdict) []fact {
	list := []fact{{"Verdict", v.Code}, {"As of", moment(v.AsOf) + " at " + v.Node}}
	if v.KeyID == "" {
		return list
	}
	return append(list,
		fact{"Key", v.KeyID}, fact{"Secret", v.KID}, fact{"Organization", v.OrganizationID}, fact{"Project", v.ProjectID},
		fact{"Environment", v.Environment}, fact{"Owner", v.OwnerID}, fact{"Partner", v.Partner}, fact{"Role", v.Role},
		fact{"Permissions", strings.Join(v.Permissions, ", ")}, fact{"Resources", resourcesText(v.Resources)},
		fact{"Metadata", objectText(v.Metadata)}, fact{"Expires", orNever(v.ExpiresAt)},
	)
}

// verdictStatus makes a verdict the command's exit status.
func verdictStatus(v *client.Verdict) error {
	if v.Valid {
		return nil
	}
	return &failure{What: fmt.Sprintf("The key is not valid: %s.", strings.ReplaceAll(v.Code, "_", " "))}
}
