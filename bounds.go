package latchkey

import "time"

// Bounds on what is stored. Each is told in the refusal that it causes and
// listed in docs/operations.md.
const (
	MaxNameLen         = 255     // characters of a name
	MaxPartnerLen      = 255     // characters of a partner
	MaxReasonLen       = 500     // characters of a reason
	MaxEmailLen        = 254     // bytes of an e-mail address (RFC 5321, section 4.5.3.1.3, less the angle brackets)
	MaxIdentifierLen   = 64      // characters of a role's identifier
	MaxPermissionLen   = 128     // characters of a permission or scope
	MaxScopes          = 256     // scopes of a key, permissions of a role
	MaxResourceTypes   = 16      // types in a key's resource restriction
	MaxResourceIDs     = 1_000   // ids for one type
	MaxResourceLen     = 128     // bytes of a resource type or id
	MaxMetadataLen     = 8 << 10 // bytes of a metadata document
	MaxBatchVerify     = 100     // items of batch-verify
	MaxBatchCreate     = 1_000   // items of batch-create
	MaxImport          = 1_000   // digests in one import call
	MaxMemberships     = 1_000   // roles of one user
	MaxOverlap         = 30 * 24 * time.Hour
	DefaultOverlap     = 24 * time.Hour
	MaxWait            = 30 * time.Second // for a change to be effective everywhere
	DefaultWait        = 2 * time.Second
	MaxRank            = 10
	DefaultKeyLimit    = 1_000_000 // keys of an organization, revoked ones counted
	DefaultChangeLimit = 10_000    // changes per second of an organization
)
