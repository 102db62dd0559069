#include "roles/proxy/teardown.h"

#include "roles/proxy/dp.h"
#include "roles/proxy/paths.h"

int proxy_teardown(const struct config *c, struct err *e)
{
	cleanup(freep) char *pin_dir = proxy_pin_dir(c);

	return dp_remove(pin_dir, e);
}
