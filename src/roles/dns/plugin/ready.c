/* ready - whether questions should be sent here. */
#include "roles/dns/plugin/listener.h"

extern const struct plugin plugin_ready;

static int parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	*settings = listener_parse(d, "ready", ":8181", ADMIN_READY, e);
	for (size_t i = 0; *settings && i < d->n_body; i++) {
		const struct corefile_line *l = &d->body[i];
		if (l->n != 2 || (!c_eq(l->words[1], "until-ready") && !c_eq(l->words[1], "continuously")))
			return directive_error(e, l, "ready", "monitor is until-ready or continuously");
	}
	return *settings ? 0 : -1;
}

static const struct plugin_property properties[] = {
	{ "monitor", "until-ready|continuously", "accepted; it is looked at each time, and what is ready once stays so until the end" },
	{ 0 },
};

const struct plugin plugin_ready = {
	.name = "ready",
	.args = "[ADDRESS]",
	.doc = "Serves /ready at ADDRESS [:8181]: 200 when the cluster's objects have been read, 503 with what is missing before that and "
	       "while the role ends (health's lameduck).",
	.properties = properties,
	.once = true,
	.parse = parse,
	.free_settings = listener_settings_free,
	.start = listener_start,
	.stop = listener_stop,
	.touches = listener_touches,
};
