package authority

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// NewProject is what a project is to be.
type NewProject struct {
	Name        string
	Prefix      string               // "": lk
	Environment latchkey.Environment // "": live

	Retrievable, ForbidRetrievable bool
}

// DefaultPrefix begins the keys of a project that names no prefix.
const DefaultPrefix = "lk"

// CreateProject makes a project.
func (a *Authority) CreateProject(ctx context.Context, call *Call, in NewProject) (latchkey.Project, Effective, error) {
	if err := call.RequireWide(latchkey.ProjectCreate); err != nil {
		return latchkey.Project{}, Effective{}, err
	}
	if in.Prefix == "" {
		in.Prefix = DefaultPrefix
	}
	if in.Environment == "" {
		in.Environment = latchkey.Live
	}
	var broken problems
	broken.text("/name", in.Name, 1, latchkey.MaxNameLen)
	broken.at("/prefix", latchkey.CheckPrefix(in.Prefix))
	if !in.Environment.Valid() {
		broken.add("/environment", "not_allowed", "An environment is live or test.")
	}
	if err := broken.err(); err != nil {
		return latchkey.Project{}, Effective{}, err
	}
	return creation[latchkey.Project]{
		needs: latchkey.ProjectCreate, event: latchkey.ProjectCreated, kind: latchkey.KindProject,
		make: func(t *txn, id latchkey.ID) (*latchkey.Project, *store.Step, error) {
			p := &latchkey.Project{
				ID: id, Organization: call.Organization, Name: in.Name, Prefix: in.Prefix, Environment: in.Environment,
				Retrievable: in.Retrievable, ForbidRetrievable: in.ForbidRetrievable, Record: t.created(),
			}
			return p, &store.Step{Projects: []*latchkey.Project{p}}, nil
		},
		tell:   tellProject,
		again:  a.Store.Project,
		record: func(row *latchkey.Project) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
}

func tellProject(p *latchkey.Project) changes {
	return changes{"name": p.Name, "prefix": p.Prefix, "environment": p.Environment, "retrievable": p.Retrievable, "forbid_retrievable": p.ForbidRetrievable}
}

// GetProject describes a project within the caller's reach.
func (a *Authority) GetProject(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Project, error) {
	if err := call.Require(latchkey.ProjectRead); err != nil {
		return latchkey.Project{}, err
	}
	p, err := a.project(ctx, call, id)
	if err != nil {
		return latchkey.Project{}, err
	}
	return *p, nil
}

func (a *Authority) project(ctx context.Context, call *Call, id latchkey.ID) (*latchkey.Project, error) {
	p, err := a.Store.Project(ctx, id)
	if err != nil {
		return nil, translate(err)
	}
	if !call.seesProject(p) {
		return nil, notFound()
	}
	return p, nil
}

func (c *Caller) seesProject(p *latchkey.Project) bool {
	return p.Organization == c.Organization && (c.Project.IsZero() || c.Project == p.ID)
}

// ListProjects is a page of the projects within the caller's reach.
func (a *Authority) ListProjects(ctx context.Context, call *Call, f PageFilter) ([]latchkey.Project, string, error) {
	if err := call.Require(latchkey.ProjectRead); err != nil {
		return nil, "", err
	}
	find := a.Store.ListProjects
	if !call.Project.IsZero() {
		find = func(ctx context.Context, page store.Page) ([]latchkey.Project, error) {
			p, err := a.Store.Project(ctx, call.Project)
			if err != nil || page.Before != 0 {
				return nil, err
			}
			return []latchkey.Project{*p}, nil
		}
	}
	return directoryPage(ctx, a, call, "projects", f, find, func(p *latchkey.Project) latchkey.Record { return p.Record })
}

// ProjectPatch is what is to be different about a project; nil leaves a field
// as it is. Prefix and environment are in the keys and stay.
type ProjectPatch struct {
	Name              *string
	Retrievable       *bool
	ForbidRetrievable *bool
}

// UpdateProject changes a project.
func (a *Authority) UpdateProject(ctx context.Context, call *Call, id latchkey.ID, patch ProjectPatch) (latchkey.Project, Effective, error) {
	if err := call.RequireWide(latchkey.ProjectUpdate); err != nil {
		return latchkey.Project{}, Effective{}, err
	}
	var broken problems
	if patch.Name != nil {
		broken.text("/name", *patch.Name, 1, latchkey.MaxNameLen)
	}
	if err := broken.err(); err != nil {
		return latchkey.Project{}, Effective{}, err
	}
	return a.changeProject(ctx, call, id, latchkey.ProjectUpdate, latchkey.ProjectUpdated, store.Reads{},
		func(_ *txn, p *latchkey.Project) (changes, error) {
			c := changes{}
			if patch.Name != nil {
				set(c, "name", &p.Name, *patch.Name)
			}
			if patch.Retrievable != nil {
				set(c, "retrievable", &p.Retrievable, *patch.Retrievable)
			}
			if patch.ForbidRetrievable != nil {
				set(c, "forbid_retrievable", &p.ForbidRetrievable, *patch.ForbidRetrievable)
			}
			return c, nil
		})
}

// DeleteProject deletes a project on which no key hangs; with revokeKeys those
// that do are revoked first.
func (a *Authority) DeleteProject(ctx context.Context, call *Call, id latchkey.ID, revokeKeys bool) (Effective, error) {
	if err := call.RequireWide(latchkey.ProjectDelete); err != nil {
		return Effective{}, err
	}
	p, err := a.project(ctx, call, id)
	if err != nil {
		return Effective{}, err
	}
	if err := call.matches(p.Record); err != nil {
		return Effective{}, err
	}
	if p.Default {
		return Effective{}, latchkey.Errorf(latchkey.CodeConflict, "This is the organization's default project; it stays.")
	}
	return a.delete(ctx, call, deletion{
		revokeKeys: revokeKeys, keys: store.KeyQuery{Project: id}, holding: id, noun: "project",
		run: func(gone func(t *txn) error) (Effective, error) {
			_, e, err := a.changeProject(ctx, call, id, latchkey.ProjectDelete, latchkey.ProjectDeleted, store.Reads{Holdings: []latchkey.ID{id}},
				func(t *txn, p *latchkey.Project) (changes, error) {
					p.DeletedAt = t.Now
					return tellProject(p), gone(t)
				})
			return e, err
		},
	})
}

func (a *Authority) changeProject(ctx context.Context, call *Call, id latchkey.ID, needs latchkey.Permission, event latchkey.EventType,
	reads store.Reads, change func(*txn, *latchkey.Project) (changes, error),
) (latchkey.Project, Effective, error) {
	reads.Projects = append(reads.Projects, id)
	return directoryChange[latchkey.Project]{
		needs: needs, event: event, kind: latchkey.KindProject, id: id, reads: reads, change: change,
		current: func(t *txn) *latchkey.Project {
			if p := t.Projects[id]; p != nil && t.caller.seesProject(p) {
				return p
			}
			return nil
		},
		write:  func(s *store.Step, p *latchkey.Project) { s.Projects = []*latchkey.Project{p} },
		record: func(p *latchkey.Project) *latchkey.Record { return &p.Record },
	}.submit(ctx, a, call)
}
