#include "roles/dns/plugin/listener.h"

#include "net/addr.h"

struct listener_settings *listener_parse(const struct directive *d, const char *plugin, const char *address, enum dns_admin_path path,
					 struct err *e)
{
	struct addr addr;
	struct err why;

	if (d->head.n > 2) {
		directive_error(e, &d->head, plugin, "takes one address at most, such as %s", address);
		return NULL;
	}
	if (d->head.n == 2)
		address = d->head.words[1];
	if (!dns_admin_address(address, &addr, &why)) {
		directive_error(e, &d->head, plugin, "'%s' is no ADDRESS:PORT to listen on, such as :8080 or localhost:8080", address);
		return NULL;
	}
	struct listener_settings *s = xcalloc(1, sizeof(*s));
	s->address = xstrdup(address);
	s->path = path;
	return s;
}

void listener_settings_free(void *settings)
{
	struct listener_settings *s = settings;

	if (s)
		free(s->address);
	free(s);
}

int listener_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	const struct listener_settings *set = i->settings;

	i->started = dns_admin_share(s, set->address, set->path, e);
	return i->started ? 0 : err_wrap(e, "%s:%u: %s", i->at.file, i->at.line, i->plugin->name);
}

void listener_stop(struct plugin_instance *i, struct dns_shared *s)
{
	const struct listener_settings *set = i->settings;

	(void)s;
	dns_admin_unshare(i->started, set->path);
}

bool listener_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i;
	(void)zone;
	return false;
}
