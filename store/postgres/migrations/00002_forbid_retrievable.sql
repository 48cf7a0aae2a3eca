-- +goose Up

-- The project stores and tells no key's value, not even of a key that is made for
-- an API which promises it.
ALTER TABLE projects ADD COLUMN forbid_retrievable boolean NOT NULL DEFAULT false;
