-- +goose Up

-- Whether requests with the key have to be signed: '' never, optional, required.
ALTER TABLE keys ADD COLUMN signing_mode TEXT NOT NULL DEFAULT '';
UPDATE keys SET signing_mode = 'optional' WHERE ordinal IN (SELECT key FROM secrets WHERE signing <> '');

-- The nonces of signed requests, by the SHA-256 of each; times are Unix seconds.
CREATE TABLE nonces (
    kid     TEXT NOT NULL,
    hash    BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (kid, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX nonces_created ON nonces (created);

-- Nothing signed at this time or before it is accepted. place is where the store
-- was when that was last looked at.
CREATE TABLE nonce_floor (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    at    INTEGER NOT NULL,
    place TEXT NOT NULL
) STRICT;

INSERT INTO nonce_floor (one, at, place) VALUES (1, 0, '');
