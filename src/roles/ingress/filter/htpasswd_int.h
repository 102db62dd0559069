/* htpasswd_int.h - what htpasswd.c and password.c share. */
#pragma once

#include "roles/ingress/filter/htpasswd.h"

struct password_scheme {
	const char *prefix;
	bool quick; /* costs less than a system call */
	/* Is the rest well formed, and no dearer than we allow? */
	bool (*usable)(struct str hash);
	bool (*verify)(struct str hash, struct str password);
};
/* NULL: no hash that we can or want to verify. */
const struct password_scheme *password_scheme(struct str hash);
