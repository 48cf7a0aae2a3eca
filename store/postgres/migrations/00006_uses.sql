-- +goose Up

-- How often keys were used, counted by the hour, and by whom last. Nothing here
-- is a change: it is written behind verification, in batches. Rows are updated
-- many times over, so pages keep room for their next version.
CREATE TABLE uses (
    key     bytea NOT NULL,  -- its id
    hour    bigint NOT NULL, -- when it began
    code    text COLLATE "C" NOT NULL,
    source  text COLLATE "C" NOT NULL, -- an IPv4 address, the /64 of an IPv6 one, 'other', or '' for one that could not be told
    count   bigint NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (key, hour, code, source)
) WITH (fillfactor = 80);

CREATE INDEX uses_hour ON uses (hour);

CREATE TABLE last_uses (
    kid     text COLLATE "C" PRIMARY KEY,
    at      bigint NOT NULL,
    address text NOT NULL,
    agent   text NOT NULL
) WITH (fillfactor = 70);

-- secrets.last_used is read and written by programs of the version before alone;
-- it goes with a later release.
INSERT INTO last_uses SELECT kid, last_used, '', '' FROM secrets WHERE last_used IS NOT NULL;

-- The last batch of each boot of a process that was counted, so that none counts twice.
CREATE TABLE use_batches (
    boot   bytea PRIMARY KEY,
    number bigint NOT NULL,
    at     bigint NOT NULL
);
