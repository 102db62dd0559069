/* Routing of the ingress proxy: which location a host and path get, and what is sent upstream. */
#include "roles/ingress/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

/* A cluster as JSON text: every Service has one endpoint, 10.0.0.N:8080, N from its label. */
struct cluster {
	json_t *ingresses, *services;
	char problems[1024];
};

static json_t *parse(const char *text)
{
	json_error_t je;
	json_t *v = json_loads(text, 0, &je);

	if (!v)
		fail_msg("%s: %s", je.text, text);
	return v;
}

static void each_ingress(void *ctx, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	struct cluster *c = ctx;
	json_t *ing;
	size_t i;

	json_array_foreach(c->ingresses, i, ing)
		fn(fn_ctx, ing);
}

static const json_t *get_service(void *ctx, const char *ns, const char *name)
{
	struct cluster *c = ctx;

	(void)ns;
	return json_object_get(c->services, name);
}

static void each_slice(void *ctx, const char *ns, const char *name, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	struct cluster *c = ctx;
	char text[512];

	(void)ns;
	int n = (int)jx_int(json_object_get(c->services, name), "n", 0);
	snprintf(text, sizeof(text),
		 "{\"ports\":[{\"name\":\"http\",\"port\":8080}],\"endpoints\":[{\"addresses\":[\"10.0.0.%d\"],"
		 "\"conditions\":{\"ready\":true}},{\"addresses\":[\"10.9.9.9\"],\"conditions\":{\"ready\":false}}]}", n);
	json_t *slice = parse(text);
	if (n)
		fn(fn_ctx, slice);
	json_decref(slice);
}

static const json_t *get_secret(void *ctx, const char *ns, const char *name)
{
	(void)ctx, (void)ns, (void)name;
	return NULL;
}

static bool is_our_class(void *ctx, const char *name)
{
	(void)ctx;
	return name && strcmp(name, "nginx") == 0;
}

static void problem(void *ctx, const json_t *obj, const char *reason, const char *message)
{
	struct cluster *c = ctx;

	(void)message;
	snprintf(c->problems + strlen(c->problems), sizeof(c->problems) - strlen(c->problems), "%s:%s ", jx_name(obj), reason);
}

static struct route_table *build(struct cluster *c, const char *ingresses)
{
	struct route_source s = { c, each_ingress, get_service, each_slice, get_secret, is_our_class, problem };

	*c = (struct cluster){ .ingresses = parse(ingresses) };
	c->services = parse("{\"a\":{\"n\":1,\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}},"
			    " \"b\":{\"n\":2,\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}},"
			    " \"empty\":{\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}}}");
	return route_table_new(&s);
}

static void done(struct cluster *c, struct route_table *t)
{
	route_table_unref(t);
	json_decref(c->ingresses);
	json_decref(c->services);
}

#define META(name, more) "\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\"," \
	"\"creationTimestamp\":\"2026-01-01T00:00:0" more "Z\"}"
#define PATH(path, type, svc) "{\"path\":\"" path "\",\"pathType\":\"" type "\"," \
	"\"backend\":{\"service\":{\"name\":\"" svc "\",\"port\":{\"number\":80}}}}"
#define RULE(host, paths) "{\"host\":\"" host "\",\"http\":{\"paths\":[" paths "]}}"

static const char plain[] =
	"[{" META("one", "1") ",\"spec\":{\"ingressClassName\":\"nginx\",\"rules\":["
	RULE("shop.example.com", PATH("/", "Prefix", "a") "," PATH("/users", "Prefix", "b") "," PATH("/products", "Exact", "b"))
	"," RULE("*.wild.example.com", PATH("/", "Prefix", "a"))
	"," RULE("impl.example.com", PATH("/foo", "ImplementationSpecific", "a") "," PATH("/foo/bar", "Prefix", "b"))
	"," RULE("none.example.com", PATH("/", "Prefix", "empty") "," PATH("/x", "Prefix", "missing")) "]}},"
	"{" META("younger", "2") ",\"spec\":{\"ingressClassName\":\"nginx\",\"rules\":["
	RULE("shop.example.com", PATH("/users", "Prefix", "a")) "]}},"
	"{" META("other", "1") ",\"spec\":{\"ingressClassName\":\"alb\",\"rules\":["
	RULE("alb.example.com", PATH("/", "Prefix", "a")) "]}}]";

static void test_match(void **state)
{
	static const struct {
		const char *host, *path, *want; /* backend key, or NULL for 404 */
	} rows[] = {
		{ "shop.example.com", "/", "default/a:80" },
		{ "SHOP.example.COM", "/anything", "default/a:80" },
		{ "shop.example.com", "/users", "default/b:80" },
		{ "shop.example.com", "/users/", "default/b:80" },
		{ "shop.example.com", "/users/1", "default/b:80" },
		{ "shop.example.com", "/usersx", "default/a:80" },
		{ "shop.example.com", "/products", "default/b:80" },
		{ "shop.example.com", "/products/", "default/a:80" },
		{ "shop.example.com", "/products/1", "default/a:80" },
		{ "other.example.com", "/", NULL },
		{ "x.wild.example.com", "/p", "default/a:80" },
		{ "x.y.wild.example.com", "/", NULL },
		{ "wild.example.com", "/", NULL },
		{ ".wild.example.com", "/", NULL },
		{ "impl.example.com", "/foobar", "default/a:80" },
		{ "impl.example.com", "/foo/bar/baz", "default/b:80" },
		{ "impl.example.com", "/foo/barx", "default/a:80" },
		{ "impl.example.com", "/", NULL },
		{ "alb.example.com", "/", NULL },
		{ "", "/", NULL },
	};
	struct cluster c;
	struct route_table *t = build(&c, plain);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct location *l = route_match(t, str_of(rows[i].host), str_of(rows[i].path));
		const char *got = l ? l->backend->key : NULL;
		if (!c_eq(got, rows[i].want))
			fail_msg("%s%s: got %s, want %s", rows[i].host, rows[i].path, got, rows[i].want);
	}
	assert_string_equal(c.problems, "younger:DuplicatePath ");
	done(&c, t);
}

static void test_backends(void **state)
{
	struct cluster c;
	struct route_table *t = build(&c, plain);
	char text[ADDR_TEXT_BYTES];

	(void)state;
	const struct location *l = route_match(t, STR("shop.example.com"), STR("/"));
	assert_int_equal(l->backend->n_endpoints, 1);
	assert_string_equal(addr_text(backend_pick(l->backend, NULL), text), "10.0.0.1:8080");
	l = route_match(t, STR("none.example.com"), STR("/"));
	assert_null(backend_pick(l->backend, NULL));
	assert_false(l->backend->service_missing);
	l = route_match(t, STR("none.example.com"), STR("/x"));
	assert_null(backend_pick(l->backend, NULL));
	assert_true(l->backend->service_missing);
	done(&c, t);
}

static void test_rewrite(void **state)
{
	static const char text[] =
		"[{\"metadata\":{\"namespace\":\"default\",\"name\":\"rw\",\"annotations\":{"
		"\"kubernetes.io/ingress.class\":\"nginx\",\"nginx.ingress.kubernetes.io/rewrite-target\":\"/$2\"}},"
		"\"spec\":{\"rules\":[" RULE("h", PATH("/app(/|$)(.*)", "ImplementationSpecific", "a") ","
						  PATH("/longer/path/than/app", "Exact", "b")) "]}}]";
	static const struct {
		const char *path, *backend, *upstream;
	} rows[] = {
		{ "/app", "default/a:80", "/" },
		{ "/APP/x/y", "default/a:80", "/x/y" },
		{ "/application", NULL, NULL },
		{ "/Longer/Path/Than/App/more", "default/b:80", "/" },
	};
	struct cluster c;
	struct route_table *t = build(&c, text);
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct location *l = route_match(t, STR("h"), str_of(rows[i].path));
		if (!c_eq(l ? l->backend->key : NULL, rows[i].backend))
			fail_msg("%s: backend", rows[i].path);
		if (!l)
			continue;
		buf_clear(&out);
		assert_int_equal(route_rewrite(l, str_of(rows[i].path), &out), 0);
		assert_string_equal(out.ptr, rows[i].upstream);
	}
	buf_done(&out);
	done(&c, t);
}

static void test_default_backend(void **state)
{
	static const char text[] = "[{" META("d", "1") ",\"spec\":{\"ingressClassName\":\"nginx\",\"defaultBackend\":"
				   "{\"service\":{\"name\":\"b\",\"port\":{\"name\":\"http\"}}}}}]";
	struct cluster c;
	struct route_table *t = build(&c, text);

	(void)state;
	assert_string_equal(route_match(t, STR("whoever"), STR("/x"))->backend->key, "default/b:http");
	done(&c, t);
}

static void test_normalise(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: refused */
	} rows[] = {
		{ "/", "/" }, { "/a", "/a" }, { "/a/", "/a/" }, { "//a///b", "/a/b" }, { "/a/./b", "/a/b" },
		{ "/a/../b", "/b" }, { "/a/..", "/" }, { "/a/.", "/a/" }, { "/..", NULL }, { "/a/../../b", NULL },
		{ "/%61", "/a" }, { "/a%2fb", "/a/b" }, { "/%2e%2e/x", NULL }, { "/%00", NULL }, { "/%zz", NULL }, { "/%4", NULL },
		{ "a", NULL }, { "", NULL }, { "/a?x=/../..", "/a" }, { "/a//", "/a/" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&out);
		int rc = uri_normalise(str_of(rows[i].in), &out);
		if ((rc < 0) != !rows[i].want || (rc == 0 && strcmp(out.ptr, rows[i].want) != 0))
			fail_msg("%s: got %d %s, want %s", rows[i].in, rc, out.ptr, rows[i].want);
	}
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match), cmocka_unit_test(test_backends), cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_default_backend), cmocka_unit_test(test_normalise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
