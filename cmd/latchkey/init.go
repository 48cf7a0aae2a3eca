package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
)

func initCommand(env *environment, data *pflag.Flag) *cobra.Command {
	s := newSettings(env, data).quiet()
	c := &cobra.Command{
		Use:   "init",
		Short: "Make an installation and its first key, without serving",
		Long: `Init makes what the first start of "latchkey serve" makes, and a key for the
owner: over the whole organization, with the role owner, without an end. The
key is printed here and never again.

It refuses a folder that has an installation already, with exit status 1.`,
		Example: `  latchkey init --data /var/lib/latchkey --email owner@example.com

  # For a script: one JSON object with organization_id, organization_uuid,
  # hub_id, project_id, user_id, user_email and admin_key
  latchkey init --data /var/lib/latchkey --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(env); err != nil {
				return err
			}
			made, err := server.Init(c.Context(), s.Config)
			if err != nil {
				return err
			}
			return tellInitialized(env, made)
		},
	}
	s.offer(c, "email", "keyring-file", "config", "database-url")
	return c
}

// initialized is what scripts depend on: exactly these members, in this order.
type initialized struct {
	OrganizationID   string `json:"organization_id"`
	OrganizationUUID string `json:"organization_uuid"`
	HubID            string `json:"hub_id"`
	ProjectID        string `json:"project_id"`
	UserID           string `json:"user_id"`
	UserEmail        string `json:"user_email"`
	AdminKey         string `json:"admin_key"`
}

func tellInitialized(env *environment, made *server.Initialized) error {
	told := initialized{
		OrganizationID:   made.Organization.Native(latchkey.KindOrganization),
		OrganizationUUID: made.Organization.UUID(),
		HubID:            made.Organization.Hex(),
		ProjectID:        made.Project.Native(latchkey.KindProject),
		UserID:           made.User.Native(latchkey.KindUser),
		UserEmail:        made.Email,
		AdminKey:         made.Key.Expose(), // what the command was asked for
	}
	var err error
	if env.JSON {
		err = json.NewEncoder(env.Stdout).Encode(told)
	} else {
		_, err = fmt.Fprintf(env.Stdout, `Organization  %s
Project       %s
Owner         %s, %s
Key           %s

Keep the key now: it is not shown again. Serve the installation with:

  %s serve --data %s
`, told.OrganizationID, told.ProjectID, told.UserID, told.UserEmail, told.AdminKey, quote(program()), quote(reachableData(env)))
	}
	if err != nil {
		return &failure{
			What:  fmt.Sprintf("The installation was made, but its first key could not be written: %v.", err),
			Do:    "Serve it with `latchkey serve` and make another key with `latchkey keys create --reach organization --role owner`.",
			Cause: err,
		}
	}
	return nil
}
