/* What is understood for CoreDNS' sake and has nothing to do here. No part in questions. */
#include "roles/dns/plugin/plugin.h"

static int debug_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	(void)settings;
	return d->head.n == 1 ? 0 : directive_error(e, &d->head, "debug", "takes nothing, not '%s'", d->head.words[1]);
}

const struct plugin plugin_debug = {
	.name = "debug",
	.args = "",
	.doc = "accepted; without effect: `--log-level debug` tells more",
	.parse = debug_parse,
};

#define SOCKETS_MAX 1024 /* CoreDNS' */

static int multisocket_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	uint64_t n;

	(void)scope;
	(void)settings;
	if (d->head.n > 2 || (d->head.n == 2 && !directive_number(d->head.words[1], 1, SOCKETS_MAX, &n)))
		return directive_error(e, &d->head, "multisocket", "takes one number, 1 to %u", SOCKETS_MAX);
	return 0;
}

const struct plugin plugin_multisocket = {
	.name = "multisocket",
	.args = "[NUMBER]",
	.doc = "accepted; without effect: every worker has sockets of its own, and `--workers` says how many there are",
	.once = true,
	.parse = multisocket_parse,
};

static int timeouts_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	uint64_t v;

	(void)scope;
	(void)settings;
	if (d->head.n > 1)
		return directive_error(e, &d->head, "timeouts", "takes its settings in braces, not '%s'", d->head.words[1]);
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *l = &d->body[i];
		bool count = strcmp(l->words[0], "maxtcpqueries") == 0;
		if (l->n != 2 || !(count ? strcmp(l->words[1], "-1") == 0 || directive_number(l->words[1], 1, INT32_MAX, &v) :
					   directive_duration_ms(l->words[1], 24 * 3600000ULL, &v)))
			return directive_error(e, l, "timeouts", "%s needs %s", l->words[0], count ? "a number, or -1" : "a duration such as 10s");
	}
	return 0;
}

static const struct plugin_property timeouts_properties[] = {
	{ "read", "DURATION", "of a question over TCP" },
	{ "write", "DURATION", "of an answer over TCP" },
	{ "idle", "DURATION", "of a connection without questions" },
	{ "maxtcpqueries", "NUMBER", "questions of one connection" },
	{ NULL },
};
const struct plugin plugin_timeouts = {
	.name = "timeouts",
	.args = "",
	.doc = "accepted; without effect: the times of connections are fixed",
	.properties = timeouts_properties,
	.once = true,
	.parse = timeouts_parse,
};
