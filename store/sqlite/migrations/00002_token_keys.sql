-- +goose Up

-- The keys that sign tokens; sealed is NULL once one signs no more.
CREATE TABLE token_keys (
    ordinal         INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    algorithm       TEXT NOT NULL,
    public          BLOB NOT NULL,
    sealed          BLOB,
    active_at       INTEGER,
    retired_at      INTEGER,
    created_at      INTEGER,
    updated_at      INTEGER,
    created_by      BLOB NOT NULL,
    updated_by      BLOB NOT NULL,
    revision        INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;
