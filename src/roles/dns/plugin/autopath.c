/* autopath.c - the search list of a client's resolv.conf walked here, in one question instead of up to ten. CoreDNS' plugin/autopath.
 *
 * The elements in the cluster's zone cost a look-up each; only what is left at the end goes upstream, once.
 */
#include "roles/dns/plugin/reply.h"
#include "roles/dns/plugin/zone_set.h"

#include "base/file.h"
#include "roles/dns/zone/cluster.h"

#define AUTOPATH_SEARCH_MAX 12	 /* elements: glibc knew 6 for long, and each costs a question */
#define RESOLV_CONF_BYTES_MAX 65536
#define NAMESPACE_BYTES 64

struct autopath {
	struct zone_set zones;
	bool kubernetes;
	struct dns_name search[AUTOPATH_SEARCH_MAX]; /* behind the namespace's three, when it is the pod's */
	size_t n_search;
};
struct autopath_run {
	struct metric *successes;
	const struct plugin_instance *kubernetes;
};

/* ---- settings ---- */

static void autopath_free(void *settings)
{
	struct autopath *a = settings;

	if (a)
		zone_set_done(&a->zones);
	free(a);
}

/* The last `search` or `domain` line counts, resolv.conf(5). */
static void read_search(struct autopath *a, struct str text)
{
	while (text.ptr) {
		struct str line = str_cut(text, '\n', &text), rest, word = str_cut(str_trim(line), ' ', &rest);
		if (!str_eq_c(word, "search") && !str_eq_c(word, "domain"))
			continue;
		a->n_search = 0;
		while (rest.ptr && a->n_search < AUTOPATH_SEARCH_MAX) {
			word = str_trim(str_cut(rest, ' ', &rest));
			if (word.len && dns_name_from_text(word, &a->search[a->n_search]) && a->search[a->n_search].labels)
				a->n_search++;
		}
	}
}

static int read_resolv_conf(struct autopath *a, const char *path, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, RESOLV_CONF_BYTES_MAX);
	rc = file_read(path, &text, e);
	if (rc == 0) {
		for (size_t i = 0; i < text.len; i++)
			if (text.ptr[i] == '\t' || text.ptr[i] == '\r')
				text.ptr[i] = ' ';
		read_search(a, buf_str(&text));
	}
	buf_done(&text);
	return rc;
}

static int autopath_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct autopath *a = xcalloc(1, sizeof(*a));
	const char *last = d->head.words[d->head.n - 1];
	struct err why;

	*settings = a;
	if (d->head.n < 2)
		return directive_error(e, &d->head, "autopath", "is followed by zones, and a resolv.conf or @kubernetes");
	if (zone_set_parse(&a->zones, d->head.words + 1, d->head.n - 2, &d->head, "autopath", scope, e))
		return -1;
	a->kubernetes = strcmp(last, "@kubernetes") == 0;
	if (last[0] == '@' && !a->kubernetes)
		return directive_error(e, &d->head, "autopath", "\"%s\" is not there: @kubernetes is, and a file", last);
	/* With @kubernetes it is what pods inherit of the machine's list; without one there is nothing of it. */
	if (read_resolv_conf(a, a->kubernetes ? scope->resolv_conf : last, &why) && !a->kubernetes)
		return directive_error(e, &d->head, "autopath", "%s", why.message);
	if (!a->kubernetes && !a->n_search)
		return directive_error(e, &d->head, "autopath", "%s has no search list", last);
	return 0;
}

static int autopath_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct autopath_run *run = xcalloc(1, sizeof(*run));
	const struct autopath *a = i->settings;
	const struct dns_block *b = i->block;

	i->started = run;
	for (size_t k = 0; a->kubernetes && k < b->n_plugins; k++)
		if (strcmp(b->plugins[k].plugin->name, "kubernetes") == 0)
			run->kubernetes = &b->plugins[k];
	if (a->kubernetes && !run->kubernetes)
		return directive_error(e, &i->at, "autopath", "@kubernetes, but there is no kubernetes in this block");
	if (a->kubernetes && s->cluster)
		cluster_want_pods(s->cluster);
	if (s->metrics) {
		struct buf labels;
		buf_init(&labels, 1024);
		metric_label(&labels, "server", b->server);
		run->successes = dns_metric(s->metrics, "coredns_autopath_success_total", METRIC_COUNTER,
					    "Counter of requests that did autopath.", labels.ptr);
		buf_done(&labels);
	}
	return 0;
}

static void autopath_stop(struct plugin_instance *i, struct dns_shared *s)
{
	(void)s;
	free(i->started);
}

/* ---- walking ---- */

struct walk {
	struct request *r;
	struct autopath_run *run;
	size_t n, next;
	uint8_t base_len, base_labels; /* of r->query.name: what the client wanted to know */
	uint8_t *first;		       /* the answer about the first element: what is said when no other is better */
	size_t first_len;
	enum request_source first_from;
	struct dns_name search[AUTOPATH_SEARCH_MAX + 4];
};

static void walk_free(void *p)
{
	struct walk *w = p;

	free(w->first);
	free(w);
}

static bool join(struct dns_name *ret, const uint8_t *head, size_t len, size_t labels, const struct dns_name *tail)
{
	if (len + tail->len > DNS_NAME_BYTES_MAX)
		return false;
	memcpy(ret->wire, head, len);
	memcpy(ret->wire + len, tail->wire, tail->len);
	ret->len = (uint8_t)(len + tail->len);
	ret->labels = (uint8_t)(labels + tail->labels);
	return true;
}

/* namespace.svc.zone, svc.zone, zone */
static size_t pod_search(const struct request *r, const struct autopath_run *run, struct dns_name *ret)
{
	char namespace[NAMESPACE_BYTES];
	uint8_t label[NAMESPACE_BYTES + 1];

	if (!run->kubernetes->started || !cluster_pod_namespace(r->worker->shared->cluster, &r->client.addr, namespace, sizeof(namespace)))
		return 0;
	ret[2] = zone_options(run->kubernetes->started)->domain;
	if (!dns_name_under(&r->query.name, &ret[2]))
		return 0;
	label[0] = (uint8_t)strlen(namespace);
	memcpy(label + 1, namespace, label[0]);
	return join(&ret[1], (const uint8_t *)"\3svc", 4, 1, &ret[2]) && join(&ret[0], label, 1u + label[0], 1, &ret[1]) ? 3 : 0;
}

/* The element's block may be another one, as for a stub domain; in this one the question goes on from here. */
static bool is_here(const struct request *r, const struct dns_name *name)
{
	return dns_config_block(r->config, r->block->transport, r->block->port, name) == r->block;
}

static enum dns_rcode rcode_of(const struct request *r)
{
	return r->answer.len < DNS_HEADER_BYTES ? DNS_SERVFAIL : (enum dns_rcode)(r->answer.bytes[3] & DNS_FLAGS_RCODE);
}

/* The child's answer as the client's: its name is an alias of the one that has it. */
static bool take_answer(struct request *r, const struct request *child)
{
	const struct dns_name *asked = &r->query.name;
	struct dns_message m;
	struct dns_writer w;

	if (!reply_message(child, &m))
		return false;
	reply_start(r, &w);
	if (m.counts[DNS_ANSWER] && (m.name.len != asked->len || memcmp(m.name.wire, asked->wire, asked->len) != 0)) {
		struct dns_record rr = dns_records(&m);
		if (dns_record_next(&m, &rr)) {
			struct dns_rdata rd = { .name = m.name.wire, .name_len = m.name.len };
			dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_CNAME, rr.ttl, &rd);
		}
	}
	reply_copy(&w, &m, true, true, true);
	reply_finish_as(r, &w, &m, child->source);
	r->upstream = child->upstream;
	return true;
}

static void keep_first(struct walk *w, const struct request *child)
{
	w->first = xmalloc(child->answer.len + 1);
	memcpy(w->first, child->answer.bytes, child->answer.len);
	w->first_len = child->answer.len;
	w->first_from = child->source;
}

static void give_up(struct walk *w)
{
	struct request *r = w->r;

	request_note(r, "autopath: no element of the search list has it");
	if (w->first_len)
		request_set_answer(r, w->first, w->first_len, w->first_from);
	else
		request_set_rcode(r, DNS_SERVFAIL, FROM_NOBODY);
	request_resume(r, PLUGIN_ANSWERED);
}

static void ask_next(struct walk *w);

static void on_answer(void *ctx, struct request *child)
{
	struct walk *w = ctx;
	struct request *r = w->r;

	if (w->next == 1)
		keep_first(w, child);
	/* NODATA is an answer: the name is there. */
	if (rcode_of(child) != DNS_NOERROR || !take_answer(r, child)) {
		ask_next(w);
		return;
	}
	plugin_count(w->run->successes, r->worker);
	request_resume(r, PLUGIN_ANSWERED);
}

/* Afterwards the walk, and its request with it, may be gone. */
static void ask_next(struct walk *w)
{
	struct request *r = w->r;

	while (w->next < w->n) {
		struct dns_name name;
		if (!join(&name, r->query.name.wire, w->base_len, w->base_labels, &w->search[w->next++]))
			continue;
		if (request_ask(r, &name, r->query.type, is_here(r, &name), on_answer, w))
			return;
		break;
	}
	give_up(w);
}

/* It is an element of a list that is being walked. */
static bool is_walked(const struct request *r)
{
	for (const struct request *p = r->parent; p; p = p->parent)
		if (p->block == r->block && p->at == r->at && p->scratch[r->at])
			return true;
	return false;
}

static enum plugin_verdict autopath_ask(struct request *r, struct plugin_instance *i)
{
	const struct autopath *a = i->settings;
	struct dns_name search[AUTOPATH_SEARCH_MAX + 4];
	struct autopath_run *run = i->started;
	size_t n = 0;

	if (is_walked(r) || !zone_set_match(&a->zones, &r->query.name))
		return PLUGIN_NEXT;
	if (a->kubernetes)
		n = pod_search(r, run, search);
	if (a->kubernetes && !n)
		return PLUGIN_NEXT;
	memcpy(search + n, a->search, a->n_search * sizeof(search[0]));
	n += a->n_search;
	search[n++] = (struct dns_name){ .len = 1 };
	if (!dns_name_under(&r->query.name, &search[0]) || r->query.name.len == search[0].len)
		return PLUGIN_NEXT;

	struct walk *w = xcalloc(1, sizeof(*w));
	*w = (struct walk){ .r = r, .run = run, .n = n };
	memcpy(w->search, search, n * sizeof(search[0]));
	w->base_len = r->query.name.len - search[0].len;
	w->base_labels = r->query.name.labels - search[0].labels;
	r->scratch[r->at] = w;
	request_on_end(r, r->at, walk_free);
	request_note(r, "autopath: walks %zu elements", n);
	ask_next(w);
	return PLUGIN_LATER;
}

static bool autopath_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct autopath *a = i->settings;

	return zone_set_overlaps(&a->zones, zone);
}

const struct plugin plugin_autopath = {
	.name = "autopath",
	.args = "[ZONES…] RESOLV-CONF|@kubernetes",
	.doc = "walks the search list for a client whose question is the first element's: the answer comes at once, with a CNAME from the "
	       "name that was asked. @kubernetes takes the list of the pod that asks, and has the API server's pods watched; a file's "
	       "list is the same for all",
	.once = true,
	.parse = autopath_parse,
	.free_settings = autopath_free,
	.start = autopath_start,
	.stop = autopath_stop,
	.ask = autopath_ask,
	.touches = autopath_touches,
};
