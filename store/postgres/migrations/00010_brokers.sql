-- +goose Up

-- How a broker's own management API is reached; '{}' for what is no broker.
ALTER TABLE gateways ADD COLUMN management text NOT NULL DEFAULT '{}';

-- What is to be done at brokers, each until it was done.
CREATE TABLE errands (
    gateway      bytea NOT NULL,
    kind         text NOT NULL,
    subject_kind text NOT NULL,
    subject      bytea NOT NULL,
    position     bigint NOT NULL,
    due_at       bigint NOT NULL,
    round        integer NOT NULL,
    failures     integer NOT NULL,
    PRIMARY KEY (gateway, kind, subject_kind, subject)
);

CREATE INDEX errands_due ON errands (gateway, due_at);

-- Through which event they are made.
CREATE TABLE errands_through (
    one      integer PRIMARY KEY CHECK (one = 1),
    position bigint NOT NULL
);

INSERT INTO errands_through SELECT 1, coalesce(max(position), 0) FROM events;
