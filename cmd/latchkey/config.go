package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/verify"
)

// settings are the server's settings: the flags of serve, of which other
// commands have some. Each can also come from the environment, as LATCHKEY_ and
// its name in capitals, or from a line of the file --config; the flag comes
// before the environment, and that before the file.
type settings struct {
	server.Config

	flags       *pflag.FlagSet
	data        *string
	proxyHeader string
	databaseURL string
	file        string
	logLevel    slog.Level
	logFormat   string
}

// ringVariable holds the text of a key ring. It is no flag: other users of the
// machine can read a command line.
const ringVariable = "LATCHKEY_KEYRING"

func newSettings(env *environment, data *pflag.Flag) *settings {
	s := &settings{flags: pflag.NewFlagSet("serve", pflag.ContinueOnError), data: &env.Data}
	f := s.flags
	f.AddFlag(data)
	f.StringVar(&s.Listen, "listen", server.DefaultListen, "`host:port` of the API; port 0 picks a free one and prints it")
	f.StringVar(&s.PublicURL, "public-url", "", "the `URL` at which clients reach the API, such as https://keys.example.com")
	f.StringVar(&s.Email, "email", "", "e-mail `address` of the first user, used by the first start alone (default \"owner@localhost\")")
	f.StringVar(&s.TLSCert, "tls-cert", "", "`file` with the PEM certificate chain; with --tls-key, serves HTTPS. Both are taken up again when they change")
	f.StringVar(&s.TLSKey, "tls-key", "", "`file` with the PEM private key of --tls-cert")
	f.StringVar(&s.MetricsListen, "metrics-listen", "", "`host:port` for Prometheus to read /metrics; off by default")
	f.StringSliceVar(&s.IssuerNetworks, "issuer-networks", nil, "`networks` of OpenID providers that are not on the internet, such as 10.0.0.0/8")
	f.StringVar(&s.ExtAuthzListen, "extauthz-listen", "", "`host:port` at which Envoy asks by ext_authz over gRPC, with the certificate of --tls-cert if there is one; off by default")
	f.StringSliceVar(&s.TrustedProxies, "trusted-proxies", nil, "`networks` of the proxies whose word on the client's address is taken, such as 10.0.0.0/8")
	f.StringVar(&s.proxyHeader, "proxy-header", "", "the `header` in which they write it: X-Forwarded-For, Forwarded or X-Real-IP")
	f.StringSliceVar(&s.Dialects, "dialects", server.Dialects(), "`names` of the foreign APIs that are served beside the native one, or none")
	f.StringVar(&s.KeyringFile, "keyring-file", "", "`file` of the key ring (default keyring.json in the data folder); "+ringVariable+" holds its text instead")
	f.BoolVar(&s.ForbidRetrievable, "forbid-retrievable", false, "store and reveal no key's value, whatever its project allows")
	s.Staleness = verify.DefaultStaleness
	f.Var((*staleness)(&s.Staleness), "staleness", "how `long` a node of several answers after it last knew that it was current: strict (3s), available (1m) or a duration")
	f.DurationVar(&s.StopTimeout, "stop-timeout", server.DefaultStopTimeout, "how long a stop waits for requests that were accepted")
	f.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "least `level` of what is logged: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "auto", "`format` of the log: text, json, or auto for text on a terminal and JSON elsewhere")
	f.StringVar(&s.file, "config", "", "YAML `file` with a line for each of these settings")
	f.StringVar(&s.databaseURL, "database-url", "", "`URL` of a PostgreSQL database for several nodes to share, such as postgres://latchkey@db.example.com/latchkey; without it the store is in the data folder")
	return s
}

// staleness is a duration of which two have names.
type staleness time.Duration

// String implements pflag.Value.
func (s *staleness) String() string {
	switch d := time.Duration(*s); d {
	case verify.StrictStaleness:
		return "strict"
	case verify.DefaultStaleness:
		return "available"
	default:
		return d.String()
	}
}

// Set implements pflag.Value.
func (s *staleness) Set(text string) error {
	switch text {
	case "strict":
		*s = staleness(verify.StrictStaleness)
	case "available":
		*s = staleness(verify.DefaultStaleness)
	default:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("it is neither strict nor available, and no duration such as 10s")
		}
		*s = staleness(d)
	}
	return nil
}

// Type implements pflag.Value.
func (*staleness) Type() string { return "duration" }

// quiet is for commands that a person waits for: they say what went wrong, in
// prose, unless the environment or the file asks for another log.
func (s *settings) quiet() *settings {
	s.logLevel, s.logFormat = slog.LevelWarn, "text"
	return s
}

// offer gives a command some of the settings as flags; without names, all.
func (s *settings) offer(c *cobra.Command, names ...string) {
	s.flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "data" && (len(names) == 0 || slices.Contains(names, f.Name)) {
			c.Flags().AddFlag(f)
		}
	})
}

// resolve fills in what the command line left open.
func (s *settings) resolve(env *environment) error {
	if err := s.fromEnvironment(env); err != nil {
		return err
	}
	if s.file != "" {
		if err := s.fromFile(); err != nil {
			return err
		}
	}
	s.OpenStore, s.Shared = s.openStore, s.databaseURL != ""
	s.Data = *s.data
	s.ProxyHeader = latchkey.ProxyHeader(s.proxyHeader)
	s.KeyringText = latchkey.NewPlaintext(env.Getenv(ringVariable))
	s.Version = version().Version
	var err error
	s.Log, err = s.logger(env.Stderr)
	return err
}

// variable is the name under which the environment has a setting.
func variable(flag string) string {
	return "LATCHKEY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (s *settings) fromEnvironment(env *environment) error {
	var broken []error
	s.flags.VisitAll(func(f *pflag.Flag) {
		value := env.Getenv(variable(f.Name))
		if f.Changed || value == "" {
			return
		}
		if err := s.flags.Set(f.Name, value); err != nil {
			broken = append(broken, usagef("%s in the environment: %v", variable(f.Name), err))
		}
	})
	return errors.Join(broken...)
}

// settleData is fromEnvironment for commands that have no settings but --data.
func (e *environment) settleData(data *pflag.Flag) error {
	if value := e.Getenv(variable(data.Name)); value != "" && !data.Changed {
		return data.Value.Set(value)
	}
	return nil
}

func (s *settings) fromFile() error {
	lines, err := readFile(s.file)
	if err != nil {
		return err
	}
	for _, line := range lines {
		f := s.flags.Lookup(line.name)
		if f == nil || f.Name == "config" {
			return line.wrong(s.file, "there is no such setting; there are "+strings.Join(s.names(), ", "))
		}
		if f.Changed {
			continue
		}
		if err := set(f, line.values); err != nil {
			return line.wrong(s.file, err.Error())
		}
	}
	return nil
}

// names lists what a file can set, in alphabetical order.
func (s *settings) names() (names []string) {
	s.flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "config" {
			names = append(names, f.Name)
		}
	})
	return names
}

func set(f *pflag.Flag, values []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(values)
	}
	if len(values) != 1 {
		return errors.New("this has one value, not a list")
	}
	return f.Value.Set(values[0])
}

// line is one setting of a file.
type line struct {
	number int
	name   string
	values []string
}

func (l *line) wrong(file, why string) error {
	return usagef("%s:%d: %s: %s", file, l.number, l.name, why)
}

// readFile reads a YAML mapping of names to values or lists of values, and
// nothing else that YAML can say.
func readFile(path string) ([]line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &failure{What: fmt.Sprintf("The settings cannot be read: %v.", err), Do: "Name a readable file with --config.", Cause: err}
	}
	defer func() { _ = f.Close() }() // it was only read
	var document, more yaml.Node
	decoder := yaml.NewDecoder(f)
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, usagef("%s is not YAML: %v", path, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, usagef("%s holds more than one document", path)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	settings := document.Content[0]
	if settings.Kind != yaml.MappingNode {
		return nil, usagef("%s:%d: write lines of the form \"name: value\"", path, settings.Line)
	}
	var lines []line
	for i := 0; i < len(settings.Content); i += 2 {
		name, value := settings.Content[i], settings.Content[i+1]
		l := line{number: name.Line, name: name.Value}
		if slices.ContainsFunc(lines, func(before line) bool { return before.name == l.name }) {
			return nil, l.wrong(path, "this is set twice")
		}
		if l.values, err = valuesOf(value); err != nil {
			return nil, l.wrong(path, err.Error())
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func valuesOf(n *yaml.Node) ([]string, error) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	values := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			return nil, errors.New("write a value, or a list of values")
		}
		values = append(values, n.Value)
	}
	return values, nil
}

// logger writes the log to standard error.
func (s *settings) logger(to io.Writer) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: s.logLevel}
	format := s.logFormat
	if format == "auto" && isTerminal(to) {
		format = "text"
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "auto", "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, usagef("the log format is text, json or auto")
}
