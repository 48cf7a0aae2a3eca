package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/store/sqlite"
)

func keyringCommand(r *remote, data *pflag.Flag) *cobra.Command {
	c := &cobra.Command{
		Use:   "keyring",
		Short: "Look at the root keys, rotate them, take them to another machine",
		Long: `The key ring holds the root keys: without it no key of the store can be verified,
and with it and the store what is sealed there can be opened. It is a file,
keyring.json in the data folder; keep a copy of it apart from the store's.

Status, add, activate and retire speak to the server; where none runs, they work
on the data folder itself. Export and import work on the file.`,
		Example: `  # Rotate the root keys
  latchkey keyring add
  latchkey keyring activate 2
  latchkey keyring retire 1`,
	}
	c.AddCommand(
		ringStatusCommand(r, data), ringAddCommand(r, data), ringActivateCommand(r, data), ringRetireCommand(r, data),
		ringExportCommand(r, data), ringImportCommand(r, data),
	)
	return c
}

// ringCommand completes a command that works through the server or, where none
// runs, on the data folder.
func ringCommand(r *remote, data *pflag.Flag, c *cobra.Command, run func(context.Context, *client.Client, []string) error) *cobra.Command {
	s := newSettings(r.environment, data).quiet()
	s.offer(c, "keyring-file", "config", "database-url")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := r.connect(c.Context())
		if err == nil {
			return run(c.Context(), api, args)
		}
		if r.overHTTP() || !nobodyThere(err) {
			return err
		}
		if broken := s.resolve(r.environment); broken != nil {
			return broken
		}
		if !s.hasStore() {
			return err
		}
		return r.locally(c.Context(), s, func(api *client.Client) error { return run(c.Context(), api, args) })
	}
	return c
}

// hasStore reports whether there is a store to look at: that must not make one.
func (s *settings) hasStore() bool {
	if s.databaseURL != "" {
		return true
	}
	_, err := os.Stat(filepath.Join(s.Data, sqlite.FileName))
	return err == nil
}

// locally serves the data folder for as long as do takes. The rules are then
// those of the server, and so is the lock that keeps another one out.
func (r *remote) locally(ctx context.Context, s *settings, do func(*client.Client) error) error {
	config := server.Config{
		OpenStore: s.openStore, Shared: s.Shared, Data: s.Data, Log: s.Log, Version: s.Version, Listen: "127.0.0.1:0",
		KeyringFile: s.KeyringFile, KeyringText: s.KeyringText, ForbidRetrievable: s.ForbidRetrievable,
	}
	running, err := server.Start(ctx, config)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- running.Wait(serving) }()
	api, err := r.connect(ctx)
	if err == nil {
		err = do(api)
	}
	stop()
	return errors.Join(err, <-ended)
}

func ringStatusCommand(r *remote, data *pflag.Flag) *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the versions, and how many secrets depend on each",
		Example: "  latchkey keyring status",
		Args:    cobra.NoArgs,
	}
	return ringCommand(r, data, c, func(ctx context.Context, api *client.Client, _ []string) error {
		a, err := api.Keyring.Status(ctx)
		return tell(r, a, err, func(ring client.RingStatus) error {
			var rows [][]string
			for _, v := range ring.Versions {
				rows = append(rows, []string{strconv.Itoa(v.Version), v.State, moment(v.CreatedAt), strconv.FormatInt(v.Secrets, 10), v.Fingerprint})
			}
			fmt.Fprintf(r.Stdout, "Key ring %s\n\n", printable(ring.Fingerprint))
			return columns(r.Stdout, []string{"VERSION", "STATE", "CREATED", "SECRETS", "FINGERPRINT"}, rows)
		})
	})
}

func ringAddCommand(r *remote, data *pflag.Flag) *cobra.Command {
	c := &cobra.Command{
		Use:   "add",
		Short: "Draw a new version; nothing is made under it yet",
		Long: `Add writes a new version into the key ring's file, pending. Copy the file to
wherever else it is kept before you activate the version.`,
		Example: "  latchkey keyring add",
		Args:    cobra.NoArgs,
	}
	return ringCommand(r, data, c, func(ctx context.Context, api *client.Client, _ []string) error {
		a, err := api.Keyring.Add(ctx)
		return tell(r, a, err, func(v client.RingVersion) error {
			_, err := fmt.Fprintf(r.Stdout, "Added version %d, %s\n", v.Version, v.Fingerprint)
			r.note("Copy the key ring to wherever else it is kept, then: latchkey keyring activate %d", v.Version)
			return err
		})
	})
}

func ringActivateCommand(r *remote, data *pflag.Flag) *cobra.Command {
	c := &cobra.Command{
		Use:   "activate VERSION",
		Short: "Make everything new under a version from now on",
		Long: `Activate makes a version the one under which new secrets are digested and values
sealed. Digests under the version before move as their secrets are used.`,
		Example: "  latchkey keyring activate 2",
		Args:    cobra.ExactArgs(1),
	}
	return ringCommand(r, data, c, func(ctx context.Context, api *client.Client, args []string) error {
		version, err := parseVersion(args[0])
		if err != nil {
			return err
		}
		a, err := api.Keyring.Activate(ctx, version)
		return tellEffect(r, a, err, "Version %d is active", version)
	})
}

func ringRetireCommand(r *remote, data *pflag.Flag) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "retire VERSION",
		Short: "Erase a version that is no longer needed",
		Long: `Retire erases a version's root key, in this file: erase the copies too. While
secrets depend on the version it is refused, for they would die; "latchkey keyring
status" says how many do. They move away from it as they are used.`,
		Example: `  latchkey keyring retire 1

  # The secrets that nobody has used since may die
  latchkey keyring retire 1 --force`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&force, "force", false, "let the secrets die that depend on the version")
	return ringCommand(r, data, c, func(ctx context.Context, api *client.Client, args []string) error {
		version, err := parseVersion(args[0])
		if err != nil {
			return err
		}
		a, err := api.Keyring.Retire(ctx, version, force)
		return tellEffect(r, a, err, "Version %d is retired", version)
	})
}

func parseVersion(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, usagef("a version is a number, like 2")
	}
	return n, nil
}

// ringFile is where the key ring is.
func (s *settings) ringFile() string {
	if s.KeyringFile != "" {
		return s.KeyringFile
	}
	return filepath.Join(s.Data, "keyring.json")
}

func ringExportCommand(r *remote, data *pflag.Flag) *cobra.Command {
	s := newSettings(r.environment, data).quiet()
	var recipients textsValue
	var file string
	c := &cobra.Command{
		Use:   "export --recipient age1…",
		Short: "Write the key ring, encrypted to whoever may open it",
		Long: `Export writes the whole key ring as armored age text, encrypted to every
recipient: a backup, or a copy for another machine. It reads the key ring's file;
no server needs to run.`,
		Example: `  # On the other machine, once
  age-keygen -o ring-identity.txt

  # Here, with the public key that it printed
  latchkey keyring export --recipient age1… -o ring.age`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := s.resolve(r.environment); err != nil {
				return err
			}
			to, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
			if err != nil {
				return &failure{What: "A --recipient is not an age public key.", Do: "Give what age-keygen printed as public key: age1….", Cause: err}
			}
			ring, err := s.openRing()
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := ring.Export(&text, to...); err != nil {
				return err
			}
			return r.tellExport(ring, text.String(), file)
		},
	}
	s.offer(c, "keyring-file", "config", "database-url")
	c.Flags().Var(&recipients, "recipient", "an age public key, age1…; can be repeated")
	c.Flags().StringVarP(&file, "output", "o", "", "`file` to make, instead of standard output")
	require(c, "recipient")
	return c
}

// openRing reads the key ring from where the settings say.
func (s *settings) openRing() (*keyring.Ring, error) {
	if !s.KeyringText.Empty() {
		return keyring.Parse([]byte(s.KeyringText.Expose()))
	}
	ring, err := keyring.Open(s.ringFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{
			What: fmt.Sprintf("There is no key ring at %s.", s.ringFile()), Do: "Name the data folder with --data, or the file with --keyring-file.", Cause: err,
		}
	}
	return ring, err
}

func (r *remote) tellExport(ring *keyring.Ring, text, file string) error {
	if file != "" {
		if err := writeNew(file, text); err != nil {
			return &failure{What: fmt.Sprintf("The export cannot be written: %v.", err), Do: "Name a file that can be made and is not there yet with --output.", Cause: err}
		}
	}
	if r.JSON {
		told := struct {
			Fingerprint string `json:"fingerprint"`
			File        string `json:"file,omitempty"`
			Export      string `json:"export,omitempty"`
		}{Fingerprint: ring.Fingerprint(), File: file}
		if file == "" {
			told.Export = text
		}
		return json.NewEncoder(r.Stdout).Encode(told)
	}
	r.note("Exported key ring %s, %d versions.", ring.Fingerprint(), len(ring.Versions()))
	if file != "" {
		return nil
	}
	_, err := io.WriteString(r.Stdout, text)
	return err
}

// writeNew makes a file that only its owner can read.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func ringImportCommand(r *remote, data *pflag.Flag) *cobra.Command {
	s := newSettings(r.environment, data).quiet()
	var identity string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take in a key ring that was exported elsewhere",
		Long: `Import decrypts an export and puts the key ring in its place. If the same ring is
there already, the two are merged: no version is lost, and what either side has
retired is retired. Another ring there is left alone. A server that runs takes up
the file within seconds.

Without --identity the age identity is read from standard input, so that it need
not be in a file.`,
		Example: `  latchkey keyring import ring.age --identity ring-identity.txt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := s.resolve(r.environment); err != nil {
				return err
			}
			if !s.KeyringText.Empty() {
				return &failure{What: "The key ring comes from " + ringVariable + " in the environment, so there is no file to import into.", Do: "Unset it."}
			}
			identities, err := r.readIdentities(identity)
			if err != nil {
				return err
			}
			return r.importRing(args[0], s.ringFile(), identities)
		},
	}
	s.offer(c, "keyring-file", "config", "database-url")
	c.Flags().StringVar(&identity, "identity", "", "`file` with the age identity that can open the export")
	return c
}

func (r *remote) readIdentities(file string) ([]age.Identity, error) {
	from := r.Stdin
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &failure{What: fmt.Sprintf("The identity cannot be read: %v.", err), Do: "Name the file that age-keygen wrote with --identity.", Cause: err}
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	} else if isTerminal(r.Stderr) {
		fmt.Fprintln(r.Stderr, "Paste the age identity (AGE-SECRET-KEY-…), then press Ctrl-D:")
	}
	const most = 1 << 20 // bytes; identities have less than a hundred
	identities, err := age.ParseIdentities(io.LimitReader(from, most))
	if err != nil { // the cause may repeat a line of the file
		return nil, &failure{What: "This is no age identity.", Do: "Give what age-keygen wrote: a line that begins with AGE-SECRET-KEY-."}
	}
	return identities, nil
}

func (r *remote) importRing(from, to string, identities []age.Identity) error {
	f, err := os.Open(from)
	if err != nil {
		return &failure{What: fmt.Sprintf("The export cannot be read: %v.", err), Do: "Name the file that `latchkey keyring export` wrote.", Cause: err}
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return &failure{What: fmt.Sprintf("The folder of the key ring cannot be made: %v.", err), Do: "Name another with --data.", Cause: err}
	}
	ring, err := keyring.Import(f, to, identities...)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return &failure{What: "The identity does not open this export.", Do: "Give the one whose public key was the --recipient.", Cause: err}
	}
	if err != nil {
		return err
	}
	if r.JSON {
		return json.NewEncoder(r.Stdout).Encode(struct {
			Fingerprint string `json:"fingerprint"`
			File        string `json:"file"`
			Versions    int    `json:"versions"`
			Active      int    `json:"active"`
		}{ring.Fingerprint(), to, len(ring.Versions()), ring.Active()})
	}
	_, err = fmt.Fprintf(r.Stdout, "Imported %s into %s\n", ring, to)
	return err
}
