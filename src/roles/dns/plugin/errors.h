/* errors.h - what `errors` is told to gather: read by errors_parse.c, used by errors.c. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/log.h"
#include "roles/dns/plugin/plugin.h"

#include <pcre2.h>

/* Errors that match are not told one by one: after `period_ms` since the first, how many there were. */
struct errors_pattern {
	uint64_t period_ms;
	const char *text; /* as written; lives as long as the Corefile */
	pcre2_code *re;
	enum log_level level;
	bool show_first;
};
struct errors_settings {
	struct errors_pattern *patterns; /* the first that matches counts */
	size_t n;
};
extern const struct plugin_property errors_properties[];
int errors_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e) must_check;
void errors_free(void *settings);
