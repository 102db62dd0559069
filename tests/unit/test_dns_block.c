/* Plug-ins that are a block's and have no part in the chain: tls, chaos, nsid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "codec/dns_edns.h"
#include "codec/dns_text.h"
#include "net/tls.h"
#include "net_pki.h"
#include "roles/dns/config/config.h"
#include "roles/dns/plugin/chaos.h"
#include "roles/dns/serve/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct plugin_scope scope = { .cluster_domain = "cluster.local", .resolv_conf = "/dev/null", .upstream_port = 53 };

static struct dns_config *config_of(const char *text, struct err *e)
{
	return dns_config_parse(str_of(text), "Corefile", &scope, e);
}

/* ---- tls ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
	cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
	struct err e;

	assert_int_equal(file_write(path, str_of(text), 0600, &e), 0);
}

/* %s in `text` is the folder. Returns the mode in which clients are asked for certificates, -1 without TLS. */
static int tls_mode(const char *dir, const char *text, const char *why)
{
	struct buf all;
	struct err e = { 0 };
	struct dns_config *c;
	int mode = -1;

	buf_init(&all, 65536);
	for (const char *at = text, *next; at; at = next) {
		next = strstr(at, "DIR");
		buf_put(&all, at, next ? (size_t)(next - at) : strlen(at));
		buf_puts(&all, next ? dir : "");
		next = next ? next + 3 : NULL;
	}
	c = config_of(all.ptr, &e);
	buf_done(&all);
	if (!c && (!why || !strstr(e.message, why)))
		fail_msg("%s: %s", text, e.message);
	if (c && why)
		fail_msg("%s is right", text);
	if (c && c->blocks[0].tls)
		mode = SSL_CTX_get_verify_mode(tls_ctx(c->blocks[0].tls));
	dns_config_free(c);
	return mode;
}

static void certificates(void **state)
{
	struct pki ca = pki_make("authority", NULL, NULL), server = pki_make("dns", "DNS:dns.test", &ca), other = pki_make("x", NULL, &ca);
	char dir[] = "/tmp/dnsblock.XXXXXX";
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_file(dir, "cert", server.cert_pem);
	write_file(dir, "key", server.key_pem);
	write_file(dir, "other", other.key_pem);
	write_file(dir, "ca", ca.cert_pem);
	assert_int_equal(tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key\n}", NULL), SSL_VERIFY_NONE);
	assert_int_equal(tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key DIR/ca\n}", NULL), SSL_VERIFY_NONE);
	assert_int_equal(tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key DIR/ca {\n  client_auth verify_if_given\n }\n}", NULL), SSL_VERIFY_PEER);
	assert_int_equal(tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key DIR/ca {\n  client_auth require_and_verify\n }\n}", NULL),
			 SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
	/* without effect where nothing is encrypted */
	assert_int_equal(tls_mode(dir, ". {\n tls DIR/cert DIR/key\n}", NULL), -1);
	tls_mode(dir, "tls://. {\n tls DIR/cert DIR/other\n}", "Corefile:2: tls: ");
	tls_mode(dir, "tls://. {\n tls DIR/key DIR/cert\n}", "Corefile:2: tls: ");
	tls_mode(dir, "tls://. {\n tls DIR/cert\n}", "Corefile:2: tls: needs the files of a certificate and its key");
	tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key {\n  client_auth require_and_verify\n }\n}", "client_auth needs AUTHORITIES");
	tls_mode(dir, "tls://. {\n tls DIR/cert DIR/key {\n  keylog x\n }\n}", "Corefile:3: tls: 'keylog' is none of its properties, which are client_auth");
	assert_int_equal(dir_remove(dir, &e), 0);
	pki_done(&ca);
	pki_done(&server);
	pki_done(&other);
}

/* ---- chaos ---- */

static struct dns_query question(uint8_t bytes[DNS_NAME_BYTES_MAX + 16], const char *name, uint16_t type)
{
	struct dns_query q;
	struct dns_name n;

	assert_true(dns_name_from_text(str_of(name), &n));
	memcpy(bytes, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
	memcpy(bytes + 12, n.wire, n.len);
	memcpy(bytes + 12 + n.len, (uint8_t[]){ (uint8_t)(type >> 8), (uint8_t)type, 0, DNS_CLASS_CH }, 4);
	assert_int_equal(dns_query_parse((struct str){ (const char *)bytes, 16u + n.len }, &q), 0);
	assert_int_equal(q.class, DNS_CLASS_CH);
	return q;
}

static void expect_chaos(const struct dns_block *b, const char *name, uint16_t type, const char *expected)
{
	uint8_t bytes[DNS_NAME_BYTES_MAX + 16], out[512];
	struct dns_query q = question(bytes, name, type);
	size_t len = chaos_answer(b->chaos, &q, out, sizeof(out));
	struct dns_message m;
	struct buf text;

	assert_true(dns_message_parse((struct str){ (const char *)out, len }, &m));
	buf_init(&text, 4096);
	buf_printf(&text, "%u", m.flags & DNS_FLAGS_RCODE);
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);) {
		buf_puts(&text, "|");
		dns_text_print(&text, &m, &r);
	}
	if (!c_eq(text.ptr, expected))
		fail_msg("%s: %s, not %s", name, text.ptr, expected);
	buf_done(&text);
}

static void chaos(void **state)
{
	char host[256] = "";
	struct err e;
	struct dns_config *c = config_of("bind {\n chaos \"v 1\" me you\n}\n. {\n}", &e);

	(void)state;
	assert_non_null(c);
	assert_null(c->blocks[1].chaos);
	gethostname(host, sizeof(host) - 1);
	cleanup(freep) char *named = xasprintf("0|hostname.bind.\t0\tCH\tTXT\t\"%s\"", host);
	expect_chaos(&c->blocks[0], "version.bind", DNS_TXT, "0|version.bind.\t0\tCH\tTXT\t\"v 1\"");
	expect_chaos(&c->blocks[0], "Authors.BIND", DNS_TXT, "0|authors.bind.\t0\tCH\tTXT\t\"me\"|authors.bind.\t0\tCH\tTXT\t\"you\"");
	expect_chaos(&c->blocks[0], "hostname.bind", DNS_TXT, named);
	expect_chaos(&c->blocks[0], "version.bind", DNS_A, "5");
	expect_chaos(&c->blocks[0], "x.bind", DNS_TXT, "5");
	dns_config_free(c);
}

/* ---- nsid ---- */

static void expect_nsid(const char *corefile, const char *options, size_t len, const char *expected)
{
	struct dns_query q = { .edns = true, .options = { options, len } };
	struct dns_edns_reply reply = { 0 };
	struct err e;
	struct dns_config *c = config_of(corefile, &e);
	struct plugin_instance *i;

	assert_non_null(c);
	i = &c->blocks[0].plugins[0];
	assert_int_equal(i->plugin->guard(i, NULL, NULL, &q, &reply, NULL), PLUGIN_NEXT);
	struct dns_edns_option o = { 0 };
	bool any = dns_edns_next(dns_edns_str(&reply), &o);
	if (any != (expected != NULL) || (any && (o.code != DNS_OPTION_NSID || !str_eq_c(o.value, expected))))
		fail_msg("%s: " STR_FMT, corefile, STR_ARG(o.value));
	dns_config_free(c);
}

static void nsid(void **state)
{
	char host[65] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	expect_nsid(". {\n nsid use the force\n}", "\0\3\0\0", 4, "use the force");
	expect_nsid(". {\n nsid x\n}", "\0\12\0\2ab\0\3\0\0", 10, "x");
	expect_nsid(". {\n nsid\n}", "\0\3\0\0", 4, host);
	expect_nsid(". {\n nsid x\n}", "\0\12\0\2ab", 6, NULL);
	expect_nsid(". {\n nsid x\n}", "", 0, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates),
		cmocka_unit_test(chaos),
		cmocka_unit_test(nsid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
