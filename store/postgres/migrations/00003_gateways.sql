-- +goose Up

-- What stands before APIs and asks about the keys in their requests. Its token
-- is found by kid, in memory.
CREATE TABLE gateways (
    ordinal            bigint PRIMARY KEY,
    id                 bytea NOT NULL CONSTRAINT gateways_id UNIQUE,
    organization       bytea NOT NULL,
    name               text NOT NULL,
    profile            text NOT NULL,
    every_organization boolean NOT NULL,
    environment        text NOT NULL,
    place              text NOT NULL,
    key_headers        text NOT NULL,
    routes             text NOT NULL,
    kid                text NOT NULL,
    pepper             integer NOT NULL,
    digest             bytea NOT NULL,
    created_at         bigint,
    updated_at         bigint,
    created_by         bytea NOT NULL,
    updated_by         bytea NOT NULL,
    revision           bigint NOT NULL,
    deleted_at         bigint
);

CREATE UNIQUE INDEX gateways_name ON gateways (organization, name) WHERE deleted_at IS NULL;
