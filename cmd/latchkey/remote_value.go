package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey/client"
)

// The values of flags. Each is a pflag.Value, so that what cannot be meant is
// refused before a command begins.

// spanValue is a length of time: what Go writes ("36h", "90m"), or days before
// it ("90d", "1d12h").
type spanValue struct {
	time.Duration

	positive bool // 0 is refused
	given    bool
}

const maxDays = 36_500

func parseSpan(s string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > maxDays {
		return 0, errSpan
	}
	span := time.Duration(n) * 24 * time.Hour
	if rest == "" && hasDays {
		return span, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || more > maxDays*24*time.Hour {
		return 0, errSpan
	}
	return span + more, nil
}

var errSpan = errors.New(`this is a length of time, like 90d, 36h or 1h30m`)

func (v *spanValue) Set(s string) error {
	span, err := parseSpan(s)
	if err == nil && v.positive && span == 0 {
		return errors.New("this is longer than nothing")
	}
	v.Duration, v.given = span, true
	return err
}

func (v *spanValue) String() string {
	if v.Duration == 0 {
		return ""
	}
	return v.Duration.String()
}

// field is the span where one was given, 0 included.
func (v *spanValue) field() (f client.Field[time.Duration]) {
	if v.given {
		f = client.Set(v.Duration)
	}
	return f
}

func (*spanValue) Type() string { return "time" }

// momentValue is a point in time: "2026-12-31T23:59:59Z" (RFC 3339), a day,
// which begins in UTC, a span from now where sign is not 0, or "never" where
// that has a meaning.
type momentValue struct {
	time.Time

	sign  int  // of spans: 1 into the future, -1 into the past, 0 none
	never bool // is taken
}

func (v *momentValue) Set(s string) error {
	if v.never && s == "never" {
		v.Time = time.Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			v.Time = t.UTC()
			return nil
		}
	}
	span, err := parseSpan(s)
	if err != nil || v.sign == 0 {
		return errors.New("this is a time like 2026-12-31T23:59:59Z, or a day like 2026-12-31" + v.others())
	}
	v.Time = time.Now().UTC().Add(time.Duration(v.sign) * span).Truncate(time.Millisecond)
	return nil
}

func (v *momentValue) others() string {
	switch {
	case v.never:
		return ", or never"
	case v.sign > 0:
		return ", or a span from now like 30d"
	case v.sign < 0:
		return ", or a span before now like 90d"
	}
	return ""
}

func (v *momentValue) String() string { return moment(v.Time) }

func (*momentValue) Type() string { return "time" }

// textsValue is a list, one for each time that the flag is given. An empty
// value is no element, so that a list can be given that has none.
type textsValue []string

func (v *textsValue) Set(s string) error {
	if *v == nil {
		*v = []string{}
	}
	if s != "" {
		*v = append(*v, s)
	}
	return nil
}

func (v *textsValue) String() string { return strings.Join(*v, " ") }

func (*textsValue) Type() string { return "text" }

// resourcesValue is allowed ids by type: "plant=1"; "plant=" allows none.
type resourcesValue map[string][]string

func (v *resourcesValue) Set(s string) error {
	if *v == nil {
		*v = resourcesValue{}
	}
	if s == "" {
		return nil
	}
	kind, id, ok := strings.Cut(s, "=")
	if !ok || kind == "" {
		return errors.New("this is type=id, like plant=42, or type= to allow none of that type")
	}
	if (*v)[kind] == nil {
		(*v)[kind] = []string{}
	}
	if id != "" {
		(*v)[kind] = append((*v)[kind], id)
	}
	return nil
}

func (v *resourcesValue) String() string { return resourcesText(*v) }

func (*resourcesValue) Type() string { return "type=id" }

// resourceValue is one object: "plant:42".
type resourceValue struct{ *client.Resource }

func (v *resourceValue) Set(s string) error {
	kind, id, ok := strings.Cut(s, ":")
	if !ok || kind == "" || id == "" {
		return errors.New("this is type:id, like plant:42")
	}
	v.Resource = &client.Resource{Type: kind, ID: id}
	return nil
}

func (v *resourceValue) String() string {
	if v.Resource == nil {
		return ""
	}
	return v.Resource.Type + ":" + v.Resource.ID
}

func (*resourceValue) Type() string { return "type:id" }

// metadataValue is the members of an object, all of them texts.
type metadataValue map[string]string

func (v *metadataValue) Set(s string) error {
	if *v == nil {
		*v = metadataValue{}
	}
	if s == "" {
		return nil
	}
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("this is name=value")
	}
	(*v)[name] = value
	return nil
}

func (v *metadataValue) String() string { return fmt.Sprint(map[string]string(*v)) }

func (*metadataValue) Type() string { return "name=value" }

// object is the metadata as JSON; nil if none was given.
func (v metadataValue) object() (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(map[string]string(v))
}
