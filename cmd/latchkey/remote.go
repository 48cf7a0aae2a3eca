package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchkey.dev/latchkey/client"
)

// defaultURL is where a server is when only a token says that one is meant.
const defaultURL = "http://127.0.0.1:8080"

// The variables that name a server and the credential for it.
const (
	urlVariable          = "LATCHKEY_URL"
	tokenVariable        = "LATCHKEY_TOKEN"
	organizationVariable = "LATCHKEY_ORGANIZATION"
)

// remote is what the commands that speak to a server share.
type remote struct {
	*environment

	organization string    // --organization
	insecure     bool      // --insecure
	wait         spanValue // --wait
}

// remoteCommands are the commands that speak to a server. data is the flag
// --data.
func remoteCommands(env *environment, data *pflag.Flag) []*cobra.Command {
	r := &remote{environment: env}
	commands := []*cobra.Command{
		keysCommand(r), projectsCommand(r), usersCommand(r), rolesCommand(r), organizationsCommand(r), gatewaysCommand(r), issuersCommand(r), tokensCommand(r),
		keyringCommand(r, data),
	}
	for _, c := range commands {
		c.PersistentFlags().Var(&r.wait, "wait", "how long a change waits until every node knows of it, 0s to 30s (default 2s)")
	}
	commands = append(commands, eventsCommand(r), nodesCommand(r))
	for _, c := range commands {
		f := c.PersistentFlags()
		f.StringVar(&r.organization, "organization", "", "act in another organization, by its `id` org_…; the operator's to say; also "+organizationVariable)
		f.BoolVar(&r.insecure, "insecure", false, "send "+tokenVariable+" over plain HTTP to another machine, where all on the way can read it")
	}
	return commands
}

// connect finds the server: over HTTP if the environment names it, else on the
// socket of the data folder.
func (r *remote) connect(ctx context.Context) (*client.Client, error) {
	options := client.Options{
		Organization: r.organization, AllowPlaintext: r.insecure, UserAgent: "latchkey/" + version().Version, Wait: r.wait.field(), Waiting: r.watch,
	}
	if options.Organization == "" {
		options.Organization = r.Getenv(organizationVariable)
	}
	if !r.overHTTP() {
		if err := r.tryUnix(ctx); err != nil {
			return nil, err
		}
		return client.Unix(r.socket(), options), nil
	}
	c, err := client.New(r.url(), client.NewSecret(r.Getenv(tokenVariable)), options)
	if errors.Is(err, client.ErrPlaintext) {
		return nil, &failure{
			What: fmt.Sprintf("The token would go over plain HTTP to another machine (%s is %s), where all on the way can read it.", urlVariable, r.url()),
			Do:   "Use https://, or say --insecure if the network in between is yours alone.",
		}
	}
	if err != nil {
		return nil, &failure{
			What: strings.TrimPrefix(err.Error(), "latchkey: "), Do: fmt.Sprintf("Look at %s and %s in the environment.", urlVariable, tokenVariable), Cause: err,
		}
	}
	return c, nil
}

func (r *remote) overHTTP() bool { return r.Getenv(urlVariable) != "" || r.Getenv(tokenVariable) != "" }

func (r *remote) url() string {
	if url := r.Getenv(urlVariable); url != "" {
		return url
	}
	return defaultURL
}

// tryUnix opens the socket once, to tell in time why it cannot be.
func (r *remote) tryUnix(ctx context.Context) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", r.socket())
	if err == nil {
		return connection.Close()
	}
	f := &failure{Cause: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.What = fmt.Sprintf("There is no server's socket at %s.", r.socket())
	case errors.Is(err, syscall.ECONNREFUSED):
		f.What = fmt.Sprintf("No server answers on the socket %s any more.", r.socket())
	case errors.Is(err, fs.ErrPermission):
		f.What = fmt.Sprintf("This user may not open the socket %s; only the one that the server runs as may.", r.socket())
	default:
		f.What = fmt.Sprintf("The socket %s cannot be opened: %v.", r.socket(), err)
	}
	f.Do = fmt.Sprintf("Start a server with `latchkey serve --data %s` or name its folder with --data; or set %s and %s to reach one over HTTP.",
		quote(r.Data), urlVariable, tokenVariable)
	return f
}

// nobodyThere says whether err is that no server has the socket, so that the
// data folder is free to be worked on.
func nobodyThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// refused turns what the client says into what a person is told.
func (r *remote) refused(err error) error {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return r.refusal(e)
	}
	lost, ok := errors.AsType[*client.TransportError](err)
	if !ok {
		return err
	}
	f := &failure{What: fmt.Sprintf("%s has no answer: %v.", r.server(), lost.Err), Cause: err}
	if errors.Is(err, syscall.ECONNREFUSED) {
		f.What = fmt.Sprintf("No server answers at %s.", r.server())
	}
	switch {
	case lost.Uncertain:
		f.Do = "The change may have been made all the same: look before you ask for it again."
	case r.overHTTP():
		f.Do = fmt.Sprintf("See that the server runs, and that %s is its address.", urlVariable)
	default:
		f.Do = "See that the server runs; its log tells more."
	}
	return f
}

// server is whom the commands speak to, in words.
func (r *remote) server() string {
	if r.overHTTP() {
		return r.url()
	}
	return r.socket()
}

func (r *remote) refusal(e *client.Error) *failure {
	f := &failure{What: e.Detail, Cause: e}
	if len(e.Fields) > 0 {
		var lines []string
		for _, field := range e.Fields {
			lines = append(lines, flagOf(field.Pointer)+": "+field.Detail)
		}
		f.What = strings.Join(lines, "\n")
	}
	switch e.Code {
	case client.CodeUnauthenticated:
		f.Do = fmt.Sprintf("Set %s to a live key of yours; without it and without %s the commands use the server's own socket.", tokenVariable, urlVariable)
	case client.CodeIdempotentSecretExpired:
		f.Do = fmt.Sprintf("Get a new secret: latchkey keys rotate %s", e.Object)
	case client.CodeInternal, client.CodeUnavailable, "":
		if e.RequestID != "" {
			f.Do = "The server's log has this request as " + e.RequestID + "."
		}
	}
	return f
}

// flagOf is the flag from which a refused field came; the field itself where
// there is no such flag.
func flagOf(pointer string) string {
	name, _ := strings.CutPrefix(pointer, "/")
	name, _ = strings.CutPrefix(name, "query:")
	for field, flag := range map[string]string{
		"name": "name", "project_id": "project", "reach": "reach", "owner_id": "owner", "partner": "partner", "role": "role", "roles": "role",
		"scopes": "scope", "restrictions/addresses": "address", "restrictions/resources": "resource", "expires_at": "expires-at",
		"retrievable": "retrievable", "forbid_retrievable": "forbid-retrievable", "metadata": "metadata", "overlap": "overlap", "reason": "reason", "wait": "wait", "ip": "ip", "user_agent": "user-agent",
		"environment": "environment", "resource": "resource", "prefix": "prefix", "email": "email", "identifier": "identifier", "rank": "rank",
		"permissions": "permission", "limits/keys": "key-limit", "limits/changes_per_second": "changes-per-second", "state": "state",
		"search": "search", "sort": "sort", "limit": "limit", "cursor": "cursor", "after": "after", "type": "type", "object": "object",
		"expiring_before": "expiring-before", "unused_since": "unused-since", "since": "since", "before": "before", "header:Latchkey-Organization": "organization",
	} {
		if name == field || strings.HasPrefix(name, field+"/") {
			return "--" + flag
		}
	}
	return pointer
}
