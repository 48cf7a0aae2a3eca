-- +goose Up

-- Families of tokens that are refused before their end.
CREATE TABLE token_refusals (
    family text PRIMARY KEY,
    until  bigint NOT NULL
);

CREATE INDEX token_refusals_until ON token_refusals (until);
