#include "roles/dns/server.h"

/* A question that waits for an upstream. */
struct pending {
	struct dns_server *server;
	struct dns_asker asker;
	void *kept;
	size_t max;
	struct dns_query query; /* its question lies in `text` */
	char text[DNS_NAME_BYTES_MAX + 4];
};

static _Thread_local uint8_t scratch[DNS_MESSAGE_BYTES_MAX];

static void pending_end(struct pending *p, struct str bytes)
{
	p->asker.answer(p->kept, bytes);
	free(p);
}

static void answer_failure(struct pending *p)
{
	size_t n = dns_answer_error(scratch, sizeof(scratch), &p->query, DNS_SERVFAIL);

	pending_end(p, (struct str){ (char *)scratch, n });
}

/* The upstream's own message, under the asker's id, with the question as the asker wrote it. */
static void answer_forwarded(void *ctx, struct dns_message *m)
{
	struct pending *p = ctx;
	uint8_t *bytes;
	size_t n;

	if (!m) {
		answer_failure(p);
		return;
	}
	bytes = (uint8_t *)m->bytes.ptr;
	n = m->bytes.len;
	dns_set_id(bytes, p->query.id);
	memcpy(bytes + DNS_QUESTION_AT, p->query.question.ptr, p->query.question.len);
	if (n > p->max)
		n = dns_message_truncate(m, bytes, p->max, &p->query);
	pending_end(p, (struct str){ (char *)bytes, n });
}

/* An ExternalName: the zone says it again, now with what the upstream said about its target. */
static void answer_chased(void *ctx, struct dns_message *m)
{
	static const struct dns_message nothing = { 0 };
	struct pending *p = ctx;
	struct zone_answer a;

	if (old_zone_answer(p->server->zone, &p->query, scratch, p->max, m ? m : &nothing,
			p->server->pick, &a) == ZONE_ANSWERED)
		pending_end(p, (struct str){ (char *)scratch, a.len });
	else
		answer_failure(p); /* the Service has changed meanwhile */
}

static void ask_upstream(struct pending *p, const struct dns_name *target)
{
	struct dns_query q = p->query;
	char question[DNS_NAME_BYTES_MAX + 4];

	if (!target) {
		old_forward_ask(p->server->forwarder, &q, answer_forwarded, p);
		return;
	}
	q.name = *target;
	memcpy(question, target->wire, target->len);
	memcpy(question + target->len, p->query.question.ptr + p->query.question.len - 4,
	       4); /* type, class */
	q.question = (struct str){ question, target->len + 4u };
	old_forward_ask(p->server->forwarder, &q, answer_chased, p);
}

static ssize_t ask_later(struct dns_server *s, const struct dns_query *q, size_t max,
			 const struct dns_asker *asker, const struct dns_name *target, uint8_t *out)
{
	void *kept = asker->keep(asker->ctx);
	struct pending *p;

	if (!kept)
		return (ssize_t)dns_answer_error(out, max, q, DNS_SERVFAIL);
	p = xmalloc(sizeof(*p));
	*p = (struct pending){
		.server = s, .asker = *asker, .kept = kept, .max = max, .query = *q
	};
	memcpy(p->text, q->question.ptr, q->question.len);
	p->query.question.ptr = p->text;
	ask_upstream(p, target);
	return DNS_LATER;
}

ssize_t old_dns_server_ask(struct dns_server *s, struct str question, bool tcp, uint8_t *out,
		       size_t max, const struct dns_asker *asker)
{
	struct dns_query q;
	struct zone_answer a;
	int r = dns_query_parse(question, &q);

	if (r < 0)
		return DNS_DROP;
	if (!tcp)
		max = MIN(max, (size_t)q.udp_bytes);
	if (r > 0)
		return (ssize_t)dns_answer_error(out, max, &q, (enum dns_rcode)r);
	switch (old_zone_answer(s->zone, &q, out, max, NULL, s->pick++, &a)) {
	case ZONE_ANSWERED:
		return (ssize_t)a.len;
	case ZONE_CHASE:
		return ask_later(s, &q, max, asker, &a.target, out);
	case ZONE_NOT_OURS:
		break;
	}
	return ask_later(s, &q, max, asker, NULL, out);
}
