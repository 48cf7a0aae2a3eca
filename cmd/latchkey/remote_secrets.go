package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func keysRotateCommand(r *remote) *cobra.Command {
	overlap := spanValue{Duration: 24 * time.Hour}
	c := &cobra.Command{
		Use:   "rotate KEY_ID",
		Short: "Give a key a new secret; the old one lives on for a while",
		Long: `Rotate makes a second secret of the same key and prints it, once. Id, permissions,
restrictions and history stay. The old secret ends after --overlap; see "latchkey
keys rotation" to end the overlap earlier, or to take the rotation back.`,
		Example: `  latchkey keys rotate key_0d5qh0w2e9x8v3k7m1ac --overlap 7d

  # The old secret is known to others: it dies at once
  latchkey keys rotate key_0d5qh0w2e9x8v3k7m1ac --overlap 0s`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.Rotate(c.Context(), args[0], overlap.Duration)
			return r.tellIssued(a, err)
		},
	}
	c.Flags().Var(&overlap, "overlap", "how long the old secret lives on, 0s to 30d")
	return c
}

func keysRotationCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:     "rotation",
		Short:   "End a rotation that runs",
		Example: "  latchkey keys rotation complete key_0d5qh0w2e9x8v3k7m1ac",
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "complete KEY_ID",
			Short:   "End the old secret now",
			Example: "  latchkey keys rotation complete key_0d5qh0w2e9x8v3k7m1ac",
			Args:    cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				api, err := r.connect(c.Context())
				if err != nil {
					return err
				}
				a, err := api.Keys.CompleteRotation(c.Context(), args[0])
				return r.tellChanged(a, err, "Completed the rotation of")
			},
		},
		&cobra.Command{
			Use:     "cancel KEY_ID",
			Short:   "End the new secret now; the old one lives on as before",
			Example: "  latchkey keys rotation cancel key_0d5qh0w2e9x8v3k7m1ac",
			Args:    cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				api, err := r.connect(c.Context())
				if err != nil {
					return err
				}
				a, err := api.Keys.CancelRotation(c.Context(), args[0])
				return r.tellChanged(a, err, "Cancelled the rotation of")
			},
		},
	)
	return c
}

func keysRevokeCommand(r *remote) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "revoke KEY_ID",
		Short: "End a key for good",
		Long: `Revoke ends a key and all its secrets; nothing brings them back. When it says no
more than that, no node accepts the key any longer. To revoke a revoked key
succeeds and changes nothing.`,
		Example: `  latchkey keys revoke key_0d5qh0w2e9x8v3k7m1ac --reason "leaked in a log"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.Revoke(c.Context(), args[0], reason)
			return r.tellChanged(a, err, "Revoked")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` that are recorded")
	return c
}

func keysRevokeSelfCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke-self [KEY | -]",
		Short: "End the key that is presented: whoever holds a leaked key may",
		Long: `Revoke-self ends a key that you hold, whoever it belongs to. Without an argument,
or with -, it reads the key from standard input, so that it is in no history and
no list of processes.`,
		Example: "  latchkey keys revoke-self < leaked-key.txt",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := r.presentedKey(args)
			if err != nil {
				return err
			}
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.RevokeSelf(c.Context(), key)
			if client.CodeOf(err) == client.CodeUnauthenticated {
				return &failure{What: "This is not a key of this server.", Do: "See that it is whole, and that this is the server it is for.", Cause: err}
			}
			err = tell(r, a, err, func(revoked client.RevokedSelf) error {
				_, err := fmt.Fprintf(r.Stdout, "Revoked %s\n", revoked.KeyID)
				return err
			})
			if err == nil {
				r.noteEffect(a.Value.Effect)
			}
			return err
		},
	}
}

func keysRevealCommand(r *remote) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "reveal KEY_ID --reason TEXT",
		Short: "Print the secret of a retrievable key again",
		Long: `Reveal prints a secret that the server kept, because the key was made with
--retrievable. It needs the permission api_key:secret_read, and is recorded.`,
		Example: `  latchkey keys reveal key_0d5qh0w2e9x8v3k7m1ac --reason "migrating the meter"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Keys.Reveal(c.Context(), args[0], reason)
			return tell(r, a, err, func(revealed client.Revealed) error {
				_, err := fmt.Fprintln(r.Stdout, revealed.Secret.Expose())
				return err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` that are recorded")
	require(c, "reason")
	return c
}

// maxKey is longer than any key, in bytes.
const maxKey = 4 << 10

// presentedKey is the key in the arguments or, where there is none, on the
// first line of standard input.
func (r *remote) presentedKey(args []string) (client.Secret, error) {
	if len(args) == 1 && args[0] != "-" {
		return client.NewSecret(args[0]), nil
	}
	if isTerminal(r.Stderr) {
		fmt.Fprint(r.Stderr, "Key: ")
	}
	line, err := bufio.NewReaderSize(io.LimitReader(r.Stdin, maxKey), maxKey).ReadString('\n')
	key := strings.TrimRight(line, "\r\n")
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return client.Secret{}, &failure{What: fmt.Sprintf("Standard input cannot be read: %v.", err), Do: "Give the key on its first line, or as an argument.", Cause: err}
	case key == "":
		return client.Secret{}, &failure{What: "There is no key on standard input.", Do: "Give it on the first line, or as an argument."}
	case len(line) == maxKey:
		return client.Secret{}, &failure{What: "The first line of standard input is too long to be a key.", Do: "Give the key alone."}
	}
	return client.NewSecret(key), nil
}
