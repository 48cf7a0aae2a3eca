-- +goose Up

-- OpenID providers whose tokens are credentials.
CREATE TABLE issuers (
    ordinal      bigint PRIMARY KEY,
    id           bytea NOT NULL CONSTRAINT issuers_id UNIQUE,
    organization bytea NOT NULL,
    project      bytea,
    name         text NOT NULL,
    url          text NOT NULL,
    audiences    text NOT NULL,
    algorithms   text NOT NULL,
    claim        text NOT NULL,
    roles        text NOT NULL,
    enabled      boolean NOT NULL,
    created_at   bigint,
    updated_at   bigint,
    created_by   bytea NOT NULL,
    updated_by   bytea NOT NULL,
    revision     bigint NOT NULL,
    deleted_at   bigint
);

CREATE UNIQUE INDEX issuers_name ON issuers (organization, name) WHERE deleted_at IS NULL;
CREATE INDEX issuers_url ON issuers (url) WHERE deleted_at IS NULL;
