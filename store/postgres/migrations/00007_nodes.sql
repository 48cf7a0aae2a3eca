-- +goose Up

-- The processes that answer verifications from memory. Each row is written by
-- its owner alone, and struck off by whoever has seen that it does not change.
CREATE TABLE nodes (
    id               bytea PRIMARY KEY,
    state            text NOT NULL,
    serve_for_ms     bigint NOT NULL,
    applied          bigint NOT NULL,
    renewal          bigint NOT NULL,
    keyring_versions integer[] NOT NULL,
    build            text NOT NULL
) WITH (fillfactor = 50);

-- The timelines of the database on which it was used, and when that was first
-- seen. The one on which the store is made has been there forever.
CREATE TABLE timelines (
    timeline text PRIMARY KEY,
    since    bigint NOT NULL
);

INSERT INTO timelines (timeline, since) VALUES (substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 0);

-- What a program must understand at least in order to apply an event or a policy.
ALTER TABLE events ADD COLUMN least integer NOT NULL DEFAULT 1;
ALTER TABLE policies ADD COLUMN least integer NOT NULL DEFAULT 1;
CREATE INDEX events_newer ON events (least) WHERE least > 1;

-- What changed after a position.
CREATE INDEX organizations_feed ON organizations (revision);
CREATE INDEX users_feed ON users (revision);
CREATE INDEX roles_feed ON roles (revision);
CREATE INDEX keys_feed ON keys (revision);
CREATE INDEX token_keys_feed ON token_keys (revision);
CREATE INDEX gateways_feed ON gateways (revision);
