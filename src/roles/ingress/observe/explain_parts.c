/* What a dry exchange met, as JSON. */
#include "roles/ingress/observe/explain_int.h"

#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/observe/deviation.h"
#include "roles/ingress/upstream/up_fcgi_int.h"

#include <openssl/x509v3.h>

#define HINTS_MAX 20 /* paths of a host that did not match */

json_t *explain_str(struct str s)
{
	json_t *v = json_stringn(s.ptr ? s.ptr : "", s.len);

	if (v)
		return v;
	cleanup(freep) char *copy = str_dup(s);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	return json_stringn(copy, s.len);
}

json_t *explain_headers(const struct header_list *l)
{
	json_t *all = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(all, json_pack("{s:o, s:o}", "name", explain_str(l->at[i].name), "value",
						     explain_str(l->at[i].value)));
	return all;
}

/* ---- certificates ---- */
static void set_bio(json_t *obj, const char *name, BIO *b)
{
	char *text;
	long n = BIO_get_mem_data(b, &text);

	json_object_set_new(obj, name, explain_str((struct str){ text, n > 0 ? (size_t)n : 0 }));
	BIO_free(b);
}

static json_t *alt_names(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	json_t *all = json_array();

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS)
			json_array_append_new(all, explain_str((struct str){ (const char *)ASN1_STRING_get0_data(n->d.dNSName),
									  (size_t)ASN1_STRING_length(n->d.dNSName) }));
	}
	GENERAL_NAMES_free(names);
	return all;
}

void explain_certificate(json_t *doc, const struct shared *s, struct str server_name)
{
	struct tls *own = routes_tls(s->routes, server_name);
	struct tls *t = own ? own : __atomic_load_n(&s->default_tls, __ATOMIC_ACQUIRE);
	X509 *cert = t ? SSL_CTX_get0_certificate(tls_ctx(t)) : NULL;
	BIO *subject = BIO_new(BIO_s_mem()), *until = BIO_new(BIO_s_mem());

	json_t *c = json_pack("{s:o, s:b}", "serverName", explain_str(server_name), "fallback", own == NULL);
	json_object_set_new(doc, "certificate", c);
	if (cert) {
		X509_NAME_print_ex(subject, X509_get_subject_name(cert), 0, XN_FLAG_ONELINE);
		ASN1_TIME_print(until, X509_get0_notAfter(cert));
		json_object_set_new(c, "names", alt_names(cert));
		jx_set_bool(c, "expired", X509_cmp_current_time(X509_get0_notAfter(cert)) < 0);
		jx_set_bool(c, "matches", X509_check_host(cert, server_name.ptr, server_name.len, 0, NULL) == 1);
	}
	set_bio(c, "subject", subject);
	set_bio(c, "notAfter", until);
}

/* ---- hosts and locations ---- */
static const char *host_why(const struct host *h)
{
	if (!h->name[0])
		return "no rule has this host, nor a wildcard for it: the rules without a host";
	return h->name[0] == '*' ? "no rule has this very host: the wildcard for one label" : "a rule has this very host";
}

static const char *type_text(enum path_type t)
{
	return t == PATH_EXACT ? "Exact" : t == PATH_PREFIX ? "Prefix" : "ImplementationSpecific";
}

static const char *path_why(const struct location *loc)
{
	if (loc->host->regex)
		return "an Ingress of this host has rewrite-target or use-regex, so all its paths are regular expressions, any "
		       "case, longest first: the first that matches";
	if (loc->type == PATH_EXACT)
		return "Exact: the path is the same";
	return loc->type == PATH_PREFIX ? "the longest Prefix, element by element" :
					  "the longest prefix, character by character (ImplementationSpecific)";
}

static json_t *host_json(const struct host *h)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:i}", "name", h->name[0] ? h->name : "*", "why", host_why(h), "regex", h->regex,
			 "tls", h->tls, "paths", (int)h->n_all);
}

void explain_host(json_t *doc, const struct shared *s, struct str name)
{
	struct host *h = routes_host(s->routes, name);

	if (!h) {
		json_object_set_new(doc, "host",
				    json_pack("{s:n, s:s}", "name", "why",
					      "no rule has this host, none has a wildcard for it, and none is without a host"));
		return;
	}
	json_t *obj = host_json(h), *paths = json_array();
	for (size_t i = 0; i < h->n_all && i < HINTS_MAX; i++)
		json_array_append_new(paths, json_pack("{s:s, s:s, s:s, s:s}", "path", h->all[i]->path, "type",
						       type_text(h->all[i]->type), "namespace", h->all[i]->ns, "ingress",
						       h->all[i]->ingress));
	json_object_set_new(obj, "unmatched", paths);
	if (h->redirect_to)
		jx_set_str(obj, "redirectTo", h->redirect_to);
	json_object_set_new(doc, "host", obj);
	host_unref(h);
}

void explain_location(json_t *doc, const struct exchange *x)
{
	const struct location *loc = x->loc;
	json_t *l = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "namespace", loc->ns, "ingress", loc->ingress, "host", loc->rule_host,
			      "path", loc->path, "type", type_text(loc->type), "why", path_why(loc));

	if (loc->set->denied)
		jx_set_str(l, "denied", loc->set->denied);
	json_object_set_new(doc, "host", host_json(loc->host));
	json_object_set_new(doc, "location", l);
}

/* ---- annotations and deviations ---- */
struct in_force {
	json_t *list, *deviations;
	const char *prefix, *source;
	char where[600];
};

static void one_annotation(void *ctx, const char *name, const char *value, const struct field *f)
{
	struct in_force *a = ctx;

	json_array_append_new(a->list, json_pack("{s:s, s:o, s:s}", "name", name, "value", explain_str(str_of(value)), "from", a->where));
	if (f && f->differs)
		json_array_append_new(a->deviations, json_pack("{s:s, s:s}", "id", name, "portico", f->differs));
}

static void own_deviations(json_t *all, const struct location *loc)
{
	for (const struct deviation *d = deviations; d->id; d++)
		if (d->applies && d->applies(loc))
			json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "id", d->id, "nginx", d->nginx, "portico", d->portico));
}

void explain_annotations(json_t *doc, const struct location *loc, const struct globals *g)
{
	static const struct settings_source nothing;
	struct in_force a = { .list = json_array(), .deviations = json_array() };
	struct globals *built_in = globals_of_configmap(NULL, &nothing);

	snprintf(a.where, sizeof(a.where), "Ingress %s/%s", loc->ns, loc->ingress);
	settings_each_set(loc->set, g->defaults, one_annotation, &a);
	snprintf(a.where, sizeof(a.where), "ConfigMap");
	settings_each_set(g->defaults, built_in->defaults, one_annotation, &a);
	globals_unref(built_in);
	own_deviations(a.deviations, loc);
	json_object_set_new(doc, "annotations", a.list);
	json_object_set_new(doc, "deviations", a.deviations);
}

/* ---- where it goes ---- */
static json_t *canary_json(const struct canary *c, bool chosen)
{
	const struct settings *s = c->set;
	json_t *v = json_pack("{s:s, s:s, s:b, s:i, s:i, s:i}", "ingress", c->ingress, "backend", c->backend ? c->backend->name : "",
			      "chosen", chosen, "weight", (int)s->canary_weight, "weightTotal", (int)s->canary_weight_total,
			      "endpoints", c->backend ? (int)backend_endpoints(c->backend)->n : 0);

	jx_set_str(v, "header", s->canary_by_header);
	jx_set_str(v, "headerValue", s->canary_by_header_value);
	jx_set_str(v, "cookie", s->canary_by_cookie);
	return v;
}

void explain_canary(json_t *doc, const struct exchange *x)
{
	json_t *all = json_array();

	for (size_t i = 0; i < x->loc->n_canaries; i++)
		json_array_append_new(all, canary_json(&x->loc->canaries[i],
						       x->canary_why && x->loc->canaries[i].backend == x->backend));
	if (json_array_size(all))
		json_object_set_new(doc, "canary", json_pack("{s:s, s:o}", "why", x->canary_why ? x->canary_why : "primary",
							     "candidates", all));
	else
		json_decref(all);
}

static int put_param(void *ctx, struct str name, struct str value)
{
	return json_array_append_new(ctx, json_pack("{s:o, s:o}", "name", explain_str(name), "value", explain_str(value)));
}

void explain_upstream(json_t *doc, const struct exchange *x)
{
	static const char *const protocols[] = { "HTTP", "HTTPS", "AUTO_HTTP", "GRPC", "GRPCS", "FCGI" };
	static const char *const algorithms[] = { "round_robin", "ewma", "least_requests" };
	const struct settings *set = x->loc->set;
	const struct backend *b = x->backend;
	json_t *u = json_pack("{s:s, s:s, s:s, s:s, s:s}", "backend", b->name, "namespace", b->ns, "service", b->service, "port",
			      b->port, "protocol", protocols[set->backend_protocol]);

	jx_set_bool(u, "serviceMissing", b->service_missing);
	jx_set_str(u, "externalName", b->external_name);
	jx_set_str(u, "balance", set->upstream_hash_by ? "upstream-hash-by" : algorithms[set->load_balance]);
	jx_set_bool(u, "sticky", set->affinity_cookie);
	json_object_set_new(u, "method", explain_str(x->up_method));
	json_object_set_new(u, "target", explain_str(x->up_target));
	json_object_set_new(u, "host", explain_str(x->up_host));
	json_object_set_new(u, "headers", explain_headers(&x->up_headers));
	if (set->fastcgi) {
		json_t *params = json_array();
		if (up_fcgi_params((struct exchange *)(uintptr_t)x, put_param, params) < 0)
			jx_set_bool(u, "paramsTooLong", true);
		json_object_set_new(u, "params", params);
	}
	json_object_set_new(doc, "upstream", u);
}

static const char *health_text(uint32_t h)
{
	return h == HEALTH_UP ? "healthy" : h == HEALTH_DOWN ? "unhealthy" : "unchecked";
}

static json_t *endpoint_json(const struct endpoint *e, uint64_t now_ms)
{
	uint64_t ejected = __atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED);
	json_t *v = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "address", e->text, "health",
			      health_text(__atomic_load_n(&e->health, __ATOMIC_RELAXED)), "inFlight",
			      (json_int_t)__atomic_load_n(&e->in_flight, __ATOMIC_RELAXED), "ewmaUs",
			      (json_int_t)__atomic_load_n(&e->ewma_us, __ATOMIC_RELAXED), "ejectedMs",
			      (json_int_t)(ejected > now_ms ? ejected - now_ms : 0), "requests",
			      (json_int_t)__atomic_load_n(&e->requests, __ATOMIC_RELAXED), "errors",
			      (json_int_t)__atomic_load_n(&e->errors, __ATOMIC_RELAXED));

	jx_set_str(v, "pod", e->pod);
	return v;
}

void explain_endpoints(json_t *doc, const struct exchange *x, const struct endpoint *picked, bool full)
{
	const struct endpoints *es = backend_endpoints(x->backend);
	json_t *all = json_array();

	for (size_t i = 0; i < es->n; i++) {
		json_t *v = endpoint_json(es->at[i], loop_now_ms(x->worker->loop));
		if (es->draining && es->draining[i])
			jx_set_bool(v, "draining", true);
		if (es->at[i] == picked)
			jx_set_bool(v, "picked", true);
		json_array_append_new(all, v);
	}
	json_object_set_new(doc, "endpoints", all);
	if (full)
		jx_set_bool(doc, "circuitFull", true);
}
