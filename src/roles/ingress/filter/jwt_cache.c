#include "roles/ingress/filter/jwt.h"

#include "base/list.h"
#include "base/map.h"

#include <openssl/sha.h>

/* Found by the set's number and the token's hash: finding a second token with the same SHA-256 is what TLS rests on too. */
struct key {
	uint64_t keys;
	uint8_t token[SHA256_DIGEST_LENGTH];
};
struct entry {
	struct list link; /* the one used last is last */
	struct key key;
	size_t bytes;
	json_t *claims;
};
struct jwt_cache {
	struct map by_key;
	struct list used;
	size_t bytes;
};

struct jwt_cache *jwt_cache_new(void)
{
	struct jwt_cache *c = xcalloc(1, sizeof(*c));

	map_init(&c->by_key);
	list_init(&c->used);
	return c;
}

static struct str key_str(const struct key *k)
{
	return (struct str){(const char *)k, sizeof(*k)};
}

static void forget(struct jwt_cache *c, struct entry *n)
{
	map_del(&c->by_key, key_str(&n->key));
	list_del(&n->link);
	c->bytes -= n->bytes;
	json_decref(n->claims);
	free(n);
}

void jwt_cache_free(struct jwt_cache *c)
{
	if (!c)
		return;
	list_for(n, tmp, &c->used) forget(c, list_entry(n, struct entry, link));
	map_done(&c->by_key, NULL);
	free(c);
}

static void remember(struct jwt_cache *c, const struct key *k, size_t bytes, json_t *claims)
{
	struct entry *n = xcalloc(1, sizeof(*n));

	*n = (struct entry){.key = *k, .bytes = bytes, .claims = json_incref(claims)};
	while (c->by_key.count >= JWT_CACHE_MAX || c->bytes + bytes > JWT_CACHE_BYTES_MAX)
		forget(c, list_entry(c->used.next, struct entry, link));
	map_put(&c->by_key, key_str(k), n);
	list_append(&c->used, &n->link);
	c->bytes += bytes;
}

static bool expired(const json_t *claims, int64_t now_s)
{
	const json_t *exp = json_object_get(claims, "exp");

	return json_is_number(exp) && json_number_value(exp) + JWT_LEEWAY_S <= (double)now_s;
}

json_t *jwt_cache_verify(struct jwt_cache *c, const struct jwks *keys, struct str token, int64_t now_s, struct err *e)
{
	struct key k = {.keys = jwks_id(keys)};

	SHA256((const uint8_t *)token.ptr, token.len, k.token);
	struct entry *n = map_get(&c->by_key, key_str(&k));
	if (n) {
		json_t *claims = json_incref(n->claims);

		list_del(&n->link);
		if (expired(claims, now_s)) {
			forget(c, n);
		} else {
			list_append(&c->used, &n->link);
		}
		return claims;
	}
	json_t *claims = bearer_verify(keys, token, e);
	if (claims && !expired(claims, now_s))
		remember(c, &k, token.len, claims);
	return claims;
}
