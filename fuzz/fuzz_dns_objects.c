/* Objects of any shape: the zone takes what makes sense of them, answers for it, tells the mirror, and forgets it again. */
#include "roles/dns/zone/zone.h"

static void check_name(void *ctx, const struct zone_name *n)
{
	(void)ctx;
	for (size_t i = 0; i < n->n_sets; i++)
		if (n->sets[i].rotates > n->sets[i].len)
			abort();
}

static void check_gone(void *ctx, const uint8_t *key, uint8_t key_len)
{
	(void)ctx;
	if (key[key_len - 1] != 0)
		abort();
}

static void ask(const struct zone *z, const char *text, uint16_t type)
{
	static uint8_t out[DNS_MESSAGE_BYTES_MAX];
	uint8_t question[DNS_NAME_BYTES_MAX + 4] = { 0 };
	struct dns_query q = { .type = type, .class = DNS_CLASS_IN, .udp_bytes = DNS_UDP_BYTES_MIN };
	struct zone_answer a;
	struct dns_message m;

	if (!dns_name_from_text(str_of(text), &q.name))
		abort();
	memcpy(question, q.name.wire, q.name.len);
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	for (size_t max = DNS_UDP_BYTES_MIN; max <= sizeof(out); max += sizeof(out) - DNS_UDP_BYTES_MIN)
		if (zone_answer(z, &q, out, max, 1, &a) == ZONE_ANSWERED &&
		    (a.len > max || !dns_message_parse((struct str){ (char *)out, a.len }, &m)))
			abort();
}

static void all(struct zone *z, const json_t *obj, bool put)
{
	(put ? zone_put_namespace : zone_del_namespace)(z, obj);
	(put ? zone_put_service : zone_del_service)(z, obj);
	(put ? zone_put_slice : zone_del_slice)(z, obj);
	(put ? zone_put_pod : zone_del_pod)(z, obj);
	zone_tell_changes(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_SRV, DNS_TXT };
	static const char *const names[] = { "w.d.svc.c", "_h._tcp.w.d.svc.c", "a.w.d.svc.c", "10-1-0-1.w.d.svc.c", "10-1-0-1.d.pod.c" };
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_VERIFIED, .n_reverse = 1, .endpoint_pod_names = size & 1 };
	const struct zone_mirror mirror = { .put = check_name, .gone = check_gone };
	struct err e;
	json_t *obj = jx_parse((struct str){ (const char *)data, size }, 1 << 16, &e), *one;
	size_t n;

	if (!obj)
		return 0;
	if (!dns_name_from_text(STR("c"), &o.domain) || !dns_name_from_text(STR("in-addr.arpa"), &o.reverse[0]))
		abort();
	struct zone *z = zone_new(&o, 1, NULL);
	zone_set_synced(z);
	zone_set_mirror(z, &mirror);
	json_array_foreach(obj, n, one)
		all(z, one, true);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t t = 0; t < ARRAY_LEN(types); t++)
			ask(z, names[i], types[t]);
	ask(z, "1.0.1.10.in-addr.arpa", DNS_PTR);
	json_array_foreach(obj, n, one)
		all(z, one, false);
	if (zone_names(z))
		abort();
	zone_free(z);
	json_decref(obj);
	return 0;
}
