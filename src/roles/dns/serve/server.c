#include "roles/dns/serve/server.h"

#include "codec/dns_edns.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/observe/watch.h"
#include "roles/dns/plugin/chaos.h"
#include "roles/dns/serve/answer.h"
#include "roles/dns/zone/zone.h"

/* A client's question, as long as it is looked at. */
struct question {
	struct dns_worker *w;
	const struct dns_client *client;
	const struct dns_block *block; /* NULL: none is responsible */
	struct dns_query q;
	struct dns_edns_reply reply;
	size_t bytes, max;
	uint8_t *out;
	uint64_t start_us; /* while somebody watches; 0: not measured on the direct path */
};

/* The same once it has to wait: with copies of what the transport only lent. */
struct pending {
	struct question of;
	struct dns_client client;
	struct dns_asker asker;
	void *kept;
	bool waits, done;
	ssize_t len; /* done before it had to wait */
	char text[DNS_NAME_BYTES_MAX + 4];
};

/* ---- what is seen of an answer ---- */

static uint16_t flags_of(const uint8_t *message)
{
	return (uint16_t)(message[2] << 8 | message[3]);
}

/* `r` is NULL without plug-ins: `source` is who answered then. */
static void seen(const struct question *qn, size_t len, const struct request *r, enum request_source source)
{
	const uint16_t flags = flags_of(qn->out);
	const uint64_t start = r ? r->start_us : qn->start_us, us = start ? loop_fresh_us() - start : 0;
	const enum dns_rcode rcode = (enum dns_rcode)(flags & DNS_FLAGS_RCODE);

	if (qn->w->metrics)
		dns_metrics_count(qn->w->metrics, &(struct metrics_question){
							  .block = qn->block,
							  .name = &qn->q.name,
							  .source = source,
							  .plugin = r ? r->by : NULL,
							  .proto = qn->client->proto,
							  .ipv6 = qn->client->addr.ss.ss_family == AF_INET6,
							  .dnssec_ok = qn->q.dnssec_ok,
							  .type = qn->q.type,
							  .rcode = rcode,
							  .question_bytes = qn->bytes,
							  .answer_bytes = len,
							  .duration_us = us,
						  });
	if (!dns_watch_on())
		return;
	struct watch_question watched = {
		.client = qn->client,
		.query = &qn->q,
		.block = qn->block,
		.rcode = rcode,
		.flags = flags,
		.source = source,
		.question_bytes = qn->bytes,
		.answer_bytes = len,
		.duration_us = us,
		.answer = { (const char *)qn->out, len },
	};
	if (r)
		watched.upstream = r->upstream;
	dns_watch_see(qn->w, &watched);
}

/* ---- guards ---- */

static ssize_t refuse(struct question *qn, const struct plugin_refusal *with)
{
	size_t n = dns_answer_error(qn->out, qn->max, &qn->q, (enum dns_rcode)with->rcode);

	if (with->truncate)
		dns_add_flags(qn->out, DNS_FLAG_TC);
	return (ssize_t)n;
}

/* 0: it may pass. */
static ssize_t guarded(struct question *qn)
{
	for (size_t i = 0; i < qn->block->n_guards; i++) {
		struct plugin_instance *g = qn->block->guards[i];
		struct plugin_refusal with = { .rcode = DNS_REFUSED };
		enum plugin_verdict v = g->plugin->guard(g, qn->w, qn->client, &qn->q, &qn->reply, &with);
		qn->q.reply_options = dns_edns_str(&qn->reply);
		if (v == PLUGIN_DROP)
			return DNS_DROP;
		if (v == PLUGIN_ANSWERED)
			return refuse(qn, &with);
	}
	if (qn->client->proto == DNS_UDP)
		qn->max = MIN(qn->max, (size_t)qn->q.udp_bytes); /* a guard may have made it less */
	return 0;
}

static ssize_t leaving(struct question *qn, ssize_t len)
{
	for (size_t i = 0; len > 0 && i < qn->block->n_leaves; i++) {
		struct plugin_instance *g = qn->block->leaves[i];
		struct plugin_refusal with = { .rcode = flags_of(qn->out) & DNS_FLAGS_RCODE };
		struct str answer = { (const char *)qn->out, (size_t)len };
		enum plugin_verdict v = g->plugin->leave(g, qn->w, qn->client, &qn->q, answer, &with);
		if (v == PLUGIN_DROP)
			len = DNS_DROP;
		else if (v == PLUGIN_ANSWERED)
			len = refuse(qn, &with);
	}
	return len;
}

/* ---- through the plug-ins ---- */

static void on_done(void *ctx, struct request *r)
{
	struct pending *p = ctx;
	struct question *qn = &p->of;
	ssize_t len = DNS_DROP;

	if (p->waits) {
		qn->out = qn->w->space2;
		qn->max = MIN(qn->max, sizeof(qn->w->space2));
	}
	if (r->answer.len) {
		len = leaving(qn, (ssize_t)answer_render(r, &qn->q, qn->out, qn->max));
		if (len > 0)
			seen(qn, (size_t)len, r, r->source);
	}
	p->done = true;
	p->len = len;
	if (!p->waits)
		return;
	if (p->kept)
		p->asker.answer(p->kept, (struct str){ (const char *)qn->out, len > 0 ? (size_t)len : 0 });
	free(p);
}

/* What the transport lent is copied; then it may come late. */
static void wait_for(struct pending *p)
{
	struct question *qn = &p->of;

	p->client = *qn->client;
	qn->client = &p->client;
	memcpy(p->text, qn->q.question.ptr, qn->q.question.len);
	qn->q.question.ptr = p->text;
	qn->q.options = STR_NONE;
	qn->q.reply_options = dns_edns_str(&qn->reply);
	p->waits = true;
}

static ssize_t ask_plugins(struct question *qn, const struct dns_asker *asker)
{
	struct pending *p = xmalloc(sizeof(*p));
	ssize_t len;

	p->of = *qn;
	p->asker = *asker;
	p->kept = NULL;
	p->waits = p->done = false;
	p->of.q.reply_options = dns_edns_str(&p->of.reply);
	request_start(qn->w, qn->block, qn->client, &p->of.q, NULL, on_done, p);
	if (p->done) {
		len = p->len;
		free(p);
		return len;
	}
	wait_for(p);
	p->kept = asker->keep(asker->ctx);
	return p->kept ? DNS_LATER : (ssize_t)dns_answer_error(qn->out, qn->max, &qn->q, DNS_SERVFAIL);
}

/* ---- one question ---- */

static ssize_t ask_block(struct question *qn, const struct dns_asker *asker)
{
	struct zone *direct = dns_block_direct(qn->block);
	struct zone_answer a;

	if (direct && zone_answer(direct, &qn->q, qn->out, qn->max, qn->w->pick++, &a) == ZONE_ANSWERED) {
		ssize_t len = leaving(qn, (ssize_t)a.len);
		if (len > 0)
			seen(qn, (size_t)len, NULL, FROM_ZONE);
		return len;
	}
	return ask_plugins(qn, asker);
}

/* What no plug-in is asked about: other classes, and transfers, which nobody is allowed. */
static bool askable(const struct dns_query *q)
{
	return q->class == DNS_CLASS_IN && q->type != DNS_AXFR && q->type != DNS_IXFR && q->type != DNS_OPT;
}

static ssize_t answer_rcode(struct question *qn, int rcode)
{
	size_t len = dns_answer_error(qn->out, qn->max, &qn->q, (enum dns_rcode)rcode);

	seen(qn, len, NULL, FROM_NOBODY);
	return (ssize_t)len;
}

static ssize_t answer_chaos(struct question *qn)
{
	size_t len = chaos_answer(qn->block->chaos, &qn->q, qn->out, qn->max);

	seen(qn, len, NULL, FROM_NOBODY);
	return (ssize_t)len;
}

ssize_t dns_server_ask(struct dns_worker *w, const struct dns_entrance *en, const struct dns_client *c, struct str question,
		       uint8_t *out, size_t max, const struct dns_asker *asker)
{
	struct question qn = { .w = w, .client = c, .bytes = question.len, .max = max, .out = out };
	int r = dns_query_parse(question, &qn.q);

	if (dns_watch_on())
		qn.start_us = loop_fresh_us();
	if (r < 0)
		return DNS_DROP;
	if (c->proto == DNS_UDP)
		qn.max = MIN(max, (size_t)qn.q.udp_bytes);
	if (r > 0)
		return answer_rcode(&qn, r);
	qn.block = dns_config_block(dns_config_now(w->shared), en->transport, en->port, &qn.q.name);
	if (qn.block && qn.block->chaos && qn.q.class == DNS_CLASS_CH)
		return answer_chaos(&qn);
	if (!qn.block || !askable(&qn.q))
		return answer_rcode(&qn, DNS_REFUSED);
	ssize_t len = guarded(&qn);
	if (len == 0)
		return ask_block(&qn, asker);
	if (len > 0)
		seen(&qn, (size_t)len, NULL, FROM_NOBODY);
	return len;
}
