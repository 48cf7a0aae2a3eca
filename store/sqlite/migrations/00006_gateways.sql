-- +goose Up

-- What stands before APIs and asks about the keys in their requests. Its token
-- is found by kid, in memory.
CREATE TABLE gateways (
    ordinal            INTEGER PRIMARY KEY,
    id                 BLOB NOT NULL UNIQUE,
    organization       BLOB NOT NULL,
    name               TEXT NOT NULL,
    profile            TEXT NOT NULL,
    every_organization INTEGER NOT NULL,
    environment        TEXT NOT NULL,
    place              TEXT NOT NULL,
    key_headers        TEXT NOT NULL,
    routes             TEXT NOT NULL,
    kid                TEXT NOT NULL,
    pepper             INTEGER NOT NULL,
    digest             BLOB NOT NULL,
    created_at         INTEGER,
    updated_at         INTEGER,
    created_by         BLOB NOT NULL,
    updated_by         BLOB NOT NULL,
    revision           INTEGER NOT NULL,
    deleted_at         INTEGER
) STRICT;

CREATE UNIQUE INDEX gateways_name ON gateways (organization, name) WHERE deleted_at IS NULL;
