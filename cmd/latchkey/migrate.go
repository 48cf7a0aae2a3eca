package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func migrateCommand(env *environment, data *pflag.Flag) *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Look at the store's schema, or bring it up to date",
		Long: `A store has a schema, and a newer program may bring a newer one. "latchkey serve"
migrates by itself when it starts; these commands are for those who want to look
first, or to do it at another time than the start. There is no way back: take a
backup first.`,
	}
	c.AddCommand(migrateStatusCommand(env, data), migrateUpCommand(env, data))
	return c
}

func migrateStatusCommand(env *environment, data *pflag.Flag) *cobra.Command {
	s := newSettings(env, data).quiet()
	c := &cobra.Command{
		Use:     "status",
		Short:   "Tell how the store's schema stands to this program's, changing nothing",
		Example: "  latchkey migrate status --data /var/lib/latchkey",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(env); err != nil {
				return err
			}
			m, err := s.migrationStatus(c.Context())
			if err != nil {
				return err
			}
			return tellMigrations(env, m)
		},
	}
	s.offer(c, "config", "database-url")
	return c
}

func tellMigrations(env *environment, m migrations) error {
	if env.JSON {
		return json.NewEncoder(env.Stdout).Encode(struct {
			Current int64    `json:"current"`
			Known   int64    `json:"known"`
			Pending []string `json:"pending"`
		}{m.Current, m.Known, append([]string{}, m.Pending...)})
	}
	verdict := "up to date"
	switch {
	case m.Current > m.Known:
		verdict = "newer than this program: upgrade it"
	case m.Current == 0:
		verdict = "there is no store yet"
	case len(m.Pending) > 0:
		verdict = "pending: " + strings.Join(m.Pending, ", ")
	}
	_, err := fmt.Fprintf(env.Stdout, "The store has schema %d, this program knows schema %d: %s\n", m.Current, m.Known, verdict)
	return err
}

func migrateUpCommand(env *environment, data *pflag.Flag) *cobra.Command {
	s := newSettings(env, data).quiet()
	c := &cobra.Command{
		Use:     "up",
		Short:   "Bring the store to this program's schema",
		Example: "  latchkey migrate up --data /var/lib/latchkey",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(env); err != nil {
				return err
			}
			applied, err := s.migrate(c.Context())
			if err != nil {
				return err
			}
			return tellApplied(env, applied)
		},
	}
	s.offer(c, "config", "database-url")
	return c
}

func tellApplied(env *environment, applied []string) error {
	if env.JSON {
		return json.NewEncoder(env.Stdout).Encode(struct {
			Applied []string `json:"applied"`
		}{append([]string{}, applied...)})
	}
	if len(applied) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "The store was up to date.")
		return err
	}
	_, err := fmt.Fprintf(env.Stdout, "Applied %s.\n", strings.Join(applied, ", "))
	return err
}
