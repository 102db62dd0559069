/* reload - how often the files are looked at; config/source.c does it. No part in questions. */
#include "roles/dns/plugin/reload.h"

#define INTERVAL_MS 30000
#define INTERVAL_MIN_MS 2000
#define INTERVAL_MAX_MS (24 * 3600000ULL) /* more is never */
#define JITTER_MS 15000
#define JITTER_MIN_MS 1000

static int reload_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct reload *r = *settings = xmalloc(sizeof(*r));
	const struct corefile_line *l = &d->head;

	(void)scope;
	*r = (struct reload){ INTERVAL_MS, JITTER_MS };
	if (l->n > 3)
		return directive_error(e, l, "reload", "takes INTERVAL and JITTER only, not '%s'", l->words[3]);
	if (l->n > 1 && (!directive_duration_ms(l->words[1], INTERVAL_MAX_MS, &r->interval_ms) || r->interval_ms < INTERVAL_MIN_MS))
		return directive_error(e, l, "reload", "'%s' is no interval: expected 2s to 24h", l->words[1]);
	if (l->n > 2 && (!directive_duration_ms(l->words[2], INTERVAL_MAX_MS, &r->jitter_ms) || (r->jitter_ms && r->jitter_ms < JITTER_MIN_MS)))
		return directive_error(e, l, "reload", "'%s' is no jitter: expected 0s, or 1s to 24h", l->words[2]);
	r->jitter_ms = MIN(r->jitter_ms, r->interval_ms / 2);
	return 0;
}

const struct plugin plugin_reload = {
	.name = "reload",
	.args = "[INTERVAL [JITTER]]",
	.doc = "looks every INTERVAL (30s; at least 2s), give or take half of JITTER (15s), whether the Corefile, what it imports or a certificate has changed, and "
	       "takes it over when it is right; a wrong one is told with its line, and the old one stays",
	.once = true,
	.parse = reload_parse,
	.free_settings = free,
};
