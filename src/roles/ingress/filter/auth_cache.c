#include "roles/ingress/filter/auth_cache_int.h"

#include "base/list.h"
#include "base/map.h"
#include "roles/ingress/filter/basic_auth.h"

#include <openssl/sha.h>
#include <pthread.h>

#define SHARDS 16 /* workers rarely meet in one */
#define KEY_STACK_BYTES 8192 /* most texts of keys */

/* An answer; or, at the key of requests whose answers say Vary, the names that their keys need besides. */
struct entry {
	struct list link; /* the one used last is last */
	struct auth_cache_key key;
	uint64_t until_ms, used_ms;
	size_t bytes;
	const char *vary; /* "" with an answer */
	struct auth_answer answer;
	struct http_header headers[];
};
struct shard {
	pthread_mutex_t lock;
	struct map by_key;
	struct list used;
	size_t bytes;
} __attribute__((aligned(64)));
struct auth_cache {
	struct shard shards[SHARDS];
};

/* ---- settings ---- */

struct auth_cache_policy *auth_cache_policy_new(const char *key, const char *durations)
{
	static uint64_t ids;
	struct auth_cache_policy *p = xcalloc(1, sizeof(*p));
	struct err e;

	p->id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	p->key = variable_text_new(key, &e);
	p->names_user = strcasestr(key, "remote_user") != NULL;
	if (!p->key || !auth_times_parse(str_of(durations), &p->times))
		abort(); /* their rows have let them pass */
	return p;
}

void auth_cache_policy_free(struct auth_cache_policy *p)
{
	if (!p)
		return;
	variable_text_free(p->key);
	free(p);
}

/* ---- keys ---- */

static void put_text(struct buf *b, const char *s)
{
	buf_puts(b, s ? s : "");
	buf_putc(b, '\0');
}

/* Passwords and tokens, most likely. */
static void wipe(struct buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->len);
}

/* nginx's $remote_user is whom Basic credentials name, whether or not a password was looked at. */
static void put_key(struct buf *b, struct exchange *x, const struct auth_cache_policy *p)
{
	struct str password, before = x->remote_user, said = header_get(&x->req.headers, "authorization");
	struct buf decoded;

	buf_init(&decoded, AUTH_CACHE_KEY_BYTES_MAX);
	if (p->names_user && !before.len && !basic_credentials_parse(said, &decoded, &x->remote_user, &password))
		x->remote_user = before;
	b->overflow |= variable_text_write(p->key, x, ESCAPE_SIZED, b) < 0;
	x->remote_user = before;
	wipe(&decoded);
	buf_done(&decoded);
}

static void put_request(struct buf *b, struct exchange *x, const struct auth_cache_policy *p)
{
	const struct location *loc = x->loc;

	buf_put(b, &p->id, sizeof(p->id));
	put_text(b, loc->ns);
	put_text(b, loc->ingress);
	put_text(b, loc->rule_host);
	put_text(b, loc->path);
	buf_putc(b, (char)loc->type);
	put_key(b, x, p);
}

static void put_sized(struct buf *b, struct str s)
{
	buf_put(b, &(uint64_t){s.len}, sizeof(uint64_t));
	buf_put_str(b, s);
}

/* Host is not among the headers: the codecs keep it apart. */
static void put_values(struct buf *b, const struct exchange *x, struct str name)
{
	if (str_ieq(name, STR("host")))
		put_sized(b, x->req.authority);
	for (size_t i = 0; i < x->req.headers.n; i++)
		if (str_ieq(x->req.headers.at[i].name, name))
			put_sized(b, x->req.headers.at[i].value);
	buf_put(b, &(uint64_t){UINT64_MAX}, sizeof(uint64_t));
}

/* For those requests that agree in the headers that `vary` names. */
static void put_variant(struct buf *b, const struct exchange *x, const struct auth_cache_key *k, const char *vary)
{
	struct str rest = str_of(vary);

	buf_put(b, k, sizeof(*k));
	while (rest.len) {
		struct str name = str_trim(str_cut(rest, ',', &rest));
		if (name.len)
			put_values(b, x, name);
	}
}

/* What a key is made of: a request and its policy, or another key and names of headers. */
struct source {
	struct exchange *x;
	const struct auth_cache_policy *policy;
	const struct auth_cache_key *key;
	const char *vary;
};

static bool digest_in(struct buf *b, const struct source *s, struct auth_cache_key *ret)
{
	if (s->policy)
		put_request(b, s->x, s->policy);
	else
		put_variant(b, s->x, s->key, s->vary);
	if (!b->overflow)
		SHA256((const uint8_t *)b->ptr, b->len, ret->sha256);
	wipe(b);
	return !b->overflow;
}

static bool digest(const struct source *s, struct auth_cache_key *ret)
{
	char stack[KEY_STACK_BYTES];
	struct buf b = {.ptr = stack, .cap = sizeof(stack), .max = sizeof(stack) - 1};

	if (digest_in(&b, s, ret))
		return true;
	buf_init(&b, AUTH_CACHE_KEY_BYTES_MAX);
	bool whole = digest_in(&b, s, ret);
	buf_done(&b);
	return whole;
}

bool auth_cache_key_of(struct exchange *x, const struct auth_cache_policy *p, struct auth_cache_key *ret)
{
	return digest(&(struct source){.x = x, .policy = p}, ret);
}

static bool variant_of(struct exchange *x, const struct auth_cache_key *k, const char *vary, struct auth_cache_key *ret)
{
	return digest(&(struct source){.x = x, .key = k, .vary = vary}, ret);
}

/* ---- entries ---- */

struct auth_cache *auth_cache_new(void)
{
	struct auth_cache *c = aligned_alloc(64, sizeof(*c));

	if (!c)
		abort();
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		*s = (struct shard){.bytes = 0};
		pthread_mutex_init(&s->lock, NULL);
		map_init(&s->by_key);
		list_init(&s->used);
	}
	return c;
}

static struct shard *shard_of(struct auth_cache *c, const struct auth_cache_key *k)
{
	return &c->shards[k->sha256[0] % SHARDS];
}

static struct str key_str(const struct auth_cache_key *k)
{
	return (struct str){(const char *)k->sha256, sizeof(k->sha256)};
}

static void forget(struct shard *s, struct entry *n)
{
	map_del(&s->by_key, key_str(&n->key));
	list_del(&n->link);
	s->bytes -= n->bytes;
	free(n);
}

void auth_cache_free(struct auth_cache *c)
{
	for (size_t i = 0; c && i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		list_for(n, tmp, &s->used) forget(s, list_entry(n, struct entry, link));
		map_done(&s->by_key, NULL);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

size_t auth_cache_count(const struct auth_cache *c)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARDS; i++)
		n += c->shards[i].by_key.count;
	return n;
}

static struct entry *oldest(struct shard *s)
{
	return list_empty(&s->used) ? NULL : list_entry(s->used.next, struct entry, link);
}

/* Another worker's turn may have begun later than ours. */
static bool is_over(const struct entry *n, uint64_t now_ms)
{
	return n->until_ms <= now_ms || now_ms >= n->used_ms + AUTH_CACHE_IDLE_MS;
}

static struct entry *look(struct shard *s, const struct auth_cache_key *k, uint64_t now_ms)
{
	struct entry *n = map_get(&s->by_key, key_str(k));

	if (n && is_over(n, now_ms)) {
		forget(s, n);
		return NULL;
	}
	if (n) {
		n->used_ms = now_ms;
		list_del(&n->link);
		list_append(&s->used, &n->link);
	}
	return n;
}

/* false: there is no room for all of them. */
static bool copy_headers(struct exchange *x, struct http_headers from, struct http_headers *ret)
{
	struct http_header *at = arena_alloc(&x->arena, (from.n + 1) * sizeof(*at));
	bool whole = at;

	for (size_t i = 0; whole && i < from.n; i++) {
		at[i] = (struct http_header){x_dup(x, from.at[i].name), x_dup(x, from.at[i].value)};
		whole = at[i].name.ptr && at[i].value.ptr;
	}
	*ret = (struct http_headers){at, from.n};
	return whole;
}

/* What is at the key; `ret_vary` is not empty if its answers are elsewhere. */
static bool find_at(struct auth_cache *c, const struct auth_cache_key *k, struct exchange *x, uint64_t now_ms,
		    struct auth_answer *ret, char ret_vary[AUTH_CACHE_VARY_BYTES_MAX + 1])
{
	struct shard *s = shard_of(c, k);

	pthread_mutex_lock(&s->lock);
	const struct entry *n = look(s, k, now_ms);
	bool found = n && copy_headers(x, n->answer.forward, &ret->forward) &&
		     copy_headers(x, n->answer.www_authenticate, &ret->www_authenticate);
	if (found) {
		strcpy(ret_vary, n->vary);
		ret->status = n->answer.status;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

bool auth_cache_find(struct auth_cache *c, const struct auth_cache_key *k, struct exchange *x, uint64_t now_ms,
		     struct auth_answer *ret)
{
	char vary[AUTH_CACHE_VARY_BYTES_MAX + 1];
	struct auth_cache_key variant;

	if (!find_at(c, k, x, now_ms, ret, vary))
		return false;
	if (!vary[0])
		return true;
	return variant_of(x, k, vary, &variant) && find_at(c, &variant, x, now_ms, ret, vary);
}

static size_t text_bytes(struct http_headers h)
{
	size_t n = 0;

	for (size_t i = 0; i < h.n; i++)
		n += h.at[i].name.len + h.at[i].value.len;
	return n;
}

static struct str put_bytes(char **at, struct str s)
{
	struct str own = {*at, s.len};

	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return own;
}

static struct http_headers put_headers(struct http_header *to, char **at, struct http_headers from)
{
	for (size_t i = 0; i < from.n; i++) {
		to[i].name = put_bytes(at, from.at[i].name);
		to[i].value = put_bytes(at, from.at[i].value);
	}
	return (struct http_headers){to, from.n};
}

/* The entry and all that it points to in one block. NULL: too large. */
static struct entry *entry_new(const struct auth_answer *a, const char *vary)
{
	size_t n = a->forward.n + a->www_authenticate.n, text = text_bytes(a->forward) + text_bytes(a->www_authenticate);
	size_t bytes = sizeof(struct entry) + n * sizeof(struct http_header) + text + strlen(vary) + 1;

	if (bytes > AUTH_CACHE_ENTRY_BYTES_MAX)
		return NULL;
	struct entry *e = xcalloc(1, bytes);
	char *at = (char *)(e->headers + n);

	e->bytes = bytes;
	e->answer.status = a->status;
	e->answer.forward = put_headers(e->headers, &at, a->forward);
	e->answer.www_authenticate = put_headers(e->headers + a->forward.n, &at, a->www_authenticate);
	e->vary = strcpy(at, vary);
	return e;
}

static void insert(struct auth_cache *c, const struct auth_cache_key *k, struct entry *e, uint64_t now_ms, uint64_t life_ms)
{
	struct shard *s = shard_of(c, k);

	e->key = *k;
	e->used_ms = now_ms;
	e->until_ms = now_ms + life_ms;
	pthread_mutex_lock(&s->lock);
	struct entry *n = map_get(&s->by_key, key_str(k));
	if (n)
		forget(s, n);
	while ((n = oldest(s)) && (is_over(n, now_ms) || s->bytes + e->bytes > AUTH_CACHE_BYTES_MAX / SHARDS))
		forget(s, n);
	map_put(&s->by_key, key_str(&e->key), e);
	list_append(&s->used, &e->link);
	s->bytes += e->bytes;
	pthread_mutex_unlock(&s->lock);
}

void auth_cache_put(struct auth_cache *c, const struct auth_cache_key *k, struct exchange *x, const struct auth_answer *a,
		    const char *vary, uint64_t now_ms, uint64_t life_ms)
{
	static const struct auth_answer none;
	struct auth_cache_key variant = *k;
	struct entry *e = life_ms ? entry_new(a, "") : NULL;

	if (!e || (vary[0] && !variant_of(x, k, vary, &variant))) {
		free(e);
		return;
	}
	if (vary[0])
		insert(c, k, entry_new(&none, vary), now_ms, life_ms);
	insert(c, &variant, e, now_ms, life_ms);
}
