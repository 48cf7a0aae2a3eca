-- +goose Up

-- OpenID providers whose tokens are credentials.
CREATE TABLE issuers (
    ordinal      INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    organization BLOB NOT NULL,
    project      BLOB,
    name         TEXT NOT NULL,
    url          TEXT NOT NULL,
    audiences    TEXT NOT NULL,
    algorithms   TEXT NOT NULL,
    claim        TEXT NOT NULL,
    roles        TEXT NOT NULL,
    enabled      INTEGER NOT NULL,
    created_at   INTEGER,
    updated_at   INTEGER,
    created_by   BLOB NOT NULL,
    updated_by   BLOB NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX issuers_name ON issuers (organization, name) WHERE deleted_at IS NULL;
CREATE INDEX issuers_url ON issuers (url) WHERE deleted_at IS NULL;
