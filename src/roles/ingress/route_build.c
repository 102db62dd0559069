#include "roles/ingress/route_int.h"

#include "codec/base64.h"

#include <stdio.h>

#include <ctype.h>

#define ANNOTATION "nginx.ingress.kubernetes.io/"
#define PEM_BYTES (1u << 20)	    /* a Secret's own limit */
#define REGEX_MATCH_LIMIT 100000    /* back-tracking steps: a hostile path costs under a millisecond */
#define REGEX_DEPTH_LIMIT 1000

struct builder {
	const struct route_source *src;
	struct route_table *table;
	const json_t **list; /* Ingresses of our class, oldest first */
	size_t n, cap;
};

static void problem(const struct builder *b, const json_t *obj, const char *reason, const char *fmt, ...)
	printf_like(4, 5);
static void problem(const struct builder *b, const json_t *obj, const char *reason, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!b->src->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	b->src->problem(b->src->ctx, obj, reason, text);
}

/* ---- which Ingresses ---- */

static bool is_ours(const struct builder *b, const json_t *ing)
{
	const char *old = jx_annotation(ing, "kubernetes.io/ingress.class");
	const char *name = jx_str(ing, "spec.ingressClassName");

	/* The old annotation names a class as well; ingress-nginx looks at it first. */
	return b->src->is_our_class(b->src->ctx, old ? old : name);
}

static void collect(void *ctx, const json_t *ing)
{
	struct builder *b = ctx;

	if (jx_str(ing, "metadata.deletionTimestamp") || !is_ours(b, ing))
		return;
	if (b->n == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 64;
		b->list = xrealloc(b->list, b->cap * sizeof(*b->list));
	}
	b->list[b->n++] = ing;
}

static int by_age(const void *pa, const void *pb)
{
	const json_t *a = *(const json_t *const *)pa, *b = *(const json_t *const *)pb;
	int c = strcmp(jx_str_or(a, "metadata.creationTimestamp", ""), jx_str_or(b, "metadata.creationTimestamp", ""));

	if (c == 0)
		c = strcmp(jx_str_or(a, "metadata.namespace", ""), jx_str_or(b, "metadata.namespace", ""));
	return c ? c : strcmp(jx_str_or(a, "metadata.name", ""), jx_str_or(b, "metadata.name", ""));
}

/* ---- backends ---- */

struct port_match {
	struct backend *b;
	const char *port_name; /* of the Service's port, which is the slice's port name */
};

static bool endpoint_ready(const json_t *ep)
{
	return jx_bool(ep, "conditions.ready", true);
}

static void add_endpoint(struct backend *b, const char *ip, uint16_t port)
{
	struct err ignored;
	struct addr a;

	if (!ip || addr_from_ip(ip, port, &a, &ignored) < 0)
		return;
	b->endpoints = xrealloc(b->endpoints, (b->n_endpoints + 1) * sizeof(*b->endpoints));
	b->endpoints[b->n_endpoints++] = a;
}

static void add_slice(void *ctx, const json_t *slice)
{
	struct port_match *m = ctx;
	json_t *port, *ep;
	size_t i, k;

	json_array_foreach(json_object_get(slice, "ports"), i, port) {
		if (strcmp(jx_str_or(port, "name", ""), m->port_name) != 0)
			continue;
		json_array_foreach(json_object_get(slice, "endpoints"), k, ep)
			if (endpoint_ready(ep))
				add_endpoint(m->b, json_string_value(json_array_get(json_object_get(ep, "addresses"), 0)),
					     (uint16_t)jx_int(port, "port", 0));
	}
}

static const json_t *service_port(const json_t *svc, const char *want)
{
	uint64_t number;
	bool by_number = str_to_u64(str_of(want), UINT16_MAX, &number); /* a port's name has a letter in it */
	json_t *port;
	size_t i;

	json_array_foreach(jx_at(svc, "spec.ports"), i, port)
		if (by_number ? jx_int(port, "port", 0) == (int64_t)number : c_eq(jx_str(port, "name"), want))
			return port;
	return NULL;
}

/* port: a name, or a number as text. */
static void backend_fill(struct backend *be, const struct route_source *src, const char *ns, const char *name,
			 const char *port_text)
{
	const json_t *svc = src->get_service(src->ctx, ns, name);
	const json_t *port = service_port(svc, port_text);

	be->n_endpoints = 0;
	be->service_missing = !port;
	if (port) {
		struct port_match m = { be, jx_str_or(port, "name", "") };
		src->each_slice(src->ctx, ns, name, add_slice, &m);
	}
}

static struct backend *backend_of(struct builder *b, const json_t *ing, const json_t *spec)
{
	const char *ns = jx_namespace(ing), *name = jx_str(spec, "service.name");
	const json_t *want = jx_at(spec, "service.port");
	char number[16];

	if (!name) {
		problem(b, ing, "ResourceBackend", "resource backends are not supported: use a Service");
		return NULL;
	}
	snprintf(number, sizeof(number), "%lld", (long long)jx_int(want, "number", 0));
	const char *port = jx_str_or(want, "name", number);
	cleanup(freep) char *key = xasprintf("%s/%s:%s", ns, name, port);
	struct backend *be = map_get_c(&b->table->backends, key);
	if (be)
		return be;
	be = xcalloc(1, sizeof(*be));
	be->key = TAKE_PTR(key);
	map_put_c(&b->table->backends, be->key, be);
	backend_fill(be, b->src, ns, name, port);
	return be;
}

/* ---- hosts and locations ---- */

static struct host *host_get(struct builder *b, const char *name)
{
	cleanup(freep) char *folded = xstrdup(name ? name : "");

	for (char *p = folded; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	struct host *h = map_get_c(&b->table->hosts, folded);
	if (h)
		return h;
	h = xcalloc(1, sizeof(*h));
	map_init(&h->exact);
	map_init(&h->prefix);
	map_put_c(&b->table->hosts, folded, h);
	return h;
}

static bool annotation_is(const json_t *ing, const char *key, bool fallback)
{
	const char *v = jx_annotation(ing, key);

	return v ? strcmp(v, "true") == 0 : fallback;
}

static void *compile(const struct builder *b, const json_t *ing, const char *prefix, const char *path)
{
	cleanup(freep) char *pattern = xasprintf("%s%s", prefix, path);
	PCRE2_SIZE at;
	int code;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS, &code, &at, NULL);

	if (!re)
		problem(b, ing, "InvalidPath", "path '%s' is no valid regular expression (at character %zu)", path, (size_t)at);
	return re;
}

static const char *ingress_name(struct builder *b, const json_t *ing)
{
	char *name = xasprintf("%s/%s", jx_namespace(ing), jx_name(ing));
	char *have = map_get_c(&b->table->names, name);

	if (have) {
		free(name);
		return have;
	}
	map_put_c(&b->table->names, name, name);
	return name;
}

static struct location *location_add(struct builder *b, struct host *h, const json_t *ing, const char *path,
				     const json_t *backend)
{
	struct location *l = xcalloc(1, sizeof(*l));

	l->path = xstrdup(path);
	l->ingress = ingress_name(b, ing);
	l->backend = backend_of(b, ing, backend);
	l->rewrite_target = xstrdup(jx_annotation(ing, ANNOTATION "rewrite-target"));
	if (l->rewrite_target && strcmp(l->rewrite_target, path) == 0) {
		free(l->rewrite_target);
		l->rewrite_target = NULL;
	}
	if (l->rewrite_target)
		l->rewrite_regex = compile(b, ing, "", path);
	if (h->regex)
		l->regex = compile(b, ing, "^", path);
	l->ssl_redirect = annotation_is(ing, ANNOTATION "force-ssl-redirect", false) ||
			  (h->tls && annotation_is(ing, ANNOTATION "ssl-redirect", true));
	h->all = xrealloc(h->all, (h->n_all + 1) * sizeof(*h->all));
	h->all[h->n_all++] = l;
	return l;
}

static bool has_path(const struct host *h, const char *path, bool exact)
{
	for (size_t i = 0; h->regex && i < h->n_by_length; i++)
		if (strcmp(h->by_length[i]->path, path) == 0)
			return true;
	return !h->regex && map_get_c(exact ? &h->exact : &h->prefix, path);
}

static void append_by_length(struct host *h, struct location *l)
{
	h->by_length = xrealloc(h->by_length, (h->n_by_length + 1) * sizeof(*h->by_length));
	h->by_length[h->n_by_length++] = l;
}

static void add_path(struct builder *b, struct host *h, const json_t *ing, const char *path, const char *type,
		     const json_t *backend)
{
	bool exact = strcmp(type, "Exact") == 0, prefix = strcmp(type, "Prefix") == 0;
	cleanup(freep) char *key = xstrdup(path);
	size_t len = strlen(key);

	if (prefix && !h->regex && len && key[len - 1] == '/')
		key[len - 1] = '\0';
	if (has_path(h, key, exact)) {
		problem(b, ing, "DuplicatePath", "path \"%s\" of this host is already defined in an older Ingress", path);
		return;
	}
	struct location *l = location_add(b, h, ing, path, backend);
	if (h->regex || (!exact && !prefix))
		append_by_length(h, l);
	else
		map_put_c(exact ? &h->exact : &h->prefix, key, l);
}

static int longest_first(const void *pa, const void *pb)
{
	const struct location *a = *(struct location *const *)pa, *b = *(struct location *const *)pb;
	size_t la = strlen(a->path), lb = strlen(b->path);

	return la != lb ? (la < lb ? 1 : -1) : -strcmp(a->path, b->path);
}

static void add_rules(struct builder *b, const json_t *ing)
{
	const json_t *fallback = jx_at(ing, "spec.defaultBackend");
	json_t *rule, *path;
	size_t i, k;

	json_array_foreach(jx_at(ing, "spec.rules"), i, rule) {
		struct host *h = host_get(b, jx_str(rule, "host"));
		json_array_foreach(jx_at(rule, "http.paths"), k, path)
			add_path(b, h, ing, jx_str_or(path, "path", "/"), jx_str_or(path, "pathType", "ImplementationSpecific"),
				 json_object_get(path, "backend"));
		if (fallback && !has_path(h, h->regex ? "/" : "", false))
			add_path(b, h, ing, "/", "Prefix", fallback);
	}
	if (fallback && jx_len(ing, "spec.rules") == 0) {
		struct host *h = host_get(b, NULL);
		if (!has_path(h, h->regex ? "/" : "", false))
			add_path(b, h, ing, "/", "Prefix", fallback);
	}
}

/* Regular expressions and TLS concern whole hosts, so they are known before the first path is added. */
static void mark_hosts(struct builder *b, const json_t *ing)
{
	bool regex = jx_annotation(ing, ANNOTATION "rewrite-target") || annotation_is(ing, ANNOTATION "use-regex", false);
	json_t *rule, *tls, *name;
	size_t i, k;

	json_array_foreach(jx_at(ing, "spec.rules"), i, rule) {
		struct host *h = host_get(b, jx_str(rule, "host"));
		h->regex = h->regex || regex;
		json_array_foreach(jx_at(ing, "spec.tls"), k, tls) {
			size_t n;
			json_array_foreach(json_object_get(tls, "hosts"), n, name)
				if (c_eq(json_string_value(name), jx_str_or(rule, "host", "")))
					h->tls = true;
		}
	}
}

/* ---- certificates ---- */

static bool secret_pem(const json_t *secret, const char *key, struct buf *out)
{
	const char *b64 = json_string_value(json_object_get(jx_at(secret, "data"), key));
	size_t bad_at;

	buf_init(out, PEM_BYTES);
	return b64 && base64_decode(str_of(b64), out, &bad_at) == 0 && out->len > 0;
}

static struct tls *load_cert(const struct builder *b, const json_t *ing, const char *name)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	const json_t *secret = b->src->get_secret(b->src->ctx, jx_namespace(ing), name);
	struct buf cert, key = { 0 };
	struct tls *t = NULL;
	struct err e;

	if (!secret) {
		problem(b, ing, "MissingSecret", "secret \"%s/%s\" of spec.tls does not exist; the default certificate is used",
			jx_namespace(ing), name);
		return NULL;
	}
	if (secret_pem(secret, "tls.crt", &cert) && secret_pem(secret, "tls.key", &key)) {
		t = tls_server_new(&(struct tls_config){ .cert_pem = buf_str(&cert), .key_pem = buf_str(&key), .alpn = alpn }, &e);
		if (!t)
			problem(b, ing, "BadCertificate", "secret \"%s/%s\": %s; the default certificate is used", jx_namespace(ing),
				name, e.message);
	} else {
		problem(b, ing, "BadCertificate", "secret \"%s/%s\" has no tls.crt and tls.key; the default certificate is used",
			jx_namespace(ing), name);
	}
	buf_done(&cert);
	buf_done(&key);
	return t;
}

static void add_certs(struct builder *b, const json_t *ing)
{
	json_t *tls, *name;
	size_t i, k;

	json_array_foreach(jx_at(ing, "spec.tls"), i, tls) {
		const char *secret = jx_str(tls, "secretName");
		struct tls *t = secret && secret[0] ? load_cert(b, ing, secret) : NULL;
		if (!t)
			continue;
		json_array_foreach(json_object_get(tls, "hosts"), k, name) {
			const char *h = json_string_value(name);
			if (h && !map_get_c(&b->table->certs, h))
				map_put_c(&b->table->certs, h, tls_ref(t));
		}
		tls_unref(t);
	}
}

/* One match context for the process: regular expressions run on its only thread. */
static void share_matcher(struct route_table *t)
{
	static pcre2_match_data *data;
	static pcre2_match_context *limits;

	if (!data) {
		data = pcre2_match_data_create(1, NULL);
		limits = pcre2_match_context_create(NULL);
		pcre2_set_match_limit(limits, REGEX_MATCH_LIMIT);
		pcre2_set_depth_limit(limits, REGEX_DEPTH_LIMIT);
	}
	t->match_data = data;
	t->match_limits = limits;
}

struct route_table *route_table_new(const struct route_source *s)
{
	struct builder b = { .src = s, .table = xcalloc(1, sizeof(struct route_table)) };

	b.table->refs = 1;
	share_matcher(b.table);
	s->each_ingress(s->ctx, collect, &b);
	if (b.n)
		qsort(b.list, b.n, sizeof(*b.list), by_age);
	for (size_t i = 0; i < b.n; i++)
		mark_hosts(&b, b.list[i]);
	for (size_t i = 0; i < b.n; i++) {
		add_certs(&b, b.list[i]);
		add_rules(&b, b.list[i]);
	}
	for (struct map_iter it = { 0 }; map_next(&b.table->hosts, &it);) {
		struct host *h = it.value;
		if (h->n_by_length)
			qsort(h->by_length, h->n_by_length, sizeof(*h->by_length), longest_first);
	}
	free(b.list);
	return b.table;
}

void route_table_refresh(struct route_table *t, const struct route_source *s, const char *ns, const char *service)
{
	cleanup(freep) char *prefix = xasprintf("%s/%s:", ns, service);

	for (struct map_iter it = { 0 }; map_next(&t->backends, &it);) {
		struct backend *be = it.value;
		if (str_starts(str_of(be->key), str_of(prefix)))
			backend_fill(be, s, ns, service, be->key + strlen(prefix));
	}
}
