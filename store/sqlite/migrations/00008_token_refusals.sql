-- +goose Up

-- Families of tokens that are refused before their end.
CREATE TABLE token_refusals (
    family TEXT PRIMARY KEY,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX token_refusals_until ON token_refusals (until);
