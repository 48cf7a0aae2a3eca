-- +goose Up

-- How often keys were used, counted by the hour, and by whom last. Nothing here
-- is a change: it is written behind verification, in batches.
CREATE TABLE uses (
    key     BLOB NOT NULL,    -- its id
    hour    INTEGER NOT NULL, -- when it began
    code    TEXT NOT NULL,
    source  TEXT NOT NULL,    -- an IPv4 address, the /64 of an IPv6 one, 'other', or '' for one that could not be told
    count   INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (key, hour, code, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX uses_hour ON uses (hour);

CREATE TABLE last_uses (
    kid     TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- secrets.last_used is read and written no more; it goes with a later release.
INSERT INTO last_uses SELECT kid, last_used, '', '' FROM secrets WHERE last_used IS NOT NULL;

-- The last batch of each boot of a process that was counted, so that none counts twice.
CREATE TABLE use_batches (
    boot   BLOB PRIMARY KEY,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
