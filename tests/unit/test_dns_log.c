/* The query log: formats as CoreDNS writes them, classes, rules, and the lines that reach standard output. */
#include "roles/dns/kernel/kernel.h"
#include "roles/dns/observe/log_rule.h"
#include "roles/dns/observe/log_sink.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/workers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

extern const struct plugin plugin_log;

static struct dns_event event(void)
{
	struct dns_event e = { .proto = DNS_UDP, .kind = EVENT_NOERROR, .class = EVENT_SUCCESS, .id = 29008, .question_flags = DNS_FLAG_RD,
			       .type = DNS_A, .qclass = DNS_CLASS_IN, .rcode = DNS_NOERROR,
			       .flags = DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | DNS_FLAG_AD, .udp_bytes = 1232,
			       .question_bytes = 41, .answer_bytes = 68, .duration_us = 37990 };

	assert_true(dns_name_from_text(STR("example.org"), &e.name));
	e.client = (struct event_addr){ .family = 6, .port = 50759, .ip = { [15] = 1 } };
	return e;
}

static void test_formats(void **state)
{
	static const struct {
		const char *format, *line;
	} rows[] = {
		{ LOG_COMMON, "[::1]:50759 - 29008 \"A IN example.org. udp 41 false 1232\" NOERROR qr,rd,ra,ad 68 0.03799s" },
		{ "{common}", "[::1]:50759 - 29008 \"A IN example.org. udp 41 false 1232\" NOERROR qr,rd,ra,ad 68 0.03799s" },
		{ "{combined}", "[::1]:50759 - 29008 \"A IN example.org. udp 41 false 1232\" NOERROR qr,rd,ra,ad 68 0.03799s \"0\"" },
		{ "{proto} Request: {name} {type} {>id}", "udp Request: example.org. A 29008" },
		{ "{/log/class} {/log/type} {/kubernetes/client-pod-name} {local}", "success NOERROR - -" },
		/* As CoreDNS' own tests have it: what is no placeholder stays. */
		{ "{ {name} }", "{ example.org. }" },
		{ "A } {type}", "A } A" },
		{ "{X} {nam{e} {type", "{X} {nam{e} {type" },
		{ "{{name}}", "{example.org.}" },
		{ "", "" },
		{ "}", "}" },
		{ "{/}", "{/}" },
	};
	struct dns_event e = event();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err;
		struct log_format *f = log_format_new(rows[i].format, &err);
		struct buf out;
		buf_init(&out, 4096);
		assert_non_null(f);
		log_format_put(f, &e, &out);
		assert_string_equal(out.ptr ? out.ptr : "", rows[i].line);
		buf_done(&out);
		log_format_free(f);
	}
}

static void test_values(void **state)
{
	struct err err;
	struct log_format *f = log_format_new("{remote} {proto} {>bufsize} {rcode} {duration} {>rflags} {type} {>opcode} {>do}", &err);
	struct dns_event e = event();
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	e.client = (struct event_addr){ .family = 4, .ip = { 10, 244, 0, 7 } };
	e.proto = DNS_DOT;
	e.rcode = DNS_NXDOMAIN;
	e.duration_us = 2000000;
	e.flags = DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_TC | 0x40 | DNS_FLAG_CD;
	e.type = 65280;
	e.question_flags = 4 << 11;
	e.dnssec_ok = true;
	log_format_put(f, &e, &out);
	assert_string_equal(out.ptr, "10.244.0.7 tcp 65535 NXDOMAIN 2s qr,aa,tc,z,cd TYPE65280 4 true");
	buf_clear(&out);
	e.duration_us = 0;
	e.flags = 0;
	log_format_put(f, &e, &out);
	assert_string_equal(out.ptr, "10.244.0.7 tcp 65535 NXDOMAIN 0s  TYPE65280 4 true");
	buf_done(&out);
	log_format_free(f);
	assert_null(log_format_new("a\nb", &err));
	char *big = xcalloc(1, LOG_FORMAT_BYTES_MAX + 2);
	memset(big, 'x', LOG_FORMAT_BYTES_MAX + 1);
	assert_null(log_format_new(big, &err));
	free(big);
}

/* What kind of an answer a message is. */
static void test_kinds(void **state)
{
	static const struct {
		uint8_t rcode, answers, soa, ns;
		uint16_t type;
		enum event_kind kind;
		enum event_class class;
	} rows[] = {
		{ DNS_NOERROR, 1, 0, 0, DNS_A, EVENT_NOERROR, EVENT_SUCCESS },
		{ DNS_NOERROR, 0, 1, 0, DNS_A, EVENT_NODATA, EVENT_DENIAL },
		{ DNS_NOERROR, 0, 0, 1, DNS_A, EVENT_DELEGATION, EVENT_SUCCESS },
		{ DNS_NOERROR, 0, 0, 0, DNS_A, EVENT_NOERROR, EVENT_SUCCESS },
		{ DNS_NXDOMAIN, 0, 1, 0, DNS_A, EVENT_NXDOMAIN, EVENT_DENIAL },
		{ DNS_NXDOMAIN, 1, 1, 0, DNS_A, EVENT_OTHERERROR, EVENT_ERROR },
		{ DNS_SERVFAIL, 0, 0, 0, DNS_A, EVENT_SERVERERROR, EVENT_ERROR },
		{ DNS_NOTIMP, 0, 0, 0, DNS_A, EVENT_SERVERERROR, EVENT_ERROR },
		{ DNS_REFUSED, 0, 0, 0, DNS_A, EVENT_OTHERERROR, EVENT_ERROR },
		{ DNS_NOERROR, 1, 0, 0, DNS_AXFR, EVENT_OTHERERROR, EVENT_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t m[256] = { 0, 1, 0x80, rows[i].rcode, 0, 1, 0, rows[i].answers, 0, (uint8_t)(rows[i].soa + rows[i].ns), 0, 0,
				   1, 'x', 0, 0, (uint8_t)rows[i].type, 0, 1 };
		size_t n = 19;
		static const uint8_t a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1 };
		static const uint8_t soa[] = { 0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 5, 0, 22, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 };
		static const uint8_t ns[] = { 0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 5, 0, 1, 0 };
		if (rows[i].answers) {
			memcpy(m + n, a, sizeof(a));
			n += sizeof(a);
		}
		if (rows[i].soa) {
			memcpy(m + n, soa, sizeof(soa));
			n += sizeof(soa);
		}
		if (rows[i].ns) {
			memcpy(m + n, ns, sizeof(ns));
			n += sizeof(ns);
		}
		enum event_kind kind = event_kind_of((struct str){ (const char *)m, n }, rows[i].type);
		assert_int_equal(kind, rows[i].kind);
		assert_int_equal(event_class_of(kind), rows[i].class);
	}
	assert_int_equal(event_kind_of(STR_NONE, DNS_A), EVENT_OTHERERROR);
}

/* ---- the directive ---- */
static struct log_rules *rules;

static int read_line(const char *const *words, const char *const *body, struct err *e)
{
	struct directive d = { .head = { .file = "Corefile", .line = 3, .words = words } };
	struct corefile_line line = { .file = "Corefile", .line = 4, .words = body };

	while (words[d.head.n])
		d.head.n++;
	while (body && body[line.n])
		line.n++;
	if (body) {
		d.body = &line;
		d.n_body = 1;
	}
	void *settings = rules;
	int rc = plugin_log.parse(&d, NULL, &settings, e);
	rules = settings;
	return rc;
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_rules(void **state)
{
	struct dns_event e = event();
	struct err err;

	(void)state;
	assert_int_equal(read_line(WORDS("log", "example.com", "{name}"), WORDS("class", "denial", "error"), &err), 0);
	assert_int_equal(read_line(WORDS("log", "example.org", "cluster.local"), NULL, &err), 0);
	assert_int_equal(rules->n, 3);
	assert_ptr_equal(log_rules_find(rules, &e), &rules->at[1]);
	assert_true(dns_name_from_text(STR("www.example.com"), &e.name));
	assert_null(log_rules_find(rules, &e)); /* a success, and the first rule for the name decides */
	e.class = EVENT_DENIAL;
	assert_ptr_equal(log_rules_find(rules, &e), &rules->at[0]);
	assert_true(dns_name_from_text(STR("example.net"), &e.name));
	assert_null(log_rules_find(rules, &e));
	assert_int_equal(read_line(WORDS("log"), NULL, &err), 0);
	assert_ptr_equal(log_rules_find(rules, &e), &rules->at[3]);
	assert_int_equal(read_line(WORDS("log"), WORDS("class", "nothing"), &err), -1);
	assert_string_equal(err.message, "Corefile:4: log: class is success, denial, error or all, not 'nothing'");
	assert_int_equal(read_line(WORDS("log", "a..b"), NULL, &err), -1);
	assert_non_null(strstr(err.message, "Corefile:3: log: 'a..b' is no domain name"));
	plugin_log.free_settings(rules);
	rules = NULL;
}

/* ---- from a worker to standard output ---- */
static void stop_loop(struct timer *t)
{
	loop_stop(t->ctx);
}

static void run_for(struct loop *l, uint64_t ms)
{
	struct timer t = { .fire = stop_loop, .ctx = l };

	timer_start(l, &t, ms);
	loop_run(l);
}

static void test_output(void **state)
{
	int pipe_fds[2], before = dup(STDOUT_FILENO);
	struct err e;
	struct loop *l = loop_new(&e);
	struct dns_shared s = { .main_loop = l, .n_workers = 1 };
	struct dns_worker *w = xcalloc(1, sizeof(*w));
	struct addr client;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	fflush(stdout);
	dup2(pipe_fds[1], STDOUT_FILENO);
	w->shared = &s;
	s.metrics = dns_metrics_new(1);
	s.watch = dns_watch_new(&s);
	assert_int_equal(read_line(WORDS("log"), NULL, &e), 0);
	struct dns_name root = { .len = 1 };
	struct plugin_instance instance = { .plugin = &plugin_log, .settings = rules };
	struct dns_block block = { .zones = &root, .n_zones = 1, .plugins = &instance, .n_plugins = 1 };
	assert_false(dns_watch_on());
	assert_int_equal(plugin_log.start(&instance, &s, &e), 0);
	assert_true(dns_watch_on());
	assert_int_equal(addr_from_ip("10.0.0.1", 4711, &client, &e), 0);
	struct dns_query q = { .id = 7, .type = DNS_AAAA, .class = DNS_CLASS_IN, .udp_bytes = 512 };
	assert_true(dns_name_from_text(STR("web.default.svc.cluster.local"), &q.name));
	struct dns_client c = { .addr = client, .proto = DNS_UDP };
	struct watch_question seen = { .client = &c, .query = &q, .block = &block, .rcode = DNS_NXDOMAIN, .flags = DNS_FLAG_QR | DNS_FLAG_AA,
				       .source = FROM_ZONE, .question_bytes = 47, .answer_bytes = 140, .duration_us = 12 };
	dns_watch_see(w, &seen);
	run_for(l, 50);
	/* More than fits the ring: the rest is counted, and said. */
	for (unsigned i = 0; i < 5000; i++)
		dns_watch_see(w, &seen);
	assert_int_equal(dns_watch_lost(s.watch), 5000 - 4096);
	struct buf text;
	buf_init(&text, 16u << 20);
	char *lost = NULL;
	for (unsigned i = 0; i < 200 && !lost; i++) {
		char part[65536];
		ssize_t n;
		run_for(l, 20);
		while ((n = read(pipe_fds[0], part, sizeof(part))) > 0)
			buf_put(&text, part, (size_t)n);
		lost = text.len ? strstr(text.ptr, "[WARNING] plugin/log: 904 lines were dropped") : NULL;
	}
	plugin_log.stop(&instance, &s);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	assert_non_null(lost);
	static const char first[] =
		"[INFO] 10.0.0.1:4711 - 7 \"AAAA IN web.default.svc.cluster.local. udp 47 false 512\" NXDOMAIN qr,aa 140 0.000012s\n";
	assert_memory_equal(text.ptr, first, sizeof(first) - 1);
	buf_done(&text);
	plugin_log.free_settings(rules);
	rules = NULL;
	dns_watch_free(s.watch);
	dns_metrics_free(s.metrics);
	assert_false(dns_watch_on());
	loop_free(l);
	free(w);
	close(before);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats), cmocka_unit_test(test_values), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_rules),	cmocka_unit_test(test_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
