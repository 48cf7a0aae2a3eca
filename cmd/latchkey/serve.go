package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
)

func serveCommand(env *environment, data *pflag.Flag) *cobra.Command {
	s := newSettings(env, data)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve answers the API, and keeps everything in one folder; with --database-url
the store is a PostgreSQL database, which several nodes may serve, and the
folder keeps the key ring and the socket.

It needs nothing: the first start makes the folder, the operator organization
with its default project and one owner, and the key ring. It prints where it
listens and a command line that makes a key, but never a key. Back up the key
ring: without it no key of the store can be verified.

Every flag can also be set in the environment (--tls-cert is LATCHKEY_TLS_CERT)
or on a line of the YAML file --config (tls-cert: /etc/latchkey/cert.pem). A
flag comes before the environment, and that before the file.

SIGTERM and SIGINT stop it when the requests that it accepted are answered; a
second one stops it at once. SIGHUP takes up a replaced certificate or key ring
file, which it notices by itself within seconds.`,
		Example: `  # Try it
  latchkey serve

  # For other machines, with TLS
  latchkey serve --data /var/lib/latchkey --listen :8443 \
    --tls-cert cert.pem --tls-key key.pem --public-url https://keys.example.com

  # Beside other nodes, on one database
  latchkey serve --database-url postgres://latchkey@db.example.com/latchkey

  # Behind a proxy on the same machine, with metrics
  latchkey serve --trusted-proxies 127.0.0.1 --proxy-header X-Forwarded-For \
    --metrics-listen 127.0.0.1:9090`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.resolve(env); err != nil {
				return err
			}
			return serve(c.Context(), env, s.Config)
		},
	}
	s.offer(c)
	return c
}

// serve runs the server until a signal ends it.
func serve(ctx context.Context, env *environment, config server.Config) error {
	defer runtime.KeepAlive(slack())
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, forget := untilSignal(ctx)
	defer forget()

	s, err := server.Start(ctx, config)
	if err != nil && ctx.Err() != nil {
		return &failure{What: "A signal ended the start.", Do: "Nothing was lost; start again when you like.", Cause: err}
	}
	if err != nil {
		return err
	}
	go func() {
		for range hangup {
			s.Reload()
		}
	}()
	if err := announce(env, s); err != nil {
		config.Log.Warn("nobody could be told where the server listens", "error", err)
	}
	return s.Wait(ctx)
}

// slack is memory that is never touched, and so takes none, but counts as in use
// where the garbage collector decides when to run: a server that holds little
// collects once in some 32 MiB, and not once in the few that it holds. GOGC and
// GOMEMLIMIT go on top of it.
func slack() []byte { return make([]byte, 32<<20) }

// untilSignal ends ctx with the first signal that asks the process to stop. By
// then a second one ends the process at once.
func untilSignal(ctx context.Context) (_ context.Context, forget context.CancelFunc) {
	signaled, forget := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	ctx, end := context.WithCancel(ctx)
	context.AfterFunc(signaled, func() {
		forget()
		end()
	})
	return ctx, forget
}

// announce tells a person, or with --json a program, where the server is.
func announce(env *environment, s *server.Server) error {
	if env.JSON {
		return json.NewEncoder(env.Stdout).Encode(struct {
			URL         string  `json:"url"`
			Socket      *string `json:"socket"`
			MetricsURL  *string `json:"metrics_url"`
			ExtAuthzURL *string `json:"extauthz_url"`
		}{s.URL(), optional(s.Socket()), optional(s.MetricsURL()), optional(s.ExtAuthzURL())})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Latchkey listens on %s\n", s.URL())
	if at := s.MetricsURL(); at != "" {
		fmt.Fprintf(&text, "Metrics are at %s\n", at)
	}
	if at := s.ExtAuthzURL(); at != "" {
		fmt.Fprintf(&text, "Envoy asks at %s, over gRPC\n", at)
	}
	if s.Made() {
		fmt.Fprintf(&text, "This first start made the organization %s; %s\n", s.Operator().Native(latchkey.KindOrganization), keptIn(env, s))
	}
	if s.Socket() == "" {
		fmt.Fprintf(&text, "Another node of %s has the socket\n", env.Data)
	}
	fmt.Fprintf(&text, "\nThis makes a key, in a second shell:\n\n  %s keys create --name \"My first key\" --data %s\n\n", quote(program()), quote(reachableData(env)))
	_, err := fmt.Fprint(env.Stdout, text.String())
	return err
}

// keptIn says where what the first start made is.
func keptIn(env *environment, s *server.Server) string {
	if s.Shared {
		return "the database keeps everything but the key ring, which is in " + env.Data
	}
	return "everything is kept in " + env.Data
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// program is how this program can be started again from any folder, at least
// while it runs.
func program() string {
	name := os.Args[0]
	if !strings.ContainsRune(name, filepath.Separator) {
		return name // found on the path
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return name
}

// reachableData is the data folder as another shell can name it, unless that
// makes the path of the socket too long.
func reachableData(env *environment) string {
	absolute := *env
	var err error
	if absolute.Data, err = filepath.Abs(env.Data); err != nil || server.CheckSocket(absolute.socket()) != nil {
		return env.Data
	}
	return absolute.Data
}

// quote makes s one word of a shell.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
