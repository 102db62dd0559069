#include "roles/dns/observe/event.h"

#include "codec/dns_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

const char *const event_kind_names[] = { "NOERROR", "NXDOMAIN", "SERVERERROR", "NODATA", "DELEGATION", "OTHERERROR" };
const char *const event_source_names[] = {
	[FROM_NOBODY] = "none",	      [FROM_ZONE] = "zone",   [FROM_CACHE] = "cache",	    [FROM_CACHE_STALE] = "stale cache",
	[FROM_UPSTREAM] = "upstream", [FROM_HOSTS] = "hosts", [FROM_TEMPLATE] = "template", [FROM_PLUGIN] = "plug-in",
};

static void addr_set(struct event_addr *ret, const struct addr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const struct sockaddr_in *in = (const void *)&a->ss;
	const struct sockaddr_in6 *in6 = (const void *)&a->ss;

	*ret = (struct event_addr){ 0 };
	if (a->len == 0)
		return;
	if (a->ss.ss_family == AF_INET) {
		ret->family = 4;
		ret->port = ntohs(in->sin_port);
		memcpy(ret->ip, &in->sin_addr, 4);
	} else if (a->ss.ss_family == AF_INET6) {
		bool v4 = memcmp(&in6->sin6_addr, mapped, sizeof(mapped)) == 0;
		ret->family = v4 ? 4 : 6;
		ret->port = ntohs(in6->sin6_port);
		memcpy(ret->ip, in6->sin6_addr.s6_addr + (v4 ? 12 : 0), v4 ? 4 : 16);
	}
}

const char *event_addr_text(const struct event_addr *a, char out[EVENT_ADDR_BYTES])
{
	out[0] = '\0';
	if (a->family)
		inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, out, EVENT_ADDR_BYTES);
	return out;
}

/* Are there records of these types among the authority's? */
static void authority_of(struct str answer, bool *ret_soa, bool *ret_ns)
{
	struct dns_message m;

	*ret_soa = *ret_ns = false;
	if (!dns_message_parse(answer, &m))
		return;
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);) {
		*ret_soa |= r.section == DNS_AUTHORITY && r.type == DNS_SOA;
		*ret_ns |= r.section == DNS_AUTHORITY && r.type == DNS_NS;
	}
}

static uint16_t u16(struct str s, size_t at)
{
	return at + 2 <= s.len ? (uint16_t)((uint8_t)s.ptr[at] << 8 | (uint8_t)s.ptr[at + 1]) : 0;
}

enum event_kind event_kind_of(struct str answer, uint16_t type)
{
	unsigned rcode = u16(answer, 2) & DNS_FLAGS_RCODE;
	bool soa, ns;

	if (answer.len < DNS_HEADER_BYTES || type == DNS_AXFR || type == DNS_IXFR)
		return EVENT_OTHERERROR;
	if (u16(answer, 6))
		return rcode == DNS_NOERROR ? EVENT_NOERROR : EVENT_OTHERERROR;
	if (rcode == DNS_NXDOMAIN)
		return EVENT_NXDOMAIN;
	if (rcode == DNS_SERVFAIL || rcode == DNS_NOTIMP)
		return EVENT_SERVERERROR;
	if (rcode != DNS_NOERROR)
		return EVENT_OTHERERROR;
	authority_of(answer, &soa, &ns);
	return soa ? EVENT_NODATA : ns ? EVENT_DELEGATION : EVENT_NOERROR;
}

enum event_class event_class_of(enum event_kind kind)
{
	static const uint8_t classes[] = { EVENT_SUCCESS, EVENT_DENIAL, EVENT_ERROR, EVENT_DENIAL, EVENT_SUCCESS, EVENT_ERROR };

	return classes[kind];
}

const char *event_class_name(enum event_class c)
{
	return c == EVENT_SUCCESS ? "success" : c == EVENT_DENIAL ? "denial" : c == EVENT_ERROR ? "error" : "all";
}

void event_init(struct dns_event *e, const struct watch_question *q, uint64_t at_us)
{
	*e = (struct dns_event){
		.at_us = at_us, .proto = (uint8_t)q->client->proto, .source = (uint8_t)q->source, .edns = q->query->edns,
		.dnssec_ok = q->query->dnssec_ok, .id = q->query->id, .question_flags = q->query->flags, .type = q->query->type,
		.qclass = q->query->class, .rcode = q->rcode, .flags = q->flags, .udp_bytes = (uint16_t)MAX(q->query->udp_offered, DNS_UDP_BYTES_MIN),
		.answers = u16(q->answer, 6), .question_bytes = (uint32_t)q->question_bytes,
		.answer_bytes = (uint32_t)q->answer_bytes, .duration_us = q->duration_us,
	};
	e->name.len = q->query->name.len;
	e->name.labels = q->query->name.labels;
	memcpy(e->name.wire, q->query->name.wire, q->query->name.len);
	addr_set(&e->client, &q->client->addr);
	addr_set(&e->upstream, &q->upstream);
	e->kind = (uint8_t)event_kind_of(q->answer, q->query->type);
	e->class = (uint8_t)event_class_of(e->kind);
}

const char *event_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_BYTES + 1])
{
	dns_name_text(n, out);
	size_t len = strlen(out);
	if (len == 0 || out[len - 1] != '.')
		strcpy(out + len, ".");
	return out;
}

static void put_string(struct buf *out, const char *member, const char *value)
{
	buf_printf(out, ",\"%s\":", member);
	buf_put_json(out, str_of(value));
}

void event_put_json(struct buf *out, const struct dns_event *e, const char *pod)
{
	static const char *const protos[] = { "udp", "tcp", "tls" };
	char time[TIME_TEXT_BYTES], addr[EVENT_ADDR_BYTES], name[DNS_NAME_TEXT_BYTES + 1], text[DNS_TEXT_TYPE_BYTES];

	buf_printf(out, "{\"time\":\"%s\"", time_text_micro((int64_t)e->at_us, time));
	put_string(out, "client", event_addr_text(&e->client, addr));
	if (pod)
		put_string(out, "pod", pod);
	put_string(out, "proto", protos[e->proto]);
	put_string(out, "name", event_name_text(&e->name, name));
	put_string(out, "type", dns_type_text(e->type, text));
	put_string(out, "rcode", dns_rcode_text(e->rcode, text));
	put_string(out, "kind", event_kind_names[e->kind]);
	put_string(out, "source", event_source_names[e->source]);
	if (e->upstream.family)
		buf_printf(out, e->upstream.family == 6 ? ",\"upstream\":\"[%s]:%u\"" : ",\"upstream\":\"%s:%u\"",
			   event_addr_text(&e->upstream, addr), e->upstream.port);
	buf_printf(out, ",\"answers\":%u,\"durationUs\":%llu,\"questionBytes\":%u,\"answerBytes\":%u,\"truncated\":%s}\n", e->answers,
		   (unsigned long long)e->duration_us, e->question_bytes, e->answer_bytes, e->flags & DNS_FLAG_TC ? "true" : "false");
}
