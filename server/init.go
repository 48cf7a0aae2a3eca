package server

import (
	"context"
	"errors"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Initialized is a new installation with the first key.
type Initialized struct {
	Organization latchkey.ID // the operator
	Project      latchkey.ID // its default one
	User         latchkey.ID // the owner
	Email        string      // of that user
	Key          latchkey.Plaintext
}

// Init makes an installation without serving it, and the first user's key. It
// refuses a store that has an installation already. Config's listeners and
// proxies play no part.
//
// The installation and the key are two changes. Where only the first was made,
// the error says how to go on.
func Init(ctx context.Context, config Config) (_ *Initialized, err error) {
	s, err := config.resolve()
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx, s.exists)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if !c.made {
		return nil, s.exists(c.installation)
	}
	made, err := c.firstKey(ctx)
	if err != nil {
		return nil, &Problem{
			What:  fmt.Sprintf("The installation in %s was made, but not its first key: %v.", s.place(), latchkey.AsError(err)),
			Do:    "Mend that, then go on: " + s.firstKey(),
			Cause: err,
		}
	}
	made.Email = s.Email
	return made, nil
}

// exists refuses an installation that is there already.
func (s *settings) exists(in *store.Installation) error {
	other := "another folder with --data"
	if s.Shared {
		other = "another database with --database-url"
	}
	return &Problem{
		What: fmt.Sprintf("There is an installation in %s already; its organization is %s.", s.place(), in.Operator.Native(latchkey.KindOrganization)),
		Do:   "Name " + other + ", or go on with this one: " + s.firstKey(),
	}
}

// place is where the store is.
func (s *settings) place() string {
	if s.Shared {
		return "the database"
	}
	return s.Data
}

// firstKey says how to get the key that Init would have made.
func (s *settings) firstKey() string {
	return fmt.Sprintf("run `latchkey serve --data %[1]s` and, in a second shell, `latchkey keys create --name \"First key\" --reach organization --role owner --data %[1]s`.", s.Data)
}

func (c *core) firstKey(ctx context.Context) (*Initialized, error) {
	project, err := c.store.DefaultProject(ctx, c.installation.Operator)
	if err != nil {
		return nil, err
	}
	issued, err := c.authority.CreateFirstKey(ctx, c.installation)
	if err != nil {
		return nil, err
	}
	return &Initialized{Organization: c.installation.Operator, Project: project.ID, User: c.installation.Owner, Key: issued.Secret}, nil
}
