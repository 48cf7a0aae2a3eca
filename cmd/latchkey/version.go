package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is which program this is, as far as its build recorded it.
type build struct {
	Version  string `json:"version"`  // "(devel)" outside a release
	Revision string `json:"revision"` // of the source; "" if that was not recorded
	Modified bool   `json:"modified"` // the source was not quite that revision's
	Go       string `json:"go"`
}

func version() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "unknown"}
	}
	b := build{Version: info.Main.Version, Go: info.GoVersion}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

func versionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Tell which program this is",
		Example: "  latchkey version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := version()
			if env.JSON {
				return json.NewEncoder(env.Stdout).Encode(b)
			}
			source := ""
			if b.Revision != "" {
				source = " of " + b.Revision
			}
			if b.Modified {
				source += ", modified"
			}
			_, err := fmt.Fprintf(env.Stdout, "latchkey %s%s, built with %s\n", b.Version, source, b.Go)
			return err
		},
	}
}
