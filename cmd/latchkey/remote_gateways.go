package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func gatewaysCommand(r *remote) *cobra.Command {
	n := noun[client.Gateway, client.NewGateway, client.GatewayPatch]{
		r: r, name: "gateway", plural: "gateways", argument: "GATEWAY_ID",
		examples: map[string]string{
			"list":   `  latchkey gateways list`,
			"get":    `  latchkey gateways get gw_0d5qh0w2e9x8v3k7m1ac`,
			"delete": `  latchkey gateways delete gw_0d5qh0w2e9x8v3k7m1ac`,
			"update": `  latchkey gateways update gw_0d5qh0w2e9x8v3k7m1ac --route 'GET /v1/*=docs:read'`,
		},
		directory: func(c *client.Client) client.Directory[client.Gateway, client.NewGateway, client.GatewayPatch] {
			return c.Gateways.Directory
		},
		header:   []string{"GATEWAY", "PROFILE", "CREDENTIAL", "ROUTES", "NAME"},
		row:      gatewayRow,
		describe: gatewayFacts,
		update: func(c *cobra.Command) func(*cobra.Command) (client.GatewayPatch, error) {
			return gatewayPatchFlags(r, c)
		},
	}
	c := &cobra.Command{
		Use: n.plural, Short: "Manage gateways: what stands before APIs and asks about keys",
		Long: `A gateway is an nginx, Traefik, Caddy, HAProxy or Envoy that stands before an API
and asks about the key in each request. Which scopes a request needs is said here,
route by route; the first that matches counts, and what none matches is refused.
A RabbitMQ is one too, which asks about each login; what a key may do there is said
by its scopes, amqp:read:<queues> and so on, and it has no routes.
The folder examples has a complete configuration for each.`,
		Example: gatewayExample + "\n" + n.examples["list"],
	}
	c.AddCommand(createGatewayCommand(r), n.listCommand(), n.getCommand(), n.updateCommand(), rotateGatewayCommand(r), n.plainDeleteCommand("Its token opens nothing from then on."))
	return c
}

const gatewayExample = `  latchkey gateways create --name front --profile nginx --credential header \
    --route 'GET,HEAD /v1/plants/*=plants:read' --route '/v1/plants/*=plants:write'`

func gatewayRow(g *client.Gateway) []string {
	return []string{g.ID, g.Profile, g.Credential, fmt.Sprint(len(g.Routes)), g.Name}
}

func gatewayFacts(g *client.Gateway) []fact {
	list := []fact{
		{"Gateway", g.ID}, {"Name", g.Name}, {"Profile", g.Profile}, {"Credential", g.Credential}, {"Token", "lkgw_live_" + g.KID + "_..."},
		{"Keys in", orNone(strings.Join(g.KeyHeaders, ", "))}, {"Environment", orNone(g.Environment)}, {"Every organization", yesNo(g.AllOrganizations)},
	}
	if t := g.TrustedProxies; t != nil {
		list = append(list, fact{"Trusted proxies", strings.Join(t.Networks, ", ") + " by " + t.Header})
	}
	if g.AssertionAudience != "" {
		list = append(list, fact{"Assertion for", g.AssertionAudience})
	}
	for _, route := range g.Routes {
		list = append(list, fact{"Route", routeText(route)})
	}
	if m := g.Management; m != nil {
		list = append(list, fact{"Management", m.Username + " at " + m.URL}, fact{"Deletes virtual hosts", yesNo(m.DeleteVHosts)})
	}
	return append(list, fact{"Organization", g.OrganizationID}, created(g.CreatedAt, g.CreatedBy))
}

func routeText(r client.GatewayRoute) string {
	text := r.Host + r.Path
	if len(r.Methods) > 0 {
		text = strings.Join(r.Methods, ",") + " " + text
	}
	if r.Scopes != nil {
		text += "=" + strings.Join(r.Scopes.All, ",")
		if len(r.Scopes.Any) > 0 {
			text += " any of " + strings.Join(r.Scopes.Any, ",")
		}
	}
	if r.Resource != nil {
		text += " on " + r.Resource.Type + " " + r.Resource.ID
	}
	return text
}

const (
	trustedUsage  = "`networks` of the proxies before the gateway whose word on the client's address is taken, with commas between them; with --proxy-header"
	headerUsage   = "the `header` in which they write it: X-Forwarded-For, Forwarded or X-Real-IP"
	audienceUsage = "tell the API who it is in a signed JWT of 60 s too, for this `audience`"
)

// routeFlags are the two ways to say what is required.
type routeFlags struct {
	texts textsValue
	file  string
}

func (f *routeFlags) offer(c *cobra.Command) {
	c.Flags().Var(&f.texts, "route", "what is required of some requests, as [METHOD,METHOD ]PATH[=SCOPE,SCOPE]; in order, can be repeated")
	c.Flags().StringVar(&f.file, "routes", "", "a `file` with the routes as JSON, as the native API has them: for hosts, resources, and scopes of which one is enough")
	c.MarkFlagsMutuallyExclusive("route", "routes")
}

func (f *routeFlags) read() ([]client.GatewayRoute, error) {
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return nil, usagef("--routes: %v", err)
		}
		var routes []client.GatewayRoute
		if err := json.Unmarshal(text, &routes); err != nil {
			return nil, usagef("--routes: %s holds no list of routes: %v", f.file, err)
		}
		return routes, nil
	}
	routes := make([]client.GatewayRoute, len(f.texts))
	for i, text := range f.texts {
		methods, rest, found := strings.Cut(text, " ")
		if !found {
			methods, rest = "", text
		}
		path, scopes, scoped := strings.Cut(rest, "=")
		if !strings.HasPrefix(path, "/") || scoped && scopes == "" {
			return nil, usagef("--route is [METHOD,METHOD ]PATH[=SCOPE,SCOPE], such as 'GET /v1/plants/*=plants:read'")
		}
		routes[i].Path = path
		if methods != "" {
			routes[i].Methods = strings.Split(methods, ",")
		}
		if scoped {
			routes[i].Scopes = &client.GatewayScopes{All: strings.Split(scopes, ",")}
		}
	}
	return routes, nil
}

// managementFlags say how a broker's management API is reached. Its password
// comes on standard input, where no other user of the machine can read it.
type managementFlags struct {
	client.BrokerManagement
}

func (f *managementFlags) offer(c *cobra.Command) {
	c.Flags().StringVar(&f.URL, "management-url", "", "the `url` of a broker's management API, with its password on standard input; '' for none")
	c.Flags().StringVar(&f.Username, "management-user", "", "the `name` of an administrator of the broker; goes with --management-url")
	c.Flags().BoolVar(&f.DeleteVHosts, "delete-vhosts", false, "delete a revoked key's virtual host, with everything in it; goes with --management-url")
}

func (f *managementFlags) read(r *remote) (*client.BrokerManagement, error) {
	if f.URL == "" {
		if f.Username != "" || f.DeleteVHosts {
			return nil, usagef("--management-user and --delete-vhosts go with --management-url")
		}
		return nil, nil //nolint:nilnil // none was asked for
	}
	if f.Username == "" {
		return nil, usagef("--management-url goes with --management-user")
	}
	line, _ := bufio.NewReader(io.LimitReader(r.Stdin, maxKey)).ReadString('\n')
	if f.Password = strings.TrimRight(line, "\r\n"); f.Password == "" {
		return nil, usagef("the password of the management API is expected on standard input")
	}
	return &f.BrokerManagement, nil
}

const (
	profileUsage   = "its `kind`: nginx, traefik, caddy, haproxy, envoy-http, envoy-grpc or rabbitmq"
	keyHeaderUsage = "a `header` in which clients send their key; can be repeated (default authorization, which is Bearer, and x-api-key)"
)

func createGatewayCommand(r *remote) *cobra.Command {
	var in client.NewGateway
	var headers textsValue
	var routes routeFlags
	c := &cobra.Command{
		Use: "create", Short: "Make a gateway, and show its token this once", Example: gatewayExample, Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "its `name`")
	f.StringVar(&in.Profile, "profile", "", profileUsage)
	f.StringVar(&in.Credential, "credential", "", "`where` it shows its token: path or header (default path)")
	f.StringVar(&in.Environment, "environment", "", "refuse keys of the other `environment`: live or test")
	f.BoolVar(&in.AllOrganizations, "all-organizations", false, "verify every organization's keys; the operator's to ask")
	f.Var(&headers, "key-header", keyHeaderUsage)
	var trusted client.TrustedProxies
	f.StringSliceVar(&trusted.Networks, "trusted-proxies", nil, trustedUsage)
	f.StringVar(&trusted.Header, "proxy-header", "", headerUsage)
	f.StringVar(&in.AssertionAudience, "assertion-audience", "", audienceUsage)
	c.MarkFlagsRequiredTogether("trusted-proxies", "proxy-header")
	routes.offer(c)
	require(c, "name", "profile")
	var management managementFlags
	management.offer(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		if in.Routes, err = routes.read(); err != nil {
			return err
		}
		if in.Management, err = management.read(r); err != nil {
			return err
		}
		in.KeyHeaders = headers
		if trusted.Header != "" {
			in.TrustedProxies = &trusted
		}
		api, err := r.connect(c.Context())
		if err != nil {
			return err
		}
		a, err := api.Gateways.Create(c.Context(), in)
		return tellGateway(r, a, err)
	}
	return c
}

func rotateGatewayCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "rotate-token GATEWAY_ID", Short: "Give one a new token, and show it this once",
		Long:    "The old token ends at once: until the gateway has the new one, it lets nothing\nthrough.",
		Example: "  latchkey gateways rotate-token gw_0d5qh0w2e9x8v3k7m1ac", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			a, err := api.Gateways.RotateToken(c.Context(), args[0])
			return tellGateway(r, a, err)
		},
	}
}

// tellGateway shows a gateway with its token.
func tellGateway(r *remote, a client.Answer[client.IssuedGateway], err error) error {
	err = tell(r, a, err, func(g client.IssuedGateway) error {
		return facts(r.Stdout, append([]fact{{"Secret", g.Token.Expose()}}, gatewayFacts(&g.Gateway)...))
	})
	if err == nil {
		r.noteSecret()
		r.noteEffect(a.Value.Effect())
	}
	return err
}

func gatewayPatchFlags(r *remote, c *cobra.Command) func(*cobra.Command) (client.GatewayPatch, error) {
	var headers textsValue
	var routes routeFlags
	f := c.Flags()
	name := f.String("name", "", "its `name`")
	profile := f.String("profile", "", profileUsage)
	credential := f.String("credential", "", "`where` it shows its token: path or header")
	environment := f.String("environment", "", "refuse keys of the other `environment`: live or test, or '' for neither")
	all := f.Bool("all-organizations", false, "verify every organization's keys; the operator's to ask")
	f.Var(&headers, "key-header", keyHeaderUsage+"; all of them are replaced")
	trusted := f.StringSlice("trusted-proxies", nil, trustedUsage+", or '' for none")
	header := f.String("proxy-header", "", headerUsage)
	audience := f.String("assertion-audience", "", audienceUsage+", or '' for none")
	routes.offer(c)
	var management managementFlags
	management.offer(c)
	return func(c *cobra.Command) (client.GatewayPatch, error) {
		patch := client.GatewayPatch{
			Name: setIfGiven(c, "name", *name), Profile: setIfGiven(c, "profile", *profile), Credential: setIfGiven(c, "credential", *credential),
			AllOrganizations: setIfGiven(c, "all-organizations", *all), Environment: setIfGiven(c, "environment", *environment),
			KeyHeaders: setIfGiven(c, "key-header", []string(headers)),
		}
		m, err := management.read(r)
		if err != nil {
			return patch, err
		}
		if m != nil {
			patch.Management = client.Set(*m)
		} else if c.Flags().Changed("management-url") {
			patch.Management = client.Clear[client.BrokerManagement]()
		}
		if c.Flags().Changed("environment") && *environment == "" {
			patch.Environment = client.Clear[string]()
		}
		patch.AssertionAudience = setIfGiven(c, "assertion-audience", *audience)
		if c.Flags().Changed("assertion-audience") && *audience == "" {
			patch.AssertionAudience = client.Clear[string]()
		}
		if c.Flags().Changed("trusted-proxies") || c.Flags().Changed("proxy-header") {
			patch.TrustedProxies = client.Set(client.TrustedProxies{Networks: *trusted, Header: *header})
			if len(*trusted) == 0 && *header == "" {
				patch.TrustedProxies = client.Clear[client.TrustedProxies]()
			}
		}
		if !c.Flags().Changed("route") && !c.Flags().Changed("routes") {
			return patch, nil
		}
		wanted, err := routes.read()
		patch.Routes = client.Set(wanted)
		return patch, err
	}
}
