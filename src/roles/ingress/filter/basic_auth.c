/* Basic authentication: auth-type, auth-secret, auth-realm.
 *
 * Hashes are slow on purpose, so they are computed on the loop's threads. A browser sends its password with every request:
 * what was found right is remembered by each worker, as a keyed digest of the stored hash and the password. The stored hash
 * is part of it, so a changed Secret needs no invalidation. Only one thread computes for requests with the same password.
 */
#include "roles/ingress/filter/basic_auth.h"

#include "base/map.h"
#include "codec/base64.h"
#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/filter/htpasswd.h"
#include "roles/ingress/observe/metrics.h"

#include <openssl/crypto.h>
#include <stdio.h>

#define CREDENTIALS_BYTES_MAX 4096 /* a longer user name or password is a mistake or an attack */
#define CACHE_SETS 256		   /* of four: 1,024 users of one worker stay quick */
#define CACHE_WAYS 4
#define CACHE_TTL_MS 300000 /* five minutes: what is not used is forgotten */
#define VERIFYING_MAX 64    /* passwords being verified or queued for one worker: about a second of bcrypt at cost 10 */

struct digest {
	uint64_t word[2];
};

struct cached {
	struct digest digest;
	uint64_t until_ms; /* 0: free */
};

/* One password being verified for all requests that carry it. */
struct verify {
	struct work work;
	struct list link, waiters;
	struct digest digest;
	char hash[HTPASSWD_HASH_MAX], password[HTPASSWD_PASSWORD_MAX];
	size_t hash_len, password_len;
	bool ok;
	struct loop *loop;
};

struct waiter {
	struct list link; /* of verify.waiters */
	struct exchange *x;
	void **state;
	struct str user;
	bool known;
};
/* A filter's state: a waiter, or this when it has refused. */
static struct waiter refused;

/* Each worker is one thread. */
static __thread struct cached cache[CACHE_SETS][CACHE_WAYS];
static __thread struct list verifying; /* prev NULL: not yet used */
static __thread unsigned n_verifying;

/* ---- the header ---- */

/* nginx takes base64 without its padding; so do we. */
static int base64_padded_decode(struct str text, struct buf *out)
{
	char padded[(CREDENTIALS_BYTES_MAX + 2) / 3 * 4 + 4];
	size_t bad_at;
	while (text.len > 0 && text.ptr[text.len - 1] == '=')
		text.len--;
	if (text.len == 0 || text.len + 3 > sizeof(padded) || text.len % 4 == 1)
		return -1;
	memcpy(padded, text.ptr, text.len);
	while (text.len % 4 != 0)
		padded[text.len++] = '=';
	int ret = base64_decode((struct str){ padded, text.len }, out, &bad_at);
	OPENSSL_cleanse(padded, text.len);
	return ret;
}

bool basic_credentials_parse(struct str authorization, struct buf *out, struct str *ret_user, struct str *ret_password)
{
	if (authorization.len < 6 || !str_ieq((struct str){ authorization.ptr, 6 }, STR("basic ")))
		return false;
	struct str text = str_trim((struct str){ authorization.ptr + 6, authorization.len - 6 });
	if (base64_padded_decode(text, out) != 0)
		return false;
	struct str password, user = str_cut(buf_str(out), ':', &password);
	if (password.ptr == NULL)
		return false;
	*ret_user = user;
	*ret_password = password;
	return true;
}

/* ---- what was right before ---- */

static struct digest digest_make(struct str hash, struct str password)
{
	char text[1 + HTPASSWD_HASH_MAX + 1 + HTPASSWD_PASSWORD_MAX];
	size_t n = 1;
	memcpy(text + n, hash.ptr, hash.len);
	n += hash.len;
	text[n++] = '\0';
	memcpy(text + n, password.ptr, password.len);
	n += password.len;
	struct digest d;
	for (int i = 0; i < 2; i++) {
		text[0] = (char)i;
		d.word[i] = hash_keyed(text, n);
	}
	OPENSSL_cleanse(text, n);
	return d;
}

static bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

static bool cache_has(const struct digest *d, uint64_t now_ms)
{
	const struct cached *set = cache[d->word[0] % CACHE_SETS];
	for (size_t i = 0; i < CACHE_WAYS; i++)
		if (set[i].until_ms > now_ms && digest_equal(&set[i].digest, d))
			return true;
	return false;
}

static void cache_put(const struct digest *d, uint64_t now_ms)
{
	struct cached *set = cache[d->word[0] % CACHE_SETS], *oldest = set;
	for (size_t i = 1; i < CACHE_WAYS; i++)
		if (set[i].until_ms < oldest->until_ms)
			oldest = &set[i];
	*oldest = (struct cached){ *d, now_ms + CACHE_TTL_MS };
}

/* ---- verdicts ---- */

static struct str challenge(struct exchange *x, const char *realm)
{
	size_t len = realm == NULL ? 0 : strlen(realm);
	char *out = arena_alloc(&x->arena, 2 * len + sizeof("Basic realm=\"\""));
	if (out == NULL)
		return STR("Basic realm=\"\"");
	char *to = stpcpy(out, "Basic realm=\"");
	for (size_t i = 0; i < len; i++) {
		if (realm[i] == '"' || realm[i] == '\\')
			*to++ = '\\';
		*to++ = realm[i];
	}
	*to++ = '"';
	return (struct str){ out, (size_t)(to - out) };
}

static enum filter_verdict basic_refuse(struct exchange *x, void **state)
{
	*state = &refused;
	metrics_inc(x->worker->metrics, METRIC_DENIED_AUTH);
	return access_refuse(x, 401);
}

static enum filter_verdict basic_verdict(struct exchange *x, void **state, struct str user, bool ok)
{
	if (!ok)
		return basic_refuse(x, state);
	x->remote_user = user;
	return access_grant(x);
}

/* ---- slow hashes ---- */

static void verify_run(struct work *w)
{
	struct verify *v = container_of(w, struct verify, work);
	v->ok = password_verify((struct str){ v->hash, v->hash_len }, (struct str){ v->password, v->password_len });
}

static void verify_done(struct work *w)
{
	struct verify *v = container_of(w, struct verify, work);
	list_del(&v->link);
	n_verifying--;
	if (v->ok)
		cache_put(&v->digest, loop_now_ms(v->loop));
	/* An answer may end other exchanges of the same connection: each takes itself off the list. */
	while (!list_empty(&v->waiters)) {
		struct waiter *one = list_entry(v->waiters.next, struct waiter, link);
		list_del(&one->link);
		access_resume(one->x, basic_verdict(one->x, one->state, one->user, v->ok && one->known));
	}
	OPENSSL_cleanse(v->password, v->password_len);
	free(v);
}

static struct verify *verify_start(struct loop *loop, const struct digest *d, struct str hash, struct str password)
{
	if (verifying.prev == NULL)
		list_init(&verifying);
	list_for(pos, tmp, &verifying) {
		struct verify *v = list_entry(pos, struct verify, link);
		if (digest_equal(&v->digest, d))
			return v;
	}
	if (n_verifying == VERIFYING_MAX)
		return NULL;
	struct verify *v = xcalloc(1, sizeof(*v));
	v->work.run = verify_run;
	v->work.done = verify_done;
	v->digest = *d;
	v->loop = loop;
	memcpy(v->hash, hash.ptr, hash.len);
	v->hash_len = hash.len;
	memcpy(v->password, password.ptr, password.len);
	v->password_len = password.len;
	list_init(&v->waiters);
	list_append(&verifying, &v->link);
	n_verifying++;
	loop_work(loop, &v->work);
	return v;
}

static enum filter_verdict slow_verdict(struct exchange *x, void **state, struct str hash, struct str user, bool known,
					struct str password)
{
	struct loop *loop = x->worker->loop;
	struct digest d = digest_make(hash, password);
	if (cache_has(&d, loop_now_ms(loop)))
		return basic_verdict(x, state, user, known);
	struct waiter *one = arena_alloc(&x->arena, sizeof(*one));
	struct verify *v = one == NULL ? NULL : verify_start(loop, &d, hash, password);
	if (v == NULL) {
		exchange_answer_error(x, 503);
		return FILTER_ANSWERED;
	}
	*one = (struct waiter){ .x = x, .state = state, .user = user, .known = known };
	list_append(&v->waiters, &one->link);
	*state = one;
	return FILTER_WAIT;
}

/* ---- the filter ---- */

static bool basic_wanted(const struct location *loc, const struct globals *g)
{
	return loc->set->auth_type == AUTH_BASIC && !location_is_listed(loc, &g->no_auth_locations);
}

static enum filter_verdict basic_decide(struct exchange *x, void **state, struct str user, struct str password)
{
	const struct htpasswd *users = x->loc->set->htpasswd;
	bool known;
	struct str hash = htpasswd_find(users, user, &known);
	if (hash.ptr == NULL || password.len > HTPASSWD_PASSWORD_MAX)
		return basic_refuse(x, state);
	user = x_dup(x, user);
	if (password_hash_is_quick(hash)) {
		bool ok = password_verify(hash, password);
		return basic_verdict(x, state, user, ok && known);
	}
	return slow_verdict(x, state, hash, user, known, password);
}

static enum filter_verdict basic_request(struct exchange *x, void **state)
{
	if (access_settled(x))
		return FILTER_NEXT;
	if (x->loc->set->htpasswd == NULL) { /* a Secret that nobody has read */
		exchange_answer_error(x, 503);
		return FILTER_ANSWERED;
	}
	struct buf text;
	buf_init(&text, CREDENTIALS_BYTES_MAX);
	struct str user, password;
	enum filter_verdict v;
	if (basic_credentials_parse(header_get(&x->req.headers, "authorization"), &text, &user, &password))
		v = basic_decide(x, state, user, password);
	else
		v = basic_refuse(x, state);
	if (text.ptr != NULL)
		OPENSSL_cleanse(text.ptr, text.cap);
	buf_done(&text);
	return v;
}

/* The backend is not told the password, as in ingress-nginx; a FastCGI program is, as there: PHP_AUTH_USER. */
static void basic_upstream(struct exchange *x, void **state)
{
	(void)state;
	if (!x->loc->set->fastcgi)
		header_del(&x->up_headers, "authorization");
}

static enum filter_verdict basic_answer(struct exchange *x, void **state)
{
	if (*state == &refused && x->answer_own && x->ans.status == 401)
		header_set(x, &x->ans.headers, "WWW-Authenticate", challenge(x, x->loc->set->auth_realm));
	return FILTER_NEXT;
}

static void basic_done(struct exchange *x, void **state)
{
	(void)x;
	struct waiter *one = *state;
	if (one != NULL && one != &refused)
		list_del(&one->link);
}

const struct filter filter_basic_auth = {
	.name = "basic_auth",
	.wanted = basic_wanted,
	.request = basic_request,
	.upstream = basic_upstream,
	.answer = basic_answer,
	.done = basic_done,
};
