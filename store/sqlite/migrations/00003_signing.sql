-- +goose Up

-- What requests are signed with in a secret's name: a sealed key, or a public one.
ALTER TABLE secrets ADD COLUMN signing TEXT NOT NULL DEFAULT '';
ALTER TABLE secrets ADD COLUMN signing_format TEXT NOT NULL DEFAULT '';
ALTER TABLE secrets ADD COLUMN signing_sealed BLOB;
ALTER TABLE secrets ADD COLUMN signing_public BLOB;
