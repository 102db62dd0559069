/* auth_cache_int.h - shared by auth_cache.c (what is remembered) and auth_life.c (for how long). */
#pragma once

#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/http/variable.h"

struct auth_times {
	size_t n;
	struct {
		uint16_t status; /* 0: any */
		uint32_t seconds;
	} at[AUTH_CACHE_TIMES_MAX];
};
bool auth_times_parse(struct str text, struct auth_times *t) must_check;

struct auth_cache_policy {
	uint64_t id;
	struct variable_text *key;
	bool names_user; /* $remote_user is in it */
	struct auth_times times;
};
