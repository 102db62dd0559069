/* Server blocks: which there are, in what order their plug-ins act, what is said about wrong ones, which serves a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "roles/dns/config/config.h"
#include "roles/dns/config/zones.h"
#include "roles/dns/plugin/bind.h"
#include "roles/dns/plugin/kubernetes.h"
#include "roles/dns/plugin/reload.h"
#include "roles/dns/plugin/tls.h"
#include "roles/dns/zone/zone.h"

#include <stdio.h>

/* ---- plug-ins that remember what they were told ---- */

static size_t n_settings;

static int fake_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct buf all;

	if (d->head.n > 1 && strcmp(d->head.words[1], "wrong") == 0)
		return directive_error(e, &d->head, d->head.words[0], "wrong");
	buf_init(&all, 4096);
	if (*settings)
		buf_printf(&all, "%s+", (char *)*settings);
	for (size_t i = 1; i < d->head.n; i++)
		buf_printf(&all, "%s%s", i > 1 ? " " : "", d->head.words[i]);
	if (d->head.n == 2 && strcmp(d->head.words[1], "zones") == 0)
		for (size_t i = 0; scope->block_zones[i]; i++)
			buf_printf(&all, " %s", scope->block_zones[i]);
	buf_puts(&all, "");
	n_settings += !*settings;
	free(*settings);
	*settings = buf_take(&all);
	if (!*settings)
		*settings = xstrdup("");
	return 0;
}

static void fake_free(void *settings)
{
	n_settings--;
	free(settings);
}

static enum plugin_verdict fake_ask(struct request *r, struct plugin_instance *i)
{
	(void)r;
	(void)i;
	return PLUGIN_NEXT;
}

/* "touches ZONE": that and nothing else. */
static bool fake_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	struct dns_name own;

	return dns_name_from_text(str_of(i->settings), &own) && dns_name_under(zone, &own);
}

static const struct plugin_property some[] = {
	{ "success", "N", "n" }, { "denial", "N", "accepted; nothing" }, { NULL },
};
static const struct plugin_property any[] = { { "ttl", "N", "n" }, { "ADDRESS", "NAME", "a host" }, { NULL } };
#define FAKE .parse = fake_parse, .free_settings = fake_free
static const struct plugin first = { .name = "first", FAKE, .once = true };
static const struct plugin touchy = { .name = "touchy", FAKE, .ask = fake_ask, .touches = fake_touches };
static const struct plugin busy = { .name = "busy", FAKE, .answer = fake_ask };
static const struct plugin cache = { .name = "cache", FAKE, .properties = some };
static const struct plugin more = { .name = "more", FAKE, .more = true, .doc = "accepted; not here" };
static const struct plugin hosts = { .name = "hosts", FAKE, .properties = any };
static const struct plugin prometheus = { .name = "prometheus", FAKE };
static const struct plugin last = { .name = "last", FAKE, .ask = fake_ask };
extern const struct plugin plugin_kubernetes;
const struct plugin plugin_kubernetes = { .name = "kubernetes", FAKE };

static struct zone_options cluster;
void kubernetes_options(const struct plugin_instance *i, struct zone_options *ret)
{
	(void)i;
	*ret = cluster;
}

const struct plugin *const dns_plugins[] = {
	&plugin_reload, &plugin_bind, &first, &prometheus, &touchy, &busy, &cache, &more, &plugin_tls, &hosts, &plugin_kubernetes, &last, NULL,
};

const struct plugin *plugin_find(const char *name)
{
	for (size_t i = 0; dns_plugins[i]; i++)
		if (strcmp(dns_plugins[i]->name, name) == 0)
			return dns_plugins[i];
	return NULL;
}

/* ---- structure ---- */

static const struct plugin_scope scope = { .cluster_domain = "cluster.local", .resolv_conf = "/etc/resolv.conf" };

static void put_block(struct buf *out, const struct dns_block *b)
{
	char text[DNS_NAME_TEXT_BYTES];

	buf_printf(out, "%s", b->server);
	for (size_t i = 0; i < b->n_zones; i++)
		buf_printf(out, " %s", dns_name_text(&b->zones[i], text));
	buf_puts(out, b->metrics ? " metrics {" : " {");
	for (size_t i = 0; i < b->n_plugins; i++) {
		const struct plugin_instance *p = &b->plugins[i];
		assert_ptr_equal(p->block, b);
		bool fake = p->plugin->parse == fake_parse;
		buf_printf(out, "%s%s%s%s", i ? "; " : "", p->plugin->name, fake && *(char *)p->settings ? " " : "", fake ? (char *)p->settings : "");
	}
	buf_puts(out, "}");
}

static void read_as(const char *text, const char *expected)
{
	struct err e = { 0 };
	struct dns_config *c = dns_config_parse(str_of(text), "Corefile", &scope, &e);
	struct buf out;

	buf_init(&out, 1 << 20);
	for (size_t i = 0; c && i < c->n_blocks; i++) {
		buf_puts(&out, i ? " " : "");
		put_block(&out, &c->blocks[i]);
	}
	if (!c)
		buf_puts(&out, e.message);
	if (!c_eq(out.ptr, expected))
		fail_msg("%s\n  is read as  %s\n  expected    %s", text, out.ptr, expected);
	buf_done(&out);
	dns_config_free(c);
	assert_int_equal(n_settings, 0);
}

static void blocks(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ ". {\n}", "dns://:53 . {}" },
		{ ".:1053 {\n last\n cache 30 {\n  success 5\n }\n first\n}", "dns://:1053 . {first; cache 30; last}" },
		{ "A.org, b.org.:53 {\n first\n}", "dns://:53 a.org. b.org. {first}" },
		{ "a.org b.org:1053 {\n first zones\n}", "dns://:53 a.org. {first zones a.org} dns://:1053 b.org. {first zones b.org}" },
		{ ":53 { first zones }", "dns://:53 . {first zones .}" },
		{ "dns://a.org:5353 { first }", "dns://:5353 a.org. {first}" },
		{ ". {\n more a\n cache 1\n more b\n cache 2\n}", "dns://:53 . {cache 1; cache 2; more a+b}" },
		{ ". {\n bind 127.0.0.1 ::1\n bind 127.0.0.1 127.0.0.2\n}", "dns://127.0.0.1:53 . {bind}" },
		{ ". {\n bind ::1\n}", "dns://[::1]:53 . {bind}" },
		{ ". {\n bind lo {\n  except ::1\n }\n}", "dns://127.0.0.1:53 . {bind}" },
		{ ". {\n prometheus :9153\n}", "dns://:53 . metrics {prometheus :9153}" },
		{ ". {\n hosts {\n  10.0.0.1 a\n  ttl 5\n }\n}", "dns://:53 . {hosts}" },
		{ "10.0.0.0/8 192.168.3.0/24:53 { first zones }", "dns://:53 10.in-addr.arpa. 3.168.192.in-addr.arpa. {first zones 10.in-addr.arpa 3.168.192.in-addr.arpa}" },
		{ "10.64.0.0/10 2001:db8::/31:53 { first }",
		  "dns://:53 64.10.in-addr.arpa. 65.10.in-addr.arpa. 66.10.in-addr.arpa. 67.10.in-addr.arpa. 68.10.in-addr.arpa. 69.10.in-addr.arpa. "
		  "70.10.in-addr.arpa. 71.10.in-addr.arpa. 72.10.in-addr.arpa. 73.10.in-addr.arpa. 74.10.in-addr.arpa. 75.10.in-addr.arpa. "
		  "76.10.in-addr.arpa. 77.10.in-addr.arpa. 78.10.in-addr.arpa. 79.10.in-addr.arpa. 80.10.in-addr.arpa. 81.10.in-addr.arpa. "
		  "82.10.in-addr.arpa. 83.10.in-addr.arpa. 84.10.in-addr.arpa. 85.10.in-addr.arpa. 86.10.in-addr.arpa. 87.10.in-addr.arpa. "
		  "88.10.in-addr.arpa. 89.10.in-addr.arpa. 90.10.in-addr.arpa. 91.10.in-addr.arpa. 92.10.in-addr.arpa. 93.10.in-addr.arpa. "
		  "94.10.in-addr.arpa. 95.10.in-addr.arpa. 96.10.in-addr.arpa. 97.10.in-addr.arpa. 98.10.in-addr.arpa. 99.10.in-addr.arpa. "
		  "100.10.in-addr.arpa. 101.10.in-addr.arpa. 102.10.in-addr.arpa. 103.10.in-addr.arpa. 104.10.in-addr.arpa. 105.10.in-addr.arpa. "
		  "106.10.in-addr.arpa. 107.10.in-addr.arpa. 108.10.in-addr.arpa. 109.10.in-addr.arpa. 110.10.in-addr.arpa. 111.10.in-addr.arpa. "
		  "112.10.in-addr.arpa. 113.10.in-addr.arpa. 114.10.in-addr.arpa. 115.10.in-addr.arpa. 116.10.in-addr.arpa. 117.10.in-addr.arpa. "
		  "118.10.in-addr.arpa. 119.10.in-addr.arpa. 120.10.in-addr.arpa. 121.10.in-addr.arpa. 122.10.in-addr.arpa. 123.10.in-addr.arpa. "
		  "124.10.in-addr.arpa. 125.10.in-addr.arpa. 126.10.in-addr.arpa. 127.10.in-addr.arpa. 8.b.d.0.1.0.0.2.ip6.arpa. "
		  "9.b.d.0.1.0.0.2.ip6.arpa. {first}" },
		{ "0.0.0.0/0 { first }", "dns://:53 in-addr.arpa. {first}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		read_as(rows[i].text, rows[i].expected);
}

static void errors(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ "", "Corefile:1: no server block: write at least `. { }`" },
		{ ". {\n etcd\n}", "Corefile:2: plug-in 'etcd' is not part of portico; names come from the Kubernetes API only: forward the zone to a server that has it" },
		{ ". {\n\n firsst\n}", "Corefile:3: plug-in 'firsst' is not part of portico; is first meant?" },
		{ ". {\n kubernets\n}", "Corefile:2: plug-in 'kubernets' is not part of portico; is kubernetes meant?" },
		{ ". {\n zz\n}", "Corefile:2: plug-in 'zz' is not part of portico; `portico dns plugins` lists what is" },
		{ ". {\n averylongnameofaplug-inthatnobodyhas\n}",
		  "Corefile:2: plug-in 'averylongnameofaplug-inthatnobodyhas' is not part of portico; `portico dns plugins` lists what is" },
		{ ". {\n cache {\n  sucess 5\n }\n}", "Corefile:3: cache: 'sucess' is none of its properties, which are success, denial" },
		{ ". {\n first {\n  x\n }\n}", "Corefile:3: first: it takes no braces" },
		{ ". {\n first\n first\n}", "Corefile:3: first: a second one in this block; the first is in line 2" },
		{ ". {\n last\n more a\n more wrong\n}", "Corefile:4: more: wrong" },
		{ "a..org {\n}", "Corefile:1: 'a..org' is no zone: expected a name such as a.org, a network such as 10.0.0.0/8, or ." },
		{ "a.org:x {\n}", "Corefile:1: 'a.org:x': 'x' is no port" },
		{ "a.org:0 {\n}", "Corefile:1: 'a.org:0': '0' is no port" },
		{ "a.org:65536 {\n}", "Corefile:1: 'a.org:65536': '65536' is no port" },
		{ "a.org: {\n}", "Corefile:1: 'a.org:': '' is no port" },
		{ "2001:db8::1:53 {\n}", "Corefile:1: '2001:db8::1:53' is no zone: expected a name such as a.org, a network such as 10.0.0.0/8, or ." },
		{ "https://. {\n}", "Corefile:1: 'https://.': DNS over HTTPS is not part of portico; clients can use tls:// (port 853)" },
		{ "ftp://. {\n}", "Corefile:1: 'ftp://.': the transport is dns:// or tls://, not ftp://" },
		{ "tls://. {\n}", "Corefile:1: tls:// needs a certificate: add `tls CERTIFICATE KEY` to this block" },
		{ "tls://. {\n tls /none/a /none/b\n}", "Corefile:2: tls: open '/none/a': No such file or directory" },
		{ "tls://. {\n tls a b {\n  client_auth require\n }\n}", "Corefile:3: tls: client_auth is nocert, verify_if_given or require_and_verify: a certificate that "
									     "is not checked proves nothing" },
		{ "a.org {\n}\n\nA.ORG. {\n}", "Corefile:4: a.org. on port 53 is served by the block in Corefile:1 already" },
		{ "a.org a.org {\n}", "Corefile:1: a.org. on port 53 is served by the block in Corefile:1 already" },
		{ ". {\n bind 127.0.0.1\n}\n. {\n bind 127.0.0.2\n}", "Corefile:4: . on port 53 is served by the block in Corefile:1 already; blocks are told apart by zone and port, "
									      "not by what they bind" },
		{ ". {\n bind\n}", "Corefile:2: bind: needs at least one address or interface" },
		{ ". {\n bind 1.2.3\n}", "Corefile:2: bind: '1.2.3' is neither an IP address nor an interface of this machine" },
		{ ". {\n bind ::1 {\n  except ::1\n }\n}", "Corefile:2: bind: no address is left to listen on" },
		{ ". {\n reload 1s\n}", "Corefile:2: reload: '1s' is no interval: expected 2s to 24h" },
		{ ". {\n reload 5s 100ms\n}", "Corefile:2: reload: '100ms' is no jitter: expected 0s, or 1s to 24h" },
		{ ". {\n reload\n reload\n}", "Corefile:3: reload: a second one in this block; the first is in line 2" },
		{ "10.0.0.0/33 {\n}", "dns://:53 10.0.0.0/33. {}" }, /* a name, as for CoreDNS */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		read_as(rows[i].text, rows[i].expected);
}

static void note(void *ctx, const char *text)
{
	buf_printf(ctx, "%s\n", text);
}

static void all_errors(void **state)
{
	struct buf told;
	struct dns_config *c;

	(void)state;
	buf_init(&told, 1 << 16);
	c = dns_config_check(STR(". {\n nosuch\n first wrong\n cache\n}\nb..c {\n}\ntls://. { last }\n"), "C", &scope, note, &told);
	assert_null(c);
	assert_string_equal(told.ptr, "C:2: plug-in 'nosuch' is not part of portico; `portico dns plugins` lists what is\n"
				      "C:3: first: wrong\n"
				      "C:6: 'b..c' is no zone: expected a name such as a.org, a network such as 10.0.0.0/8, or .\n"
				      "C:8: tls:// needs a certificate: add `tls CERTIFICATE KEY` to this block\n");
	assert_int_equal(n_settings, 0);
	buf_clear(&told);
	c = dns_config_check(STR("(s) {\n more\n}\n. {\n import s\n cache {\n  success 1\n  denial 5\n }\n}\n"), "C", &scope, note, &told);
	assert_non_null(c);
	assert_int_equal(told.len, 0);
	dns_config_warnings(c, note, &told);
	assert_string_equal(told.ptr, "C:2: more is accepted; not here\nC:8: cache: denial is accepted; nothing\n");
	dns_config_free(c);
	buf_done(&told);
}

/* ---- which block ---- */

static const struct dns_block *block_of(const struct dns_config *c, enum dns_transport t, uint16_t port, const char *name)
{
	struct dns_name n;

	assert_true(dns_name_from_text(str_of(name), &n));
	return dns_config_block(c, t, port, &n);
}

static void expect_zone(const struct dns_config *c, uint16_t port, const char *name, const char *zone)
{
	const struct dns_block *b = block_of(c, DNS_PLAIN, port, name);
	char text[DNS_NAME_TEXT_BYTES];
	bool found = false;

	if (!b || !zone) {
		if (b || zone)
			fail_msg("%s: %s block", name, b ? "a" : "no");
		return;
	}
	for (size_t i = 0; i < b->n_zones; i++)
		found |= strcmp(dns_name_text(&b->zones[i], text), zone) == 0;
	if (!found)
		fail_msg("%s is served by %s", name, dns_name_text(&b->zones[0], text));
}

static void lookup_among(size_t n_others)
{
	struct dns_config *c;
	struct buf text;
	struct err e;

	buf_init(&text, 1 << 20);
	buf_puts(&text, "a.org x.a.org:53 { }\ny.x.a.org { }\n.:1053 { }\norg:1053 { }\n10.in-addr.arpa { }\n");
	for (size_t i = 0; i < n_others; i++)
		buf_printf(&text, "stub%zu.corp.test { }\n", i);
	c = dns_config_parse(buf_str(&text), "Corefile", &scope, &e);
	assert_non_null(c);
	expect_zone(c, 53, "a.org", "a.org.");
	expect_zone(c, 53, "b.a.org", "a.org.");
	expect_zone(c, 53, "ba.org", NULL);
	expect_zone(c, 53, "z.x.a.org", "x.a.org.");
	expect_zone(c, 53, "1.2.y.x.a.org", "y.x.a.org.");
	expect_zone(c, 53, "org", NULL);
	expect_zone(c, 53, ".", NULL);
	expect_zone(c, 1053, ".", ".");
	expect_zone(c, 1053, "com", ".");
	expect_zone(c, 1053, "a.org", "org.");
	expect_zone(c, 53, "4.3.2.10.in-addr.arpa", "10.in-addr.arpa.");
	assert_null(block_of(c, DNS_TLS, 53, "a.org"));
	assert_null(block_of(c, DNS_PLAIN, 54, "a.org"));
	for (size_t i = 0; i < n_others; i++) {
		char name[64], zone[64];
		snprintf(name, sizeof(name), "www.stub%zu.corp.test", i);
		snprintf(zone, sizeof(zone), "stub%zu.corp.test.", i);
		expect_zone(c, 53, name, zone);
	}
	expect_zone(c, 53, "corp.test", NULL);
	dns_config_free(c);
	buf_done(&text);
}

static void lookup(void **state)
{
	(void)state;
	lookup_among(0);
	lookup_among(3);
	lookup_among(200);
}

/* ---- the direct way ---- */

static bool is_direct(const char *text)
{
	const struct plugin_instance *obstacle;
	struct err e;
	bool direct;

	cluster = (struct zone_options){ .ttl = 5, .n_reverse = 1 };
	assert_true(dns_name_from_text(STR("cluster.local"), &cluster.domain));
	assert_true(dns_name_from_text(STR("in-addr.arpa"), &cluster.reverse[0]));
	struct zone *z = zone_new(&cluster, 1, NULL);
	struct dns_config *c = dns_config_parse(str_of(text), "Corefile", &scope, &e);
	assert_non_null(c);
	for (size_t i = 0; i < c->blocks[0].n_plugins; i++)
		if (c->blocks[0].plugins[i].plugin == &plugin_kubernetes)
			c->blocks[0].plugins[i].started = z;
	dns_block_find_direct(&c->blocks[0]);
	direct = c->blocks[0].direct == z;
	assert_true(direct || !c->blocks[0].direct);
	assert_true(dns_block_is_direct(&c->blocks[0], &obstacle) == direct);
	assert_true(!obstacle || !direct);
	dns_config_free(c);
	zone_free(z);
	return direct;
}

static void direct(void **state)
{
	(void)state;
	assert_true(is_direct(". { kubernetes }"));
	assert_false(is_direct(". { cache }"));
	assert_true(is_direct(". {\n reload\n bind 127.0.0.1\n cache\n kubernetes\n last\n}"));
	assert_false(is_direct(". {\n busy\n kubernetes\n}"));
	assert_true(is_direct(". {\n touchy a.org\n kubernetes\n}"));
	assert_false(is_direct(". {\n touchy local\n kubernetes\n}"));
	assert_false(is_direct(". {\n touchy arpa\n kubernetes\n}"));
}

static void files(void **state)
{
	struct err e;
	struct dns_config *c = dns_config_parse(STR(". {\n reload 10s\n}"), "Corefile", &scope, &e);
	const struct reload *r;

	(void)state;
	assert_non_null(c);
	assert_string_equal(dns_config_files(c)[0], "Corefile");
	assert_null(dns_config_files(c)[1]);
	r = dns_block_settings(&c->blocks[0], &plugin_reload);
	assert_non_null(r);
	assert_int_equal(r->interval_ms, 10000);
	assert_int_equal(r->jitter_ms, 5000);
	assert_null(dns_block_settings(&c->blocks[0], &plugin_bind));
	dns_config_free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks), cmocka_unit_test(errors), cmocka_unit_test(all_errors),
		cmocka_unit_test(lookup), cmocka_unit_test(direct), cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
