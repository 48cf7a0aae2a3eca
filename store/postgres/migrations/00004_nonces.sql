-- +goose Up

-- Whether requests with the key have to be signed: '' never, optional, required.
ALTER TABLE keys ADD COLUMN signing_mode text NOT NULL DEFAULT '';
UPDATE keys SET signing_mode = 'optional' WHERE ordinal IN (SELECT key FROM secrets WHERE signing <> '');

-- The nonces of signed requests, by the SHA-256 of each; times are Unix seconds.
CREATE TABLE nonces (
    kid     text COLLATE "C" NOT NULL,
    hash    bytea NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (kid, hash)
);

CREATE INDEX nonces_created ON nonces (created);

-- Nothing signed at this time or before it is accepted. place is where the store
-- was when that was last looked at.
CREATE TABLE nonce_floor (
    one   integer PRIMARY KEY CHECK (one = 1),
    at    bigint NOT NULL,
    place text NOT NULL
);

INSERT INTO nonce_floor (one, at, place) VALUES (1, 0, '');
