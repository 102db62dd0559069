/* Routing of the ingress proxy: which location a host and path get, from objects to hosts. */
#include "codec/base64.h"
#include "net/x509.h"
#include "roles/ingress/route/model.h"
#include "roles/ingress/tls/host_ciphers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

/* A cluster as JSON text: every Service has one endpoint, 10.0.0.N:8080, and port 80 named "http". */
struct cluster {
	struct routes *routes;
	struct backends *backends;
	struct model *model;
	char problems[4096]; /* "name:Reason " */
	char messages[8192];
	char wanted[512];
	bool asks; /* answers model_ops.exists */
	char resolving[256];
};

static json_t *parse(const char *text)
{
	json_error_t je;
	json_t *v = json_loads(text, 0, &je);

	if (!v)
		fail_msg("%s: %s", je.text, text);
	return v;
}

static void append(char *to, size_t size, const char *fmt, ...) printf_like(3, 4);
static void append(char *to, size_t size, const char *fmt, ...)
{
	size_t len = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to + len, size - len, fmt, ap);
	va_end(ap);
}

static void problem(void *ctx, const struct model_object *obj, const char *annotation, const char *reason, const char *message)
{
	struct cluster *c = ctx;

	(void)annotation;
	append(c->problems, sizeof(c->problems), "%s:%s ", obj->name, reason);
	append(c->messages, sizeof(c->messages), "%s\n", message);
}

static void want(void *ctx, enum model_kind kind, const char *ns, const char *name)
{
	struct cluster *c = ctx;

	append(c->wanted, sizeof(c->wanted), "%s:%s/%s ", kind == MODEL_SECRET ? "secret" : "configmap", ns, name);
}

static bool exists(void *ctx, enum model_kind kind, const char *ns, const char *name)
{
	(void)kind, (void)ns, (void)name;
	return ((struct cluster *)ctx)->asks;
}

static void resolve(void *ctx, const char *name)
{
	struct cluster *c = ctx;

	append(c->resolving, sizeof(c->resolving), "%s ", name);
}

static void cluster_init_with(struct cluster *c, const struct model_config *config, bool asks)
{
	struct model_ops ops = { .problem = problem, .resolve = resolve };

	*c = (struct cluster){ .asks = asks };
	if (asks) {
		ops.want = want;
		ops.exists = exists;
	}
	c->routes = routes_new(NULL);
	c->backends = backends_new(NULL);
	c->model = model_new(config, &ops, c, c->routes, c->backends);
}

static void cluster_init(struct cluster *c)
{
	cluster_init_with(c, &(struct model_config){ 0 }, false);
}

static void cluster_done(struct cluster *c)
{
	model_free(c->model);
	routes_free(c->routes);
	backends_free(c->backends);
}

static void add_service(struct cluster *c, const char *name, int n)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s\"},\"spec\":{\"clusterIP\":\"10.96.0.%d\",\"ports\":["
		 "{\"name\":\"http\",\"port\":80,\"targetPort\":8080},{\"name\":\"admin\",\"port\":81,\"targetPort\":\"adm\"}]}}",
		 name, n);
	cleanup(json_decrefp) json_t *svc = parse(text);
	model_set_service(c->model, svc);
	if (!n)
		return;
	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s-x\",\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},"
		 "\"ports\":[{\"name\":\"http\",\"port\":8080},{\"name\":\"admin\",\"port\":9090}],\"endpoints\":["
		 "{\"addresses\":[\"10.0.0.%d\"],\"conditions\":{\"ready\":true},\"targetRef\":{\"kind\":\"Pod\",\"namespace\":"
		 "\"default\",\"name\":\"pod-%d\"}},"
		 "{\"addresses\":[\"10.9.9.9\"],\"conditions\":{\"ready\":false}},"
		 "{\"addresses\":[\"10.8.8.8\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}}]}",
		 name, name, n, n);
	cleanup(json_decrefp) json_t *slice = parse(text);
	model_set_slice(c->model, slice);
}

static void add_class(struct cluster *c, const char *name, const char *controller, bool is_default)
{
	json_t *obj = json_pack("{s:{s:s, s:{s:s}}, s:{s:s}}", "metadata", "name", name, "annotations",
				"ingressclass.kubernetes.io/is-default-class", is_default ? "true" : "false", "spec", "controller",
				controller);

	model_set_class(c->model, obj);
	json_decref(obj);
}

static void add_list(struct cluster *c, const char *ingresses)
{
	json_t *list = parse(ingresses), *ing;
	size_t i;

	json_array_foreach(list, i, ing)
		model_set_ingress(c->model, ing);
	json_decref(list);
}

/* Services a, b, d, and "empty" without endpoints. */
static void build(struct cluster *c, const char *ingresses)
{
	cluster_init(c);
	add_service(c, "a", 1);
	add_service(c, "b", 2);
	add_service(c, "d", 3);
	add_service(c, "empty", 0);
	add_list(c, ingresses);
	model_flush(c->model);
}

#define META(name, second) META_WITH(name, second, "")
#define META_WITH(name, second, annotations)                                                                   \
	"\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\",\"uid\":\"u-" name "\","                 \
	"\"creationTimestamp\":\"2026-01-01T00:00:0" second "Z\",\"annotations\":{" annotations "}}"
#define ANNOTATION(key, value) "\"nginx.ingress.kubernetes.io/" key "\":\"" value "\""
#define PATH(path, type, svc) "{\"path\":\"" path "\",\"pathType\":\"" type "\","                                \
	"\"backend\":{\"service\":{\"name\":\"" svc "\",\"port\":{\"number\":80}}}}"
#define RULE(host, paths) "{\"host\":\"" host "\",\"http\":{\"paths\":[" paths "]}}"
#define SPEC(rules) "\"spec\":{\"ingressClassName\":\"nginx\",\"rules\":[" rules "]}"
#define SPEC_TLS(rules, tls) "\"spec\":{\"ingressClassName\":\"nginx\",\"rules\":[" rules "],\"tls\":[" tls "]}"
#define EXACT "Exact"
#define PREFIX "Prefix"
#define IMPL "ImplementationSpecific"

struct row {
	const char *host, *path, *want; /* backend key, or NULL for 404 */
};

static const char *ask(struct cluster *c, const char *host, const char *path, char out[256])
{
	const struct location *l = routes_match(c->routes, str_of(host), str_of(path));

	if (!l)
		return NULL;
	snprintf(out, 256, "%s", l->backend ? l->backend->key : "none");
	host_unref(l->host);
	return out;
}

static void check_rows(struct cluster *c, const struct row *rows, size_t n)
{
	char text[256];

	for (size_t i = 0; i < n; i++) {
		const char *got = ask(c, rows[i].host, rows[i].path, text);
		if (!c_eq(got, rows[i].want))
			fail_msg("%s%s: got %s, want %s", rows[i].host, rows[i].path, got ? got : "404", rows[i].want ? rows[i].want : "404");
	}
}
#define CHECK(c, ...)                                                     \
	do {                                                              \
		static const struct row rows_[] = { __VA_ARGS__ };        \
		check_rows((c), rows_, ARRAY_LEN(rows_));                 \
	} while (0)

#define A "default/a:80"
#define B "default/b:80"
#define D "default/d:80"

static void test_match(void **state)
{
	static const char text[] =
		"[{" META("one", "1") "," SPEC(
		RULE("shop.example.com", PATH("/", PREFIX, "a") "," PATH("/users", PREFIX, "b") "," PATH("/products", EXACT, "b"))
		"," RULE("*.wild.example.com", PATH("/", PREFIX, "a"))
		"," RULE("in.wild.example.com", PATH("/only", PREFIX, "b"))
		"," RULE("impl.example.com", PATH("/foo", IMPL, "a") "," PATH("/foo/bar", PREFIX, "b"))
		"," RULE("slash.example.com", PATH("/aaa/bbb/", PREFIX, "a") "," PATH("/aaa", PREFIX, "b"))
		"," RULE("both.example.com", PATH("/p", EXACT, "a") "," PATH("/p", PREFIX, "b") "," PATH("/p", IMPL, "d"))
		"," RULE("none.example.com", PATH("/", PREFIX, "empty") "," PATH("/x", PREFIX, "missing"))) "},"
		"{" META("younger", "2") "," SPEC(RULE("shop.example.com", PATH("/users", PREFIX, "a"))) "},"
		"{" META("other", "1") ",\"spec\":{\"ingressClassName\":\"alb\",\"rules\":["
		RULE("alb.example.com", PATH("/", PREFIX, "a")) "]}}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	CHECK(&c, { "shop.example.com", "/", A }, { "SHOP.example.COM", "/anything", A }, { "shop.example.com.", "/", A },
	      { "shop.example.com", "/users", B }, { "shop.example.com", "/users/", B }, { "shop.example.com", "/users/1", B },
	      { "shop.example.com", "/usersx", A }, { "shop.example.com", "/Users", A }, { "shop.example.com", "/products", B },
	      { "shop.example.com", "/products/", A }, { "shop.example.com", "/products/1", A }, { "other.example.com", "/", NULL },
	      { "x.wild.example.com", "/p", A }, { "X.WILD.example.com", "/p", A }, { "x.y.wild.example.com", "/", NULL },
	      { "wild.example.com", "/", NULL }, { ".wild.example.com", "/", NULL }, { "in.wild.example.com", "/only", B },
	      { "in.wild.example.com", "/else", NULL }, { "impl.example.com", "/foobar", A },
	      { "impl.example.com", "/foo/bar/baz", B }, { "impl.example.com", "/foo/barx", A }, { "impl.example.com", "/", NULL },
	      { "slash.example.com", "/aaa/bbb", A }, { "slash.example.com", "/aaa/bbb/", A }, { "slash.example.com", "/aaa/bbb/ccc", A },
	      { "slash.example.com", "/aaa/bbbb", B }, { "slash.example.com", "/aaaccc", NULL },
	      { "both.example.com", "/p", A }, { "both.example.com", "/p/", B }, { "both.example.com", "/px", D },
	      { "alb.example.com", "/", NULL }, { "", "/", NULL });
	assert_string_equal(c.problems, "younger:DuplicatePath ");
	assert_string_equal(c.messages,
			    "host \"shop.example.com\" and path \"/users\" is already defined in ingress default/one\n");
	cluster_done(&c);
}

/* The longest match, one by one: what the index must agree with. */
static const struct location *naive(const struct host *h, const char *path)
{
	const struct location *best = NULL;
	size_t best_len = 0, len = strlen(path);

	for (size_t i = 0; i < h->n_all; i++) {
		const struct location *l = h->all[i];
		size_t n = strlen(l->path);
		if (l->type == PATH_PREFIX && n && l->path[n - 1] == '/')
			n--;
		bool fits = strncmp(l->path, path, n) == 0 &&
			    (l->type == PATH_IMPLEMENTATION || (l->type == PATH_EXACT ? n == len : n == len || path[n] == '/'));
		if (fits && (!best || n > best_len || (n == best_len && l->type < best->type))) {
			best = l;
			best_len = n;
		}
	}
	return best;
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

static void random_path(unsigned *seed, char out[64])
{
	static const char *const words[] = { "a", "b", "ab", "abc", "", "x", "users", "users1" };
	unsigned n = next_random(seed) % 5;

	out[0] = '\0';
	for (unsigned i = 0; i <= n; i++)
		append(out, 64, "/%s", words[next_random(seed) % ARRAY_LEN(words)]);
}

/* Hosts of few paths are searched, of many hashed: both like the naive way. */
static void test_index(void **state)
{
	static const char *const types[] = { EXACT, PREFIX, IMPL };
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct cluster c;
		json_t *paths = json_array();
		char path[64];

		cluster_init(&c);
		for (int i = 0; i < (round % 2 ? 6 : 60); i++) {
			random_path(&seed, path);
			json_array_append_new(paths, json_pack("{s:s, s:s, s:{s:{s:s, s:{s:i}}}}", "path", path, "pathType",
							       types[next_random(&seed) % 3], "backend", "service", "name", "a",
							       "port", "number", i + 1));
		}
		json_t *ing = json_pack("{s:{s:s, s:s}, s:{s:s, s:[{s:s, s:{s:o}}]}}", "metadata", "namespace", "default", "name",
					"i", "spec", "ingressClassName", "nginx", "rules", "host", "h", "http", "paths", paths);
		model_set_ingress(c.model, ing);
		model_flush(c.model);
		struct host *h = routes_host(c.routes, STR("h"));
		assert_non_null(h);
		for (int i = 0; i < 500; i++) {
			random_path(&seed, path);
			const struct location *l = routes_match(c.routes, STR("h"), str_of(path)), *want_l = naive(h, path);
			if (l != want_l)
				fail_msg("%s: got %s, want %s", path, l ? l->path : "-", want_l ? want_l->path : "-");
			if (l)
				host_unref(l->host);
		}
		host_unref(h);
		json_decref(ing);
		cluster_done(&c);
	}
}

static void test_regex(void **state)
{
	static const char text[] =
		"[{" META_WITH("rw", "1", ANNOTATION("rewrite-target", "/$2")) "," SPEC(
		RULE("h", PATH("/app(/|$)(.*)", IMPL, "a") "," PATH("/longer/path/than/app", EXACT, "b"))) "},"
		"{" META("also", "2") "," SPEC(
		RULE("h", PATH("/api", PREFIX, "d") "," PATH("/app(/|$)(.*)", PREFIX, "d") "," PATH("/num/[0-9]+", PREFIX, "d"))) "},"
		"{" META_WITH("same", "3", ANNOTATION("rewrite-target", "/")) "," SPEC(RULE("plain", PATH("/", PREFIX, "a"))) "},"
		"{" META_WITH("bad", "4", ANNOTATION("use-regex", "true")) "," SPEC(
		RULE("bad", PATH("/ok", IMPL, "a") "," PATH("/(unclosed", IMPL, "b"))) "}]";
	static const struct {
		const char *path, *backend, *upstream;
	} rows[] = {
		{ "/app", A, "/" },
		{ "/APP/x/y", A, "/x/y" },
		{ "/application", NULL, NULL },
		{ "/Longer/Path/Than/App/more", B, "/" },
		{ "/API/whatever", D, "/API/whatever" },
		{ "/apix", D, "/apix" },
		{ "/num/12", D, "/num/12" }, /* told of, and served */
		{ "/num/x", NULL, NULL },
		{ "/x/app/1", NULL, NULL },
	};
	struct cluster c;
	struct buf out;
	size_t query;

	(void)state;
	build(&c, text);
	buf_init(&out, 1024);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct location *l = routes_match(c.routes, STR("h"), str_of(rows[i].path));
		if (!c_eq(l ? l->backend->key : NULL, rows[i].backend))
			fail_msg("%s: backend %s", rows[i].path, l ? l->backend->key : "-");
		if (!l)
			continue;
		buf_clear(&out);
		assert_int_equal(location_rewrite_split(l, str_of(rows[i].path), &out, &query), 0);
		assert_string_equal(out.ptr, rows[i].upstream);
		host_unref(l->host);
	}
	struct host *h = routes_host(c.routes, STR("plain"));
	assert_false(h->regex); /* a target equal to its path rewrites nothing */
	host_unref(h);
	CHECK(&c, { "bad", "/OK/x", A }, { "bad", "/(unclosed", NULL });
	assert_non_null(strstr(c.problems, "also:PathType ")); /* a Prefix with regular expression */
	assert_non_null(strstr(c.problems, "bad:InvalidPath "));
	buf_done(&out);
	cluster_done(&c);
}

static void test_rewrite_arguments(void **state)
{
	static const char text[] = "[{" META_WITH("rw", "1", ANNOTATION("rewrite-target", "/r?v=$1")) "," SPEC(
		RULE("h", PATH("/v/(.*)", IMPL, "a"))) "}]";
	struct cluster c;
	struct buf out;
	size_t query;

	(void)state;
	build(&c, text);
	buf_init(&out, 1024);
	const struct location *l = routes_match(c.routes, STR("h"), STR("/v/a?b"));
	assert_int_equal(location_rewrite_split(l, STR("/v/a?b"), &out, &query), 0);
	assert_string_equal(out.ptr, "/r?v=a%3Fb");
	assert_int_equal(query, 2);
	/* decoded text must not become another argument, or the end of the request line */
	buf_clear(&out);
	assert_int_equal(location_rewrite_split(l, STR("/v/a&b=+%#\xc3 HTTP/1.1\rX: y"), &out, &query), 0);
	assert_string_equal(out.ptr, "/r?v=a%26b=%2B%25%23%C3%20HTTP/1.1%0DX:%20y");
	host_unref(l->host);
	buf_done(&out);
	cluster_done(&c);
}

/* What cannot be decided must not fall to a path that asks for less. */
static void test_regex_limit(void **state)
{
	static const char text[] = "[{" META_WITH("rx", "1", ANNOTATION("use-regex", "true")) "," SPEC(
		RULE("h", PATH("/admin/([a-z]+)+x$", IMPL, "a") "," PATH("/", PREFIX, "b"))) "}]";
	struct cluster c;
	struct pattern_match m;

	(void)state;
	build(&c, text);
	CHECK(&c, { "h", "/admin/yx", A }, { "h", "/admin/1", B }, { "h", "/admin/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax1", NULL });
	const struct location *l = routes_match(c.routes, STR("h"), STR("/admin/yx"));
	for (int i = 0; i < 1000; i++) /* as machine code, too */
		assert_int_equal(pattern_try(l->regex, STR("/admin/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax1"), &m), REGEX_LIMIT);
	assert_int_equal(pattern_try(l->regex, STR("/admin/1"), &m), REGEX_NO);
	host_unref(l->host);
	cluster_done(&c);
}

static void test_backends(void **state)
{
	static const char text[] =
		"[{" META("one", "1") "," SPEC(RULE("h", PATH("/", PREFIX, "a") "," PATH("/e", PREFIX, "empty") ","
		PATH("/m", PREFIX, "missing") ",{\"path\":\"/n\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"a\","
		"\"port\":{\"name\":\"admin\"}}}},{\"path\":\"/t\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"a\","
		"\"port\":{\"name\":\"adm\"}}}},{\"path\":\"/r\",\"pathType\":\"Prefix\",\"backend\":{\"resource\":{\"kind\":\"S\","
		"\"name\":\"x\"}}}")) "},"
		"{" META_WITH("up", "2", ANNOTATION("service-upstream", "true")) "," SPEC(RULE("up", PATH("/", PREFIX, "a"))) "}]";
	static const struct {
		const char *host, *path, *endpoints;
		bool missing;
	} rows[] = {
		{ "h", "/", "10.0.0.1:8080 10.8.8.8:8080(draining) ", false },
		{ "h", "/e", "", false },
		{ "h", "/m", "", true },
		{ "h", "/n", "10.0.0.1:9090 10.8.8.8:9090(draining) ", false },
		{ "h", "/t", "10.0.0.1:9090 10.8.8.8:9090(draining) ", false },
		{ "up", "/", "10.96.0.1:80 ", false },
	};
	struct cluster c;

	(void)state;
	build(&c, text);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct location *l = routes_match(c.routes, str_of(rows[i].host), str_of(rows[i].path));
		char got[256] = "";
		assert_non_null(l);
		const struct endpoints *es = backend_endpoints(l->backend);
		for (size_t k = 0; k < es->n; k++)
			append(got, sizeof(got), "%s%s ", es->at[k]->text, es->draining[k] ? "(draining)" : "");
		assert_string_equal(got, rows[i].endpoints);
		assert_int_equal(l->backend->service_missing, rows[i].missing);
		host_unref(l->host);
	}
	const struct location *l = routes_match(c.routes, STR("h"), STR("/"));
	assert_string_equal(l->backend->name, "default-a-80");
	assert_string_equal(backend_endpoints(l->backend)->at[0]->pod, "default/pod-1");
	/* An endpoint that stays keeps its state; the Service that goes takes them all. */
	struct endpoint *first = backend_endpoints(l->backend)->at[0];
	first->requests = 7;
	add_service(&c, "a", 1);
	model_flush(c.model);
	assert_ptr_equal(backend_endpoints(l->backend)->at[0], first);
	model_del_service(c.model, "default", "a");
	model_flush(c.model);
	assert_int_equal(backend_endpoints(l->backend)->n, 0);
	assert_true(l->backend->service_missing);
	host_unref(l->host);
	assert_null(ask(&c, "h", "/r", (char[256]){ 0 }) && strcmp(ask(&c, "h", "/r", (char[256]){ 0 }), "none") ? "x" : NULL);
	assert_non_null(strstr(c.problems, "one:ResourceBackend "));
	cluster_done(&c);
}

static void test_default_backends(void **state)
{
	static const char text[] =
		"[{" META("all", "2") ",\"spec\":{\"ingressClassName\":\"nginx\",\"defaultBackend\":"
		"{\"service\":{\"name\":\"b\",\"port\":{\"name\":\"http\"}}}}},"
		"{" META("with", "1") ",\"spec\":{\"ingressClassName\":\"nginx\",\"defaultBackend\":{\"service\":{\"name\":\"d\","
		"\"port\":{\"number\":80}}},\"rules\":[" RULE("h", PATH("/x", PREFIX, "a")) "," RULE("r", PATH("/", PREFIX, "a")) "]}},"
		"{" META_WITH("ann", "3", ANNOTATION("default-backend", "b")) "," SPEC(RULE("ann", PATH("/", PREFIX, "a"))) "},"
		"{" META("nopath", "3") ",\"spec\":{\"ingressClassName\":\"nginx\",\"rules\":[{\"host\":\"empty\"}]}}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	CHECK(&c, { "whoever", "/x", "default/b:http" }, { "h", "/x/y", A }, { "h", "/else", D }, { "r", "/else", A },
	      { "empty", "/", NULL }, { "", "/", "default/b:http" });
	const struct location *l = routes_match(c.routes, STR("ann"), STR("/"));
	assert_string_equal(l->default_backend->key, "default/b:");
	assert_string_equal(backend_endpoints(l->default_backend)->at[0]->text, "10.0.0.2:8080");
	host_unref(l->host);
	cluster_done(&c);

	/* --default-backend-service: wherever nothing else is */
	cluster_init_with(&c, &(struct model_config){ .default_backend_service = "default/d" }, false);
	add_service(&c, "d", 3);
	model_flush(c.model);
	CHECK(&c, { "whoever", "/x", "default/d:" });
	add_list(&c, "[{" META("one", "1") "," SPEC(RULE("h", PATH("/x", PREFIX, "a"))) "}]");
	model_flush(c.model);
	CHECK(&c, { "h", "/x", A }, { "h", "/else", "default/d:" }, { "whoever", "/x", "default/d:" });
	cluster_done(&c);
}

static void test_canary(void **state)
{
	static const char text[] =
		"[{" META("main", "2") "," SPEC(RULE("h", PATH("/", PREFIX, "a") "," PATH("/x", PREFIX, "b"))) "},"
		"{" META_WITH("c1", "3", ANNOTATION("canary", "true") "," ANNOTATION("canary-weight", "10")) "," SPEC(
		RULE("h", PATH("/", PREFIX, "b"))) "},"
		"{" META_WITH("c2", "1", ANNOTATION("canary", "true") "," ANNOTATION("canary-by-header", "X-C")) "," SPEC(
		RULE("h", PATH("/", PREFIX, "d"))) "},"
		"{" META_WITH("lost", "1", ANNOTATION("canary", "true")) "," SPEC(
		RULE("h", PATH("/x", EXACT, "d")) "," RULE("nobody", PATH("/", PREFIX, "d"))) "}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	const struct location *l = routes_match(c.routes, STR("h"), STR("/"));
	assert_int_equal(l->n_canaries, 2);
	assert_string_equal(l->canaries[0].ingress, "default/c2");
	assert_string_equal(l->canaries[0].backend->key, D);
	assert_string_equal(l->canaries[0].set->canary_by_header, "X-C");
	assert_string_equal(l->canaries[1].backend->key, B);
	assert_int_equal(l->canaries[1].set->canary_weight, 10);
	host_unref(l->host);
	l = routes_match(c.routes, STR("h"), STR("/x"));
	assert_string_equal(l->backend->key, B); /* primary here, canary there */
	assert_int_equal(l->n_canaries, 0);
	host_unref(l->host);
	CHECK(&c, { "nobody", "/", NULL });
	assert_string_equal(c.problems, "lost:NoPrimary lost:NoPrimary ");
	/* The primary appears: the problem goes. */
	add_list(&c, "[{" META("late", "5") "," SPEC(RULE("nobody", PATH("/", PREFIX, "a"))) "}]");
	model_flush(c.model);
	assert_int_equal(model_problem_count(c.model), 1);
	model_del_ingress(c.model, "default", "c1");
	model_flush(c.model);
	l = routes_match(c.routes, STR("h"), STR("/"));
	assert_int_equal(l->n_canaries, 1);
	host_unref(l->host);
	cluster_done(&c);
}

/* The list's first and whose order counts, as a connection to the host has them; "": everybody's. */
static const char *ciphers_of(const struct cluster *c, const char *host)
{
	static char text[100];
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl = SSL_new(ctx);
	struct host *h = routes_host(c->routes, str_of(host));
	int at = 0;

	SSL_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	text[0] = 0;
	if (h && h->ciphers) {
		assert_true(host_ciphers_use(h->ciphers, ssl));
		while (strncmp(SSL_get_cipher_list(ssl, at), "TLS_", 4) == 0)
			at++;
		snprintf(text, sizeof(text), "%s %s", SSL_get_cipher_list(ssl, at),
			 SSL_get_options(ssl) & SSL_OP_CIPHER_SERVER_PREFERENCE ? "ours" : "theirs");
	}
	host_unref(h);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return text;
}

static void test_ciphers(void **state)
{
	static const char text[] =
		"[{" META("first", "1") "," SPEC(RULE("h", PATH("/", PREFIX, "a"))) "},"
		"{" META_WITH("canary", "1", ANNOTATION("canary", "true") "," ANNOTATION("ssl-ciphers", "AES256-SHA")) "," SPEC(
		RULE("h", PATH("/", PREFIX, "b"))) "},"
		"{" META_WITH("order", "2", ANNOTATION("ssl-prefer-server-ciphers", "false")) "," SPEC(RULE("h", PATH("/", PREFIX, "b"))) "},"
		"{" META_WITH("list", "3", ANNOTATION("ssl-ciphers", "AES128-SHA:AES256-SHA") "," ANNOTATION("server-alias", "alias") ","
			      ANNOTATION("ssl-prefer-server-ciphers", "true")) "," SPEC(
		RULE("h", PATH("/x", PREFIX, "a")) "," RULE("g", PATH("/", PREFIX, "a"))) "},"
		"{" META_WITH("late", "4", ANNOTATION("ssl-ciphers", "AES256-SHA")) "," SPEC(RULE("h", PATH("/y", PREFIX, "a"))) "},"
		"{" META_WITH("bad", "1", ANNOTATION("ssl-ciphers", "NONE-SUCH")) "," SPEC(RULE("bad", PATH("/", PREFIX, "a"))) "}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	assert_string_equal(ciphers_of(&c, "h"), "AES128-SHA theirs");
	assert_string_equal(ciphers_of(&c, "g"), "AES128-SHA ours");
	assert_string_equal(ciphers_of(&c, "alias"), "AES128-SHA theirs");
	assert_string_equal(ciphers_of(&c, "bad"), "");
	assert_string_equal(ciphers_of(&c, "none"), "");
	assert_non_null(strstr(c.problems, "bad:AnnotationParsingFailed"));
	CHECK(&c, { "bad", "/", A });
	model_del_ingress(c.model, "default", "list");
	model_flush(c.model);
	assert_string_equal(ciphers_of(&c, "h"), "AES256-SHA theirs");
	assert_string_equal(ciphers_of(&c, "g"), "");
	cluster_done(&c);
}

static void test_names(void **state)
{
	static const char text[] =
		"[{" META_WITH("al", "1", ANNOTATION("server-alias", "alias.test,real.test")) "," SPEC(
		RULE("main.test", PATH("/", PREFIX, "a"))) "},"
		"{" META("real", "2") "," SPEC(RULE("real.test", PATH("/", PREFIX, "b"))) "},"
		"{" META_WITH("www", "2", ANNOTATION("from-to-www-redirect", "true")) "," SPEC(RULE("w.test", PATH("/", PREFIX, "a"))
		"," RULE("www.v.test", PATH("/", PREFIX, "a")) "," RULE("taken.test", PATH("/", PREFIX, "a"))) "},"
		"{" META("taken", "3") "," SPEC(RULE("www.taken.test", PATH("/", PREFIX, "b"))) "}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	CHECK(&c, { "alias.test", "/x", A }, { "real.test", "/", B }, { "www.taken.test", "/", B }, { "w.test", "/", A });
	struct host *h = routes_host(c.routes, STR("www.w.test"));
	assert_string_equal(h->redirect_to, "w.test");
	host_unref(h);
	h = routes_host(c.routes, STR("v.test"));
	assert_string_equal(h->redirect_to, "www.v.test");
	host_unref(h);
	/* A change of the host is one of its alias. */
	add_list(&c, "[{" META("more", "4") "," SPEC(RULE("main.test", PATH("/more", PREFIX, "d"))) "}]");
	model_flush(c.model);
	CHECK(&c, { "alias.test", "/more", D }, { "main.test", "/more", D });
	model_del_ingress(c.model, "default", "al");
	model_flush(c.model);
	CHECK(&c, { "alias.test", "/", NULL }, { "main.test", "/more", D }, { "main.test", "/", NULL });
	cluster_done(&c);
}

static void test_classes(void **state)
{
	static const char rule[] = RULE("h", PATH("/", PREFIX, "a"));
	static const struct {
		const char *class_name, *annotation;
		bool without, ours;
	} rows[] = {
		{ "nginx", NULL, false, true },	   { "mine", NULL, false, true },	{ "alb", NULL, false, false },
		{ "unknown", NULL, false, false }, { NULL, "nginx", false, true },	{ NULL, "mine", false, true },
		{ NULL, "alb", false, false },	   { "alb", "nginx", false, false },	{ NULL, NULL, false, false },
		{ NULL, NULL, true, true },	   { "nginx", "traefik", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cluster c;
		json_t *rules = json_pack("[o]", parse(rule));
		json_t *ing = json_pack("{s:{s:s, s:s, s:{s:s*}}, s:{s:s*, s:o}}", "metadata", "namespace", "default", "name", "i",
					"annotations", "kubernetes.io/ingress.class", rows[i].annotation, "spec",
					"ingressClassName", rows[i].class_name, "rules", rules);

		cluster_init_with(&c, &(struct model_config){ .watch_without_class = rows[i].without }, false);
		add_class(&c, "mine", "k8s.io/ingress-nginx", false);
		add_class(&c, "alb", "ingress.k8s.aws/alb", false);
		model_set_ingress(c.model, ing);
		model_flush(c.model);
		if ((routes_host_count(c.routes) == 1) != rows[i].ours)
			fail_msg("row %zu", i);
		json_decref(ing);
		cluster_done(&c);
	}
}

/* A class that comes, changes or goes takes its Ingresses along. */
static void test_class_changes(void **state)
{
	static const char text[] = "[{" META("i", "1") ",\"spec\":{\"ingressClassName\":\"mine\",\"rules\":["
				   RULE("h", PATH("/", PREFIX, "a")) "]}},{" META("j", "1") ",\"spec\":{\"rules\":["
				   RULE("j", PATH("/", PREFIX, "a")) "]}}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	assert_int_equal(routes_host_count(c.routes), 0);
	add_class(&c, "mine", "k8s.io/ingress-nginx", true);
	model_flush(c.model);
	CHECK(&c, { "h", "/", A }, { "j", "/", NULL }); /* j was made before there was a default class */
	add_class(&c, "mine", "somebody.else", false);
	model_flush(c.model);
	assert_int_equal(routes_host_count(c.routes), 0);
	add_class(&c, "mine", "k8s.io/ingress-nginx", false);
	model_flush(c.model);
	CHECK(&c, { "h", "/", A }, { "j", "/", NULL });
	model_del_class(c.model, "mine");
	model_flush(c.model);
	assert_int_equal(routes_host_count(c.routes), 0);
	cluster_done(&c);
}

static void test_v1beta1(void **state)
{
	static const char text[] =
		"[{\"apiVersion\":\"networking.k8s.io/v1beta1\",\"kind\":\"Ingress\"," META_WITH("old", "1",
		"\"kubernetes.io/ingress.class\":\"nginx\"") ",\"spec\":{\"backend\":{\"serviceName\":\"d\",\"servicePort\":80},"
		"\"rules\":[{\"host\":\"h\",\"http\":{\"paths\":[{\"path\":\"/a\",\"backend\":{\"serviceName\":\"a\","
		"\"servicePort\":\"http\"}},{\"backend\":{\"serviceName\":\"b\",\"servicePort\":80}}]}}]}}]";
	struct cluster c;

	(void)state;
	build(&c, text);
	CHECK(&c, { "h", "/a", "default/a:http" }, { "h", "/ab", "default/a:http" }, { "h", "/", B });
	cluster_done(&c);
}

/* ---- certificates ---- */

static json_t *make_secret(const char *name, const char *cn, const char *sans)
{
	struct x509_request r = { .common_name = cn, .sans = sans, .server = true, .days = 30 };
	struct err e;
	EVP_PKEY *key = x509_new_key(&e);
	X509 *cert = x509_issue(&r, key, NULL, NULL, &e);
	cleanup(freep) char *pem = x509_pem(cert);
	cleanup(freep) char *key_pem = x509_key_pem(key);
	struct buf a, b;

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	base64_put(&a, str_of(pem));
	base64_put(&b, str_of(key_pem));
	json_t *obj = json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "metadata", "namespace", "default", "name", name, "data", "tls.crt",
				a.ptr, "tls.key", b.ptr);
	buf_done(&a);
	buf_done(&b);
	X509_free(cert);
	EVP_PKEY_free(key);
	return obj;
}

static void add_secret(struct cluster *c, const char *name, const char *cn, const char *sans)
{
	json_t *obj = make_secret(name, cn, sans);

	model_set_secret(c->model, obj);
	json_decref(obj);
}

#define TLS(host, secret) "{\"hosts\":[\"" host "\"],\"secretName\":\"" secret "\"}"

static const char tls_text[] =
	"[{" META("t", "1") "," SPEC_TLS(RULE("a.test", PATH("/", PREFIX, "a")) "," RULE("b.test", PATH("/", PREFIX, "a")) ","
	RULE("san.test", PATH("/", PREFIX, "a")) "," RULE("*.w.test", PATH("/", PREFIX, "a")) "," RULE("bad.test", PATH("/", PREFIX, "a"))
	"," RULE("not.test", PATH("/", PREFIX, "a")),
	TLS("A.Test", "good") "," TLS("b.test", "missing") "," TLS("*.w.test", "wild") "," TLS("bad.test", "broken") ","
	TLS("not.test", "good") ",{\"hosts\":[\"extra.test\"],\"secretName\":\"extra\"}") "},"
	"{" META("u", "2") "," SPEC(RULE("x.w.test", PATH("/", PREFIX, "b")) "," RULE("plain.test", PATH("/", PREFIX, "b"))) "}]";

static void test_certificates(void **state)
{
	struct cluster c;
	json_t *broken = json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "metadata", "namespace", "default", "name", "broken", "data",
				   "tls.crt", "bm9wZQ==", "tls.key", "bm9wZQ==");

	(void)state;
	cluster_init(&c);
	add_secret(&c, "good", "a.test", "DNS:a.test,DNS:san.test");
	add_secret(&c, "wild", "x", "DNS:*.w.test");
	add_secret(&c, "extra", "extra.test", NULL);
	model_set_secret(c.model, broken);
	add_list(&c, tls_text);
	model_flush(c.model);
	struct tls *good = routes_tls(c.routes, STR("a.test"));
	assert_non_null(good);
	assert_ptr_equal(routes_tls(c.routes, STR("A.TEST.")), good);
	assert_ptr_equal(routes_tls(c.routes, STR("san.test")), good); /* by its SAN */
	assert_null(routes_tls(c.routes, STR("b.test")));
	assert_null(routes_tls(c.routes, STR("bad.test")));
	assert_null(routes_tls(c.routes, STR("not.test"))); /* not for this host */
	assert_non_null(routes_tls(c.routes, STR("y.w.test")));
	assert_non_null(routes_tls(c.routes, STR("x.w.test")));
	assert_null(routes_tls(c.routes, STR("x.y.w.test")));
	assert_non_null(routes_tls(c.routes, STR("extra.test"))); /* by common name, without a rule */
	assert_null(routes_tls(c.routes, STR_NONE));
	assert_int_equal(model_problem_count(c.model), 3);
	/* redirects: any spec.tls, or that of the wildcard above */
	static const struct {
		const char *host;
		bool tls;
	} rows[] = { { "a.test", true }, { "b.test", true }, { "x.w.test", true }, { "z.w.test", true }, { "plain.test", false } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct location *l = routes_match(c.routes, str_of(rows[i].host), STR("/"));
		if (!l || l->tls != rows[i].tls)
			fail_msg("%s: tls", rows[i].host);
		host_unref(l->host);
	}
	/* A secret that appears, is replaced, goes. */
	c.problems[0] = '\0';
	add_secret(&c, "missing", "b.test", "DNS:b.test");
	model_flush(c.model);
	assert_non_null(routes_tls(c.routes, STR("b.test")));
	add_secret(&c, "good", "a.test", "DNS:a.test");
	model_flush(c.model);
	assert_non_null(routes_tls(c.routes, STR("a.test")));
	assert_null(routes_tls(c.routes, STR("san.test")));
	model_del_secret(c.model, "default", "good");
	model_flush(c.model);
	assert_null(routes_tls(c.routes, STR("a.test")));
	assert_string_equal(c.problems, "t:MissingSecret ");
	model_del_ingress(c.model, "default", "t");
	model_flush(c.model);
	assert_null(routes_tls(c.routes, STR("y.w.test")));
	const struct location *l = routes_match(c.routes, STR("x.w.test"), STR("/"));
	assert_false(l->tls); /* the wildcard above is gone */
	host_unref(l->host);
	json_decref(broken);
	cluster_done(&c);
}

/* What is needed but was dropped is asked for; until it comes, the former state stays. */
static void test_wants(void **state)
{
	static const char before[] = "[{" META("i", "1") "," SPEC(RULE("a.test", PATH("/", PREFIX, "a"))) "}]";
	static const char after[] = "[{" META("i", "1") "," SPEC_TLS(RULE("a.test", PATH("/", PREFIX, "b")), TLS("a.test", "s")) "}]";
	struct cluster c;

	(void)state;
	cluster_init_with(&c, &(struct model_config){ 0 }, true);
	add_secret(&c, "s", "a.test", NULL); /* nobody refers to it: forgotten */
	add_list(&c, before);
	model_flush(c.model);
	assert_string_equal(c.wanted, "");
	add_list(&c, after);
	model_flush(c.model);
	assert_string_equal(c.wanted, "secret:default/s ");
	assert_true(model_waits(c.model));
	CHECK(&c, { "a.test", "/", A });
	add_secret(&c, "s", "a.test", NULL);
	model_flush(c.model);
	assert_false(model_waits(c.model));
	CHECK(&c, { "a.test", "/", B });
	assert_non_null(routes_tls(c.routes, STR("a.test")));
	assert_string_equal(c.problems, "");
	/* It does not exist: no need to ask. */
	c.asks = false;
	c.wanted[0] = '\0';
	add_list(&c, "[{" META("j", "1") "," SPEC_TLS(RULE("b.test", PATH("/", PREFIX, "b")), TLS("b.test", "t")) "}]");
	model_flush(c.model);
	assert_string_equal(c.wanted, "");
	assert_string_equal(c.problems, "j:MissingSecret ");
	/* Asked for, but gone when the answer comes. */
	c.asks = true;
	c.problems[0] = '\0';
	add_list(&c, "[{" META("k", "1") "," SPEC_TLS(RULE("c.test", PATH("/", PREFIX, "b")), TLS("c.test", "v")) "}]");
	model_flush(c.model);
	assert_string_equal(c.problems, "");
	model_del_secret(c.model, "default", "v");
	model_flush(c.model);
	assert_string_equal(c.problems, "k:MissingSecret ");
	CHECK(&c, { "c.test", "/", B });
	cluster_done(&c);
}

/* So do the global settings: what they name is not missing before it is known to be. */
static void test_globals_want(void **state)
{
	cleanup(json_decrefp) json_t *first = parse("{\"metadata\":{\"namespace\":\"default\",\"name\":\"conf\"},\"data\":{\"proxy-body-size\":\"5m\"}}");
	cleanup(json_decrefp) json_t *second = parse("{\"metadata\":{\"namespace\":\"default\",\"name\":\"conf\"},\"data\":"
						     "{\"proxy-body-size\":\"6m\",\"ssl-session-ticket-secret\":\"keys\"}}");
	cleanup(json_decrefp) json_t *keys = parse("{\"metadata\":{\"namespace\":\"default\",\"name\":\"keys\"},\"data\":{\"tickets.key\":"
						   "\"AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxABAgMEBQYHCAkKCwwNDg8Q\"}}");
	struct cluster c;

	(void)state;
	cluster_init_with(&c, &(struct model_config){ .configmap = "default/conf" }, true);
	model_set_configmap(c.model, first);
	model_flush(c.model);
	assert_false(model_waits(c.model));
	model_set_configmap(c.model, second);
	model_flush(c.model);
	assert_string_equal(c.wanted, "secret:default/keys ");
	assert_true(model_waits(c.model));
	assert_int_equal(model_globals(c.model)->defaults->proxy_body_size_bytes, 5 << 20);
	model_set_secret(c.model, keys);
	model_flush(c.model);
	assert_false(model_waits(c.model));
	assert_int_equal(model_globals(c.model)->defaults->proxy_body_size_bytes, 6 << 20);
	assert_int_equal(model_globals(c.model)->ticket_secret.len, 48);
	assert_string_equal(c.problems, "");
	model_del_secret(c.model, "default", "keys");
	model_flush(c.model);
	assert_true(model_globals(c.model)->ticket_secret_bad);
	assert_string_equal(c.problems, "conf:MissingSecret ");
	cluster_done(&c);
	/* From the beginning. */
	cluster_init_with(&c, &(struct model_config){ .configmap = "default/conf" }, true);
	model_set_configmap(c.model, second);
	model_flush(c.model);
	assert_true(model_waits(c.model));
	model_del_secret(c.model, "default", "keys");
	model_flush(c.model);
	assert_false(model_waits(c.model));
	assert_string_equal(c.problems, "conf:MissingSecret ");
	cluster_done(&c);
}

/* ---- changes ---- */

static const struct host *identity(struct cluster *c, const char *name)
{
	struct host *h = routes_host(c->routes, str_of(name));

	host_unref(h);
	return h;
}

/* Only the hosts that a change touches are other objects afterwards. */
static void test_incremental(void **state)
{
	struct cluster c;
	char text[1024];

	(void)state;
	build(&c, "[]");
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "[{\"metadata\":{\"namespace\":\"default\",\"name\":\"i%d\"}," SPEC(
			 RULE("h%d", PATH("/", PREFIX, "a"))) "}]", i, i);
		add_list(&c, text);
	}
	model_flush(c.model);
	const struct host *before[100];
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "h%d", i);
		before[i] = identity(&c, text);
		assert_non_null(before[i]);
	}
	add_list(&c, "[{\"metadata\":{\"namespace\":\"default\",\"name\":\"i7\"}," SPEC(RULE("h7", PATH("/", PREFIX, "b"))) "}]");
	/* the same once more: no change at all */
	add_list(&c, "[{\"metadata\":{\"namespace\":\"default\",\"name\":\"i8\",\"resourceVersion\":\"9\"}," SPEC(
		 RULE("h8", PATH("/", PREFIX, "a"))) "}]");
	/* an endpoint is no host */
	add_service(&c, "a", 9);
	model_flush(c.model);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "h%d", i);
		if ((identity(&c, text) == before[i]) != (i != 7))
			fail_msg("host %d", i);
	}
	CHECK(&c, { "h7", "/", B }, { "h8", "/", A });
	cluster_done(&c);
}

/* What a request holds stays as it was. */
static void test_held(void **state)
{
	struct cluster c;

	(void)state;
	build(&c, "[{" META("one", "1") "," SPEC(RULE("h", PATH("/x", PREFIX, "a"))) "}]");
	const struct location *l = routes_match(c.routes, STR("h"), STR("/x"));
	model_del_ingress(c.model, "default", "one");
	model_del_service(c.model, "default", "a");
	model_flush(c.model);
	model_sweep(c.model);
	assert_null(ask(&c, "h", "/x", (char[256]){ 0 }));
	assert_string_equal(l->path, "/x");
	assert_string_equal(l->ingress, "one");
	assert_string_equal(l->backend->key, A);
	host_unref(l->host);
	model_sweep(c.model);
	cluster_done(&c);
}

static void test_problems_once(void **state)
{
	static const char bad[] = "[{" META_WITH("i", "1", ANNOTATION("proxy-body-size", "huge")) "," SPEC(
		RULE("h", PATH("x", PREFIX, "a") "," PATH("/ok", PREFIX, "a"))) "}]";
	static const char other[] = "[{" META_WITH("i", "1", ANNOTATION("proxy-body-size", "huge")) "," SPEC(
		RULE("h", PATH("x", PREFIX, "a") "," PATH("/ok", PREFIX, "b"))) "}]";
	static const char good[] = "[{" META("i", "1") "," SPEC(RULE("h", PATH("/ok", PREFIX, "a"))) "}]";
	struct cluster c;

	(void)state;
	build(&c, bad);
	CHECK(&c, { "h", "/ok", A });
	assert_int_equal(model_problem_count(c.model), 2);
	c.problems[0] = '\0';
	add_list(&c, other);
	model_flush(c.model);
	assert_string_equal(c.problems, "");
	assert_int_equal(model_problem_count(c.model), 2);
	add_list(&c, good);
	model_flush(c.model);
	assert_int_equal(model_problem_count(c.model), 0);
	add_list(&c, bad);
	model_flush(c.model);
	assert_int_equal(model_problem_count(c.model), 2);
	assert_non_null(strstr(c.problems, "i:InvalidPath "));
	cluster_done(&c);
}

static void test_settings_shared(void **state)
{
	static const char text[] =
		"[{" META_WITH("i", "1", ANNOTATION("proxy-body-size", "2m")) "," SPEC(RULE("h", PATH("/", PREFIX, "a"))) "},"
		"{" META_WITH("j", "1", ANNOTATION("proxy-body-size", "2m")) "," SPEC(RULE("g", PATH("/", PREFIX, "a"))) "},"
		"{" META("k", "1") "," SPEC(RULE("f", PATH("/", PREFIX, "a"))) "}]";
	struct cluster c;

	(void)state;
	cluster_init_with(&c, &(struct model_config){ .configmap = "default/conf" }, false);
	add_list(&c, text);
	model_flush(c.model);
	const struct location *h = routes_match(c.routes, STR("h"), STR("/")), *g = routes_match(c.routes, STR("g"), STR("/")),
			      *f = routes_match(c.routes, STR("f"), STR("/"));
	assert_ptr_equal(h->set, g->set);
	assert_int_equal(h->set->proxy_body_size_bytes, 2 << 20);
	assert_ptr_equal(f->set, model_globals(c.model)->defaults);
	assert_int_equal(f->set->proxy_body_size_bytes, 1 << 20);
	host_unref(h->host);
	host_unref(g->host);
	host_unref(f->host);
	cleanup(json_decrefp) json_t *conf = parse("{\"metadata\":{\"namespace\":\"default\",\"name\":\"conf\"},"
						   "\"data\":{\"proxy-body-size\":\"5m\"}}");
	model_set_configmap(c.model, conf);
	model_flush(c.model);
	f = routes_match(c.routes, STR("f"), STR("/"));
	assert_int_equal(f->set->proxy_body_size_bytes, 5 << 20);
	host_unref(f->host);
	cluster_done(&c);
}

static void test_external_name(void **state)
{
	struct cluster c;
	struct err e;

	(void)state;
	build(&c, "[{" META("i", "1") "," SPEC(RULE("h", PATH("/", PREFIX, "ext") "," PATH("/l", PREFIX, "local") ","
	      PATH("/ip", PREFIX, "ip"))) "}]");
	static const char *const services[] = {
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"ext\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":"
		"\"api.example.org\",\"ports\":[{\"port\":80,\"targetPort\":8443}]}}",
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"local\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":"
		"\"localhost\"}}",
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"ip\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":"
		"\"192.0.2.9\"}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		cleanup(json_decrefp) json_t *svc = parse(services[i]);
		model_set_service(c.model, svc);
	}
	model_flush(c.model);
	assert_string_equal(c.resolving, "api.example.org ");
	const struct location *l = routes_match(c.routes, STR("h"), STR("/"));
	assert_int_equal(backend_endpoints(l->backend)->n, 0);
	assert_string_equal(l->backend->external_name, "api.example.org");
	struct addr at[1];
	assert_int_equal(addr_from_ip("192.0.2.1", 0, at, &e), 0);
	model_resolved(c.model, "api.example.org", at, 1);
	model_flush(c.model);
	assert_string_equal(backend_endpoints(l->backend)->at[0]->text, "192.0.2.1:8443");
	model_resolved(c.model, "api.example.org", NULL, 0); /* it fails once: the old ones stay */
	model_flush(c.model);
	model_sweep(c.model);
	assert_int_equal(backend_endpoints(l->backend)->n, 1);
	host_unref(l->host);
	l = routes_match(c.routes, STR("h"), STR("/l"));
	assert_int_equal(backend_endpoints(l->backend)->n, 0);
	host_unref(l->host);
	l = routes_match(c.routes, STR("h"), STR("/ip"));
	assert_string_equal(backend_endpoints(l->backend)->at[0]->text, "192.0.2.9:80");
	host_unref(l->host);
	cluster_done(&c);
}

static void test_passthrough(void **state)
{
	struct cluster c;

	(void)state;
	build(&c, "[{" META_WITH("i", "1", ANNOTATION("ssl-passthrough", "true")) "," SPEC(RULE("h", PATH("/", PREFIX, "a")) ","
	      RULE("g", PATH("/x", PREFIX, "a"))) "}]");
	struct host *h = routes_host(c.routes, STR("h"));
	assert_non_null(h->passthrough);
	assert_string_equal(h->passthrough_backend->key, A);
	host_unref(h);
	h = routes_host(c.routes, STR("g"));
	assert_null(h->passthrough);
	host_unref(h);
	assert_string_equal(c.problems, "i:NoRootPath ");
	cluster_done(&c);
}

static void test_normalise(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: refused */
	} rows[] = {
		{ "/", "/" }, { "/a", "/a" }, { "/a/", "/a/" }, { "//a///b", "/a/b" }, { "/a/./b", "/a/b" },
		{ "/a/../b", "/b" }, { "/a/..", "/" }, { "/a/.", "/a/" }, { "/..", NULL }, { "/a/../../b", NULL },
		{ "/%61", "/a" }, { "/a%2fb", "/a/b" }, { "/%2e%2e/x", NULL }, { "/%00", NULL }, { "/%zz", NULL }, { "/%4", NULL },
		{ "a", NULL }, { "", NULL }, { "/a?x=/../..", "/a" }, { "/a//", "/a/" }, { "/.hidden", "/.hidden" },
		{ "/...", "/..." }, { "/a/b/../../c/", "/c/" }, { "/a/%2e/b", "/a/b" }, { "/%2E%2E", NULL }, { "/a;b=c", "/a;b=c" },
		{ "/a/..;/b", "/a/..;/b" }, { "/a%3Fb", "/a?b" }, { "/%25", "/%" }, { "/a#b", "/a" }, { "/a/b/..", "/a/" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&out);
		int rc = uri_normalise(str_of(rows[i].in), &out);
		if ((rc < 0) != !rows[i].want || (rc == 0 && strcmp(out.ptr, rows[i].want) != 0))
			fail_msg("%s: got %d %s, want %s", rows[i].in, rc, out.ptr, rows[i].want);
		if (uri_is_normal(str_of(rows[i].in)) && !c_eq(rows[i].in, rows[i].want))
			fail_msg("%s is not normal", rows[i].in);
	}
	buf_done(&out);
}

static void test_pattern(void **state)
{
	static const struct {
		const char *pattern, *subject;
		bool match;
	} rows[] = {
		{ "^/a", "/A/b", true }, { "^/a", "/b", false }, { "^/ab?c", "/ac", true }, { "^/ab*", "/a", true },
		{ "^/ab{0}", "/a", true }, { "^/a|/b", "/x/b", true }, { "^/a.c", "/abc", true }, { "^", "/", true },
		{ "(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false }, { "^/a+", "/aaa", true },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct regex *p = pattern_new(rows[i].pattern, true, false, &e);
		assert_non_null(p);
		for (int n = 0; n < 600; n += i == 8 ? 600 : 1) /* also as machine code */
			if (pattern_match(p, str_of(rows[i].subject), NULL) != rows[i].match)
				fail_msg("%s on %s", rows[i].pattern, rows[i].subject);
		regex_free(p);
	}
	assert_null(pattern_new("(", true, false, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match), cmocka_unit_test(test_index), cmocka_unit_test(test_regex),
		cmocka_unit_test(test_rewrite_arguments), cmocka_unit_test(test_regex_limit), cmocka_unit_test(test_backends), cmocka_unit_test(test_default_backends),
		cmocka_unit_test(test_canary), cmocka_unit_test(test_ciphers), cmocka_unit_test(test_names), cmocka_unit_test(test_classes),
		cmocka_unit_test(test_class_changes), cmocka_unit_test(test_v1beta1), cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_globals_want), cmocka_unit_test(test_incremental), cmocka_unit_test(test_held),
		cmocka_unit_test(test_problems_once), cmocka_unit_test(test_settings_shared), cmocka_unit_test(test_external_name),
		cmocka_unit_test(test_passthrough), cmocka_unit_test(test_normalise), cmocka_unit_test(test_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
