#include "roles/dns/observe/query_name.h"

#include "codec/dns_text.h"
#include "roles/dns/observe/event.h"
#include "roles/dns/zone/zone.h"

#define RECORDS_BYTES_MAX (1u << 20)
#define NOTE_BYTES 512

/* On its way to the worker and back. */
struct asked {
	struct dns_worker *w;
	struct dns_client client;
	struct dns_query query;
	uint8_t question[DNS_NAME_BYTES_MAX + 4];
	json_t *trace, *result;
	bool answered; /* it has records */
	query_name_done *done;
	void *ctx;
};

/* ---- worker ---- */
static json_t *records_json(const struct dns_message *m, enum dns_section section)
{
	json_t *list = json_array();
	struct buf text;

	buf_init(&text, RECORDS_BYTES_MAX);
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);) {
		if (r.section != section || r.type == DNS_OPT)
			continue;
		buf_clear(&text);
		dns_text_print(&text, m, &r);
		json_array_append_new(list, json_stringn(text.ptr ? text.ptr : "", text.len));
	}
	buf_done(&text);
	return list;
}

static void describe_answer(struct asked *a, const struct request *r)
{
	struct str bytes = { (const char *)r->answer.bytes, r->answer.len };
	char text[DNS_TEXT_TYPE_BYTES];
	struct dns_message m;

	if (r->answer.len == 0) {
		jx_set_str(a->result, "rcode", "none");
		json_array_append_new(a->trace, json_string("dropped: the client gets no answer"));
		return;
	}
	enum event_kind kind = event_kind_of(bytes, a->query.type);
	jx_set_str(a->result, "rcode", dns_rcode_text(r->answer.bytes[3] & DNS_FLAGS_RCODE, text));
	jx_set_str(a->result, "kind", event_kind_names[kind]);
	if (!dns_message_parse(bytes, &m))
		return;
	json_t *answers = records_json(&m, DNS_ANSWER);
	a->answered = kind == EVENT_NOERROR && json_array_size(answers) > 0;
	json_object_set_new(a->result, "answer", answers);
	json_object_set_new(a->result, "authority", records_json(&m, DNS_AUTHORITY));
	json_object_set_new(a->result, "additional", records_json(&m, DNS_ADDITIONAL));
}

static void describe(struct asked *a, const struct request *r)
{
	char zone[DNS_NAME_TEXT_BYTES + 1], addr[ADDR_TEXT_BYTES];
	size_t best = 0;

	for (size_t i = 1; i < r->block->n_zones; i++)
		if (dns_name_under(&a->query.name, &r->block->zones[i]) && r->block->zones[i].len > r->block->zones[best].len)
			best = i;
	jx_set_str(a->result, "server", r->block->server);
	jx_set_str(a->result, "zone", event_name_text(&r->block->zones[best], zone));
	jx_set_str(a->result, "source", event_source_names[r->source]);
	if (r->by)
		jx_set_str(a->result, "plugin", r->by->plugin->name);
	if (r->upstream.len)
		jx_set_str(a->result, "upstream", addr_text(&r->upstream, addr));
	if (r->failure[0])
		jx_set_str(a->result, "failure", r->failure);
	jx_set_int(a->result, "durationUs", (int64_t)(loop_fresh_us() - r->start_us));
	describe_answer(a, r);
}

static void on_answered(void *ctx);

static void on_done(void *ctx, struct request *r)
{
	struct asked *a = ctx;

	describe(a, r);
	loop_post(a->w->shared->main_loop, on_answered, a);
}

static const struct dns_block *block_of(const struct dns_config *c, const struct dns_name *name)
{
	const struct dns_block *b = dns_config_block(c, DNS_PLAIN, DNS_PORT, name);

	for (size_t i = 0; !b && i < c->n_blocks; i++)
		if (c->blocks[i].transport == DNS_PLAIN)
			b = dns_config_block(c, DNS_PLAIN, c->blocks[i].port, name);
	return b;
}

/* As serve/server.c has it: what no plug-in but the zone could have a say in. */
static bool answered_at_once(struct asked *a, const struct dns_block *b)
{
	struct request r = { .worker = a->w, .block = b, .source = FROM_ZONE, .start_us = loop_fresh_us() };
	struct zone *direct = dns_block_direct(b);
	struct zone_answer found;
	char text[NOTE_BYTES];

	if (!direct || zone_answer(direct, &a->query, a->w->space, DNS_MESSAGE_BYTES_MAX, 0, &found) != ZONE_ANSWERED)
		return false;
	r.answer.bytes = a->w->space;
	r.answer.len = found.len;
	describe(a, &r);
	zone_explain(direct, &a->query, text, sizeof(text));
	json_array_append_new(a->trace, json_string(text));
	json_array_append_new(a->trace, json_string("answered at once: no other plug-in of this block has a say in the cluster's names"));
	return true;
}

static void on_worker(void *ctx)
{
	struct asked *a = ctx;
	const struct dns_block *b = block_of(dns_config_now(a->w->shared), &a->query.name);

	if (b && answered_at_once(a, b)) {
		loop_post(a->w->shared->main_loop, on_answered, a);
		return;
	}
	if (b) {
		request_start(a->w, b, &a->client, &a->query, a->trace, on_done, a);
		return;
	}
	jx_set_str(a->result, "rcode", "REFUSED");
	json_array_append_new(a->trace, json_string("no server block is for this name"));
	loop_post(a->w->shared->main_loop, on_answered, a);
}

/* ---- main thread ---- */
static void on_answered(void *ctx)
{
	struct asked *a = ctx;

	json_object_set_new(a->result, "notes", a->trace);
	a->done(a->ctx, a->result, a->answered);
	free(a);
}

static void query_make(struct asked *a, uint16_t type)
{
	struct dns_query *q = &a->query;
	size_t n = q->name.len;

	memcpy(a->question, q->name.wire, n);
	memcpy(a->question + n, (uint8_t[]){ (uint8_t)(type >> 8), (uint8_t)type, 0, DNS_CLASS_IN }, 4);
	dns_name_lower(&q->name);
	q->flags = DNS_FLAG_RD;
	q->type = type;
	q->class = DNS_CLASS_IN;
	q->udp_bytes = DNS_UDP_BYTES_MAX;
	q->edns = true;
	q->question = (struct str){ (const char *)a->question, n + 4 };
}

void query_name_ask(struct dns_shared *s, const char *name, uint16_t type, const struct dns_client *c, query_name_done *done, void *ctx)
{
	struct asked *a = xcalloc(1, sizeof(*a));

	*a = (struct asked){ .w = s->workers[0], .client = *c, .trace = json_array(), .result = json_object(), .done = done, .ctx = ctx };
	jx_set_str(a->result, "name", name);
	if (dns_name_from_escaped(str_of(name), &a->query.name)) {
		query_make(a, type);
		loop_post(a->w->loop, on_worker, a);
		return;
	}
	jx_set_str(a->result, "rcode", "none");
	json_array_append_new(a->trace, json_string("not asked: the name is too long, or a part of it is"));
	loop_post(s->main_loop, on_answered, a);
}
