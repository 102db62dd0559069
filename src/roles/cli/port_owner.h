/* port_owner.h - which process listens on a port, for an error message that helps. */
#pragma once

#include "net/addr.h"

#define PORT_OWNER_BYTES 96
/* "nginx (pid 123)", or "" when it cannot be told. Reads /proc (proc(5)). */
void port_owner(const struct addr *a, char out[PORT_OWNER_BYTES]);
