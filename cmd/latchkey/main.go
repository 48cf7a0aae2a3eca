// Command latchkey is the API-key authority: the server, what is done beside it
// on its machine, and the commands that speak to it.
//
// Standard output holds what was asked for and nothing else; with --json that
// is one JSON document. The exit status is 0 for done, 1 for not done and 2 for
// a command line that cannot be meant; an error is a line on what happened and
// a line on what to do.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	env := &environment{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	os.Exit(run(context.Background(), os.Args[1:], env))
}

// run is the whole program.
func run(ctx context.Context, args []string, env *environment) int {
	root, began := rootCommand(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(env.Stderr, "latchkey: "+explain(err))
	if !*began {
		fmt.Fprintln(env.Stderr, "`latchkey help` lists the commands, and --help after one tells about it.")
		return exitUsage
	}
	return exitStatus(err)
}

const (
	localGroup  = "local"
	remoteGroup = "remote"
)

// rootCommand is the tree of commands. began is set when one of them begins:
// what fails before that is the command line's fault.
func rootCommand(env *environment) (root *cobra.Command, began *bool) {
	root = &cobra.Command{
		Use:   "latchkey",
		Short: "Issue, restrict, verify, rotate and revoke API keys",
		Long: `Latchkey is the API-key authority for people who run an API.

Start with "latchkey serve": it needs nothing, keeps its data in ./latchkey-data
and prints a command line that makes a key.

The commands that work on keys, users and the rest speak to a server: over HTTP
if LATCHKEY_URL or LATCHKEY_TOKEN is set, else over the socket in --data, where
whoever can open it needs no token.`,
		Example: `  latchkey serve
  latchkey init --data /var/lib/latchkey --json`,
		Version:       version().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&env.Data, "data", defaultData, "the data `folder`; also LATCHKEY_DATA")
	flags.BoolVar(&env.JSON, "json", false, "print one JSON document on standard output")

	root.AddGroup(&cobra.Group{ID: localGroup, Title: "On the server's machine:"}, &cobra.Group{ID: remoteGroup, Title: "Through a server:"})
	root.SetHelpCommandGroupID(localGroup)
	root.SetCompletionCommandGroupID(localGroup)
	data := flags.Lookup("data")
	add(root, localGroup, serveCommand(env, data), initCommand(env, data), migrateCommand(env, data), versionCommand(env), benchCommand(env))
	add(root, remoteGroup, remoteCommands(env, data)...)

	began = new(bool)
	prepare(root, func() error {
		*began = true
		return env.settleData(data)
	})
	return root, began
}

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// prepare has before run in front of every command, and makes those that are
// only there to group others refuse what they do not know.
func prepare(c *cobra.Command, before func() error) {
	for _, child := range c.Commands() {
		prepare(child, before)
	}
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := before(); err != nil {
				return err
			}
			return run(c, args)
		}
	} else if c.HasSubCommands() {
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q in %q", args[0], c.CommandPath())
			}
			return nil
		}
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		c.DisableFlagsInUseLine = true
	}
}
