/* kubernetes.c - the cluster's own names. CoreDNS' plugin/kubernetes; what the names are is in zone/.
 *
 * Each zone given that is no reverse zone is a zone of its own with the same options; the first one has the reverse zones.
 */
#include "roles/dns/plugin/kubernetes.h"

#include "kube/object/selector.h"
#include "roles/config.h"
#include "roles/dns/plugin/zone_set.h"
#include "roles/dns/serve/request.h"
#include "roles/dns/zone/cluster.h"

#include <stdio.h>

#define NAME "kubernetes"
#define ZONES_MAX 8	    /* each is a copy of the whole table */
#define NAMESPACES_MAX 1024 /* words of one line */
#define STARTUP_TIMEOUT_MAX_MS (600u * 1000)
#define STARTUP_TIMEOUT_NONE UINT64_MAX /* not given */

struct kubernetes {
	struct zone_options options; /* of the first zone; texts are owned */
	struct dns_name zones[ZONES_MAX];
	struct zone *started[ZONES_MAX];
	size_t n_zones;
	char **namespaces, *labels, *namespace_labels;
	size_t n_namespaces;
	uint64_t startup_timeout_ms;
};

void kubernetes_options(const struct plugin_instance *i, struct zone_options *ret)
{
	const struct kubernetes *k = i->settings;

	*ret = k->options;
	ret->domain = k->zones[0];
}

static void kubernetes_free(void *settings)
{
	struct kubernetes *k = settings;

	if (!k)
		return;
	for (size_t i = 0; i < k->n_namespaces; i++)
		free(k->namespaces[i]);
	free(k->namespaces);
	free(k->labels);
	free(k->namespace_labels);
	free(k);
}

/* ---- properties ---- */

struct reading {
	struct kubernetes *k;
	const struct corefile_line *line;
	const struct plugin_scope *scope;
	struct err *e;
};

static int wants(const struct reading *r, const char *args)
{
	return directive_error(r->e, r->line, NAME, "%s is written '%s%s%s'", r->line->words[0], r->line->words[0], args[0] ? " " : "",
			       args);
}

static int read_pods(struct reading *r)
{
	static const char *const modes[] = { [ZONE_PODS_DISABLED] = "disabled",
					     [ZONE_PODS_INSECURE] = "insecure",
					     [ZONE_PODS_VERIFIED] = "verified" };

	for (size_t i = 0; r->line->n == 2 && i < ARRAY_LEN(modes); i++)
		if (strcmp(r->line->words[1], modes[i]) == 0) {
			r->k->options.pods = (enum zone_pods)i;
			return 0;
		}
	return wants(r, "disabled', 'pods insecure' or 'pods verified");
}

static int read_flag(struct reading *r, bool *flag)
{
	if (r->line->n != 1)
		return wants(r, "");
	*flag = true;
	return 0;
}

static int read_endpoint_pod_names(struct reading *r)
{
	return read_flag(r, &r->k->options.endpoint_pod_names);
}

static int read_noendpoints(struct reading *r)
{
	return read_flag(r, &r->k->options.no_endpoints);
}

static int read_ignore(struct reading *r)
{
	if (r->line->n != 2 || strcmp(r->line->words[1], "empty_service") != 0)
		return wants(r, "empty_service");
	r->k->options.ignore_empty_service = true;
	return 0;
}

static int read_ttl(struct reading *r)
{
	uint64_t ttl;

	if (r->line->n != 2 || !directive_number(r->line->words[1], 0, ZONE_TTL_MAX, &ttl))
		return wants(r, "SECONDS', from 0 to 3600, as in 'ttl 30");
	r->k->options.ttl = (uint32_t)ttl;
	return 0;
}

static int read_startup_timeout(struct reading *r)
{
	if (r->line->n != 2 || !directive_duration_ms(r->line->words[1], STARTUP_TIMEOUT_MAX_MS, &r->k->startup_timeout_ms))
		return wants(r, "DURATION', at most 10m, as in 'startup_timeout 5s");
	return 0;
}

static int read_namespaces(struct reading *r)
{
	struct kubernetes *k = r->k;
	size_t more = r->line->n - 1;

	if (!more)
		return wants(r, "NAMESPACE…");
	if (k->n_namespaces + more > NAMESPACES_MAX)
		return directive_error(r->e, r->line, NAME, "at most %d namespaces can be listed; namespace_labels selects any number",
				       NAMESPACES_MAX);
	k->namespaces = xrealloc(k->namespaces, (k->n_namespaces + more + 1) * sizeof(*k->namespaces));
	for (size_t i = 0; i < more; i++)
		k->namespaces[k->n_namespaces++] = xstrdup(r->line->words[1 + i]);
	k->namespaces[k->n_namespaces] = NULL;
	k->options.namespaces = (const char *const *)k->namespaces;
	return 0;
}

/* "environment in (staging, qa),application=nginx" comes as several words. */
static int read_selector(struct reading *r, char **text, const char **option)
{
	struct buf b;
	struct err why;

	if (r->line->n < 2)
		return wants(r, "EXPRESSION', as in 'labels app=web");
	buf_init(&b, 1 << 16);
	for (size_t i = 1; i < r->line->n; i++)
		buf_printf(&b, "%s%s", i > 1 ? " " : "", r->line->words[i]);
	free(*text);
	*text = buf_take(&b);
	*option = *text;
	struct selector *s = *text ? selector_parse(str_of(*text), &why) : NULL;
	if (!s)
		return directive_error(r->e, r->line, NAME, "'%.200s' is no label selector: %s", *text ? *text : "", why.message);
	selector_free(s);
	return 0;
}

static int read_labels(struct reading *r)
{
	return read_selector(r, &r->k->labels, &r->k->options.labels);
}

static int read_namespace_labels(struct reading *r)
{
	return read_selector(r, &r->k->namespace_labels, &r->k->options.namespace_labels);
}

static int copy_names(const struct reading *r, const struct zone_set *set, struct dns_name *to, size_t *n, const char *what)
{
	for (size_t i = 0; i < set->n; i++) {
		if (*n == ZONE_REVERSE_MAX)
			return directive_error(r->e, r->line, NAME,
					       "more than %d %s: a prefix between two labels makes many; write the zone above it, as "
					       "10.in-addr.arpa or in-addr.arpa, with 'fallthrough' for what is not the cluster's",
					       ZONE_REVERSE_MAX, what);
		to[(*n)++] = set->names[i];
	}
	return 0;
}

static int read_fallthrough(struct reading *r)
{
	struct zone_options *o = &r->k->options;
	struct zone_set set = { 0 };
	int result = zone_set_fallthrough(&set, r->line, NAME, r->e);

	if (result == 0)
		result = copy_names(r, &set, o->fallthrough, &o->n_fallthrough, "fallthrough zones");
	zone_set_done(&set);
	return result;
}

/* The role has one API server, and finds it as all roles do. */
static int read_kubeconfig(struct reading *r)
{
	const struct config *c = r->scope->shared ? r->scope->shared->settings : NULL;

	if (r->line->n != 2 && r->line->n != 3)
		return wants(r, "FILE");
	if (r->line->n == 3)
		return directive_error(r->e, r->line, NAME, "a context cannot be chosen here: make it the file's current-context");
	if (c && !c_eq(c->kubeconfig, r->line->words[1]))
		return directive_error(r->e, r->line, NAME, "start portico with --kubeconfig %.200s; this line may then stay",
				       r->line->words[1]);
	return 0;
}

static int read_no_endpoint(struct reading *r)
{
	return directive_error(r->e, r->line, NAME, "%s: the API server comes from --kubeconfig FILE, or from the pod's service account; "
			       "remove this line", r->line->words[0]);
}

static int read_unsupported(struct reading *r)
{
	return directive_error(r->e, r->line, NAME, "%s is not supported", r->line->words[0]);
}

static int read_transfer(struct reading *r)
{
	return directive_error(r->e, r->line, NAME, "zone transfers are not offered: AXFR and IXFR are answered with REFUSED");
}

/* Of CoreDNS' own client: ours keeps three watches, and lists one page after the other. */
static int read_nothing(struct reading *r)
{
	double value;
	char rest;

	if (r->line->n != 2 || sscanf(r->line->words[1], "%lf%c", &value, &rest) != 1 || value < 0)
		return wants(r, "NUMBER");
	return 0;
}

static const struct property {
	const char *name;
	int (*read)(struct reading *r);
} readers[] = {
	{ "namespaces", read_namespaces },
	{ "labels", read_labels },
	{ "namespace_labels", read_namespace_labels },
	{ "pods", read_pods },
	{ "endpoint_pod_names", read_endpoint_pod_names },
	{ "ttl", read_ttl },
	{ "noendpoints", read_noendpoints },
	{ "fallthrough", read_fallthrough },
	{ "ignore", read_ignore },
	{ "startup_timeout", read_startup_timeout },
	{ "kubeconfig", read_kubeconfig },
	{ "apiserver_qps", read_nothing },
	{ "apiserver_burst", read_nothing },
	{ "apiserver_max_inflight", read_nothing },
	{ "endpoint", read_no_endpoint },
	{ "tls", read_no_endpoint },
	{ "transfer", read_transfer },
	{ "multicluster", read_unsupported },
	{ "zonal", read_unsupported },
};

static int read_property(struct reading *r)
{
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		if (strcmp(r->line->words[0], readers[i].name) == 0)
			return readers[i].read(r);
	return directive_error(r->e, r->line, NAME, "unknown property '%.100s'", r->line->words[0]);
}

/* ---- the directive ---- */

static bool is_reverse(const struct dns_name *n)
{
	static const uint8_t v4[] = "\7in-addr\4arpa", v6[] = "\3ip6\4arpa";

	return (n->len >= sizeof(v4) && memcmp(n->wire + n->len - sizeof(v4), v4, sizeof(v4)) == 0) ||
	       (n->len >= sizeof(v6) && memcmp(n->wire + n->len - sizeof(v6), v6, sizeof(v6)) == 0);
}

static int read_zones(struct reading *r)
{
	struct kubernetes *k = r->k;
	struct zone_set all = { 0 }, reverse = { 0 };
	int result = zone_set_parse(&all, r->line->words + 1, r->line->n - 1, r->line, NAME, r->scope, r->e);

	for (size_t i = 0; result == 0 && i < all.n; i++) {
		reverse = (struct zone_set){ &all.names[i], 1 };
		if (is_reverse(&all.names[i]))
			result = copy_names(r, &reverse, k->options.reverse, &k->options.n_reverse, "reverse zones");
		else if (k->n_zones == ZONES_MAX)
			result = directive_error(r->e, r->line, NAME, "more than %d zones", ZONES_MAX);
		else
			k->zones[k->n_zones++] = all.names[i];
	}
	zone_set_done(&all);
	if (result == 0 && !k->n_zones)
		result = directive_error(r->e, r->line, NAME, "at least one zone has to be no reverse zone, as in 'kubernetes %s in-addr.arpa ip6.arpa'",
					 r->scope->cluster_domain ? r->scope->cluster_domain : "cluster.local");
	if (result == 0)
		k->options.domain = k->zones[0];
	return result;
}

static int kubernetes_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct kubernetes *k = xcalloc(1, sizeof(*k));
	struct reading r = { .k = k, .line = &d->head, .scope = scope, .e = e };

	*settings = k;
	k->options.ttl = ZONE_TTL_DEFAULT;
	k->startup_timeout_ms = STARTUP_TIMEOUT_NONE;
	if (read_zones(&r) < 0)
		return -1;
	for (size_t i = 0; i < d->n_body; i++) {
		r.line = &d->body[i];
		if (read_property(&r) < 0)
			return -1;
	}
	if (k->namespaces && k->namespace_labels)
		return directive_error(e, &d->head, NAME, "namespaces and namespace_labels cannot both be set: keep one");
	return 0;
}

/* ---- life ---- */

static int kubernetes_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct kubernetes *k = i->settings;
	struct zone_options o = k->options;

	(void)e;
	for (size_t z = 0; z < k->n_zones; z++) {
		o.domain = k->zones[z];
		k->started[z] = cluster_zone(s->cluster, &o);
		o.n_reverse = 0;
	}
	i->started = k->started[0];
	return 0;
}

static void kubernetes_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct kubernetes *k = i->settings;

	for (size_t z = 0; z < k->n_zones && k->started[z]; z++) {
		cluster_zone_put(s->cluster, k->started[z]);
		k->started[z] = NULL;
	}
	i->started = NULL;
}

/* ---- questions ---- */

/* An ExternalName's target is being asked for. */
struct chase {
	struct request *request;
	const struct zone *zone;
};

static void note(struct request *r, const struct zone *z)
{
	char text[512];

	if (!request_explains(r))
		return;
	zone_explain(z, &r->query, text, sizeof(text));
	request_note(r, NAME ": %s", text);
}

static void answer_chased(struct request *r, const struct zone *z, const struct dns_message *said)
{
	struct zone_answer a;
	uint8_t *out = request_space(r);

	/* The Service may be another one by now: what is known of it now counts, but nobody is asked a second time. */
	if (zone_answer_chased(z, &r->query, out, DNS_MESSAGE_BYTES_MAX, said, r->worker->pick++, &a) == ZONE_ANSWERED)
		request_set_answer(r, out, a.len, FROM_ZONE);
	else
		request_set_rcode(r, DNS_SERVFAIL, FROM_ZONE);
}

static void chased(void *ctx, struct request *child)
{
	struct chase *c = ctx;
	struct request *r = c->request;
	struct dns_message said;
	struct str bytes = { (const char *)child->answer.bytes, child->answer.len };

	if (!bytes.len || !dns_message_parse(bytes, &said))
		said = (struct dns_message){ 0 };
	answer_chased(r, c->zone, &said);
	free(c);
	request_resume(r, PLUGIN_ANSWERED);
}

static enum plugin_verdict chase(struct request *r, const struct zone *z, const struct dns_name *target)
{
	const struct dns_message nothing = { 0 };
	struct chase *c = xmalloc(sizeof(*c));
	char text[DNS_NAME_TEXT_BYTES];

	*c = (struct chase){ r, z };
	request_note(r, NAME ": an ExternalName: asking for %s", dns_name_text(target, text));
	if (request_ask(r, target, r->query.type, false, chased, c))
		return PLUGIN_LATER;
	free(c);
	answer_chased(r, z, &nothing);
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict ask_zone(struct request *r, const struct zone *z)
{
	struct zone_answer a;
	uint8_t *out = request_space(r);

	switch (zone_answer(z, &r->query, out, DNS_MESSAGE_BYTES_MAX, r->worker->pick++, &a)) {
	case ZONE_ANSWERED:
		note(r, z);
		request_set_answer(r, out, a.len, FROM_ZONE);
		return PLUGIN_ANSWERED;
	case ZONE_CHASE:
		return chase(r, z, &a.target);
	case ZONE_NOT_OURS:
		break;
	}
	return PLUGIN_NEXT;
}

static enum plugin_verdict kubernetes_ask(struct request *r, struct plugin_instance *i)
{
	const struct kubernetes *k = i->settings;
	enum plugin_verdict v = PLUGIN_NEXT;

	for (size_t z = 0; z < k->n_zones && v == PLUGIN_NEXT; z++)
		if (k->started[z])
			v = ask_zone(r, k->started[z]);
	return v;
}

static bool kubernetes_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct kubernetes *k = i->settings;

	for (size_t z = 0; z < k->n_zones; z++)
		if (dns_name_under(&k->zones[z], zone) || dns_name_under(zone, &k->zones[z]))
			return true;
	for (size_t z = 0; z < k->options.n_reverse; z++)
		if (dns_name_under(&k->options.reverse[z], zone) || dns_name_under(zone, &k->options.reverse[z]))
			return true;
	return false;
}

static bool kubernetes_ready(const struct plugin_instance *i)
{
	const struct kubernetes *k = i->settings;

	for (size_t z = 0; z < k->n_zones; z++)
		if (!k->started[z] || !zone_synced(k->started[z]))
			return false;
	return true;
}

const struct plugin plugin_kubernetes = {
	.name = NAME,
	.args = "[ZONES…]",
	.doc = "Answers for the cluster's Services and pods, as the Kubernetes DNS specification 1.1.0 says. Without zones those of the "
	       "server block; reverse zones (in-addr.arpa, 10.96.0.0/16, ip6.arpa) are answered with PTR records of ClusterIPs and "
	       "endpoints.",
	.properties =
		(const struct plugin_property[]){
			{ "namespaces", "NAMESPACE…", "only these namespaces are served; others do not exist" },
			{ "labels", "EXPRESSION", "only objects (Services, EndpointSlices, pods) that this label selector selects" },
			{ "namespace_labels", "EXPRESSION", "only namespaces that this label selector selects; not together with namespaces" },
			{ "pods", "disabled|insecure|verified",
			  "names of pods, 10-244-0-5.NAMESPACE.pod.ZONE: none (the default), whatever the label says, or only addresses that a "
			  "pod of the namespace has (all pods are watched then)" },
			{ "endpoint_pod_names", "",
			  "endpoints without a hostname are named by their pod, not by their address, if its name is at most 63 long" },
			{ "ttl", "SECONDS", "of all records, 0 to 3600; 5 if not given" },
			{ "noendpoints", "", "EndpointSlices are not watched: headless Services and endpoints have no names" },
			{ "fallthrough", "[ZONES…]", "names that do not exist are the next plug-in's: of these zones, or all" },
			{ "ignore", "empty_service", "a Service without a ready endpoint does not exist" },
			{ "startup_timeout", "DURATION",
			  "how long the first list is waited for before questions are answered, with SERVFAIL until it is there; 5s" },
			{ "kubeconfig", "FILE", "accepted when it is the file given with --kubeconfig; otherwise an error" },
			{ "apiserver_qps", "NUMBER", "accepted; without effect: there are three watches, and lists come page by page" },
			{ "apiserver_burst", "NUMBER", "accepted; without effect, as apiserver_qps" },
			{ "apiserver_max_inflight", "NUMBER", "accepted; without effect, as apiserver_qps" },
			{ "endpoint", "URL", "an error: the API server comes from --kubeconfig, or from the pod's service account" },
			{ "tls", "CERT KEY CACERT", "an error, as endpoint" },
			{ "transfer", "…", "an error: zone transfers are not offered, AXFR and IXFR are answered with REFUSED" },
			{ "multicluster", "[ZONES…]", "an error: not supported" },
			{ "zonal", "", "an error: not supported" },
			{ 0 } },
	.parse = kubernetes_parse,
	.free_settings = kubernetes_free,
	.start = kubernetes_start,
	.stop = kubernetes_stop,
	.ask = kubernetes_ask,
	.touches = kubernetes_touches,
	.ready = kubernetes_ready,
};

uint64_t kubernetes_startup_timeout_ms(const struct dns_config *c, uint64_t otherwise_ms)
{
	uint64_t longest = STARTUP_TIMEOUT_NONE;

	for (size_t i = 0; i < c->n_blocks; i++) {
		const struct kubernetes *k = dns_block_settings(&c->blocks[i], &plugin_kubernetes);
		if (k && k->startup_timeout_ms != STARTUP_TIMEOUT_NONE)
			longest = longest == STARTUP_TIMEOUT_NONE ? k->startup_timeout_ms : MAX(longest, k->startup_timeout_ms);
	}
	return longest == STARTUP_TIMEOUT_NONE ? otherwise_ms : longest;
}

struct zone *kubernetes_whole_zone(const struct dns_config *c)
{
	struct zone *any = NULL;

	for (size_t i = 0; i < c->n_blocks; i++) {
		const struct kubernetes *k = dns_block_settings(&c->blocks[i], &plugin_kubernetes);
		if (!k)
			continue;
		if (!k->options.labels && !k->options.namespaces && !k->options.no_endpoints)
			return k->started[0];
		any = k->started[0];
	}
	return any;
}
