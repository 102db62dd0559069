/* Texts with nginx's variables: parsing, values, escaping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_fake.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/access_log.h"

static void one_try(struct exchange *x, struct access_try *t)
{
	*t = (struct access_try){ .addr = "10.0.0.7:8080", .status = 200, .started_us = 1000000, .connected_us = 1002000,
				  .head_us = 1012345, .ended_us = 1020000, .bytes = 12 };
	list_append(&x->tries_log, &t->link);
}

static struct http_header request_headers[] = {
	{ { "cookie", 6 }, { "a=1; Session=s3; b=x=y", 22 } },
	{ { "x-one", 5 }, { "first", 5 } },
	{ { "x-one", 5 }, { "second", 6 } },
	{ { "user-agent", 10 }, { "curl/\"8\"\\\x7f", 10 } },
	{ { "x-bytes", 7 }, { "\xc3\xa9\xff\n", 4 } },
};
static struct http_header answer_headers[] = { { { "content-type", 12 }, { "text/html", 9 } } };
static struct backend primary = { .name = (char *)"shop-web-80", .service = (char *)"web", .port = (char *)"80" };
static struct backend canary = { .name = (char *)"shop-new-80" };
static struct location loc = { .path = (char *)"/cart", .ns = (char *)"shop", .ingress = (char *)"front",
			       .rule_host = (char *)"", .backend = &primary };

static struct globals globals;
static struct shared shared = { .globals = &globals, .http_port = "8080" };
static struct worker worker = { .shared = &shared };

static void make(struct exchange *x)
{
	*x = (struct exchange){
		.worker = &worker,
		.req = { .method = STR("GET"), .scheme = STR("http"), .authority = STR("Shop.Example:8080"),
			 .host = STR("Shop.Example"), .target = STR("/cart%20x?q=1&empty=&Q2=a%20b"), .path = STR("/cart%20x"),
			 .query = STR("q=1&empty=&Q2=a%20b"), .uri = STR("/cart x"), .protocol = STR("HTTP/1.1"),
			 .headers = { request_headers, ARRAY_LEN(request_headers), ARRAY_LEN(request_headers) },
			 .content_length = -1, .client_text = "192.0.2.1", .bytes = 321 },
		.ans = { .status = 200, .headers = { answer_headers, 1, 1 }, .content_length = 12 },
		.loc = &loc, .answer_body_bytes = 12, .answer_head_bytes = 100, .up_answer_bytes = 12, .request_id = "0123456789abcdef0123456789abcdef",
	};
	list_init(&x->tries_log);
}

struct row {
	const char *text, *want;
	enum variable_escape how;
};

static void written(const struct row *r, struct exchange *x, const struct variable_locals *locals)
{
	static const char *const names[] = { "mine", "other" };
	struct err e;
	struct buf b;
	struct variable_text *t = variable_text_new_local(r->text, names, locals ? 2 : 0, &e);

	if (!t)
		fail_msg("%s: %s", r->text, e.message);
	buf_init(&b, 4096);
	assert_int_equal(variable_text_write_local(t, x, locals, r->how, &b), 0);
	if (!str_eq_c(buf_str(&b), r->want))
		fail_msg("%s: '" STR_FMT "', not '%s'", r->text, STR_ARG(buf_str(&b)), r->want);
	assert_string_equal(variable_text_source(t), r->text);
	buf_done(&b);
	variable_text_free(t);
}

static void values(void **state)
{
	static const struct row rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "$scheme://$host$request_uri", "http://shop.example/cart%20x?q=1&empty=&Q2=a%20b" },
		{ "${host}x", "shop.examplex" },
		{ "$http_host $best_http_host", "Shop.Example:8080 Shop.Example:8080" },
		{ "[$uri][$document_uri][$args][$is_args]", "[/cart x][/cart x][q=1&empty=&Q2=a%20b][?]" },
		{ "$arg_q,$arg_empty,$arg_q2,$arg_none", "1,,a%20b," },
		{ "$cookie_a,$cookie_session,$cookie_b,$cookie_c", "1,s3,x=y," },
		{ "$http_x_one|$HTTP_X_ONE|$http_x_none", "first, second|first, second|" },
		{ "$sent_http_content_type $sent_http_content_length", "text/html 12" },
		{ "$request", "GET /cart%20x?q=1&empty=&Q2=a%20b HTTP/1.1" },
		{ "$status $body_bytes_sent $bytes_sent $request_length", "200 12 112 321" },
		{ "$remote_addr $remote_user", "192.0.2.1 " },
		{ "$remote_addr - $remote_user", "192.0.2.1 - -", ESCAPE_LOG },
		{ "$namespace/$ingress_name $service_name:$service_port", "shop/front web:80" },
		{ "$proxy_upstream_name [$proxy_alternative_upstream_name]", "shop-web-80 []" },
		{ "$proxy_upstream_name [$proxy_alternative_upstream_name]", "shop-web-80 []", ESCAPE_LOG },
		{ "$server_name $location_path", "_ /cart" },
		{ "$req_id=$request_id", "0123456789abcdef0123456789abcdef=0123456789abcdef0123456789abcdef" },
		{ "$upstream_addr $upstream_status", "- -", ESCAPE_LOG },
		{ "$pass_access_scheme $pass_port $pass_server_port $https", "http 8080 8080 " },
		{ "$ssl_protocol$ssl_client_verify$ssl_client_s_dn$ssl_client_escaped_cert", "" },
		{ "$literal_dollar$literal_dollar{host}", "$${host}" },
		{ "$escaped_request_uri", "%2Fcart%2520x%3Fq%3D1%26empty%3D%26Q2%3Da%2520b" },
		{ "\"$http_user_agent\"", "\"curl/\\x228\\x22\\x5C\\x7F\"", ESCAPE_LOG },
		{ "{\"ua\":\"$http_user_agent\"}", "{\"ua\":\"curl/\\\"8\\\"\\\\\x7f\"}", ESCAPE_JSON },
		{ "$http_x_bytes", "\xc3\xa9\\u00ff\\u000a", ESCAPE_JSON },
		{ "$uri", "%2Fcart%20x", ESCAPE_URI },
		{ "$1$2", "" },
	};
	struct exchange x;

	(void)state;
	make(&x);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		written(&rows[i], &x, NULL);
}

static void canary_and_upstream(void **state)
{
	struct access_try t;
	struct exchange x;

	(void)state;
	make(&x);
	x.backend = &canary;
	x.canary_why = "cookie";
	one_try(&x, &t);
	written(&(struct row){ "$proxy_upstream_name $proxy_alternative_upstream_name $canary_why", "shop-web-80 shop-new-80 cookie" },
		&x, NULL);
	written(&(struct row){ "$upstream_addr $upstream_status $upstream_connect_time $upstream_header_time",
			       "10.0.0.7:8080 200 0.002 0.012" },
		&x, NULL);
}

/* $pass_port is X-Forwarded-Port's, which a proxy in front may tell. */
static void ports(void **state)
{
	static struct http_header told[] = { { { "x-forwarded-port", 16 }, { "8443", 4 } } };
	struct exchange x;

	(void)state;
	make(&x);
	x.req.headers = (struct header_list){ told, 1, 1 };
	written(&(struct row){ "$pass_port $pass_server_port", "8080 8080" }, &x, NULL);
	globals.use_forwarded_headers = true;
	written(&(struct row){ "$pass_port $pass_server_port", "8443 8080" }, &x, NULL);
	globals.use_forwarded_headers = false;
	x.req.https = true;
	written(&(struct row){ "$pass_port $pass_server_port", "443 443" }, &x, NULL);
}

/* A request that could not be read: nothing but what is known. */
static void without_a_route(void **state)
{
	struct exchange x = { .req.content_length = -1 };

	(void)state;
	list_init(&x.tries_log);
	written(&(struct row){ "[$request] $status $server_name $namespace $proxy_upstream_name $host", "[-] - - - - -", ESCAPE_LOG },
		&x, NULL);
	x.client_gone = true;
	written(&(struct row){ "$status", "499" }, &x, NULL);
	x.req.uri = STR("/");
	written(&(struct row){ "$proxy_upstream_name", "upstream-default-backend" }, &x, NULL);
}

static void of_a_snippet(void **state)
{
	struct str set[] = { STR("value"), STR("two") };
	struct pattern_match m = { .group = { [1] = STR("g1"), [2] = STR("g2") } };
	struct variable_locals locals = { .set = set, .groups = &m };
	struct exchange x;

	(void)state;
	make(&x);
	written(&(struct row){ "$mine-${other}-$Mine", "value-two-value" }, &x, &locals);
	written(&(struct row){ "/$2/$12x$3", "/g2/g12x" }, &x, &locals);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "$nosuch", "unknown variable \"$nosuch\"" },
		{ "$http_", "unknown variable" },
		{ "$mine", "unknown variable" },
		{ "$geoip2_city", "unknown variable" },
		{ "costs 5$", "'$' without a name" },
		{ "$ host", "'$' without a name" },
		{ "${host", "closing brace" },
		{ "${}", "'$' without a name" },
		{ "${ho-st}", "closing brace" },
		{ "$0", "unknown variable" },
	};
	char many[4 * VARIABLE_PARTS_MAX + 1];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		e.message[0] = 0;
		assert_null(variable_text_new(rows[i].text, &e));
		if (!strstr(e.message, rows[i].why))
			fail_msg("%s: %s", rows[i].text, e.message);
	}
	for (size_t i = 0; i + 4 < sizeof(many); i += 4)
		memcpy(many + i, "$uri", 5);
	assert_null(variable_text_new(many, &e));
	assert_non_null(strstr(e.message, "more than"));
}

static void full_buffer(void **state)
{
	struct exchange x;
	struct err e;
	struct buf b;
	struct variable_text *t = variable_text_new("$request_uri", &e);

	(void)state;
	make(&x);
	buf_init(&b, 8);
	assert_int_equal(variable_text_write(t, &x, ESCAPE_NONE, &b), -1);
	buf_done(&b);
	variable_text_free(t);
}

/* Of the arena, or the text itself when it has no variables; long values, too. */
static void as_a_value(void **state)
{
	char target[5000];
	struct fake f;
	struct err e;
	struct variable_text *constant = variable_text_new("/plain", &e), *some = variable_text_new("a$request_uri", &e);

	(void)state;
	memset(target, 'x', sizeof(target));
	fake_init(&f, "GET", "http://a.test/b?c");
	assert_true(variable_text_constant(constant) && !variable_text_constant(some));
	assert_true(str_eq_c(variable_text_value(constant, &f.x), "/plain"));
	assert_true(str_eq_c(variable_text_value(some, &f.x), "a/b?c"));
	f.x.req.target = (struct str){ target, sizeof(target) };
	assert_int_equal(variable_text_value(some, &f.x).len, sizeof(target) + 1);
	variable_text_free(constant);
	variable_text_free(some);
	fake_done(&f);
}

static void every_row_is_documented(void **state)
{
	const struct variable_doc *d = variable_docs();

	(void)state;
	assert_non_null(d->name);
	for (; d->name; d++) {
		char name[80];
		snprintf(name, sizeof(name), "%s%s", d->name, d->name[strlen(d->name) - 1] == '_' ? "x" : "");
		assert_true(strlen(d->meaning) > 1);
		if (!variable_known(str_of(name)))
			fail_msg("%s is not known", d->name);
		if (d[1].name)
			assert_true(strcmp(d->name, d[1].name) < 0 || strchr(d->name, '_'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values), cmocka_unit_test(canary_and_upstream), cmocka_unit_test(without_a_route),
		cmocka_unit_test(of_a_snippet), cmocka_unit_test(refused), cmocka_unit_test(full_buffer), cmocka_unit_test(as_a_value),
		cmocka_unit_test(every_row_is_documented), cmocka_unit_test(ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
