-- +goose Up

-- "Ltch": what `file` and we tell a store by.
PRAGMA application_id = 1282696040;

-- Ordinals number the objects of all tables by their creating event. Ids are 12
-- bytes, principals a kind and an id, times Unix milliseconds, lists JSON. NULL is
-- the zero value.

CREATE TABLE installation (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    id       BLOB NOT NULL,
    operator BLOB NOT NULL,
    owner    BLOB NOT NULL,
    ring     TEXT NOT NULL
) STRICT;

CREATE TABLE ring_versions (
    number      INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    active      INTEGER NOT NULL,
    retired     INTEGER NOT NULL
) STRICT;

CREATE TABLE organizations (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    operator        INTEGER NOT NULL,
    suspended       INTEGER NOT NULL,
    key_limit       INTEGER NOT NULL,
    change_limit    INTEGER NOT NULL,
    keys            INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE TABLE data_keys (
    organization BLOB PRIMARY KEY,
    id           BLOB NOT NULL,
    version      INTEGER NOT NULL,
    wrapped      BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    organization    BLOB NOT NULL,
    name            TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    environment     TEXT NOT NULL,
    is_default      INTEGER NOT NULL,
    retrievable     INTEGER NOT NULL,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX projects_organization ON projects (organization) WHERE deleted_at IS NULL;
CREATE INDEX projects_default ON projects (organization) WHERE is_default AND deleted_at IS NULL;
CREATE UNIQUE INDEX projects_name ON projects (organization, name) WHERE deleted_at IS NULL;

CREATE TABLE users (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    organization    BLOB NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    email           TEXT NOT NULL,
    email_folded    TEXT NOT NULL,
    suspended       INTEGER NOT NULL,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX users_organization ON users (organization) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email ON users (organization, email_folded) WHERE deleted_at IS NULL AND email_folded <> '';

-- A deleted user has none.
CREATE TABLE memberships (
    user    INTEGER NOT NULL REFERENCES users (ordinal),
    place   INTEGER NOT NULL, -- in the user's list
    project BLOB,             -- NULL: the whole organization
    role    BLOB NOT NULL,
    PRIMARY KEY (user, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_project ON memberships (project) WHERE project IS NOT NULL;
CREATE INDEX memberships_role ON memberships (role);

CREATE TABLE roles (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    organization    BLOB NOT NULL,
    identifier      TEXT NOT NULL,
    name            TEXT NOT NULL,
    rank            INTEGER NOT NULL,
    permissions     TEXT NOT NULL,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX roles_organization ON roles (organization) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX roles_identifier ON roles (organization, identifier) WHERE deleted_at IS NULL;

-- Written once, never changed: keys with equal policies share one row.
CREATE TABLE policies (
    id           INTEGER PRIMARY KEY,
    organization BLOB NOT NULL,
    hash         BLOB NOT NULL,
    role         BLOB,
    scopes       TEXT NOT NULL,
    addresses    TEXT NOT NULL,
    resources    TEXT NOT NULL,
    UNIQUE (organization, hash)
) STRICT;

CREATE TABLE keys (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    organization    BLOB NOT NULL,
    project         BLOB NOT NULL,
    reach           TEXT NOT NULL,
    format          TEXT NOT NULL,
    name            TEXT NOT NULL,
    name_folded     TEXT NOT NULL,
    environment     TEXT NOT NULL,
    owner           BLOB,
    partner         TEXT NOT NULL,
    policy          INTEGER NOT NULL REFERENCES policies (id),
    role            BLOB, -- the policy's
    enabled         INTEGER NOT NULL,
    retrievable     INTEGER NOT NULL,
    expires_at      INTEGER,
    revoked_at      INTEGER,
    revoked_reason  TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER CHECK (deleted_at IS NULL), -- keys are revoked instead
    expiry          INTEGER AS (ifnull(expires_at, 9223372036854775807)) -- keys that never expire come last
) STRICT;

-- One for each order but that of creation. Every index ends in the ordinal.
CREATE INDEX keys_revision ON keys (organization, revision);
CREATE INDEX keys_name ON keys (organization, name);
CREATE INDEX keys_expiry ON keys (organization, expiry);

-- Two for each filter: the keys that stand, and those that are revoked. Keys to
-- which the filter cannot apply are in neither.
CREATE INDEX keys_organization ON keys (organization) WHERE revoked_at IS NULL;
CREATE INDEX keys_organization_revoked ON keys (organization) WHERE revoked_at IS NOT NULL;
CREATE INDEX keys_project ON keys (project) WHERE revoked_at IS NULL;
CREATE INDEX keys_project_revoked ON keys (project) WHERE revoked_at IS NOT NULL;
CREATE INDEX keys_owner ON keys (organization, owner) WHERE owner IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX keys_owner_revoked ON keys (organization, owner) WHERE owner IS NOT NULL AND revoked_at IS NOT NULL;
CREATE INDEX keys_partner ON keys (organization, partner) WHERE partner <> '' AND revoked_at IS NULL;
CREATE INDEX keys_partner_revoked ON keys (organization, partner) WHERE partner <> '' AND revoked_at IS NOT NULL;
CREATE INDEX keys_role ON keys (role, organization) WHERE role IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX keys_role_revoked ON keys (role, organization) WHERE role IS NOT NULL AND revoked_at IS NOT NULL;
CREATE INDEX keys_reach ON keys (organization, reach) WHERE reach <> 'project' AND revoked_at IS NULL;
CREATE INDEX keys_reach_revoked ON keys (organization, reach) WHERE reach <> 'project' AND revoked_at IS NOT NULL;
CREATE INDEX keys_disabled ON keys (organization) WHERE enabled = 0 AND revoked_at IS NULL;

-- What names contain; see search.go for the grams. The row id is the key's
-- ordinal; keys above the one in key_names_end are not in it yet.
CREATE VIRTUAL TABLE key_names USING fts5 (grams, content = '', columnsize = 0, detail = none, tokenize = 'ascii');

CREATE TABLE key_names_end (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    ordinal INTEGER NOT NULL
) STRICT;

INSERT INTO key_names_end VALUES (1, 0);

CREATE TABLE secrets (
    key        INTEGER NOT NULL REFERENCES keys (ordinal),
    kid        TEXT NOT NULL,
    place      INTEGER NOT NULL, -- in the key's list
    public     TEXT NOT NULL,
    format     TEXT NOT NULL,
    scheme     TEXT NOT NULL,
    pepper     INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    sealed     BLOB,
    created_at INTEGER,
    expires_at INTEGER,
    last_used  INTEGER,
    PRIMARY KEY (key, kid)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX secrets_kid ON secrets (kid);
CREATE UNIQUE INDEX secrets_foreign ON secrets (digest) WHERE scheme = 'sha256';

CREATE TABLE events (
    position     INTEGER PRIMARY KEY,
    id           BLOB NOT NULL,
    organization BLOB,
    type         TEXT NOT NULL,
    at           INTEGER,
    actor        BLOB NOT NULL,
    via          BLOB,
    object_kind  TEXT NOT NULL,
    object       BLOB,
    changes      TEXT NOT NULL,
    request_id   TEXT NOT NULL
) STRICT;

CREATE INDEX events_organization ON events (organization);
CREATE INDEX events_type ON events (organization, type) WHERE type <> 'key.created'; -- most events are that
CREATE INDEX events_object ON events (object) WHERE object IS NOT NULL;

-- Calls with an Idempotency-Key.
CREATE TABLE calls (
    caller       BLOB NOT NULL, -- 12 zero bytes for the socket
    organization BLOB NOT NULL,
    route        TEXT NOT NULL,
    tag          BLOB NOT NULL,
    body_hash    BLOB NOT NULL,
    objects      BLOB,          -- ids, one after the other
    sealed       BLOB,
    created_at   INTEGER,
    PRIMARY KEY (caller, organization, route, tag)
) STRICT;

CREATE INDEX calls_made ON calls (created_at);
CREATE INDEX calls_sealed ON calls (created_at) WHERE sealed IS NOT NULL;
