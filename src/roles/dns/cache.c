#include "roles/dns/cache.h"

#include "base/list.h"
#include "base/map.h"

#define ENTRIES_MAX 8192     /* CoreDNS keeps 9,984 of each sort */
#define BYTES_MAX (4u << 20) /* of messages: the role is to stay small */
/* a changed address is believed after five minutes, whatever its TTL was */
#define POSITIVE_SECONDS_MAX 300
#define DENIAL_SECONDS_MAX 30 /* a name that appears should appear soon */

struct entry {
	struct list link; /* in the order of their use, the newest last */
	uint64_t stored_ms, expires_ms;
	size_t key_len, len;
	char bytes[]; /* the key, then the message */
};

struct dns_cache {
	struct map entries;
	struct list used;
	size_t bytes;
};

struct dns_cache *old_dns_cache_new(void)
{
	struct dns_cache *c = xcalloc(1, sizeof(*c));

	map_init(&c->entries);
	list_init(&c->used);
	return c;
}

void old_dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	map_done(&c->entries, free);
	free(c);
}

struct str old_dns_cache_key(const struct dns_query *q, struct dns_cache_key *out)
{
	uint8_t *p = out->bytes;

	*p++ = (uint8_t)(q->type >> 8);
	*p++ = (uint8_t)q->type;
	*p++ = (uint8_t)(q->class >> 8);
	*p++ = (uint8_t)q->class;
	*p++ = (uint8_t)((q->edns ? 1 : 0) | (q->dnssec_ok ? 2 : 0) |
			 (q->flags & DNS_FLAG_CD ? 4 : 0));
	p = mempcpy(p, q->name.wire, q->name.len);
	return (struct str){ (const char *)out->bytes, (size_t)(p - out->bytes) };
}

static void entry_drop(struct dns_cache *c, struct entry *e)
{
	map_del(&c->entries, (struct str){ e->bytes, e->key_len });
	list_del(&e->link);
	c->bytes -= e->len;
	free(e);
}

static struct entry *oldest(struct dns_cache *c)
{
	return list_empty(&c->used) ? NULL : list_entry(c->used.next, struct entry, link);
}

void old_dns_cache_put(struct dns_cache *c, struct str key, const struct dns_message *m,
		   uint64_t now_ms)
{
	uint32_t ttl = dns_message_ttl(m);
	bool denial = m->counts[DNS_ANSWER] == 0;
	struct entry *old = map_get(&c->entries, key), *e;

	if (old)
		entry_drop(c, old);
	if (ttl == 0)
		return;
	while (c->entries.count >= ENTRIES_MAX || c->bytes + m->bytes.len > BYTES_MAX)
		entry_drop(c, oldest(c));
	e = xmalloc(sizeof(*e) + key.len + m->bytes.len);
	e->stored_ms = now_ms;
	e->expires_ms =
		now_ms + 1000ull * MIN(ttl, denial ? DENIAL_SECONDS_MAX : POSITIVE_SECONDS_MAX);
	e->key_len = key.len;
	e->len = m->bytes.len;
	memcpy(e->bytes, key.ptr, key.len);
	memcpy(e->bytes + key.len, m->bytes.ptr, m->bytes.len);
	list_init(&e->link);
	list_append(&c->used, &e->link);
	c->bytes += e->len;
	map_put(&c->entries, key, e);
}

bool old_dns_cache_get(struct dns_cache *c, struct str key, uint64_t now_ms,
		   uint8_t out[DNS_MESSAGE_BYTES_MAX], struct dns_message *ret)
{
	struct entry *e = map_get(&c->entries, key);

	if (!e)
		return false;
	memcpy(out, e->bytes + e->key_len, e->len);
	if (now_ms >= e->expires_ms ||
	    !dns_message_parse((struct str){ (char *)out, e->len }, ret)) {
		entry_drop(c, e);
		return false;
	}
	list_del(&e->link);
	list_append(&c->used, &e->link);
	dns_message_age(ret, out, (uint32_t)((now_ms - e->stored_ms) / 1000));
	return true;
}
