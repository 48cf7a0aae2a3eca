-- +goose Up

-- How a broker's own management API is reached; '{}' for what is no broker.
ALTER TABLE gateways ADD COLUMN management TEXT NOT NULL DEFAULT '{}';

-- What is to be done at brokers, each until it was done.
CREATE TABLE errands (
    gateway      BLOB NOT NULL,
    kind         TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject      BLOB NOT NULL,
    position     INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    round        INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    PRIMARY KEY (gateway, kind, subject_kind, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX errands_due ON errands (gateway, due_at);

-- Through which event they are made.
CREATE TABLE errands_through (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO errands_through SELECT 1, ifnull(max(position), 0) FROM events;
