/* /query: how an answer comes about, for a pod: name after name, as its resolver asks them. */
#include "roles/dns/observe/admin_int.h"
#include "roles/dns/observe/query_name.h"
#include "roles/dns/observe/search.h"

#include "base/file.h"
#include "codec/dns_text.h"
#include "kube/client/client.h"
#include "roles/config.h"

#include <arpa/inet.h>
#include <stdio.h>

#define QUERIES_MAX 16
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_BYTES_MAX (64u << 10)

struct query {
	struct dns_shared *shared;
	struct http_exchange *x; /* NULL: the reader went away */
	struct kube_call *call;
	char *name;
	uint16_t type;
	struct dns_client client;
	struct search_plan plan;
	size_t at, found;
	bool by_ip;	  /* of a client that may be no pod */
	bool cluster_dns; /* the pod asks us */
	json_t *doc, *names;
};
static unsigned n_queries;

static void ask_next(struct query *q);

/* ---- the end ---- */
static void query_free(struct query *q)
{
	kube_cancel(q->call);
	search_plan_done(&q->plan);
	json_decref(q->doc);
	free(q->name);
	free(q);
	n_queries--;
}

/* Resolvers go on to the next name, but what they tell in the end is a failure, not that there is no such name. */
static const char *failed_name(const struct query *q)
{
	const json_t *n;
	size_t i;

	json_array_foreach(q->names, i, n) {
		const char *rcode = jx_str_or(n, "rcode", "none");
		if (!c_eq(rcode, "NOERROR") && !c_eq(rcode, "NXDOMAIN"))
			return jx_str_or(n, "name", "");
	}
	return NULL;
}

static void add_hints(struct query *q)
{
	const char *failed = q->found == q->plan.n ? failed_name(q) : NULL;
	char *hint = failed ? xasprintf("'%s' could not be answered: programs see a failure, and may try again", failed) :
			      search_hint(&q->plan, q->found);
	json_t *hints = json_array();

	if (hint)
		json_array_append_new(hints, json_string(hint));
	free(hint);
	if (!q->cluster_dns)
		json_array_append_new(hints, json_string("this pod asks other name servers first: its dnsPolicy leads past the cluster's DNS; "
							 "what follows is what it would get here"));
	json_object_set_new(q->doc, "hints", hints);
}

static void finish(struct query *q)
{
	const json_t *last = json_array_get(q->names, q->found < q->plan.n ? q->found : json_array_size(q->names) - 1);
	struct http_exchange *x = TAKE_PTR(q->x);

	json_object_set_new(q->doc, "result", json_pack("{s:s, s:O*}", "rcode", jx_str_or(last, "rcode", "none"), "answer",
							jx_at(last, "answer")));
	add_hints(q);
	cleanup(freep) char *text = jx_dump_text(q->doc);
	http_on_closed(x, NULL, NULL);
	query_free(q);
	admin_reply(x, 200, "application/json", str_of(text));
}

static void refuse(struct query *q, int status, const char *text)
{
	struct http_exchange *x = TAKE_PTR(q->x);

	http_on_closed(x, NULL, NULL);
	query_free(q);
	admin_reply_text(x, status, text);
}

/* ---- one name after the other ---- */
static void on_name(void *ctx, json_t *result, bool answered)
{
	struct query *q = ctx;

	json_array_append_new(q->names, result);
	if (answered)
		q->found = q->at;
	q->at++;
	if (!q->x)
		query_free(q);
	else if (q->found < q->plan.n || q->at == q->plan.n)
		finish(q);
	else
		ask_next(q);
}

static void ask_next(struct query *q)
{
	query_name_ask(q->shared, q->plan.names[q->at], q->type, &q->client, on_name, q);
}

/* ---- who asks ---- */
static void strings(json_t *to, const char *member, const struct string_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(list, json_string(l->at[i]));
	json_object_set_new(to, member, list);
}

static void describe_pod(struct query *q, const json_t *pod, const struct pod_dns *d)
{
	json_t *from = json_object(), *conf = json_object();
	cleanup(freep) char *name = xasprintf("%s/%s", jx_namespace(pod), jx_name(pod));

	jx_set_str(from, "pod", name);
	jx_set_str(from, "ip", jx_str(pod, "status.podIP"));
	jx_set_str(from, "dnsPolicy", jx_str_or(pod, "spec.dnsPolicy", "ClusterFirst"));
	strings(conf, "nameservers", &d->servers);
	strings(conf, "search", &d->searches);
	strings(conf, "options", &d->options);
	json_object_set_new(from, "resolvConf", conf);
	json_object_set_new(q->doc, "from", from);
}

static void from_pod(struct query *q, const json_t *pod)
{
	const struct config *c = q->shared->settings;
	struct pod_dns host, d;
	struct buf text;
	struct err e;

	buf_init(&text, RESOLV_CONF_BYTES_MAX);
	if (file_read(RESOLV_CONF, &text, &e) < 0)
		buf_clear(&text);
	pod_dns_parse(buf_str(&text), &host);
	pod_dns_of(pod, &(struct pod_dns_cluster){ c->dns_ip, c->cluster_domain, &host }, &d);
	describe_pod(q, pod, &d);
	q->cluster_dns = d.servers.n > 0 && c_eq(d.servers.at[0], c->dns_ip);
	search_plan_make(&q->plan, q->name, &d);
	if (jx_str(pod, "status.podIP") && addr_from_ip(jx_str(pod, "status.podIP"), 0, &q->client.addr, &e) < 0)
		q->client.addr.len = 0;
	pod_dns_done(&d);
	pod_dns_done(&host);
	buf_done(&text);
}

static void begin(struct query *q)
{
	struct err e;

	if (q->plan.n == 0) { /* no pod: the name as it stands */
		struct pod_dns none = { 0 };
		search_plan_make(&q->plan, q->name, &none);
	}
	if (q->client.addr.len == 0 && addr_from_ip("127.0.0.1", 0, &q->client.addr, &e) < 0)
		q->client.addr.len = 0;
	q->found = q->plan.n;
	ask_next(q);
}

/* Lists with one item at most: CoreDNS' ClusterRole has no `get`. */
static void on_pod(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct query *q = ctx;
	const json_t *pod = json_array_get(jx_at(obj, "items"), 0);
	char text[ERR_MESSAGE_BYTES + 64];

	(void)status;
	q->call = NULL;
	if (e && !q->by_ip) {
		snprintf(text, sizeof(text), "the pod cannot be read: %s", e->message);
		refuse(q, 502, text);
		return;
	}
	if (!pod && !q->by_ip) {
		refuse(q, 404, "there is no such pod");
		return;
	}
	if (pod && !e)
		from_pod(q, pod);
	begin(q);
}

static void on_closed(void *ctx)
{
	struct query *q = ctx;

	q->x = NULL;
	if (q->call)
		query_free(q); /* otherwise it is with a worker, and comes back */
}

/* ---- the request ---- */
/* -1 after an answer. */
static int read_parameters(struct query *q, struct http_exchange *x, char **ret_path)
{
	struct str query = http_request_of(x)->query;
	const char *name = http_query_get(query, "name", http_arena(x)), *type = http_query_get(query, "type", http_arena(x));
	const char *pod = http_query_get(query, "pod", http_arena(x)), *client = http_query_get(query, "client", http_arena(x));
	struct dns_name parsed;
	struct str rest;
	struct err e;

	q->type = DNS_A;
	if (!name || !dns_name_from_escaped(str_of(name), &parsed))
		return admin_reply_text(x, 400, "name is a domain name of at most 253 characters, with labels of at most 63"), -1;
	if (type && !dns_type_from_text(str_of(type), &q->type))
		return admin_reply_text(x, 400, "type is a record type such as A, AAAA, SRV or TYPE65"), -1;
	if (client && addr_from_ip(client, 0, &q->client.addr, &e) < 0)
		return admin_reply_text(x, 400, "client is an IP address"), -1;
	if (pod) {
		struct str ns = str_cut(str_of(pod), '/', &rest);
		if (!rest.len || !ns.len || strchr(rest.ptr, '/') || pod[strspn(pod, "abcdefghijklmnopqrstuvwxyz0123456789.-/")])
			return admin_reply_text(x, 400, "pod is NAMESPACE/NAME"), -1;
		*ret_path = xasprintf("/api/v1/namespaces/" STR_FMT "/pods?fieldSelector=metadata.name%%3D" STR_FMT, STR_ARG(ns), STR_ARG(rest));
	} else if (client) {
		q->by_ip = true;
		*ret_path = xasprintf("/api/v1/pods?fieldSelector=status.podIP%%3D%s", client);
	}
	q->name = xstrdup(name);
	return 0;
}

void admin_query(struct dns_shared *s, struct http_exchange *x)
{
	struct query *q;
	char *path = NULL;
	char type[DNS_TEXT_TYPE_BYTES];

	if (n_queries == QUERIES_MAX || !s->workers || !dns_config_now(s)) {
		admin_reply_text(x, 503, "not ready, or too many ask at once");
		return;
	}
	q = xcalloc(1, sizeof(*q));
	if (read_parameters(q, x, &path) < 0) {
		free(q);
		return;
	}
	n_queries++;
	q->shared = s;
	q->x = x;
	q->cluster_dns = true;
	q->names = json_array();
	q->doc = json_pack("{s:s, s:s, s:o}", "name", q->name, "type", dns_type_text(q->type, type), "names", q->names);
	http_on_closed(x, on_closed, q);
	if (path && s->kube)
		q->call = kube_request(s->kube, "GET", path, NULL, NULL, on_pod, q);
	else if (path && !q->by_ip)
		refuse(q, 503, "pods are not known here: there is no API server");
	else
		begin(q);
	free(path);
}
