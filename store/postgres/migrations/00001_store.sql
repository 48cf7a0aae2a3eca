-- +goose Up

-- Ordinals number the objects of all tables by their creating event. Ids are 12
-- bytes, principals a kind and an id, times Unix milliseconds, lists JSON. NULL is
-- the zero value. Text is compared by bytes (collation C), so that no index
-- depends on the locale of a machine.

CREATE TABLE installation (
    one      integer PRIMARY KEY CHECK (one = 1),
    id       bytea NOT NULL,
    operator bytea NOT NULL,
    owner    bytea NOT NULL,
    ring     text NOT NULL
);

CREATE TABLE ring_versions (
    number      integer PRIMARY KEY,
    fingerprint text NOT NULL,
    active      boolean NOT NULL,
    retired     boolean NOT NULL
);

CREATE TABLE organizations (
    ordinal      bigint PRIMARY KEY,
    id           bytea NOT NULL CONSTRAINT organizations_id UNIQUE,
    name         text NOT NULL,
    operator     boolean NOT NULL,
    suspended    boolean NOT NULL,
    key_limit    bigint NOT NULL,
    change_limit bigint NOT NULL,
    keys         bigint NOT NULL DEFAULT 0,
    created_at   bigint,
    updated_at   bigint,
    created_by   bytea NOT NULL,
    updated_by   bytea NOT NULL,
    revision     bigint NOT NULL,
    deleted_at   bigint
) WITH (fillfactor = 50); -- the number of keys changes with every key

CREATE TABLE data_keys (
    organization bytea PRIMARY KEY,
    id           bytea NOT NULL,
    version      integer NOT NULL,
    wrapped      bytea
);

CREATE TABLE projects (
    ordinal      bigint PRIMARY KEY,
    id           bytea NOT NULL CONSTRAINT projects_id UNIQUE,
    organization bytea NOT NULL,
    name         text COLLATE "C" NOT NULL,
    prefix       text NOT NULL,
    environment  text NOT NULL,
    is_default   boolean NOT NULL,
    retrievable  boolean NOT NULL,
    created_at   bigint,
    updated_at   bigint,
    created_by   bytea NOT NULL,
    updated_by   bytea NOT NULL,
    revision     bigint NOT NULL,
    deleted_at   bigint
);

CREATE INDEX projects_organization ON projects (organization, ordinal) WHERE deleted_at IS NULL;
CREATE INDEX projects_default ON projects (organization, ordinal) WHERE is_default AND deleted_at IS NULL;
CREATE UNIQUE INDEX projects_name ON projects (organization, name) WHERE deleted_at IS NULL;

CREATE TABLE users (
    ordinal      bigint PRIMARY KEY,
    id           bytea NOT NULL CONSTRAINT users_id UNIQUE,
    organization bytea NOT NULL,
    kind         text NOT NULL,
    name         text NOT NULL,
    email        text NOT NULL,
    email_folded text COLLATE "C" NOT NULL,
    suspended    boolean NOT NULL,
    created_at   bigint,
    updated_at   bigint,
    created_by   bytea NOT NULL,
    updated_by   bytea NOT NULL,
    revision     bigint NOT NULL,
    deleted_at   bigint
);

CREATE INDEX users_organization ON users (organization, ordinal) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email ON users (organization, email_folded) WHERE deleted_at IS NULL AND email_folded <> '';

-- A deleted user has none.
CREATE TABLE memberships (
    member  bigint NOT NULL REFERENCES users (ordinal),
    place   integer NOT NULL, -- in the user's list
    project bytea,            -- NULL: the whole organization
    role    bytea NOT NULL,
    PRIMARY KEY (member, place)
);

CREATE INDEX memberships_project ON memberships (project) WHERE project IS NOT NULL;
CREATE INDEX memberships_role ON memberships (role);

CREATE TABLE roles (
    ordinal      bigint PRIMARY KEY,
    id           bytea NOT NULL CONSTRAINT roles_id UNIQUE,
    organization bytea NOT NULL,
    identifier   text COLLATE "C" NOT NULL,
    name         text NOT NULL,
    rank         integer NOT NULL,
    permissions  text NOT NULL,
    created_at   bigint,
    updated_at   bigint,
    created_by   bytea NOT NULL,
    updated_by   bytea NOT NULL,
    revision     bigint NOT NULL,
    deleted_at   bigint
);

CREATE INDEX roles_organization ON roles (organization, ordinal) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX roles_identifier ON roles (organization, identifier) WHERE deleted_at IS NULL;

-- Written once, never changed: keys with equal policies share one row, which is
-- found by what is in it (policy.go), so that no node has to ask another.
CREATE TABLE policies (
    hash      bytea PRIMARY KEY,
    role      bytea,
    scopes    text NOT NULL,
    addresses text NOT NULL,
    resources text NOT NULL
);

CREATE TABLE keys (
    ordinal        bigint PRIMARY KEY,
    id             bytea NOT NULL CONSTRAINT keys_id UNIQUE,
    organization   bytea NOT NULL,
    project        bytea NOT NULL,
    reach          text COLLATE "C" NOT NULL,
    format         text NOT NULL,
    name           text COLLATE "C" NOT NULL,
    name_folded    text COLLATE "C" NOT NULL,
    environment    text NOT NULL,
    owner          bytea,
    partner        text COLLATE "C" NOT NULL,
    policy         bytea NOT NULL REFERENCES policies (hash),
    role           bytea, -- the policy's
    enabled        boolean NOT NULL,
    retrievable    boolean NOT NULL,
    expires_at     bigint,
    revoked_at     bigint,
    revoked_reason text NOT NULL,
    metadata       text NOT NULL,
    created_at     bigint,
    updated_at     bigint,
    created_by     bytea NOT NULL,
    updated_by     bytea NOT NULL,
    revision       bigint NOT NULL,
    deleted_at     bigint CHECK (deleted_at IS NULL), -- keys are revoked instead
    expiry         bigint NOT NULL GENERATED ALWAYS AS (coalesce(expires_at, 9223372036854775807)) STORED -- keys that never expire come last
);

-- One for each order, and then one for each filter, in the order of creation.
-- Keys to which the filter cannot apply are not in it.
CREATE INDEX keys_organization ON keys (organization, ordinal);
CREATE INDEX keys_revision ON keys (organization, revision, ordinal);
CREATE INDEX keys_name ON keys (organization, name, ordinal);
CREATE INDEX keys_expiry ON keys (organization, expiry, ordinal);
CREATE INDEX keys_standing ON keys (organization, ordinal) WHERE revoked_at IS NULL;
CREATE INDEX keys_revoked ON keys (organization, ordinal) WHERE revoked_at IS NOT NULL;
CREATE INDEX keys_project ON keys (project, ordinal);
CREATE INDEX keys_owner ON keys (owner, ordinal) WHERE owner IS NOT NULL;
CREATE INDEX keys_partner ON keys (organization, partner, ordinal) WHERE partner <> '';
CREATE INDEX keys_role ON keys (organization, role, ordinal) WHERE role IS NOT NULL;
CREATE INDEX keys_reach ON keys (organization, reach, ordinal) WHERE reach <> 'project';
CREATE INDEX keys_disabled ON keys (organization, ordinal) WHERE NOT enabled AND revoked_at IS NULL;
CREATE INDEX keys_policy_role ON keys (role) WHERE role IS NOT NULL AND revoked_at IS NULL;

-- What names contain. It needs the extension pg_trgm.
CREATE INDEX keys_search ON keys USING gin (name_folded gin_trgm_ops);

CREATE TABLE secrets (
    key            bigint NOT NULL REFERENCES keys (ordinal),
    kid            text COLLATE "C" NOT NULL,
    place          integer NOT NULL, -- in the key's list
    public         text NOT NULL,
    format         text NOT NULL,
    scheme         text NOT NULL,
    pepper         integer NOT NULL,
    digest         bytea NOT NULL,
    sealed         bytea,
    signing        text NOT NULL, -- what requests are signed with in its name: a sealed key, or a public one
    signing_format text NOT NULL,
    signing_sealed bytea,
    signing_public bytea,
    created_at     bigint,
    expires_at     bigint,
    last_used      bigint,
    PRIMARY KEY (key, kid)
);

CREATE UNIQUE INDEX secrets_kid ON secrets (kid);
CREATE UNIQUE INDEX secrets_foreign ON secrets (digest) WHERE scheme = 'sha256';

-- The keys that sign tokens; sealed is NULL once one signs no more.
CREATE TABLE signing_keys (
    ordinal    bigint PRIMARY KEY,
    id         bytea NOT NULL CONSTRAINT signing_keys_id UNIQUE,
    algorithm  text NOT NULL,
    public     bytea NOT NULL,
    sealed     bytea,
    active_at  bigint,
    retired_at bigint,
    created_at bigint,
    updated_at bigint,
    created_by bytea NOT NULL,
    updated_by bytea NOT NULL,
    revision   bigint NOT NULL,
    deleted_at bigint
);

CREATE TABLE events (
    position     bigint PRIMARY KEY,
    id           bytea NOT NULL,
    organization bytea,
    type         text COLLATE "C" NOT NULL,
    at           bigint,
    actor        bytea NOT NULL,
    via          bytea,
    object_kind  text NOT NULL,
    object       bytea,
    changes      text NOT NULL,
    request_id   text NOT NULL
);

CREATE INDEX events_organization ON events (organization, position);
CREATE INDEX events_type ON events (organization, type, position) WHERE type <> 'key.created'; -- most events are that
CREATE INDEX events_object ON events (object, position) WHERE object IS NOT NULL;

-- Calls with an Idempotency-Key.
CREATE TABLE calls (
    caller       bytea NOT NULL, -- 12 zero bytes for the socket
    organization bytea NOT NULL,
    route        text COLLATE "C" NOT NULL,
    tag          bytea NOT NULL,
    body_hash    bytea NOT NULL,
    objects      bytea,          -- ids, one after the other
    sealed       bytea,
    created_at   bigint,
    PRIMARY KEY (caller, organization, route, tag)
);

CREATE INDEX calls_made ON calls (created_at);
CREATE INDEX calls_sealed ON calls (created_at) WHERE sealed IS NOT NULL;
