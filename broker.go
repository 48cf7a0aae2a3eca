package latchkey

import "strings"

// A broker is a gateway of the profile rabbitmq: it asks whether a key may log
// in, enter a virtual host, and use what is in it. It names keys, where other
// gateways present them.

// Management is how a broker's own management API is reached: virtual hosts are
// made and connections closed through it. The zero value is none. Stores keep it
// by the names of these fields.
type Management struct {
	URL          string // http or https, host and path; without a slash at the end
	Username     string
	Sealed       []byte // the password
	DeleteVHosts bool   // a revoked key's virtual host goes, with everything in it
}

// Set reports whether there is one.
func (m *Management) Set() bool { return m.URL != "" }

// vhostPrefix begins the name of every virtual host of ours, and the key's id as
// a UUID follows.
const vhostPrefix = "partner-"

// VHost names the virtual host of a broker that the key with that id may enter.
func VHost(key ID) string { return vhostPrefix + key.UUID() }

// ParseVHost reads the name of a virtual host as VHost writes it, byte for byte.
func ParseVHost(name string) (ID, error) {
	id, ours, err := ParseUUID(strings.TrimPrefix(name, vhostPrefix))
	if err != nil || !ours || VHost(id) != name {
		return ID{}, ErrID
	}
	return id, nil
}

// KeyName is what a broker calls a key: by its id or by the kid of one of its
// secrets. One of them is set.
type KeyName struct {
	ID  ID
	KID KID
}

// ParseKeyName reads a user's name: a key's id in any spelling, the name of its
// virtual host, or a kid.
func ParseKeyName(s string) (KeyName, error) {
	if id, err := ParseNative(KindKey, s); err == nil {
		return KeyName{ID: id}, nil
	}
	if id, err := ParseHex(s); err == nil {
		return KeyName{ID: id}, nil
	}
	if id, ours, err := ParseUUID(strings.TrimPrefix(s, vhostPrefix)); err == nil {
		if !ours {
			return KeyName{}, ErrID
		}
		return KeyName{ID: id}, nil
	}
	if len(s) != KIDLen || !isBase62(s) {
		return KeyName{}, ErrID
	}
	return KeyName{KID: KID(s)}, nil
}

// BrokerAction is what somebody wants to do with a thing in a virtual host.
type BrokerAction string

// The actions, by their names in RabbitMQ.
const (
	BrokerConfigure BrokerAction = "configure"
	BrokerWrite     BrokerAction = "write"
	BrokerRead      BrokerAction = "read"
)

// brokerPrefix begins the scopes that are about brokers: amqp:<action>:<glob>.
const brokerPrefix = "amqp:"

// The scopes that count for every exchange and queue of a virtual host.
const (
	telemetryRead  = "telemetry:read"
	telemetryWrite = "telemetry:write"
)

// AllowBroker reports whether the set is enough to do that with a thing of that
// name. A "*" in the glob stands for any characters or none; everything else
// stands for itself.
func (ps Permissions) AllowBroker(action BrokerAction, name string) bool {
	switch action {
	case BrokerConfigure:
	case BrokerWrite:
		if ps.Hold(telemetryWrite) {
			return true
		}
	case BrokerRead:
		if ps.Hold(telemetryRead) {
			return true
		}
	default:
		return false
	}
	scope := brokerPrefix + string(action) + ":"
	for _, p := range ps {
		if glob, about := strings.CutPrefix(string(p), scope); about && matchGlob(glob, name) {
			return true
		}
		if p.coversAll(scope) {
			return true
		}
	}
	return false
}

// coversAll reports whether p stands for everything that begins so: "*", "amqp:*".
func (p Permission) coversAll(beginning string) bool {
	return p.Covers(Permission(beginning + "*"))
}

// BrokerPart is the part of the set that says anything about brokers.
func (ps Permissions) BrokerPart() Permissions {
	var part Permissions
	for _, p := range ps {
		if strings.HasPrefix(string(p), brokerPrefix) || p.Covers(telemetryRead) || p.Covers(telemetryWrite) || p.coversAll(brokerPrefix) {
			part = append(part, p)
		}
	}
	return part
}

// matchGlob goes back to the last star alone, so it takes no more than the
// product of both lengths.
func matchGlob(glob, name string) bool {
	g, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, n
			g++
		case g < len(glob) && glob[g] == name[n]:
			g++
			n++
		case star >= 0:
			from++
			g, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
