/* dns_plugin_kit.h - a block of plug-ins made by hand, with a last one that answers from records written in the test.
 *
 * Answers come as text: "NOERROR aa\nweb.example.\t5\tIN\tA\t10.0.0.1\n;; authority\n…".
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/dns_text.h"
#include "roles/dns/config/config.h"
#include "roles/dns/config/corefile.h"
#include "roles/dns/plugin/reply.h"
#include "roles/dns/serve/answer.h"
#include "roles/dns/serve/request.h"

#define KIT_PLUGINS_MAX 8

struct kit {
	struct dns_shared shared;
	struct dns_worker *worker;
	struct dns_config config;
	struct dns_block block;
	struct dns_name zone;
	struct plugin_instance instances[KIT_PLUGINS_MAX];
	void *worker_states[KIT_PLUGINS_MAX];
	struct corefile *text;
	const char *const *records; /* what the last plug-in knows, in dns_text's format; NULL-terminated */
	bool slow;		    /* it answers later */
	bool dumb;		    /* it says SERVFAIL */
	const char *fails;	    /* SERVFAIL for this name */
	struct buf asked;	    /* "name. TYPE\n" for each question that came to it */
	struct buf answer;	    /* of the last kit_ask; "" when there was none */
	struct dns_client client;
	struct request *waiting[32];
	size_t n_waiting;
	uint16_t flags; /* of the last answer */
};

/* ---- the last plug-in ---- */

static inline bool kit_put(struct dns_writer *w, const struct kit *k, const struct dns_name *name, uint16_t type, bool *ret_exists)
{
	static struct dns_text_record r;
	struct dns_name target;
	bool put = false, chase = false;
	struct err e = { 0 };

	for (size_t i = 0; k->records && k->records[i]; i++) {
		if (dns_text_parse(str_of(k->records[i]), 300, &r, &e))
			fail_msg("%s: %s", k->records[i], e.message);
		if (r.owner.len != name->len || memcmp(r.owner.wire, name->wire, name->len) != 0)
			continue;
		*ret_exists = true;
		if (r.type != type && r.type != DNS_CNAME)
			continue;
		put = dns_text_put(w, DNS_ANSWER, &r) != 0;
		if (r.type == DNS_CNAME && type != DNS_CNAME) {
			size_t end;
			chase = dns_name_read((struct str){ (char *)r.rdata, r.rdata_len }, 0, &target, &end);
		}
	}
	if (chase)
		kit_put(w, k, &target, type, ret_exists);
	return put;
}

static inline void kit_answer(const struct kit *k, struct request *r)
{
	static struct dns_text_record soa;
	struct dns_writer w;
	bool exists = false;
	struct err e;

	char name[DNS_NAME_TEXT_BYTES];
	if (k->dumb || (k->fails && strcmp(k->fails, dns_name_text(&r->query.name, name)) == 0)) {
		request_set_rcode(r, DNS_SERVFAIL, FROM_UPSTREAM);
		return;
	}
	reply_start(r, &w);
	bool put = kit_put(&w, k, &r->query.name, r->query.type, &exists);
	if (!put && dns_text_parse(STR("test. 30 SOA ns.test. h.test. 1 2 3 4 30"), 0, &soa, &e) == 0)
		dns_text_put(&w, DNS_AUTHORITY, &soa);
	reply_finish(r, &w, exists ? DNS_NOERROR : DNS_NXDOMAIN, false, FROM_UPSTREAM);
}

static inline enum plugin_verdict kit_last_ask(struct request *r, struct plugin_instance *i)
{
	char name[DNS_NAME_TEXT_BYTES], type[DNS_TEXT_TYPE_BYTES];
	struct kit *k = i->settings;

	buf_printf(&k->asked, "%s %s\n", dns_name_text(&r->query.name, name), dns_type_text(r->query.type, type));
	if (k->slow) {
		assert_true(k->n_waiting < ARRAY_LEN(k->waiting));
		k->waiting[k->n_waiting++] = r;
		return PLUGIN_LATER;
	}
	kit_answer(k, r);
	return PLUGIN_ANSWERED;
}

static const struct plugin kit_last = { .name = "last", .ask = kit_last_ask };

/* ---- making ---- */

static inline struct plugin_instance *kit_instance(struct kit *k, const struct plugin *p)
{
	size_t n = 0;

	for (; n < k->block.n_plugins; n++)
		if (k->instances[n].plugin == p)
			return &k->instances[n];
	assert_true(n < KIT_PLUGINS_MAX);
	k->instances[n] = (struct plugin_instance){ .plugin = p, .block = &k->block, .worker_states = &k->worker_states[n] };
	k->block.n_plugins++;
	return &k->instances[n];
}

static inline int kit_read(struct kit *k, const char *text, const struct plugin *const *plugins, struct err *e)
{
	static const char *const zones[] = { ".", NULL };
	const struct plugin_scope scope = { .cluster_domain = "cluster.local", .resolv_conf = "/dev/null", .block_zones = zones,
					    .shared = &k->shared };
	char *all = xasprintf(". {\n%s\n}\n", text);

	k->text = corefile_parse(str_of(all), "Corefile", "/", e);
	free(all);
	if (!k->text)
		return -1;
	for (size_t p = 0; plugins[p]; p++)
		for (size_t i = 0; i < k->text->blocks[0].n; i++) {
			const struct directive *d = &k->text->blocks[0].directives[i];
			if (strcmp(d->head.words[0], plugins[p]->name) != 0)
				continue;
			struct plugin_instance *inst = kit_instance(k, plugins[p]);
			if (plugins[p]->parse(d, &scope, &inst->settings, e))
				return -1;
		}
	return 0;
}

static inline int kit_try(struct kit *k, const char *text, const struct plugin *const *plugins, struct err *e)
{
	*k = (struct kit){ 0 };
	buf_init(&k->asked, 65536);
	buf_init(&k->answer, 1 << 20);
	buf_puts(&k->asked, "");
	k->worker = xcalloc(1, sizeof(*k->worker));
	k->worker->loop = loop_new(e);
	k->worker->shared = &k->shared;
	list_init(&k->worker->free_requests);
	k->shared.main_loop = k->worker->loop;
	k->shared.metrics = dns_metrics_new(1);
	k->shared.n_workers = 1;
	k->shared.workers = &k->worker;
	k->zone = (struct dns_name){ .len = 1 };
	k->config = (struct dns_config){ .blocks = &k->block, .n_blocks = 1, .refs_ = 1, .shared_ = &k->shared };
	k->block = (struct dns_block){ .config = &k->config, .zones = &k->zone, .n_zones = 1, .port = 53, .server = "dns://:53",
				       .plugins = k->instances };
	assert_int_equal(addr_from_ip("192.0.2.1", 4242, &k->client.addr, e), 0);
	if (kit_read(k, text, plugins, e))
		return -1;
	for (size_t i = 0; i < k->block.n_plugins; i++)
		if (k->instances[i].plugin->start && k->instances[i].plugin->start(&k->instances[i], &k->shared, e))
			return -1;
	kit_instance(k, &kit_last)->settings = k;
	return 0;
}

static inline void kit_open(struct kit *k, const char *text, const struct plugin *const *plugins, const char *const *records)
{
	struct err e = { 0 };

	if (kit_try(k, text, plugins, &e))
		fail_msg("%s", e.message);
	k->records = records;
}

void requests_done(struct dns_worker *w);

static inline void kit_close(struct kit *k)
{
	for (size_t i = 0; i < k->block.n_plugins; i++) {
		struct plugin_instance *inst = &k->instances[i];
		if (inst->worker_states[0])
			inst->plugin->worker_stop(inst, k->worker, inst->worker_states[0]);
		if (inst->plugin->stop && inst->started)
			inst->plugin->stop(inst, &k->shared);
		if (inst->plugin->free_settings)
			inst->plugin->free_settings(inst->settings);
	}
	requests_done(k->worker);
	corefile_free(k->text);
	dns_metrics_free(k->shared.metrics);
	loop_free(k->worker->loop);
	free(k->worker);
	buf_done(&k->asked);
	buf_done(&k->answer);
}

/* The directive is refused, and says so with these words. */
static inline void kit_refuses(const char *text, const struct plugin *const *plugins, const char *why)
{
	struct err e = { 0 };
	struct kit k;

	if (kit_try(&k, text, plugins, &e) == 0)
		fail_msg("taken: %s", text);
	if (!strstr(e.message, why))
		fail_msg("%s: said \"%s\" and not \"%s\"", text, e.message, why);
	kit_close(&k);
}

/* ---- asking ---- */

static inline void kit_text(struct buf *out, struct str bytes)
{
	static const char *const titles[] = { NULL, NULL, ";; authority\n", ";; additional\n" };
	char rcode[DNS_TEXT_TYPE_BYTES];
	enum dns_section in = DNS_ANSWER;
	struct dns_message m;

	assert_true(dns_message_parse(bytes, &m));
	buf_printf(out, "%s%s%s\n", dns_rcode_text(m.flags & DNS_FLAGS_RCODE, rcode), m.flags & DNS_FLAG_AA ? " aa" : "",
		   m.flags & DNS_FLAG_TC ? " tc" : "");
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);) {
		if (r.type == DNS_OPT)
			continue;
		if (r.section != in)
			buf_puts(out, titles[r.section]);
		in = r.section;
		dns_text_print(out, &m, &r);
		buf_putc(out, '\n');
	}
}

static inline void kit_done(void *ctx, struct request *r)
{
	static uint8_t out[65536];
	struct kit *k = ctx;

	if (!r->answer.len)
		return;
	size_t len = answer_render(r, &r->asked, out, sizeof(out));
	k->flags = (uint16_t)(out[2] << 8 | out[3]);
	kit_text(&k->answer, (struct str){ (char *)out, len });
}

static inline const char *kit_ask(struct kit *k, const char *name, uint16_t type)
{
	struct dns_query q = { .id = 7, .flags = DNS_FLAG_RD, .type = type, .class = DNS_CLASS_IN, .udp_bytes = 512 };
	uint8_t text[DNS_NAME_BYTES_MAX + 4];

	assert_true(dns_name_from_text(str_of(name), &q.name));
	uint8_t *p = mempcpy(text, q.name.wire, q.name.len);
	*p++ = (uint8_t)(type >> 8);
	*p++ = (uint8_t)type;
	*p++ = 0;
	*p++ = DNS_CLASS_IN;
	q.question = (struct str){ (char *)text, (size_t)(p - text) };
	buf_clear(&k->asked);
	buf_clear(&k->answer);
	buf_puts(&k->answer, "");
	buf_puts(&k->asked, "");
	request_start(k->worker, &k->block, &k->client, &q, NULL, kit_done, k);
	while (k->n_waiting) {
		struct request *r = k->waiting[--k->n_waiting];
		kit_answer(k, r);
		request_resume(r, PLUGIN_ANSWERED);
	}
	assert_int_equal(k->worker->n_requests, 0);
	return k->answer.ptr;
}

/* A question, the answer, and (not NULL) what the last plug-in was asked. */
struct kit_row {
	const char *name;
	uint16_t type;
	const char *answer, *asked;
};
static inline void kit_rows(struct kit *k, const struct kit_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int slow = 0; slow < 2; slow++) {
			k->slow = slow;
			const char *said = kit_ask(k, rows[i].name, rows[i].type);
			if (strcmp(said, rows[i].answer) != 0)
				fail_msg("%s %u:\n%s\nexpected:\n%s", rows[i].name, rows[i].type, said, rows[i].answer);
			if (rows[i].asked)
				assert_string_equal(k->asked.ptr, rows[i].asked);
		}
}

static inline void kit_client(struct kit *k, const char *ip, enum dns_proto proto)
{
	struct err e = { 0 };

	assert_int_equal(addr_from_ip(ip, 4242, &k->client.addr, &e), 0);
	k->client.proto = proto;
}
#define KIT_SOA ";; authority\ntest.\t30\tIN\tSOA\tns.test. h.test. 1 2 3 4 30\n"

/* So that a test needs one plug-in and not the whole role with all it links: its own take precedence where they are linked. */
#define kit_weak __attribute__((weak))
kit_weak const struct plugin *const dns_plugins[] = { NULL };

kit_weak struct dns_config *dns_config_ref(struct dns_config *c)
{
	c->refs_++;
	return c;
}

kit_weak void dns_config_unref(struct dns_config *c)
{
	c->refs_--;
}

kit_weak const struct dns_block *dns_config_block(const struct dns_config *c, enum dns_transport t, uint16_t port, const struct dns_name *name)
{
	(void)t;
	(void)port;
	(void)name;
	return &c->blocks[0];
}
