/* bootstrap.h - what a cluster cannot begin without: namespaces, RBAC, the `kubernetes` Service.
 *
 * Missing objects are made at every start; roles are brought up to this program's rows unless they
 * carry rbac.authorization.kubernetes.io/autoupdate: "false". Endpoints of `kubernetes` follow
 * node_ip.
 */
#pragma once

#include "roles/apiserver/apiserver.h"

int bootstrap(struct apiserver *api, struct err *e) must_check;
