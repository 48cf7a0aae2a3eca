-- +goose Up

-- Which proxies stand before a gateway, where they write the client's address,
-- and for whom the assertion is that the gateway's API is told.
ALTER TABLE gateways ADD COLUMN proxies TEXT NOT NULL DEFAULT 'null';
ALTER TABLE gateways ADD COLUMN proxy_header TEXT NOT NULL DEFAULT '';
ALTER TABLE gateways ADD COLUMN audience TEXT NOT NULL DEFAULT '';
