/* Blocks from directives: names, plug-ins in their order, what concerns the whole block. */
#include "roles/dns/config/config_int.h"

#include "base/file.h"
#include "roles/dns/plugin/bind.h"
#include "roles/dns/plugin/chaos.h"
#include "roles/dns/plugin/tls.h"

struct builder {
	struct dns_config *config;
	const char *name;
	const struct plugin_scope *scope;
	dns_config_tell_fn *tell; /* NULL: the first error ends it */
	void *tell_ctx;
	bool failed;
	size_t n_zones;
	struct err *e;
};

/* What of a text's block has one transport and port. */
struct group {
	enum dns_transport transport;
	uint16_t port;
	struct zone_names zones;
};

/* After an error: shall it go on? */
static int problem(struct builder *b)
{
	b->failed = true;
	if (!b->tell)
		return -1;
	b->tell(b->tell_ctx, b->e->message);
	return 0;
}

/* ---- plug-ins of a block ---- */

static struct plugin_instance *find_instance(const struct dns_block *k, const struct plugin *p)
{
	for (size_t i = 0; i < k->n_plugins; i++)
		if (k->plugins[i].plugin == p)
			return &k->plugins[i];
	return NULL;
}

/* "cache: 'x' is none of its properties: they are success, denial". */
static int unknown_property(struct builder *b, const struct plugin *p, const struct corefile_line *line)
{
	struct buf names;

	buf_init(&names, ERR_MESSAGE_BYTES);
	for (const struct plugin_property *q = p->properties; q->name; q++)
		buf_printf(&names, "%s%s", q == p->properties ? "" : ", ", q->name);
	directive_error(b->e, line, p->name, "'%.64s' is none of its properties, which are %s", line->words[0], names.ptr ? names.ptr : "none");
	buf_done(&names);
	return -1;
}

/* A name in capitals stands for any word. */
static bool stands_for_any(const char *name)
{
	return name[0] >= 'A' && name[0] <= 'Z';
}

static int check_properties(struct builder *b, const struct plugin *p, const struct directive *d)
{
	if (d->n_body && !p->properties)
		return directive_error(b->e, &d->body[0], p->name, "it takes no braces");
	for (size_t i = 0; i < d->n_body; i++) {
		const struct plugin_property *q = p->properties;
		while (q->name && !stands_for_any(q->name) && strcmp(q->name, d->body[i].words[0]) != 0)
			q++;
		if (!q->name)
			return unknown_property(b, p, &d->body[i]);
	}
	return 0;
}

static int read_directive(struct builder *b, struct dns_block *k, const struct plugin_scope *scope, const struct directive *d)
{
	const struct plugin *p = plugin_find(d->head.words[0]);
	struct plugin_instance *i = p ? find_instance(k, p) : NULL;

	if (!p)
		return dns_config_unknown(b->e, &d->head);
	if (i && p->once)
		return directive_error(b->e, &d->head, p->name, "a second one in this block; the first is in line %u", i->at.line);
	if (check_properties(b, p, d) < 0)
		return -1;
	if (!i || !p->more) {
		if (k->n_plugins == DNS_BLOCK_PLUGINS_MAX)
			return directive_error(b->e, &d->head, p->name, "more than %u plug-ins in a block", DNS_BLOCK_PLUGINS_MAX);
		i = &k->plugins[k->n_plugins++];
		*i = (struct plugin_instance){ .plugin = p, .at = d->head };
	}
	return p->parse(d, scope, &i->settings, b->e);
}

static size_t rank(const struct plugin *p)
{
	size_t i = 0;

	while (dns_plugins[i] != p)
		i++;
	return i;
}

/* In the order they act; those of one kind as they stand in the text. */
static void sort_plugins(struct dns_block *k)
{
	for (size_t i = 1; i < k->n_plugins; i++) {
		struct plugin_instance one = k->plugins[i];
		size_t at = i;
		for (; at && rank(k->plugins[at - 1].plugin) > rank(one.plugin); at--)
			k->plugins[at] = k->plugins[at - 1];
		k->plugins[at] = one;
	}
}

/* ---- what concerns the whole block ---- */

static bool has_plugin(const struct dns_block *k, const char *name)
{
	for (size_t i = 0; i < k->n_plugins; i++)
		if (strcmp(k->plugins[i].plugin->name, name) == 0)
			return true;
	return false;
}

/* CoreDNS' label `server` is where it listens. */
static char *server_label(const struct dns_block *k)
{
	const char *ip = k->bind && k->bind[0] ? k->bind[0] : "";
	bool v6 = strchr(ip, ':');

	return xasprintf("%s://%s%s%s:%u", k->transport == DNS_TLS ? "tls" : "dns", v6 ? "[" : "", ip, v6 ? "]" : "", k->port);
}

static int settle_block(struct builder *b, struct dns_block *k)
{
	const struct plugin_instance *bind = find_instance(k, &plugin_bind), *tls = find_instance(k, &plugin_tls);
	const struct plugin_instance *chaos = find_instance(k, &plugin_chaos);

	k->bind = bind && bind->settings ? bind_addresses(bind->settings) : NULL;
	k->tls = tls && tls->settings && k->transport == DNS_TLS ? tls_of_directive(tls->settings) : NULL;
	k->chaos = chaos ? chaos->settings : NULL;
	k->metrics = has_plugin(k, "prometheus") || strcmp(b->name, DNS_CONFIG_BUILTIN) == 0;
	k->server = server_label(k);
	k->plugins = xrealloc(k->plugins, MAX(k->n_plugins, 1u) * sizeof(*k->plugins));
	sort_plugins(k);
	if (k->transport == DNS_TLS && !tls)
		return directive_error(b->e, &k->at, NULL, "tls:// needs a certificate: add `tls CERTIFICATE KEY` to this block");
	return 0;
}

/* ---- blocks ---- */

static const char **zone_texts(struct builder *b, const struct zone_names *z)
{
	struct arena *a = b->config->text->memory_;
	const char **out = arena_alloc(a, (z->n + 1) * sizeof(*out));
	char text[DNS_NAME_TEXT_BYTES];

	for (size_t i = 0; out && i < z->n; i++) {
		size_t len = strlen(dns_name_text(&z->at[i], text));
		out[i] = arena_strndup(a, text, len > 1 ? len - 1 : len);
		if (!out[i])
			return NULL;
	}
	return out;
}

static int build_block(struct builder *b, const struct corefile_block *text, struct group *g)
{
	struct dns_config *c = b->config;
	struct plugin_scope scope = *b->scope;

	b->n_zones += g->zones.n;
	if (c->n_blocks == DNS_BLOCKS_MAX || b->n_zones > DNS_ZONES_MAX)
		return directive_error(b->e, &text->keys, NULL, "more than %u blocks, or more than %u zones", DNS_BLOCKS_MAX, DNS_ZONES_MAX);
	scope.block_zones = zone_texts(b, &g->zones);
	if (!scope.block_zones)
		return directive_error(b->e, &text->keys, NULL, "more than %u bytes with all that is imported", COREFILE_MEMORY_BYTES_MAX);
	struct dns_block *k = &c->blocks[c->n_blocks++];
	*k = (struct dns_block){ .config = c, .at = text->keys, .transport = g->transport, .port = g->port, .zones = g->zones.at,
				 .n_zones = g->zones.n };
	g->zones = (struct zone_names){ 0 };
	k->plugins = xcalloc(DNS_BLOCK_PLUGINS_MAX, sizeof(*k->plugins));
	for (size_t i = 0; i < text->n; i++)
		if (read_directive(b, k, &scope, &text->directives[i]) < 0 && problem(b) < 0)
			return -1;
	return settle_block(b, k);
}

static struct group *group_of(struct group *groups, size_t *n, enum dns_transport t, uint16_t port)
{
	for (size_t i = 0; i < *n; i++)
		if (groups[i].transport == t && groups[i].port == port)
			return &groups[i];
	groups[*n] = (struct group){ .transport = t, .port = port };
	return &groups[(*n)++];
}

/* Names of several ports or transports make a block each, with plug-ins of its own. */
static int build_text_block(struct builder *b, const struct corefile_block *text)
{
	struct group *groups = xcalloc(text->keys.n, sizeof(*groups));
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < text->keys.n && rc == 0; i++) {
		struct zone_names zones = { 0 };
		enum dns_transport transport;
		uint16_t port;
		if (block_key_parse(text->keys.words[i], &text->keys, &zones, &transport, &port, b->e) < 0) {
			rc = problem(b);
			continue;
		}
		struct group *g = group_of(groups, &n, transport, port);
		g->zones.at = xrealloc(g->zones.at, (g->zones.n + zones.n) * sizeof(*zones.at));
		memcpy(g->zones.at + g->zones.n, zones.at, zones.n * sizeof(*zones.at));
		g->zones.n += zones.n;
		zone_names_done(&zones);
	}
	for (size_t i = 0; i < n && rc == 0 && (i == 0 || !b->failed); i++)
		if (build_block(b, text, &groups[i]) < 0)
			rc = problem(b);
	for (size_t i = 0; i < n; i++)
		zone_names_done(&groups[i].zones);
	free(groups);
	return rc;
}

static int build(struct builder *b)
{
	struct dns_config *c = b->config;

	c->blocks = xcalloc(DNS_BLOCKS_MAX, sizeof(*c->blocks));
	for (size_t i = 0; i < c->text->n_blocks; i++)
		if (build_text_block(b, &c->text->blocks[i]) < 0)
			return -1;
	c->blocks = xrealloc(c->blocks, MAX(c->n_blocks, 1u) * sizeof(*c->blocks));
	for (size_t k = 0; k < c->n_blocks; k++)
		for (size_t i = 0; i < c->blocks[k].n_plugins; i++)
			c->blocks[k].plugins[i].block = &c->blocks[k];
	if (!b->failed && c->n_blocks == 0) {
		directive_error(b->e, &(struct corefile_line){ .file = b->name, .line = 1 }, NULL, "no server block: write at least `. { }`");
		return problem(b);
	}
	c->index_ = block_index_new(c, b->e);
	return c->index_ ? 0 : problem(b);
}

static struct dns_config *parse(struct builder *b, struct str text, const char *dir)
{
	struct dns_config *c = b->config = xcalloc(1, sizeof(*c));

	c->text = corefile_parse(text, b->name, dir, b->e);
	if ((!c->text ? problem(b) : build(b)) == 0 && !b->failed)
		return c;
	dns_config_free(c);
	return NULL;
}

struct dns_config *dns_config_parse_in(struct str text, const char *name, const char *dir, const struct plugin_scope *scope, struct err *e)
{
	return parse(&(struct builder){ .name = name, .scope = scope, .e = e }, text, dir);
}

char *dns_config_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? xstrdup(".") : slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

struct dns_config *dns_config_parse(struct str text, const char *name, const struct plugin_scope *scope, struct err *e)
{
	cleanup(freep) char *dir = dns_config_folder(name);

	return dns_config_parse_in(text, name, dir, scope, e);
}

struct dns_config *dns_config_check(struct str text, const char *name, const struct plugin_scope *scope, dns_config_tell_fn *tell, void *ctx)
{
	cleanup(freep) char *dir = dns_config_folder(name);
	struct err e;

	return parse(&(struct builder){ .name = name, .scope = scope, .e = &e, .tell = tell, .tell_ctx = ctx }, text, dir);
}

char *dns_config_builtin(const char *cluster_domain)
{
	return xasprintf(". {\n"
			 "\terrors\n"
			 "\tkubernetes %s in-addr.arpa ip6.arpa {\n"
			 "\t\tpods insecure\n"
			 "\t\tfallthrough in-addr.arpa ip6.arpa\n"
			 "\t\tttl 30\n"
			 "\t}\n"
			 "\tforward . /etc/resolv.conf {\n"
			 "\t\tmax_concurrent 1000\n"
			 "\t}\n"
			 "\tcache 30\n"
			 "\tloop\n"
			 "\treload\n"
			 "\tloadbalance\n"
			 "}\n", cluster_domain);
}

static void block_done(struct dns_block *k)
{
	for (size_t i = 0; i < k->n_plugins; i++)
		if (k->plugins[i].settings && k->plugins[i].plugin->free_settings)
			k->plugins[i].plugin->free_settings(k->plugins[i].settings);
	free(k->plugins);
	free(k->zones);
	free((char *)(uintptr_t)k->server);
}

void dns_config_free(struct dns_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_blocks; i++)
		block_done(&c->blocks[i]);
	block_index_free(c->index_);
	corefile_free(c->text);
	free(c->blocks);
	free(c);
}
