/* Annotations and the ConfigMap: every type with good and bad values, the tables' own consistency, references, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "codec/base64.h"
#include "net_pki.h"
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/config/builder.h"
#include "roles/ingress/config/fastcgi.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/filter/htdigest.h"
#include "roles/ingress/filter/htpasswd.h"
#include "roles/ingress/http/variable.h"

/* ---- a cluster of a few objects ---- */

static struct {
	json_t *secrets, *configmaps; /* by "ns/name" */
	char problems[8192];	      /* "annotation|reason|message\n" */
} world;

static const json_t *get(const json_t *from, const char *ns, const char *name)
{
	char key[256];

	snprintf(key, sizeof(key), "%s/%s", ns, name);
	return json_object_get(from, key);
}

static const json_t *get_secret(void *ctx, const char *ns, const char *name)
{
	(void)ctx;
	return get(world.secrets, ns, name);
}

static const json_t *get_configmap(void *ctx, const char *ns, const char *name)
{
	(void)ctx;
	return get(world.configmaps, ns, name);
}

static void note(void *ctx, const char *annotation, const char *reason, const char *message)
{
	size_t n = strlen(world.problems);

	(void)ctx;
	snprintf(world.problems + n, sizeof(world.problems) - n, "%s|%s|%s\n", annotation ? annotation : "", reason, message);
}

static const struct settings_source source = { .get_secret = get_secret, .get_configmap = get_configmap, .problem = note };

static void put_secret(const char *key, const char *field, const char *text)
{
	json_t *obj = json_object_get(world.secrets, key);
	struct buf b;

	buf_init(&b, 1 << 16);
	base64_put(&b, str_of(text));
	if (!obj) {
		obj = json_object();
		json_object_set_new(world.secrets, key, obj);
	}
	if (!json_object_get(obj, "data"))
		json_object_set_new(obj, "data", json_object());
	json_object_set_new(json_object_get(obj, "data"), field, json_string(b.ptr ? b.ptr : ""));
	jx_set_str(obj, "metadata.name", strchr(key, '/') + 1);
	buf_done(&b);
}

static void put_configmap(const char *key, const char *field, const char *text)
{
	json_t *obj = json_object_get(world.configmaps, key);

	if (!obj) {
		obj = json_object();
		json_object_set_new(world.configmaps, key, obj);
	}
	if (!json_object_get(obj, "data"))
		json_object_set_new(obj, "data", json_object());
	json_object_set_new(json_object_get(obj, "data"), field, json_string(text));
}

static int begin(void **state)
{
	(void)state;
	world.secrets = json_object();
	world.configmaps = json_object();
	world.problems[0] = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	json_decref(world.secrets);
	json_decref(world.configmaps);
	return 0;
}

/* An Ingress shop/front with pairs "name", "value", …, NULL; names without '/' get nginx's prefix. */
static const struct settings *settings_with(struct globals *g, const char *const *pairs)
{
	json_t *ingress = json_pack("{s:{s:s,s:s,s:{}}}", "metadata", "namespace", "shop", "name", "front", "annotations");
	json_t *annotations = json_object_get(json_object_get(ingress, "metadata"), "annotations");
	char key[256];

	for (; *pairs; pairs += 2) {
		snprintf(key, sizeof(key), "%s%s", strchr(pairs[0], '/') ? "" : NGINX_PREFIX, pairs[0]);
		json_object_set_new(annotations, key, json_string(pairs[1]));
	}
	const struct settings *s = settings_of_ingress(ingress, g, &source);
	json_decref(ingress);
	return s;
}
#define WITH(g, ...) settings_with(g, (const char *const[]){ __VA_ARGS__, NULL })

static struct globals *globals_with(const char *const *pairs)
{
	json_t *obj = json_pack("{s:{s:s},s:{}}", "metadata", "namespace", "ingress-nginx", "data");

	for (; *pairs; pairs += 2)
		json_object_set_new(json_object_get(obj, "data"), pairs[0], json_string(pairs[1]));
	struct globals *g = globals_of_configmap(obj, &source);
	json_decref(obj);
	return g;
}
#define GLOBALS(...) globals_with((const char *const[]){ __VA_ARGS__, NULL })

static bool told(const char *text)
{
	return strstr(world.problems, text) != NULL;
}

/* ---- the tables ---- */

static const struct field *const all_tables[] = { nginx_annotations, our_annotations, configmap_fields };

static void tables_are_sound(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(all_tables); t++)
		for (const struct field *f = all_tables[t]; f->name; f++, n++) {
			char expects[FIELD_EXPECTS_BYTES];
			size_t len = f->doc ? strlen(f->doc) : 0;
			if (len < 10 || f->doc[len - 1] != '.')
				fail_msg("%s has no sentence of documentation", f->name);
			if (!f->scope || !f->acts || field_find(all_tables[t], str_of(f->name)) != f)
				fail_msg("%s: no scope, no place, or twice", f->name);
			if (f->alias && field_find(all_tables[t], str_of(f->alias)) != f)
				fail_msg("%s: its alias %s is taken", f->name, f->alias);
			if (t == 1)
				assert_int_equal(f->tier, TIER_OURS);
			if (f->tier == TIER_C && f->type == FIELD_NONE)
				assert_null(f->fallback);
			assert_true(strlen(field_expects(f, expects)) > 5);
		}
	assert_true(n > 250);
}

/* Defaults that both tables have are the same, and what is owned has a row that frees it. */
static void tables_agree(void **state)
{
	(void)state;
	for (const struct field *c = configmap_fields; c->name; c++) {
		bool found = false;
		if (c->home != HOME_SETTINGS || c->type == FIELD_NONE)
			continue;
		for (const struct field *f = nginx_annotations; f->name; f++)
			if (f->home == HOME_SETTINGS && f->type == c->type && f->offset == c->offset) {
				found = true;
				if (!c_eq(f->fallback, c->fallback))
					fail_msg("%s: the default is %s or %s", c->name, f->fallback, c->fallback);
			}
		if (!found && c->type != FIELD_INT)
			fail_msg("%s: no annotation owns its value", c->name);
	}
}

static void nginx_names(void **state)
{
	/* of annotations.md's table and prose */
	static const char *const names[] = { "app-root", "affinity", "affinity-mode", "affinity-canary-behavior", "auth-realm", "auth-secret",
		"auth-secret-type", "auth-type", "auth-tls-secret", "auth-tls-verify-depth", "auth-tls-verify-client", "auth-tls-error-page",
		"auth-tls-pass-certificate-to-upstream", "auth-tls-match-cn", "auth-url", "auth-cache-key", "auth-cache-duration",
		"auth-keepalive", "auth-keepalive-share-vars", "auth-keepalive-requests", "auth-keepalive-timeout", "auth-proxy-set-headers",
		"auth-snippet", "enable-global-auth", "backend-protocol", "canary", "canary-by-header", "canary-by-header-value",
		"canary-by-header-pattern", "canary-by-cookie", "canary-weight", "canary-weight-total", "client-body-buffer-size",
		"configuration-snippet", "custom-http-errors", "custom-headers", "default-backend", "enable-cors", "cors-allow-origin",
		"cors-allow-methods", "cors-allow-headers", "cors-expose-headers", "cors-allow-credentials", "cors-max-age",
		"force-ssl-redirect", "from-to-www-redirect", "http2-push-preload", "limit-connections", "limit-rps", "permanent-redirect",
		"permanent-redirect-code", "temporal-redirect", "temporal-redirect-code", "preserve-trailing-slash", "proxy-body-size",
		"proxy-cookie-domain", "proxy-cookie-path", "proxy-connect-timeout", "proxy-send-timeout", "proxy-read-timeout",
		"proxy-next-upstream", "proxy-next-upstream-timeout", "proxy-next-upstream-tries", "proxy-request-buffering",
		"proxy-redirect-from", "proxy-redirect-to", "proxy-http-version", "proxy-ssl-secret", "proxy-ssl-ciphers", "proxy-ssl-name",
		"proxy-ssl-protocols", "proxy-ssl-verify", "proxy-ssl-verify-depth", "proxy-ssl-server-name", "enable-rewrite-log",
		"rewrite-target", "satisfy", "server-alias", "server-snippet", "service-upstream", "session-cookie-change-on-failure",
		"session-cookie-conditional-samesite-none", "session-cookie-domain", "session-cookie-expires", "session-cookie-max-age",
		"session-cookie-name", "session-cookie-path", "session-cookie-samesite", "session-cookie-secure", "ssl-redirect",
		"ssl-passthrough", "stream-snippet", "upstream-hash-by", "x-forwarded-prefix", "load-balance", "upstream-vhost",
		"denylist-source-range", "whitelist-source-range", "proxy-buffering", "proxy-buffers-number", "proxy-buffer-size",
		"proxy-busy-buffers-size", "proxy-max-temp-file-size", "ssl-ciphers", "ssl-prefer-server-ciphers", "connection-proxy-header",
		"enable-access-log", "enable-opentelemetry", "opentelemetry-trust-incoming-span", "use-regex", "enable-modsecurity",
		"enable-owasp-core-rules", "modsecurity-transaction-id", "modsecurity-snippet", "mirror-request-body", "mirror-target",
		"mirror-host", "auth-method", "auth-signin", "auth-signin-redirect-param", "auth-response-headers", "auth-request-redirect",
		"auth-always-set-cookie", "limit-rpm", "limit-burst-multiplier", "limit-whitelist", "limit-allowlist", "limit-rate",
		"limit-rate-after", "upstream-hash-by-subset", "upstream-hash-by-subset-size", "allowlist-source-range",
		"opentelemetry-operation-name", "relative-redirects", "use-port-in-redirects", "disable-proxy-intercept-errors",
		"fastcgi-index", "fastcgi-params-configmap" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!field_find(nginx_annotations, str_of(names[i])))
			fail_msg("%s is missing", names[i]);
}

/* ---- values ---- */

static void values(void **state)
{
	static const struct {
		const char *name, *value, *want; /* want NULL: refused */
	} rows[] = {
		{ "use-regex", "true", "true" }, { "use-regex", "T", "true" }, { "use-regex", "0", "false" }, { "use-regex", "yes", NULL },
		{ "use-regex", " true\n", "true" }, { "use-regex", "TrUe", NULL },
		{ "session-cookie-secure", "false", "false" }, { "session-cookie-secure", "maybe", NULL },
		{ "canary-weight", "30", "30" }, { "canary-weight", "-1", NULL }, { "canary-weight", "3x", NULL }, { "canary-weight", "+5", "5" },
		{ "canary-weight", "99999999999999999999", NULL }, { "canary-weight-total", "0", NULL },
		{ "limit-rate", "0", "0" }, { "limit-rate", "50", "50" }, { "limit-rate", "50k", NULL }, { "limit-rate", "-1", NULL },
		{ "limit-rate-after", "1000000000", "1000000000" }, { "limit-rate-after", "1000000001", NULL },
		{ "permanent-redirect-code", "308", "308" }, { "permanent-redirect-code", "200", NULL },
		{ "proxy-body-size", "8k", "8k" }, { "proxy-body-size", "1048576", "1m" }, { "proxy-body-size", "0", "0" },
		{ "proxy-body-size", "2G", "2g" }, { "proxy-body-size", "12q", NULL }, { "proxy-body-size", "k", NULL },
		{ "proxy-body-size", "1.5m", NULL }, { "proxy-body-size", "99999999999g", NULL },
		{ "proxy-read-timeout", "3600", "3600" }, { "proxy-read-timeout", "1m30s", "90" }, { "proxy-read-timeout", "500ms", "1" },
		{ "proxy-read-timeout", "5x", NULL }, { "proxy-read-timeout", "-5", NULL }, { "proxy-read-timeout", "99999999999", NULL },
		{ "rewrite-target", "/$1/$2", "/$1/$2" }, { "rewrite-target", "/a\nb", NULL },
		{ "app-root", "/app", "/app" }, { "app-root", "http://a/", NULL }, { "app-root", "/a b", NULL },
		{ "default-backend", "errors-1", "errors-1" }, { "default-backend", "Errors", NULL }, { "default-backend", "-a", NULL },
		{ "server-alias", "a.test, b.test,,*.c.test", "a.test,b.test,*.c.test" }, { "server-alias", "~^www\\d", NULL },
		{ "whitelist-source-range", "10.0.0.0/8, 192.0.2.1", "10.0.0.0/8,192.0.2.1/32" }, { "whitelist-source-range", "10.0.0.0/33", NULL }, { "whitelist-source-range", " , ", NULL },
		{ "whitelist-source-range", "2001:db8::/32", "2001:db8::/32" }, { "denylist-source-range", "nobody", NULL },
		{ "custom-http-errors", "404, 503", "404,503" }, { "custom-http-errors", "200", NULL }, { "custom-http-errors", "4o4", NULL },
		{ "backend-protocol", "grpcs", "GRPCS" }, { "backend-protocol", "h2", NULL },
		{ "proxy-buffering", "on", "on" }, { "proxy-buffering", "true", NULL },
		{ "affinity", "cookie", "cookie" }, { "affinity", "ip", NULL },
		{ "proxy-next-upstream", "error http_502  non_idempotent", "error http_502 non_idempotent" }, { "proxy-next-upstream", "off", "" },
		{ "proxy-next-upstream", "error always", NULL },
		{ "auth-url", "https://auth.test/check?u=$uri", "https://auth.test/check?u=$uri" }, { "auth-url", "ftp://x", NULL },
		{ "auth-url", "http://$nosuch/", NULL }, { "auth-url", "http://a b/", NULL },
		{ "upstream-hash-by", "$request_uri$http_x_user", "$request_uri$http_x_user" }, { "upstream-hash-by", "$geoip2_city", NULL },
		{ "upstream-vhost", "$service_name.$namespace.svc", "$service_name.$namespace.svc" },
		{ "permanent-redirect", "https://new.test$request_uri", "https://new.test$request_uri" }, { "permanent-redirect", "nowhere", NULL },
		{ "canary-by-header-pattern", "a(b", NULL }, { "auth-tls-match-cn", "bob", NULL },
		{ "auth-cache-key", "$remote_user${http_authorization}", "$remote_user${http_authorization}" }, { "auth-cache-key", "foo", "foo" },
		{ "auth-cache-key", "$nosuch", NULL }, { "auth-cache-key", "$host:$uri", NULL }, { "auth-cache-key", "'; deny all", NULL },
		{ "auth-cache-duration", "200 202 10m, 401 5m", "200 202 10m, 401 5m" }, { "auth-cache-duration", "200", NULL },
		{ "auth-cache-duration", "5m, xaxax", NULL }, { "auth-cache-duration", "any 1d", "any 1d" }, { "auth-cache-duration", "5m 200", NULL },
		{ "auth-method", "POST", "POST" }, { "auth-method", "post", NULL },
		{ "cors-allow-origin", "https://a.test, https://*.b.test:8443, null", "https://a.test,https://*.b.test:8443,null" },
		{ "cors-allow-origin", "a.test", NULL }, { "cors-allow-origin", "https://$pid", NULL },
		{ "auth-response-headers", "X-User, X-Groups", "X-User,X-Groups" }, { "auth-response-headers", "X User", "X,User" },
		{ "auth-response-headers", "X:User", NULL }, { "session-cookie-samesite", "lax", "Lax" },
		{ "session-cookie-max-age", "172800", "172800" }, { "session-cookie-name", "a;b", NULL },
		{ "portico.io/waf-paranoia", "4", "4" }, { "portico.io/waf-paranoia", "5", NULL }, { "portico.io/waf", "block", "block" },
	};
	struct globals *g = GLOBALS("a-key-that-is-none", "x");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str name = str_of(rows[i].name);
		const struct field *table = nginx_annotations;
		struct buf b;

		if (strchr(rows[i].name, '/'))
			table = annotation_table(name, &name);
		const struct field *f = field_find(table, name);
		assert_non_null(f);
		world.problems[0] = 0;
		const struct settings *s = WITH(g, rows[i].name, rows[i].value);
		buf_init(&b, 4096);
		field_print(f, rows[i].want ? s : g->defaults, &b);
		if (rows[i].want && (!str_eq_c(buf_str(&b), rows[i].want) || told("expected")))
			fail_msg("%s: %s: %.*s, %s", rows[i].name, rows[i].value, STR_ARG(buf_str(&b)), world.problems);
		if (!rows[i].want && !told(f->flags & FIELD_GUARDS ? REASON_DENIED : REASON_PARSING))
			fail_msg("%s: %s is taken", rows[i].name, rows[i].value);
		if (!rows[i].want && (s->denied != NULL) != ((f->flags & FIELD_GUARDS) != 0))
			fail_msg("%s: %s: denied is %s", rows[i].name, rows[i].value, s->denied);
		buf_done(&b);
		settings_unref(s);
	}
	globals_unref(g);
}

static void defaults(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = g->defaults;

	(void)state;
	assert_true(s->ssl_redirect && !s->force_ssl_redirect && s->cors_allow_credentials && s->proxy_request_buffering && !s->proxy_buffering);
	assert_int_equal(s->proxy_body_size_bytes, 1 << 20);
	assert_int_equal(s->proxy_connect_timeout_s, 5);
	assert_int_equal(s->proxy_read_timeout_s, 60);
	assert_int_equal(s->next_upstream, NEXT_ERROR | NEXT_TIMEOUT);
	assert_int_equal(s->http_redirect_code, 308);
	assert_int_equal(s->limit_req_status, 503);
	assert_int_equal(s->session_cookie_secure, -1);
	assert_int_equal(s->session_cookie_max_age_s, -1);
	assert_string_equal(s->session_cookie_name, "INGRESSCOOKIE");
	assert_int_equal(s->cors_allow_origin.n, 1);
	assert_true(s->enable_access_log && s->enable_global_auth);
	assert_true(g->hsts && g->hsts_include_subdomains && !g->hsts_preload && g->http2 && !g->gzip);
	assert_int_equal(g->hsts_max_age_s, 31536000);
	assert_int_equal(g->large_client_header_bytes, 32 << 10);
	assert_int_equal(g->client_header_buffer_bytes, 8 << 10);
	assert_int_equal(g->worker_shutdown_timeout_s, 240);
	assert_int_equal(g->proxy_real_ip_cidr.n, 1);
	assert_int_equal(g->gzip_types.n, 17);
	assert_string_equal(g->no_auth_locations.at[0], "/.well-known/acme-challenge");
	assert_int_equal(g->trace_sample_per_10000, 10000);
	assert_null(g->otlp_endpoint);
	globals_unref(g);
}

/* Nothing of ours: the defaults' own record; something: one of its own, with the defaults in it. */
static void sharing(void **state)
{
	struct globals *g = GLOBALS("proxy-body-size", "8m", "whitelist-source-range", "10.0.0.0/8");
	const struct settings *none = WITH(g, "example.com/other", "x"), *one = WITH(g, "proxy-read-timeout", "10");

	(void)state;
	assert_ptr_equal(none, g->defaults);
	assert_ptr_not_equal(one, g->defaults);
	assert_int_equal(one->proxy_body_size_bytes, 8 << 20);
	assert_int_equal(one->proxy_read_timeout_s, 10);
	assert_int_equal(one->allow.n, 1);
	assert_ptr_not_equal(one->allow.at, g->defaults->allow.at);
	globals_unref(g);
	assert_int_equal(none->proxy_body_size_bytes, 8 << 20);
	settings_unref(none);
	settings_unref(one);
}

static void log_path(void **state)
{
	struct globals *g = GLOBALS("access-log-path", "/a", "http-access-log-path", "/b");

	(void)state;
	assert_string_equal(g->access_log_path, "/b");
	assert_false(g->disable_access_log || g->forwarded_for_other);
	globals_unref(g);
	g = GLOBALS("access-log-path", "/a", "disable-http-access-log", "true", "forwarded-for-header", "X-Client");
	assert_string_equal(g->access_log_path, "/a");
	assert_true(g->disable_access_log && g->forwarded_for_other);
	globals_unref(g);
	g = GLOBALS("disable-access-log", "true", "disable-http-access-log", "false", "forwarded-for-header", "x-forwarded-for");
	assert_true(g->disable_access_log && !g->forwarded_for_other);
	assert_string_equal(world.problems, "");
	globals_unref(g);
}

/* ---- spans ---- */

static void spans(void **state)
{
	struct globals *g = GLOBALS("opentelemetry-operation-name", "front $request_method", "opentelemetry-trust-incoming-span", "false",
				    "otel-sampler-parent-based", "false");
	const struct settings *s = WITH(g, "use-regex", "true");

	(void)state;
	assert_string_equal(variable_text_source(s->opentelemetry_operation_name), "front $request_method");
	assert_false(s->opentelemetry_trust_incoming_span || g->trace_parent_based);
	settings_unref(s);
	s = WITH(g, "opentelemetry-operation-name", "shop_a-1", "opentelemetry-trust-incoming-span", "true");
	assert_string_equal(variable_text_source(s->opentelemetry_operation_name), "shop_a-1");
	assert_true(s->opentelemetry_trust_incoming_span);
	assert_string_equal(world.problems, "");
	settings_unref(s);
	s = WITH(g, "opentelemetry-operation-name", "$host", "opentelemetry-trust-incoming-span", "maybe");
	assert_string_equal(variable_text_source(s->opentelemetry_operation_name), "front $request_method");
	assert_true(told("opentelemetry-operation-name|AnnotationParsingFailed|") && told("opentelemetry-trust-incoming-span|AnnotationParsingFailed|"));
	settings_unref(s);
	globals_unref(g);
	g = globals_of_configmap(NULL, NULL);
	assert_true(g->defaults->opentelemetry_trust_incoming_span && g->trace_parent_based);
	assert_null(g->defaults->opentelemetry_operation_name);
	globals_unref(g);
}

/* ---- ciphers of hosts ---- */

static void host_ciphers(void **state)
{
	static const struct {
		const char *list;
		bool ok;
	} rows[] = {
		{ "ALL:!aNULL:!EXPORT56:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP", true },
		{ "HIGH:@STRENGTH", true },
		{ "@SECLEVEL=0:@STRENGTH:ALL", true },
		{ "ECDHE-RSA-AES128-GCM-SHA256:NO-SUCH-CIPHER", true },
		{ "NO-SUCH-CIPHER", false },
		{ "TLS_AES_128_GCM_SHA256", false },
		{ "HIGH:@SECLEVEL=6", false },
		{ "HIGH:@SECLEVEL=", false },
		{ "HIGH:@", false },
		{ "HIGH; return 200", false },
		{ "HIGH AES", false },
		{ "@STRENGTHHIGH", false },
	};
	struct globals *g = globals_of_configmap(NULL, NULL);
	char *many = xmalloc(8200);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world.problems[0] = 0;
		const struct settings *s = WITH(g, "ssl-ciphers", rows[i].list, "use-regex", "true");
		if (rows[i].ok ? !c_eq(s->ssl_ciphers, rows[i].list) : s->ssl_ciphers != NULL)
			fail_msg("%s: %s", rows[i].list, s->ssl_ciphers);
		if (told("ssl-ciphers|AnnotationParsingFailed|") == rows[i].ok || told("it has no effect") == rows[i].ok)
			fail_msg("%s: %s", rows[i].list, world.problems);
		assert_null(s->denied);
		assert_int_equal(s->ssl_prefer_server_ciphers, -1);
		settings_unref(s);
	}
	for (size_t i = 0; i < 8195; i += 5)
		memcpy(many + i, "HIGH:", 6);
	const struct settings *s = WITH(g, "ssl-ciphers", many, "ssl-prefer-server-ciphers", "false");
	assert_null(s->ssl_ciphers);
	assert_true(told("longer than 8192 bytes"));
	assert_int_equal(s->ssl_prefer_server_ciphers, 0);
	settings_unref(s);
	free(many);
	globals_unref(g);
}

/* ---- problems ---- */

static void problems(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "proxy-boddy-size", "1m", "proxy-body-size", "big", "stream-snippet", "5", "http2-push-preload", "x",
				       "auth-keepalive", "5", "app-root", "", "use-regex", "true", "portico.io/waff", "on");

	(void)state;
	assert_true(told("unknown annotation nginx.ingress.kubernetes.io/proxy-boddy-size: did you mean proxy-body-size?"));
	assert_true(told("unknown annotation portico.io/waff: did you mean waf?"));
	assert_true(told("proxy-body-size|AnnotationParsingFailed|nginx.ingress.kubernetes.io/proxy-body-size: \"big\" is not valid: "
			 "expected a size such as 512, 8k or 1m; it stays 1m"));
	assert_true(told("stream-snippet, http2-push-preload|AnnotationNotSupported|not supported, without effect: stream-snippet, http2-push-preload\n"));
	assert_false(told("auth-keepalive"));
	assert_false(told("app-root"));
	assert_true(s->use_regex);
	assert_null(s->denied);
	settings_unref(s);
	globals_unref(g);
}

static void aliases(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "whitelist-source-range", "10.0.0.0/8", "limit-whitelist", "10.0.0.0/8");

	(void)state;
	assert_int_equal(s->allow.n, 1);
	assert_int_equal(s->limit_allow.n, 1);
	settings_unref(s);
	s = WITH(g, "whitelist-source-range", "10.0.0.0/8", "allowlist-source-range", "192.0.2.0/24,198.51.100.0/24");
	assert_int_equal(s->allow.n, 2);
	settings_unref(s);
	s = WITH(g, "allowlist-source-range", "192.0.2.0/24,198.51.100.0/24", "whitelist-source-range", "10.0.0.0/8");
	assert_int_equal(s->allow.n, 2);
	settings_unref(s);
	globals_unref(g);
}

static void cross_checks(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "canary-weight", "10");

	(void)state;
	assert_true(told("canary is configured but not enabled"));
	settings_unref(s);
	s = WITH(g, "canary", "true", "canary-weight", "300");
	assert_true(told("canary-weight: 300 is more than canary-weight-total, 100"));
	assert_int_equal(s->canary_weight, 100);
	settings_unref(s);
	s = WITH(g, "affinity", "cookie", "use-regex", "true");
	assert_true(told("needs session-cookie-path"));
	settings_unref(s);
	s = WITH(g, "enable-modsecurity", "true", "enable-owasp-core-rules", "true");
	assert_int_equal(s->waf, WAF_DETECT);
	settings_unref(s);
	s = WITH(g, "enable-modsecurity", "true", "enable-owasp-core-rules", "true", "portico.io/waf", "off");
	assert_int_equal(s->waf, WAF_OFF);
	settings_unref(s);
	globals_unref(g);
	assert_int_equal(modsecurity_mode("SecRule ARGS x\n  SecRuleEngine On\n"), WAF_BLOCK);
	assert_int_equal(modsecurity_mode(NULL), WAF_DETECT);
}

/* Where ingress-nginx would refuse the location, it is refused; where it would do without the parameters, it does. */
static void fastcgi_params(void **state)
{
	static const struct {
		const char *key, *value, *why; /* of the ConfigMap; why NULL: it is taken */
	} rows[] = {
		{ "SCRIPT_FILENAME", "/srv/www$fastcgi_script_name", NULL }, { "A.b-c_1", "${request_method}", NULL }, { "EMPTY", "", NULL },
		{ "A B", "x", "invalid name of a parameter" }, { "", "x", "invalid name of a parameter" }, { "A\"", "x", "invalid name" },
		{ "A", "a b", "invalid value of parameter A" }, { "A", "a;", "invalid value" }, { "A", "a\nb", "invalid value" },
		{ "A", "$no_such_variable", "unknown variable" },
	};
	struct globals *g = globals_of_configmap(NULL, NULL), *cross = GLOBALS("allow-cross-namespace-resources", "true");
	const struct settings *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object_clear(world.configmaps);
		put_configmap("shop/params", rows[i].key, rows[i].value);
		s = WITH(g, "backend-protocol", "FCGI", "fastcgi-params-configmap", "params");
		if (rows[i].why ? !s->denied || !strstr(s->denied, rows[i].why) : s->denied || s->fastcgi->n != 20)
			fail_msg("%s=%s: %s", rows[i].key, rows[i].value, s->denied ? s->denied : "taken");
		settings_unref(s);
	}
	json_object_clear(world.configmaps);
	put_configmap("shop/params", "Z", "1");
	put_configmap("shop/params", "HTTP_X_Y", "");
	s = WITH(g, "backend-protocol", "FCGI", "fastcgi-params-configmap", "shop/params", "fastcgi-index", "index.php", "portico.io/health-check-path", "/");
	assert_null(s->denied);
	assert_int_equal(s->fastcgi->n, 21);
	assert_string_equal(s->fastcgi->at[0].name.ptr, "QUERY_STRING");
	assert_string_equal(s->fastcgi->at[19].name.ptr, "HTTP_X_Y"); /* by name, whatever the order in the object */
	assert_null(s->fastcgi->at[19].value);
	assert_true(fastcgi_replaces(s->fastcgi, STR("HTTP_X_Y")) && !fastcgi_replaces(s->fastcgi, STR("HTTP_X")));
	assert_string_equal(s->fastcgi_index, "index.php");
	assert_null(s->health_check_path);
	assert_true(told("health-check-path has no effect"));
	settings_unref(s);
	/* another namespace: neither ConfigMap nor index; where it is allowed, it is not read all the same */
	put_configmap("other/params", "FROM", "other");
	s = WITH(g, "backend-protocol", "FCGI", "fastcgi-params-configmap", "other/params", "fastcgi-index", "index.php");
	assert_true(!s->denied && s->fastcgi->n == 19 && !s->fastcgi_index);
	assert_true(told("different namespace is not supported"));
	settings_unref(s);
	s = WITH(cross, "backend-protocol", "FCGI", "fastcgi-params-configmap", "other/params");
	assert_true(!s->denied && s->fastcgi->n == 21 && !fastcgi_replaces(s->fastcgi, STR("FROM")));
	settings_unref(s);
	s = WITH(g, "backend-protocol", "FCGI", "fastcgi-params-configmap", "missing");
	assert_non_null(s->denied);
	assert_true(told("fastcgi-params-configmap|MissingConfigMap"));
	settings_unref(s);
	s = WITH(g, "backend-protocol", "FCGI", "fastcgi-index", "a/b.php");
	assert_non_null(s->denied);
	settings_unref(s);
	s = WITH(g, "fastcgi-params-configmap", "missing", "fastcgi-index", "index.php");
	assert_true(!s->denied && !s->fastcgi);
	assert_true(told("have no effect without backend-protocol: FCGI"));
	settings_unref(s);
	globals_unref(g);
	globals_unref(cross);
}

/* Of annotations few characters pass, of the ConfigMap all that nginx takes; what is wrong leaves what was there. */
static void answer_rewrites(void **state)
{
	struct globals *g = GLOBALS("proxy-cookie-domain", "~(x) $1", "proxy-cookie-path", "/ \"/; Secure\"", "proxy-redirect-from", "~(",
				    "proxy-redirect-to", "/");

	(void)state;
	assert_true(told("proxy-redirect-from|ConfigMapParsingFailed|proxy-redirect-from: \"(\" is no regular expression"));
	assert_string_equal(g->defaults->proxy_redirect_from, "off");
	const struct answer_rewrites *a = g->defaults->answer_rewrites;
	assert_true(a->rule[ANSWER_COOKIE_DOMAIN] && a->rule[ANSWER_COOKIE_PATH] && !a->rule[ANSWER_REDIRECT]);
	const struct settings *s = WITH(g, "proxy-cookie-domain", "off", "proxy-cookie-path", " /a   /b ", "proxy-redirect-from", "~?",
					"proxy-redirect-to", "/");
	a = s->answer_rewrites;
	assert_true(!a->rule[ANSWER_COOKIE_DOMAIN] && a->rule[ANSWER_COOKIE_PATH] && !a->rule[ANSWER_REDIRECT]);
	assert_string_equal(s->proxy_cookie_path, "/a   /b");
	assert_true(told("proxy-redirect-from|AnnotationParsingFailed|proxy-redirect-from: \"?\" is no regular expression"));
	settings_unref(s);

	static const char *const bad[][2] = { { "proxy-cookie-domain", "a" }, { "proxy-cookie-domain", "a $host" }, { "proxy-cookie-domain", "a b c" },
		{ "proxy-cookie-domain", "a?b c" }, { "proxy-cookie-path", "/" }, { "proxy-cookie-path", "/ \"/x\"" },
		{ "proxy-cookie-path", "/a /b;" }, { "proxy-redirect-from", "http://a http://b" }, { "proxy-redirect-to", "$scheme://a" } };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		world.problems[0] = 0;
		s = WITH(g, bad[i][0], bad[i][1]);
		if (!told(bad[i][0]) || !told("is not valid: expected"))
			fail_msg("%s: %s: %s", bad[i][0], bad[i][1], world.problems);
		assert_string_equal(s->proxy_cookie_domain, "~(x) $1");
		assert_string_equal(s->proxy_cookie_path, "/ \"/; Secure\"");
		settings_unref(s);
	}
	settings_unref(WITH(g, "proxy-redirect-from", "http://a"));
	assert_true(told("proxy-redirect-from has no effect without proxy-redirect-to"));
	settings_unref(WITH(g, "proxy-redirect-to", "http://a"));
	assert_true(told("proxy-redirect-to has no effect while proxy-redirect-from is off"));
	s = WITH(g, "backend-protocol", "GRPC", "proxy-cookie-path", "/a /b");
	assert_true(told("proxy-cookie-path has no effect: backend-protocol is not HTTP or HTTPS"));
	assert_null(s->answer_rewrites);
	settings_unref(s);
	world.problems[0] = 0;
	s = WITH(g, "app-root", "/x");
	assert_non_null(s->answer_rewrites);
	assert_string_equal(world.problems, "");
	settings_unref(s);
	globals_unref(g);
}

static void blocked_words(void **state)
{
	struct globals *g = GLOBALS("annotation-value-word-blocklist", "serviceaccount,load_module");
	const struct settings *s = WITH(g, "rewrite-target", "/serviceaccount");

	(void)state;
	assert_true(told("rewrite-target annotation contains invalid word serviceaccount"));
	assert_non_null(s->denied);
	settings_unref(s);
	globals_unref(g);
}

/* ---- references ---- */

static void passwords(void **state)
{
	static const struct {
		const char *reference, *type, *why; /* why NULL: it works */
	} rows[] = {
		{ "users", "auth-file", NULL },
		{ "shop/users", "auth-file", NULL },
		{ "map", "auth-map", NULL },
		{ "nobody", "auth-file", "Secret shop/nobody does not exist" },
		{ "map", "auth-file", "the secret map does not contain a key with value auth" },
		{ "other/users", "auth-file", "cross namespace usage of secrets is not allowed" },
		{ "a/b/c", "auth-file", "expected NAME or NAMESPACE/NAME" },
		{ "users", "auth-files", "expected auth-file or auth-map" },
	};
	struct globals *g = globals_of_configmap(NULL, NULL);

	(void)state;
	put_secret("shop/users", "auth", "ann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n");
	put_secret("other/users", "auth", "ann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n");
	put_secret("shop/map", "bob", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world.problems[0] = 0;
		const struct settings *s = WITH(g, "auth-type", "basic", "auth-secret", rows[i].reference, "auth-secret-type", rows[i].type);
		if (rows[i].why && (!s->denied || !strstr(s->denied, rows[i].why) || !told("; requests are answered with 503")))
			fail_msg("%s: %s", rows[i].reference, s->denied);
		if (!rows[i].why && (s->denied || !s->htpasswd || htpasswd_count(s->htpasswd) != 1))
			fail_msg("%s: %s", rows[i].reference, s->denied);
		settings_unref(s);
	}
	const struct settings *s = WITH(g, "auth-type", "basic");
	assert_non_null(s->denied);
	settings_unref(s);
	put_secret("shop/digest", "auth", "ann:r:0123456789abcdef0123456789abcdef\n");
	put_secret("shop/digest-map", "ann", "r:0123456789abcdef0123456789abcdef");
	s = WITH(g, "auth-type", "digest", "auth-secret", "digest");
	assert_true(!s->denied && htdigest_count(s->htdigest) == 1 && !s->htpasswd);
	settings_unref(s);
	s = WITH(g, "auth-type", "digest", "auth-secret", "digest-map", "auth-secret-type", "auth-map");
	assert_true(!s->denied && htdigest_count(s->htdigest) == 1);
	settings_unref(s);
	world.problems[0] = 0;
	s = WITH(g, "auth-type", "digest", "auth-secret", "users");
	assert_true(!s->denied && htdigest_count(s->htdigest) == 0 && told("1 of 1 users have password hashes"));
	settings_unref(s);
	s = WITH(g, "auth-type", "digest", "auth-secret", "nobody");
	assert_non_null(s->denied);
	settings_unref(s);
	globals_unref(g);
	g = GLOBALS("allow-cross-namespace-resources", "true");
	s = WITH(g, "auth-type", "basic", "auth-secret", "other/users");
	assert_null(s->denied);
	settings_unref(s);
	globals_unref(g);
}

/* A slip in the ConfigMap opens nothing. */
static void global_guards(void **state)
{
	static const char *const guards[][2] = { { "whitelist-source-range", "10.0.0.0/8,x" }, { "denylist-source-range", "10.0.0/8" },
						 { "global-auth-url", "auth.test/check" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
		world.problems[0] = 0;
		struct globals *g = GLOBALS(guards[i][0], guards[i][1]);
		const struct settings *s = WITH(g, "use-regex", "true");
		assert_true(g->defaults->denied && s->denied && strstr(s->denied, guards[i][0]));
		assert_true(told("; requests are answered with 503"));
		settings_unref(s);
		globals_unref(g);
	}
	struct globals *g = GLOBALS("proxy-real-ip-cidr", "10.0.0.0/8,x");
	assert_int_equal(g->proxy_real_ip_cidr.n, 0); /* nobody is believed, not everybody */
	assert_null(g->defaults->denied);
	assert_true(told("it is taken for an empty list"));
	globals_unref(g);
	g = GLOBALS("whitelist-source-range", " ", "proxy-real-ip-cidr", "");
	assert_null(g->defaults->denied);
	assert_int_equal(g->proxy_real_ip_cidr.n, 1);
	globals_unref(g);
}

static void headers(void **state)
{
	struct globals *g = GLOBALS("global-allowed-response-headers", "X-A,X-B", "proxy-set-headers", "ingress-nginx/up", "add-headers", "none");

	(void)state;
	assert_true(told("add-headers|ConfigMapParsingFailed|add-headers: ConfigMap ingress-nginx/none does not exist"));
	assert_int_equal(g->n_proxy_set_headers, 0);
	globals_unref(g);
	put_configmap("ingress-nginx/up", "X-Request-Start", "t=${msec}");
	put_configmap("shop/good", "X-A", "1");
	put_configmap("shop/good", "x-b", "$namespace");
	put_configmap("shop/bad", "X-C", "1");
	put_configmap("shop/worse", "X A", "1");
	put_configmap("shop/split", "X-A", "a\r\nX-B: c");
	g = GLOBALS("global-allowed-response-headers", "X-A,X-B", "proxy-set-headers", "ingress-nginx/up");
	assert_int_equal(g->n_proxy_set_headers, 1);
	assert_string_equal(variable_text_source(g->proxy_set_headers[0].value), "t=${msec}");
	const struct settings *s = WITH(g, "custom-headers", "shop/good");
	assert_int_equal(s->n_custom_headers, 2);
	assert_null(s->denied);
	settings_unref(s);
	const char *const bad[] = { "bad", "worse", "split", "missing" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		s = WITH(g, "custom-headers", bad[i]);
		assert_non_null(s->denied);
		settings_unref(s);
	}
	globals_unref(g);
}

static void certificates(void **state)
{
	struct pki ca = pki_make("ca", NULL, NULL), client = pki_make("portico", NULL, &ca);
	struct globals *g = globals_of_configmap(NULL, NULL);

	(void)state;
	put_secret("shop/ca", "ca.crt", ca.cert_pem);
	put_secret("shop/broken", "ca.crt", "no certificate");
	put_secret("shop/client", "tls.crt", client.cert_pem);
	put_secret("shop/client", "tls.key", client.key_pem);
	put_secret("shop/client", "ca.crt", ca.cert_pem);
	put_secret("shop/bare", "tls.crt", client.cert_pem);
	put_secret("shop/bare", "tls.key", client.key_pem);
	const struct settings *s = WITH(g, "auth-tls-secret", "shop/ca", "auth-tls-verify-client", "optional", "auth-tls-match-cn", "CN=(bob|ann)");
	assert_null(s->denied);
	assert_string_equal(s->auth_tls_ca, ca.cert_pem);
	assert_int_equal(s->auth_tls_verify_client, VERIFY_OPTIONAL);
	assert_non_null(s->auth_tls_match_cn);
	settings_unref(s);
	s = WITH(g, "auth-tls-secret", "shop/broken");
	assert_null(s->denied); /* the whole host is refused: client_auth.h */
	assert_string_equal(s->auth_tls_ca, "");
	assert_true(told("has no certificate"));
	settings_unref(s);
	s = WITH(g, "auth-tls-secret", "shop/missing");
	assert_null(s->denied);
	assert_string_equal(s->auth_tls_ca, "");
	settings_unref(s);
	s = WITH(g, "proxy-ssl-secret", "shop/client", "proxy-ssl-verify", "on", "proxy-ssl-protocols", "TLSv1.3", "proxy-ssl-name", "a.test");
	assert_null(s->denied);
	assert_non_null(s->proxy_ssl);
	settings_unref(s);
	s = WITH(g, "proxy-ssl-secret", "shop/bare", "proxy-ssl-verify", "on");
	assert_true(strstr(s->denied, "has no ca.crt") != NULL);
	settings_unref(s);
	s = WITH(g, "proxy-ssl-secret", "shop/bare", "proxy-ssl-ciphers", "NOSUCHCIPHER");
	assert_non_null(s->denied);
	settings_unref(s);
	s = WITH(g, "proxy-ssl-verify", "on");
	assert_true(told("no effect without proxy-ssl-secret"));
	assert_false(s->proxy_ssl_verify);
	settings_unref(s);
	globals_unref(g);
	pki_done(&client);
	pki_done(&ca);
}

static void global_auth(void **state)
{
	struct globals *g = GLOBALS("global-auth-url", "http://auth.test/", "global-auth-signin", "http://login.test/", "global-auth-method", "POST");
	const struct settings *s = WITH(g, "proxy-body-size", "1m");

	(void)state;
	assert_string_equal(variable_text_source(s->auth_url), "http://auth.test/");
	settings_unref(s);
	s = WITH(g, "enable-global-auth", "false");
	assert_null(s->auth_url);
	settings_unref(s);
	s = WITH(g, "auth-url", "http://mine.test/");
	assert_string_equal(variable_text_source(s->auth_url), "http://mine.test/");
	assert_null(s->auth_signin);
	assert_null(s->auth_method);
	assert_string_equal(s->auth_signin_redirect_param, "rd");
	settings_unref(s);
	globals_unref(g);
}

/* Off without a key; a key of its own counts with an auth-url of its own, as all of external authentication. */
static void remembered_auth(void **state)
{
	struct globals *g = GLOBALS("global-auth-cache-key", "$remote_user:$http_authorization", "global-auth-cache-duration", "200");
	const struct settings *s = WITH(g, "auth-url", "http://mine.test/");

	(void)state;
	assert_true(told("it stays 200 202 401 5m"));
	assert_null(g->defaults->auth_cache); /* there is nothing to remember */
	assert_null(s->auth_cache);
	settings_unref(s);
	s = WITH(g, "auth-cache-key", "$http_cookie");
	assert_null(s->auth_cache);
	settings_unref(s);
	const struct settings *t = WITH(g, "auth-url", "http://mine.test/", "auth-cache-key", "$http_cookie");
	s = WITH(g, "auth-url", "http://mine.test/", "auth-cache-key", "$http_cookie");
	assert_non_null(s->auth_cache);
	assert_ptr_not_equal(s->auth_cache, t->auth_cache);
	assert_string_equal(s->auth_cache_duration, "200 202 401 5m");
	settings_unref(s);
	settings_unref(t);
	globals_unref(g);

	g = GLOBALS("global-auth-url", "http://auth.test/", "global-auth-cache-key", "$host", "global-auth-cache-duration", "any 1m");
	assert_non_null(g->defaults->auth_cache);
	s = WITH(g, "proxy-body-size", "1m");
	assert_non_null(s->auth_cache);
	assert_ptr_not_equal(s->auth_cache, g->defaults->auth_cache);
	settings_unref(s);
	s = WITH(g, "enable-global-auth", "false");
	assert_null(s->auth_cache);
	settings_unref(s);
	s = WITH(g, "auth-url", "http://mine.test/");
	assert_null(s->auth_cache);
	assert_string_equal(s->auth_cache_duration, "200 202 401 5m");
	settings_unref(s);
	globals_unref(g);
	g = GLOBALS("global-auth-url", "http://auth.test/");
	s = WITH(g, "auth-cache-key", "$http_cookie");
	assert_null(s->auth_cache); /* not the Ingress's to say */
	settings_unref(s);
	globals_unref(g);
}

static void tokens(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "portico.io/jwt-issuer", "https://issuer.test");

	(void)state;
	assert_non_null(s->denied);
	settings_unref(s);
	put_configmap("shop/keys", "jwks", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
	put_configmap("shop/none", "other", "x");
	s = WITH(g, "portico.io/jwt-configmap", "keys", "portico.io/jwt-audiences", "a,b");
	assert_null(s->denied);
	assert_non_null(s->jwt_jwks);
	assert_int_equal(s->jwt_audiences.n, 2);
	settings_unref(s);
	s = WITH(g, "portico.io/jwt-configmap", "none");
	assert_non_null(s->denied);
	settings_unref(s);
	/* By URL: nobody before it has come, whatever another namespace may be asked for. */
	world.problems[0] = 0;
	s = WITH(g, "portico.io/jwt-jwks-url", "https://issuer.test/keys", "portico.io/jwt-issuer", "x");
	assert_true(s->denied && !s->jwt_jwks && told("nothing has come from https://issuer.test/keys yet"));
	settings_unref(s);
	put_configmap(SOURCE_URL_NAMESPACE "/https://issuer.test/keys", SOURCE_URL_KEY,
		      "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
	put_configmap(SOURCE_URL_NAMESPACE "/https://issuer.test/page", SOURCE_URL_KEY, "<html>");
	s = WITH(g, "portico.io/jwt-jwks-url", "https://issuer.test/keys", "portico.io/jwt-issuer", "x");
	assert_true(!s->denied && s->jwt_jwks);
	settings_unref(s);
	s = WITH(g, "portico.io/jwt-jwks-url", "https://issuer.test/page");
	assert_true(s->denied && !s->jwt_jwks);
	settings_unref(s);
	s = WITH(g, "portico.io/jwt-jwks-url", "ftp://issuer.test/keys");
	assert_non_null(s->denied);
	settings_unref(s);
	globals_unref(g);
}

static void snippets_are_off(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "configuration-snippet", "add_header X 1;");

	(void)state;
	assert_true(told("nginx.ingress.kubernetes.io/configuration-snippet annotation cannot be used. Snippet directives are disabled by the "
			 "Ingress administrator"));
	assert_null(s->configuration_snippet);
	settings_unref(s);
	globals_unref(g);
	g = GLOBALS("allow-snippet-annotations", "true");
	s = WITH(g, "configuration-snippet", "add_header X 1;", "server-snippet", "\nproxy_pass http://x;");
	assert_non_null(s->configuration_snippet);
	assert_null(s->server_snippet);
	assert_null(s->denied);
	assert_true(told("server-snippet: line 1: directive \"proxy_pass\" is not supported; the snippet has no effect"));
	settings_unref(s);
	s = WITH(g, "configuration-snippet", "deny all;\nlimit_rate 1k;"); /* leaving it out would let everybody in */
	assert_non_null(s->denied);
	settings_unref(s);
	globals_unref(g);
}

static void configmap_problems(void **state)
{
	struct globals *g = GLOBALS("proxy-body-siz", "1m", "keep-alive", "soon", "http-snippet", "x", "worker-processes", "4",
				    "large-client-header-buffers", "many", "log-format-upstream", "$nosuch", "otlp-collector-host", "otel.test",
				    "otlp-collector-port", "4317", "otel-sampler", "TraceIdRatioBased", "otel-sampler-ratio", "0.25",
				    "block-user-agents", "~*bad.*bot,~(", "enable-modsecurity", "true", "enable-owasp-modsecurity-crs", "true");

	(void)state;
	assert_true(told("unknown key proxy-body-siz: did you mean proxy-body-size?"));
	assert_true(told("keep-alive|ConfigMapParsingFailed|"));
	assert_true(told("http-snippet is not supported"));
	assert_false(told("worker-processes"));
	assert_true(told("large-client-header-buffers: \"many\" is not valid"));
	assert_true(told("unknown variable \"$nosuch\""));
	assert_true(told("1 left out"));
	assert_int_equal(g->keep_alive_s, 75);
	assert_true(strncmp(g->log_format_upstream, "$remote_addr - ", 15) == 0);
	assert_string_equal(g->otlp_endpoint, "http://otel.test:4318");
	assert_int_equal(g->trace_sample_per_10000, 2500);
	assert_non_null(g->block_rules);
	assert_int_equal(g->defaults->waf, WAF_DETECT);
	globals_unref(g);
}

/* ---- keys of session tickets ---- */

#define BASE64_48 "AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxABAgMEBQYHCAkKCwwNDg8Q"
#define BASE64_80 BASE64_48 "AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxA="
static const char bytes_48[] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"
			       "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"
			       "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20";

static void ticket_keys(void **state)
{
	static const struct {
		const char *key, *name, *value; /* of ConfigMap and Secret; `value` NULL: it has no such key */
		unsigned len;
		bool bad;
		const char *told;
	} rows[] = {
		{ NULL, NULL, NULL, 0, false, NULL },
		{ "  ", NULL, NULL, 0, false, NULL },
		{ BASE64_48, NULL, NULL, 48, false, NULL },
		{ BASE64_80, NULL, NULL, 80, false, NULL },
		{ BASE64_48 "\nAQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxA=\n", NULL, NULL, 80, false, NULL },
		{ "AQIDBA==", NULL, NULL, 0, true, "not 48 or 80 bytes in base64" },
		{ BASE64_80 "AQID", NULL, NULL, 0, true, "not 48 or 80 bytes in base64" },
		{ BASE64_48 BASE64_48 BASE64_48 BASE64_48, NULL, NULL, 0, true, "not 48 or 80 bytes in base64" },
		{ "AQIDBAUGBwgJCgs!DQ4PEA==", NULL, NULL, 0, true, "not 48 or 80 bytes in base64" },
		{ NULL, "tickets", bytes_48, 48, false, NULL },
		{ NULL, "ingress-nginx/tickets", BASE64_48 "\n", 48, false, NULL },
		{ NULL, "tickets", BASE64_80, 80, false, NULL },
		{ NULL, "tickets", "AQIDBAUGBwgJCgs", 0, true, "Secret ingress-nginx/tickets: tickets.key is not 48 or 80 bytes" },
		{ NULL, "tickets", NULL, 0, true, "tickets.key is not 48 or 80 bytes" },
		{ NULL, "elsewhere/tickets", BASE64_48, 0, true, "Secret elsewhere/tickets does not exist" },
		{ BASE64_48, "no name", BASE64_48, 0, true, "ssl-session-ticket-secret" },
		{ BASE64_48, "tickets", BASE64_80, 80, false, NULL },
		{ BASE64_48, "tickets", "short", 0, true, "the key in force stays" }, /* nobody expects the other one then */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object_clear(world.secrets);
		world.problems[0] = '\0';
		if (rows[i].name)
			put_secret("ingress-nginx/tickets", rows[i].value ? "tickets.key" : "other", rows[i].value ? rows[i].value : "x");
		struct globals *g = GLOBALS("ssl-session-ticket-key", rows[i].key ? rows[i].key : "", "ssl-session-ticket-secret",
					    rows[i].name ? rows[i].name : "");
		if (g->ticket_secret.len != rows[i].len || g->ticket_secret_bad != rows[i].bad)
			fail_msg("%zu: %u bytes, %s: %s", i, g->ticket_secret.len, g->ticket_secret_bad ? "bad" : "good", world.problems);
		if (rows[i].told ? !told(rows[i].told) : world.problems[0])
			fail_msg("%zu: told %s", i, world.problems);
		assert_false(told("AQID"));
		if (rows[i].len)
			assert_memory_equal(g->ticket_secret.bytes, bytes_48, 48);
		assert_int_equal(g->ssl_session_timeout_s, 86400);
		globals_unref(g);
	}
}

static void collect(void *ctx, const char *annotation, const char *value, const struct field *f)
{
	size_t n = strlen(ctx);

	(void)f;
	snprintf((char *)ctx + n, 256 - n, "%s=%s ", annotation, value);
}

static void what_is_set(void **state)
{
	struct globals *g = globals_of_configmap(NULL, NULL);
	const struct settings *s = WITH(g, "proxy-body-size", "2m", "use-regex", "true", "proxy-read-timeout", "60");
	char text[256] = "";

	(void)state;
	settings_each_set(s, g->defaults, collect, text);
	assert_string_equal(text, "use-regex=true proxy-body-size=2m ");
	settings_unref(s);
	globals_unref(g);
}

static void nearest(void **state)
{
	static const char *const rows[][2] = { { "rewrite-targt", "rewrite-target" }, { "proxy-timeout-read", NULL }, { "ssl-redirct", "ssl-redirect" },
		{ "whatever", NULL }, { "canary-weigth", "canary-weight" }, { "", NULL } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *near = field_nearest(nginx_annotations, str_of(rows[i][0]));
		if (!c_eq(near, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], near ? near : "(none)");
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(tables_are_sound), T(tables_agree), T(nginx_names), T(values), T(defaults), T(sharing), T(host_ciphers), T(spans), T(log_path), T(problems), T(aliases), T(cross_checks),
		T(fastcgi_params), T(answer_rewrites), T(blocked_words), T(passwords), T(global_guards), T(headers), T(certificates), T(global_auth), T(remembered_auth), T(tokens), T(snippets_are_off),
		T(configmap_problems), T(ticket_keys), T(what_is_set), T(nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
