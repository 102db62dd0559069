/* defaults_int.h - the defaults that depend on other fields; for defaults.c alone. */
#pragma once

#include "codec/jx.h"

struct default_rule {
	const char *type;
	void (*apply)(json_t *obj);
};
/* Sorted by type. */
extern const struct default_rule default_rules[];
extern const size_t n_default_rules;
