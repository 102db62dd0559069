/* What is asked of a configuration that is in use. */
#include "roles/dns/config/config_int.h"
#include "roles/dns/plugin/kubernetes.h"

extern const struct plugin plugin_kubernetes;

const struct dns_block *dns_config_block(const struct dns_config *c, enum dns_transport t, uint16_t port, const struct dns_name *name)
{
	return block_index_find(c->index_, t, port, name);
}

void *dns_block_settings(const struct dns_block *b, const struct plugin *p)
{
	for (size_t i = 0; i < b->n_plugins; i++)
		if (b->plugins[i].plugin == p)
			return b->plugins[i].settings;
	return NULL;
}

const char *const *dns_config_files(const struct dns_config *c)
{
	return c->text->files;
}

uint64_t dns_config_digest(const struct dns_config *c)
{
	return c->text->digest;
}

/* Could it want to see a question that the cluster's zone answers, or its answer? */
static bool interferes(const struct plugin_instance *i, const struct zone_options *o)
{
	if (!i->plugin->ask && !i->plugin->answer)
		return false;
	if (!i->plugin->touches || i->plugin->touches(i, &o->domain))
		return true;
	for (size_t r = 0; r < o->n_reverse; r++)
		if (i->plugin->touches(i, &o->reverse[r]))
			return true;
	return false;
}

static const struct plugin_instance *kubernetes_of(const struct dns_block *b)
{
	for (size_t i = 0; i < b->n_plugins; i++)
		if (b->plugins[i].plugin == &plugin_kubernetes)
			return &b->plugins[i];
	return NULL;
}

bool dns_block_is_direct(const struct dns_block *b, const struct plugin_instance **ret_obstacle)
{
	const struct plugin_instance *kubernetes = kubernetes_of(b);
	struct zone_options o;

	*ret_obstacle = NULL;
	if (!kubernetes)
		return false;
	kubernetes_options(kubernetes, &o);
	for (const struct plugin_instance *i = b->plugins; i < kubernetes && !*ret_obstacle; i++)
		if (interferes(i, &o))
			*ret_obstacle = i;
	return !*ret_obstacle;
}

bool dns_block_find_direct(struct dns_block *b)
{
	const struct plugin_instance *obstacle;
	struct zone *zone = dns_block_is_direct(b, &obstacle) ? kubernetes_of(b)->started : NULL;

	return __atomic_exchange_n(&b->direct, zone, __ATOMIC_ACQ_REL) != zone;
}

/* ---- what has no effect ---- */

static bool is_accepted_only(const char *doc)
{
	return doc && (doc[0] == 'a' || doc[0] == 'A') && strncmp(doc + 1, "ccepted; ", 9) == 0;
}

static void warn_of_properties(const struct plugin *p, const struct directive *d, dns_config_tell_fn *tell, void *ctx)
{
	struct err e;

	for (size_t i = 0; i < d->n_body; i++)
		for (const struct plugin_property *q = p->properties; q && q->name; q++)
			if (is_accepted_only(q->doc) && strcmp(q->name, d->body[i].words[0]) == 0) {
				directive_error(&e, &d->body[i], p->name, "%s is %s", q->name, q->doc);
				tell(ctx, e.message);
			}
}

void dns_config_warnings(const struct dns_config *c, dns_config_tell_fn *tell, void *ctx)
{
	struct err e;

	for (size_t b = 0; b < c->text->n_blocks; b++)
		for (size_t i = 0; i < c->text->blocks[b].n; i++) {
			const struct directive *d = &c->text->blocks[b].directives[i];
			const struct plugin *p = plugin_find(d->head.words[0]);
			if (!p)
				continue;
			if (is_accepted_only(p->doc)) {
				directive_error(&e, &d->head, NULL, "%s is %s", p->name, p->doc);
				tell(ctx, e.message);
			}
			warn_of_properties(p, d, tell, ctx);
		}
}
