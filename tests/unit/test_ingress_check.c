/* `portico ingress check` and `portico ingress annotations`: verdicts for manifests, and the documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "kube/client/manifest.h"
#include "roles/ingress/check/check.h"
#include "roles/ingress/check/command.h"

#define INGRESS(name, annotations, rules)                                                                                       \
	"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: " name "\n  namespace: shop\n  annotations: {" annotations \
	"}\nspec:\n  ingressClassName: nginx\n  rules:\n" rules "---\n"
#define RULE(host, path, type)                                                                                                  \
	"  - host: " host "\n    http: {paths: [{path: " path ", pathType: " type ", backend: {service: {name: web, port: {number: 80}}}}]}\n"
#define N "nginx.ingress.kubernetes.io/"
#define SERVICE "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}\n---\n"
#define CONFIGMAP(data)                                                                                                         \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ingress-nginx-controller, namespace: ingress-nginx}\ndata: {" data "}\n---\n"

static void on_object(void *ctx, const struct resource *storage, json_t *obj, unsigned line)
{
	char from[32];

	snprintf(from, sizeof(from), "line %u", line);
	check_add(ctx, storage, obj, from);
}

static void on_problem(void *ctx, unsigned line, bool lost, const char *text)
{
	(void)line;
	if (lost)
		check_unreadable(ctx, "text", text);
	else
		check_remark(ctx, "text", text);
}

static json_t *report(const char *yaml, enum verdict *ret)
{
	static const struct manifest_sink sink = { on_object, on_problem };
	struct check *c = check_new(CHECK_CONFIGMAP);

	manifest_read(str_of(yaml), false, &sink, c);
	json_t *r = check_report(c, ret);
	check_free(c);
	return r;
}

/* "name:verdict name:verdict" */
static void verdicts(const json_t *r, char *out, size_t size)
{
	json_t *i;
	size_t k, n = 0;

	out[0] = 0;
	json_array_foreach(jx_at(r, "ingresses"), k, i)
		n += (size_t)snprintf(out + n, size - n, "%s%s:%s", n ? " " : "", jx_str_or(i, "name", ""), jx_str_or(i, "verdict", ""));
}

static void all(void **state)
{
	static const struct {
		const char *yaml, *verdicts;
		enum verdict worst;
		const char *told[4]; /* in the report's text */
	} rows[] = {
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")), "a:works", WORKS, { NULL } },
		{ INGRESS("a", N "proxy-body-size: 8m, " N "enable-cors: 'true'", RULE("a.test", "/", "Prefix")), "a:works", WORKS, { NULL } },
		{ INGRESS("a", N "connection-proxy-header: close", RULE("a.test", "/", "Prefix")), "a:ignored", IGNORED, { "connection-proxy-header has no effect" } },
		{ INGRESS("a", N "limit-rate: '5'", RULE("a.test", "/", "Prefix")), "a:ignored", IGNORED, { "without proxy-buffering" } },
		{ INGRESS("a", N "limit-rate: '5', " N "proxy-buffering: 'on'", RULE("a.test", "/", "Prefix")), "a:differs", DIFFERS, { "read ahead" } },
		{ INGRESS("a", N "auth-keepalive: '5'", RULE("a.test", "/", "Prefix")), "a:works", WORKS, { NULL } },
		{ INGRESS("a", N "proxy-request-buffering: 'on'", RULE("a.test", "/", "Prefix")), "a:differs", DIFFERS, { "streamed" } },
		{ INGRESS("a", N "proxy-request-buffering: 'off'", RULE("a.test", "/", "Prefix")), "a:works", WORKS, { NULL } },
		{ INGRESS("a", N "proxy-body-size: big", RULE("a.test", "/", "Prefix")), "a:wrong", WRONG, { "expected a size" } },
		{ INGRESS("a", N "rewrite-targt: /", RULE("a.test", "/", "Prefix")), "a:ignored", IGNORED, { "did you mean rewrite-target?" } },
		/* Secrets and Services count when there are some */
		{ INGRESS("a", N "auth-type: basic, " N "auth-secret: users", RULE("a.test", "/", "Prefix")), "a:works", WORKS,
		  { "\"Secrets\"", "\"Services\"" } },
		{ INGRESS("a", N "auth-type: basic, " N "auth-secret: users", RULE("a.test", "/", "Prefix"))
		  "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: shop}\n", "a:wrong", WRONG, { "Secret shop/users does not exist" } },
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")) SERVICE, "a:works", WORKS, { NULL } },
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")) "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\n"
		  "spec: {ports: [{port: 80}]}\n", "a:wrong", WRONG, { "Service shop/web does not exist" } },
		/* between Ingresses */
		{ INGRESS("a", "", RULE("a.test", "/x", "Exact")) INGRESS("b", "", RULE("a.test", "/x", "Exact")), "a:wrong b:works", WRONG,
		  { "is already defined in ingress shop/b" } },
		{ INGRESS("a", N "use-regex: 'true'", RULE("a.test", "/x", "Prefix")) INGRESS("b", "", RULE("a.test", "/y", "Exact")),
		  "a:works b:works", NOTED, { "another Ingress has use-regex or rewrite-target" } },
		{ INGRESS("a", N "canary: 'true', " N "canary-weight: '5'", RULE("a.test", "/x", "Prefix")), "a:wrong", WRONG, { "NoPrimary" } },
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")) INGRESS("a", "", RULE("b.test", "/", "Prefix")), "a:wrong", WRONG,
		  { "an Ingress of the same name" } },
		/* snippets, with and without a ConfigMap */
		{ INGRESS("a", N "configuration-snippet: 'more_set_headers \"X-A: 1\";'", RULE("a.test", "/", "Prefix")), "a:works", NOTED,
		  { "needs allow-snippet-annotations" } },
		{ INGRESS("a", N "configuration-snippet: 'rewrite ^/a /b last;'", RULE("a.test", "/", "Prefix")), "a:differs", DIFFERS,
		  { "line 1: rewrite ... last" } },
		{ INGRESS("a", N "configuration-snippet: 'proxy_pass http://x;'", RULE("a.test", "/", "Prefix")), "a:wrong", WRONG,
		  { "line 1: directive \\\"proxy_pass\\\" is not supported" } },
		{ INGRESS("a", N "configuration-snippet: 'more_set_headers \"X-A: 1\";'", RULE("a.test", "/", "Prefix")) CONFIGMAP(""), "a:wrong",
		  WRONG, { "Snippet directives are disabled by the Ingress administrator" } },
		{ INGRESS("a", N "configuration-snippet: 'more_set_headers \"X-A: 1\";'", RULE("a.test", "/", "Prefix"))
		  CONFIGMAP("allow-snippet-annotations: 'true'"), "a:works", WORKS, { NULL } },
		/* the ConfigMap */
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")) CONFIGMAP("http-snippet: x"), "a:works", IGNORED, { "http-snippet is not supported" } },
		{ INGRESS("a", "", RULE("a.test", "/", "Prefix")) CONFIGMAP("keep-alive: soon"), "a:works", WRONG, { "keep-alive: \\\"soon\\\"" } },
		/* others' classes, old versions, what cannot be read */
		{ "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a, namespace: shop, annotations: {" N "proxy-body-size: big}}\n"
		  "spec:\n  ingressClassName: alb\n  rules:\n" RULE("a.test", "/", "Prefix"), "a:skipped", WORKS, { NULL } },
		{ "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: a, namespace: shop, annotations: {kubernetes.io/ingress.class: nginx}}\n"
		  "spec: {rules: [{host: a.test, http: {paths: [{path: /, backend: {serviceName: web, servicePort: 80}}]}}]}\n", "a:works", WORKS,
		  { NULL } },
		{ "kind: [\n", "", WRONG, { "\"unreadable\": [{" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char got[256];
		enum verdict worst;
		json_t *r = report(rows[i].yaml, &worst);
		cleanup(freep) char *text = json_dumps(r, 0);

		verdicts(r, got, sizeof(got));
		if (strcmp(got, rows[i].verdicts) != 0 || worst != rows[i].worst)
			fail_msg("%zu: %s, worst %s: %s", i, got, verdict_name(worst), text);
		for (size_t k = 0; k < ARRAY_LEN(rows[i].told) && rows[i].told[k]; k++)
			if (!strstr(text, rows[i].told[k]))
				fail_msg("%zu: no '%s' in %s", i, rows[i].told[k], text);
		json_decref(r);
	}
}

/* What a command prints, read back. */
static void printed(struct buf *out, int (*run)(const struct config *c, struct args *a), int argc, char **argv, int want)
{
	struct config c = { 0 };
	struct args a = { "ingress", "", argc, argv };
	char path[] = "/tmp/portico-test-XXXXXX";
	int fd = mkstemp(path), saved = dup(STDOUT_FILENO);
	struct err e;

	assert_true(fd >= 0 && saved >= 0);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	int rc = run(&c, &a);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	assert_int_equal(rc, want);
	assert_int_equal(file_read(path, out, &e), 0);
	unlink(path);
}
#define PRINTED(out, run, want, ...)                                                                                            \
	({                                                                                                                      \
		char *argv_[] = { __VA_ARGS__, NULL };                                                                          \
		printed(out, run, ARRAY_LEN(argv_) - 1, argv_, want);                                                           \
	})
static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* The page is what the command prints: `portico ingress annotations --output markdown > docs/ingress-annotations.md`. */
static void documentation(void **state)
{
	struct buf have, want;
	struct err e;

	(void)state;
	buf_init(&have, 1 << 20);
	buf_init(&want, 1 << 20);
	PRINTED(&want, annotations_command, 0, word("annotations"), word("--output"), word("markdown"));
	assert_int_equal(file_read("docs/ingress-annotations.md", &have, &e), 0);
	if (!str_eq(buf_str(&have), buf_str(&want)))
		fail_msg("docs/ingress-annotations.md is not what `portico ingress annotations --output markdown` prints");
	buf_done(&have);
	buf_done(&want);
}

static void listing(void **state)
{
	struct buf out;
	json_error_t je;

	(void)state;
	buf_init(&out, 1 << 20);
	PRINTED(&out, annotations_command, 0, word("annotations"), word("--output=json"));
	json_t *doc = json_loads(out.ptr, 0, &je);
	assert_non_null(doc);
	assert_true(jx_len(doc, "annotations") > 130 && jx_len(doc, "configMap") > 100);
	json_decref(doc);
	buf_clear(&out);
	PRINTED(&out, annotations_command, 0, word("annotations"), word("nginx.ingress.kubernetes.io/whitelist-source-range"));
	assert_non_null(strstr(out.ptr, "nginx.ingress.kubernetes.io/allowlist-source-range"));
	assert_null(strstr(out.ptr, "ConfigMap: "));
	buf_clear(&out);
	PRINTED(&out, annotations_command, 1, word("annotations"), word("nothing-like-it"));
	PRINTED(&out, annotations_command, 2, word("annotations"), word("--output"), word("xml"));
	PRINTED(&out, annotations_command, 2, word("annotations"), word("--output"));
	PRINTED(&out, annotations_command, 2, word("annotations"), word("a"), word("b"));
	buf_done(&out);
}

static void check_as_a_command(void **state)
{
	static const char yaml[] = INGRESS("a", N "connection-proxy-header: close", RULE("a.test", "/", "Prefix"));
	char folder[] = "/tmp/portico-check-XXXXXX";
	struct buf out;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(folder));
	cleanup(freep) char *file = xasprintf("%s/a.yaml", folder);
	assert_int_equal(file_write(file, STR(yaml), 0600, &e), 0);
	buf_init(&out, 1 << 20);
	PRINTED(&out, check_command, 1, word("check"), folder);
	assert_non_null(strstr(out.ptr, "ignored  shop/a  ("));
	assert_non_null(strstr(out.ptr, "1 ignored"));
	buf_clear(&out);
	PRINTED(&out, check_command, 2, word("check"), file, word("/nonexistent/b.yaml"), word("-o"), word("json"));
	assert_non_null(strstr(out.ptr, "/nonexistent/b.yaml"));
	PRINTED(&out, check_command, 2, word("check"));
	PRINTED(&out, check_command, 2, word("check"), word("--everything"));
	buf_done(&out);
	assert_int_equal(dir_remove(folder, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all), cmocka_unit_test(documentation), cmocka_unit_test(listing), cmocka_unit_test(check_as_a_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
