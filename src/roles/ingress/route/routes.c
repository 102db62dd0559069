#include "roles/ingress/route/routes.h"

#include "loop/quiesce.h"
#include "roles/ingress/route/match.h"
#include "roles/ingress/route/names.h"

#include <stdatomic.h>
#include <stdio.h>

#define HOST_BYTES 254 /* RFC 1035: 253, and one to see that it is longer */

struct cert {
	struct tls *tls;
	char *name;
};

struct routes {
	struct quiesce *quiesce;
	struct names *hosts, *certs;	   /* by folded name, "*.rest" or "" */
	_Atomic size_t wildcards;	   /* hosts "*.rest" */
	_Atomic size_t cert_wildcards;
	_Atomic size_t locations;
	_Atomic size_t passthroughs;
	_Atomic(struct host *) catch_all; /* the host "": needs no look-up */
};

static void retire(struct routes *r, void (*fn)(void *ptr), void *ptr)
{
	if (!ptr)
		return;
	if (r->quiesce)
		quiesce_retire(r->quiesce, fn, ptr);
	else
		fn(ptr);
}

struct routes *routes_new(struct quiesce *q)
{
	struct routes *r = xcalloc(1, sizeof(*r));

	r->quiesce = q;
	r->hosts = names_new(q, offsetof(struct host, name));
	r->certs = names_new(q, offsetof(struct cert, name));
	return r;
}

static void cert_free(void *p)
{
	struct cert *c = p;

	tls_unref(c->tls);
	free(c);
}

static void host_drop(void *p)
{
	host_unref(p);
}

void routes_free(struct routes *r)
{
	if (!r)
		return;
	names_free(r->hosts, host_drop);
	names_free(r->certs, cert_free);
	free(r);
}

/* ---- looking up ---- */

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

#define EACH_BYTE(c) ((c) * UINT64_C(0x0101010101010101))

/* Bytes of one word: 'A' and above carry into their highest bit, as those above 'Z' do, which are taken out again. */
static uint64_t uppers(const char *p)
{
	uint64_t w, low;

	memcpy(&w, p, sizeof(w));
	low = w & EACH_BYTE(0x7f);
	return (low + EACH_BYTE(0x80 - 'A')) & ~(low + EACH_BYTE(0x80 - 'Z' - 1)) & ~w & EACH_BYTE(0x80);
}

static bool has_upper(struct str s)
{
	uint64_t any = 0;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8)
		any |= uppers(s.ptr + i);
	if (i < s.len && s.len >= 8)
		return (any | uppers(s.ptr + s.len - 8)) != 0;
	for (; i < s.len; i++)
		any |= is_upper(s.ptr[i]);
	return any != 0;
}

/* Lower case, without a final dot; false when it is too long to be a host. Nearly every name is so already. */
static bool fold(struct str name, char out[HOST_BYTES], struct str *ret)
{
	if (name.len && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len >= HOST_BYTES)
		return false;
	*ret = name;
	if (!has_upper(name))
		return true;
	for (size_t i = 0; i < name.len; i++)
		out[i] = (char)(is_upper(name.ptr[i]) ? name.ptr[i] + ('a' - 'A') : name.ptr[i]);
	ret->ptr = out;
	return true;
}

/* "*.rest" for "label.rest"; overwrites the label's end in place. The star stands for one label that is not empty. */
static void *find_wildcard(const struct names *n, struct str name)
{
	const char *dot = memchr(name.ptr, '.', name.len);
	char text[HOST_BYTES + 1];

	if (!dot || dot == name.ptr)
		return NULL;
	size_t rest = name.len - (size_t)(dot - name.ptr);
	text[0] = '*';
	memcpy(text + 1, dot, rest);
	return names_get(n, (struct str){ text, rest + 1 });
}

static struct host *find_host(const struct routes *r, struct str host, uint64_t key)
{
	char text[HOST_BYTES];
	struct str name;
	struct host *h = NULL;

	if (host.len && fold(host, text, &name)) {
		h = names_get_hashed(r->hosts, name, key);
		if (!h && atomic_load_explicit(&r->wildcards, memory_order_relaxed) > 0)
			h = find_wildcard(r->hosts, name);
	}
	return h ? h : atomic_load_explicit(&r->catch_all, memory_order_acquire);
}

static struct host *host_ref(struct host *h)
{
	if (h)
		__atomic_add_fetch(&h->refs_, 1, __ATOMIC_RELAXED);
	return h;
}

void host_unref(struct host *h)
{
	if (h && __atomic_sub_fetch(&h->refs_, 1, __ATOMIC_ACQ_REL) == 0)
		h->free_(h);
}

uint64_t routes_key(const struct routes *r, struct str host)
{
	char text[HOST_BYTES];
	struct str name;

	return fold(host, text, &name) ? names_hash(r->hosts, name) : 0;
}

void routes_fetch(const struct routes *r, uint64_t key)
{
	names_fetch(r->hosts, key);
}

/* A known host without the path is 404 in ingress-nginx; only unknown hosts fall to the catch-all. */
const struct location *routes_match_key(const struct routes *r, uint64_t key, struct str host, struct str path)
{
	struct host *h = find_host(r, host, key);
	const struct location *l = h ? host_match(h, path) : NULL;

	if (l)
		host_ref(h);
	return l;
}

const struct location *routes_match(const struct routes *r, struct str host, struct str path)
{
	return routes_match_key(r, routes_key(r, host), host, path);
}

struct host *routes_host(const struct routes *r, struct str name)
{
	return host_ref(find_host(r, name, routes_key(r, name)));
}

struct tls *routes_tls(const struct routes *r, struct str server_name)
{
	char text[HOST_BYTES];
	struct str name;

	if (!server_name.len || !fold(server_name, text, &name))
		return NULL;
	const struct cert *c = names_get(r->certs, name);
	if (!c && atomic_load_explicit(&r->cert_wildcards, memory_order_relaxed) > 0)
		c = find_wildcard(r->certs, name);
	return c ? c->tls : NULL;
}

struct tls *routes_cert(const struct routes *r, const char *name)
{
	const struct cert *c = names_get(r->certs, str_of(name));

	return c ? c->tls : NULL;
}

size_t routes_host_count(const struct routes *r)
{
	return names_count(r->hosts);
}

size_t routes_location_count(const struct routes *r)
{
	return atomic_load_explicit(&r->locations, memory_order_relaxed);
}

bool routes_pass_through(const struct routes *r)
{
	return atomic_load_explicit(&r->passthroughs, memory_order_relaxed) > 0;
}

/* ---- changing ---- */

static void host_counts(struct routes *r, const struct host *added, const struct host *removed)
{
	const struct host *any = added ? added : removed;

	if (!any)
		return;
	atomic_fetch_add(&r->locations, added ? added->n_all : 0);
	atomic_fetch_sub(&r->locations, removed ? removed->n_all : 0);
	atomic_fetch_add(&r->passthroughs, added && added->passthrough ? 1 : 0);
	atomic_fetch_sub(&r->passthroughs, removed && removed->passthrough ? 1 : 0);
	if (any->name[0] == '*' && !(added && removed))
		atomic_fetch_add(&r->wildcards, added ? 1 : (size_t)-1);
}

void routes_put_host(struct routes *r, struct host *h)
{
	struct host *old = names_put(r->hosts, h);

	if (!h->name[0])
		atomic_store_explicit(&r->catch_all, h, memory_order_release);
	host_counts(r, h, old);
	retire(r, host_drop, old);
}

void routes_del_host(struct routes *r, const char *name)
{
	if (!name[0])
		atomic_store_explicit(&r->catch_all, NULL, memory_order_release);
	struct host *old = names_del(r->hosts, str_of(name));
	host_counts(r, NULL, old);
	retire(r, host_drop, old);
}

static struct cert *cert_new(const char *name, struct tls *t)
{
	size_t len = strlen(name) + 1;
	struct cert *c = xmalloc(sizeof(*c) + len);

	c->tls = t;
	c->name = memcpy(c + 1, name, len);
	return c;
}

void routes_put_cert(struct routes *r, const char *name, struct tls *t)
{
	struct cert *old = t ? names_put(r->certs, cert_new(name, t)) : names_del(r->certs, str_of(name));

	if (name[0] == '*' && !old != !t)
		atomic_fetch_add(&r->cert_wildcards, t ? 1 : (size_t)-1);
	retire(r, cert_free, old);
}

struct each {
	void (*fn)(void *ctx, const struct host *h);
	void *ctx;
};

static void each_one(void *ctx, void *obj)
{
	struct each *e = ctx;

	e->fn(e->ctx, obj);
}

void routes_each_host(const struct routes *r, void (*fn)(void *ctx, const struct host *h), void *ctx)
{
	struct each e = { fn, ctx };

	names_each(r->hosts, each_one, &e);
}
