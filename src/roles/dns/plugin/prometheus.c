/* prometheus - where the metrics are read. Questions are counted whether it is there or not. */
#include "roles/dns/plugin/listener.h"

extern const struct plugin plugin_prometheus;

static int parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	*settings = listener_parse(d, "prometheus", "localhost:9153", ADMIN_METRICS, e);
	for (size_t i = 0; *settings && i < d->n_body; i++)
		if (c_eq(d->body[i].words[0], "tls"))
			return directive_error(e, &d->body[i], "prometheus",
					       "metrics are served without TLS; put a proxy before it, and an address that only it reaches");
	return *settings ? 0 : -1;
}

static const struct plugin_property properties[] = {
	{ "runtime_metrics", "", "accepted; there is no Go runtime to tell about" },
	{ "tls", "FILE", "refused: metrics are served without TLS" },
	{ 0 },
};

const struct plugin plugin_prometheus = {
	.name = "prometheus",
	.args = "[ADDRESS]",
	.doc = "Serves /metrics at ADDRESS [localhost:9153], under CoreDNS' names.",
	.properties = properties,
	.once = true,
	.parse = parse,
	.free_settings = listener_settings_free,
	.start = listener_start,
	.stop = listener_stop,
	.touches = listener_touches,
};
