package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func tokensCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "tokens",
		Short: "Look at the keys that sign tokens, and rotate them",
		Long: `Tokens are signed JSON Web Tokens that stand for a key for up to an hour. The keys
that sign them are in the store, and change by themselves every 90 days; their
public halves are at /.well-known/jwks.json.`,
		Example: "  latchkey tokens status",
	}
	c.AddCommand(tokensStatusCommand(r), tokensRotateCommand(r))
	return c
}

func tokensStatusCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "List the keys, and what each does",
		Long: `A key is published a day before it signs (pending), signs (active), and stays
published until its last token has ended (retiring).`,
		Example: "  latchkey tokens status",
		Args:    cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := r.connect(c.Context())
		if err != nil {
			return err
		}
		a, err := api.Tokens.Status(c.Context())
		return tell(r, a, err, func(t client.TokenKeys) error {
			if len(t.Keys) == 0 {
				_, err := fmt.Fprintln(r.Stdout, "There are none: the first are made when somebody asks for a token or for the key set.")
				return err
			}
			var rows [][]string
			for _, k := range t.Keys {
				rows = append(rows, []string{printable(k.KID), printable(k.Algorithm), printable(k.State), moment(k.PublishedAt), moment(k.ActiveAt), moment(k.RetiredAt)})
			}
			return columns(r.Stdout, []string{"KID", "ALGORITHM", "STATE", "PUBLISHED", "SIGNS SINCE", "UNTIL"}, rows)
		})
	}
	return c
}

func tokensRotateCommand(r *remote) *cobra.Command {
	var now bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Change to new keys; nothing that was signed becomes invalid",
		Long: `Rotate publishes a new key for each algorithm, which signs a day later, when
whoever keeps the key set has seen it. With --now it signs at once: for keys that
may be known to others. Verifiers that keep the key set then refuse new tokens
until they read it again.`,
		Example: `  latchkey tokens rotate

  # The keys may have been stolen
  latchkey tokens rotate --now`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&now, "now", false, "sign with the new keys at once")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := r.connect(c.Context())
		if err != nil {
			return err
		}
		a, err := api.Tokens.Rotate(c.Context(), now)
		if now {
			return tellEffect(r, a, err, "New keys sign from now on")
		}
		return tellEffect(r, a, err, "New keys are published, and sign when they have been for a day")
	}
	return c
}
