package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func nodesCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "nodes",
		Short: "See which nodes serve, and how far each has come",
		Long: `A node is a process that answers verifications from memory. A change is effective
everywhere when every node knows of it, or answers nothing any more.`,
		Example: "  latchkey nodes list",
	}
	c.AddCommand(nodesListCommand(r), nodesForgetCommand(r))
	return c
}

func nodesListCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the nodes", Example: "  latchkey nodes list", Args: cobra.NoArgs,
		Long: `List shows every node: the position up to which it has every change, how many
changes it is behind, and how long it answers without hearing of new ones.`,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Nodes.List(c.Context())
			return tell(r, a, err, func(l client.NodeList) error {
				var rows [][]string
				for i := range l.Data {
					rows = append(rows, nodeRow(&l.Data[i], l.Position))
				}
				return columns(r.Stdout, []string{"NODE", "STATE", "APPLIED", "BEHIND", "SERVES FOR", "KEY RING", "ASKED", "BUILD"}, rows)
			})
		},
	}
}

func nodeRow(n *client.Node, head int64) []string {
	versions := make([]string, len(n.KeyringVersions))
	for i, v := range n.KeyringVersions {
		versions[i] = strconv.Itoa(v)
	}
	serves := "always"
	if n.ServeForMS > 0 {
		serves = (time.Duration(n.ServeForMS) * time.Millisecond).String()
	}
	return []string{
		n.ID, n.State, strconv.FormatInt(n.Applied, 10), strconv.FormatInt(max(0, head-n.Applied), 10), serves,
		orNone(strings.Join(versions, ",")), yesNo(n.Self), orNone(n.Build),
	}
}

func nodesForgetCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "forget NODE_ID",
		Short: "Say that a node is dead: changes do not wait for it any longer",
		Long: `Forget strikes a node off the list on your word that it is dead and answers nobody.
Changes are then effective everywhere without it. A node that lives joins again
by itself, but until it does it may accept a key that was revoked. The word is
recorded.

There is no need to: a node that is silent is left behind by itself when its time
to serve is over.`,
		Example: "  latchkey nodes forget node_0d5qh0w2e9x8v3k7m1ac",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Nodes.Forget(c.Context(), args[0])
			return tell(r, a, err, func(f client.Forgotten) error {
				_, err := fmt.Fprintf(r.Stdout, "Forgot %s\n", printable(f.ID))
				return err
			})
		},
	}
}
