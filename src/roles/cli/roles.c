#include "roles/cli/roles.h"

const struct role *const roles[] = {
	&role_apiserver, &role_controllers, &role_node, &role_proxy, &role_dns, &role_lb, &role_ingress, NULL,
};
