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

-- Owners whose keys are disabled.
CREATE INDEX users_away ON users (organization) WHERE suspended OR deleted_at IS NOT NULL;

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
CREATE INDEX keys_disabled ON keys (organization, ordinal) WHERE NOT enabled AND revoked_at IS NULL;
CREATE INDEX keys_policy_role ON keys (role) WHERE role IS NOT NULL AND revoked_at IS NULL;

-- The keys that have something, whatever it is.
CREATE INDEX keys_with_partner ON keys (organization, ordinal) WHERE partner <> '';
CREATE INDEX keys_with_owner ON keys (organization, ordinal) WHERE owner IS NOT NULL;
CREATE INDEX keys_with_role ON keys (organization, ordinal) WHERE role IS NOT NULL;

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
CREATE TABLE token_keys (
    ordinal    bigint PRIMARY KEY,
    id         bytea NOT NULL CONSTRAINT token_keys_id UNIQUE,
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

-- How many keys there are of each sort (docs/decisions/0013). Triggers keep it,
-- so that it is right whichever way keys are written.
CREATE TABLE tallies (
    organization bytea NOT NULL,
    project      bytea NOT NULL,
    reach        text COLLATE "C" NOT NULL,
    role         bytea NOT NULL,   -- empty for none
    owned        boolean NOT NULL,
    partnered    boolean NOT NULL,
    condition    integer NOT NULL, -- 0 revoked, 1 disabled by itself or its owner, 2 neither
    span         bigint NOT NULL,  -- of time (2^26 ms), in which it expires; 0 unless the condition is 2
    n            bigint NOT NULL,
    PRIMARY KEY (organization, project, reach, role, owned, partnered, condition, span)
) WITH (fillfactor = 50);

-- +goose StatementBegin
CREATE FUNCTION tally_of(of_owner bytea, of_enabled boolean, of_revoked_at bigint, of_expiry bigint)
RETURNS TABLE (condition integer, span bigint) LANGUAGE sql STABLE AS $$
    SELECT c.condition, CASE c.condition WHEN 2 THEN (of_expiry - 1) >> 26 ELSE 0 END
    FROM (SELECT CASE
        WHEN of_revoked_at IS NOT NULL THEN 0
        WHEN NOT of_enabled THEN 1
        WHEN of_owner IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = of_owner AND NOT u.suspended AND u.deleted_at IS NULL) THEN 2
        ELSE 1 END AS condition) c
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tally_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies AS y (organization, project, reach, role, owned, partnered, condition, span, n)
    SELECT k.organization, k.project, k.reach, coalesce(k.role, ''), k.owner IS NOT NULL, k.partner <> '', c.condition, c.span, count(*)
    FROM made k CROSS JOIN LATERAL tally_of(k.owner, k.enabled, k.revoked_at, k.expiry) c
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT (organization, project, reach, role, owned, partnered, condition, span) DO UPDATE SET n = y.n + excluded.n;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER keys_made AFTER INSERT ON keys REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION tally_made();

-- +goose StatementBegin
CREATE FUNCTION tally_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies AS y (organization, project, reach, role, owned, partnered, condition, span, n)
    SELECT k.organization, k.project, k.reach, coalesce(k.role, ''), k.owner IS NOT NULL, k.partner <> '', c.condition, c.span, sum(k.n)
    FROM (
        SELECT organization, project, reach, role, owner, partner, enabled, revoked_at, expiry, 1 AS n FROM made
        UNION ALL SELECT organization, project, reach, role, owner, partner, enabled, revoked_at, expiry, -1 FROM was
    ) k CROSS JOIN LATERAL tally_of(k.owner, k.enabled, k.revoked_at, k.expiry) c
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(k.n) <> 0
    ON CONFLICT (organization, project, reach, role, owned, partnered, condition, span) DO UPDATE SET n = y.n + excluded.n;
    IF FOUND THEN -- a sort that no key is of any more has no row
        DELETE FROM tallies y USING was k CROSS JOIN LATERAL tally_of(k.owner, k.enabled, k.revoked_at, k.expiry) c
        WHERE y.organization = k.organization AND y.project = k.project AND y.reach = k.reach AND y.role = coalesce(k.role, '')
            AND y.owned = (k.owner IS NOT NULL) AND y.partnered = (k.partner <> '') AND y.condition = c.condition AND y.span = c.span AND y.n = 0;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER keys_changed AFTER UPDATE ON keys REFERENCING OLD TABLE AS was NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION tally_changed();

-- A user that goes away disables its keys; one that comes back lets them be again.
-- +goose StatementBegin
CREATE FUNCTION tally_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    here boolean := NOT NEW.suspended AND NEW.deleted_at IS NULL;
BEGIN
    INSERT INTO tallies AS y (organization, project, reach, role, owned, partnered, condition, span, n)
    SELECT k.organization, k.project, k.reach, coalesce(k.role, ''), true, k.partner <> '', c.condition,
        CASE c.condition WHEN 2 THEN (k.expiry - 1) >> 26 ELSE 0 END, sum(c.n)
    FROM keys k CROSS JOIN (VALUES (1, CASE WHEN here THEN -1 ELSE 1 END), (2, CASE WHEN here THEN 1 ELSE -1 END)) AS c (condition, n)
    WHERE k.owner = NEW.id AND k.enabled AND k.revoked_at IS NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT (organization, project, reach, role, owned, partnered, condition, span) DO UPDATE SET n = y.n + excluded.n;
    DELETE FROM tallies y WHERE y.organization = NEW.organization AND y.owned AND y.n = 0;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER owners_made AFTER INSERT ON users FOR EACH ROW
    WHEN (NOT NEW.suspended AND NEW.deleted_at IS NULL) EXECUTE FUNCTION tally_owner();
CREATE TRIGGER owners_changed AFTER UPDATE ON users FOR EACH ROW
    WHEN ((NOT OLD.suspended AND OLD.deleted_at IS NULL) <> (NOT NEW.suspended AND NEW.deleted_at IS NULL)) EXECUTE FUNCTION tally_owner();
