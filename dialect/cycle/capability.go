package cycle

import (
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// The capabilities that open operations here.
const (
	keysManage  = "api-keys-manage"
	rolesView   = "hubs-roles-view"
	rolesManage = "hubs-roles-manage"
)

// ofKeys and ofRoles are the permissions that the managing capabilities stand for.
func ofKeys() latchkey.Permissions {
	return latchkey.Permissions{latchkey.KeyRead, latchkey.KeyCreate, latchkey.KeyUpdate, latchkey.KeyDelete}
}

func ofRoles() latchkey.Permissions {
	return latchkey.Permissions{latchkey.RoleRead, latchkey.RoleCreate, latchkey.RoleUpdate, latchkey.RoleDelete}
}

// needs permits whom permit permits, and refuses others for want of the capability.
func needs(capability string, permit exchange.Permit) exchange.Permit {
	return func(c *authority.Caller) error {
		if err := permit(c); err != nil {
			return &refusal{code: codes[latchkey.CodeForbidden], capability: capability, cause: err}
		}
		return nil
	}
}

// capabilities is what a role can do, in the document's words: everything, or
// those named.
type capabilities struct {
	All      bool     `json:"all"`
	Specific []string `json:"specific"`
}

func capabilitiesOf(r *latchkey.Role) capabilities {
	out := capabilities{All: r.Permissions.Hold(latchkey.Everything), Specific: []string{}}
	if out.All {
		return out
	}
	add := func(capability string, held bool) {
		if held && !slices.Contains(out.Specific, capability) {
			out.Specific = append(out.Specific, capability)
		}
	}
	add(keysManage, holdAll(r.Permissions, ofKeys()))
	add(rolesView, r.Permissions.Hold(latchkey.RoleRead))
	add(rolesManage, holdAll(r.Permissions, ofRoles()))
	if !r.Builtin() {
		for _, p := range r.Permissions {
			add(string(p), slices.Contains(known, string(p)))
		}
	}
	return out
}

func holdAll(held, needed latchkey.Permissions) bool {
	return !slices.ContainsFunc(needed, func(p latchkey.Permission) bool { return !held.Hold(p) })
}

// known are the capabilities that the document lists. Those that open nothing
// here can be a role's all the same, as strings of the customer's own.
//
// The list is never written to after this.
var known = strings.Fields(`
		api-keys-manage apionly-jobs-view apionly-notifications-listen autoscale-groups-manage autoscale-groups-view billing-credits-view
		billing-invoices-pay billing-invoices-view billing-methods-manage billing-services-manage billing-services-view clusters-manage clusters-view
		containers-backups-manage containers-backups-view containers-console containers-deploy containers-functions-trigger containers-instances-migrate
		containers-lock containers-manage containers-ssh containers-view containers-volumes-manage containers-volumes-view dns-certs-view dns-manage dns-view
		environments-deployments-manage environments-manage environments-scopedvariables-manage environments-scopedvariables-view
		environments-services-manage environments-view environments-vpn environments-vpn-manage external-volumes-manage external-volumes-view
		hubs-auditlog-view hubs-delete hubs-integrations-manage hubs-integrations-view hubs-invites-manage hubs-invites-send hubs-members-manage
		hubs-members-view hubs-roles-manage hubs-roles-view hubs-update hubs-usage-view images-manage images-sources-manage images-sources-view images-view
		ips-manage monitor-manage monitor-view pipelines-manage pipelines-trigger pipelines-view san-manage san-view sdn-networks-manage sdn-networks-view
		security-manage security-view servers-console servers-decommission servers-login servers-manage servers-provision servers-view stacks-builds-deploy
		stacks-builds-manage stacks-manage stacks-view virtual-machines-console virtual-machines-deploy virtual-machines-lock virtual-machines-manage
		virtual-machines-root-pw-view virtual-machines-root-pw-view-temp virtual-machines-ssh-keys-manage virtual-machines-view`)
