-- +goose Up

-- The keys that have something, whatever it is, in order of creation.
CREATE INDEX keys_with_partner ON keys (organization) WHERE partner <> '' AND revoked_at IS NULL;
CREATE INDEX keys_with_partner_revoked ON keys (organization) WHERE partner <> '' AND revoked_at IS NOT NULL;
CREATE INDEX keys_with_owner ON keys (organization) WHERE owner IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX keys_with_owner_revoked ON keys (organization) WHERE owner IS NOT NULL AND revoked_at IS NOT NULL;
CREATE INDEX keys_with_role ON keys (organization) WHERE role IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX keys_with_role_revoked ON keys (organization) WHERE role IS NOT NULL AND revoked_at IS NOT NULL;

-- Nobody looks for what reaches far.
DROP INDEX IF EXISTS keys_reach;
DROP INDEX IF EXISTS keys_reach_revoked;

-- Owners whose keys are disabled.
CREATE INDEX users_away ON users (organization) WHERE suspended OR deleted_at IS NOT NULL;

-- How many keys there are of each sort; tally.go says which sorts there are.
CREATE TABLE tallies (
    organization BLOB NOT NULL,
    project      BLOB NOT NULL,
    reach        TEXT NOT NULL,
    role         BLOB NOT NULL,    -- 12 zero bytes for none
    owned        INTEGER NOT NULL,
    partnered    INTEGER NOT NULL,
    condition    INTEGER NOT NULL, -- 0 revoked, 1 disabled by itself or its owner, 2 neither
    span         INTEGER NOT NULL, -- of time, in which it expires; 0 unless the condition is 2
    n            INTEGER NOT NULL,
    PRIMARY KEY (organization, project, reach, role, owned, partnered, condition, span)
) STRICT, WITHOUT ROWID;

INSERT INTO tallies (organization, project, reach, role, owned, partnered, condition, span, n)
SELECT organization, project, reach, role, owned, partnered, condition, iif(condition = 2, span, 0), count(*)
FROM (
    SELECT t.organization, t.project, t.reach, ifnull(t.role, zeroblob(12)) AS role, t.owner IS NOT NULL AS owned, t.partner <> '' AS partnered,
        CASE WHEN t.revoked_at IS NOT NULL THEN 0 WHEN NOT t.enabled OR t.owner IS NOT NULL AND ifnull(u.suspended, 1) THEN 1 ELSE 2 END AS condition,
        (t.expiry - 1) >> 26 AS span
    FROM keys t LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL
)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
