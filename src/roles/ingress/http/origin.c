#include "roles/ingress/http/origin.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>

#define CONNECT_MS 5000	     /* ingress-nginx's proxy-connect-timeout */
#define BAD_MS 10000	     /* how long an address that failed is the last choice: nginx's fail_timeout */
#define NAME_FAILED_MS 1000  /* before a name that was not found is asked for again */
#define FORGET_MS 300000     /* an origin that nobody used for so long is forgotten when another one comes */

/* getaddrinfo on one of the loop's threads. It outlives its origin: then `origin` is NULL. */
struct resolve {
	struct work work;
	struct origin *origin;
	uint16_t port;
	char host[SUBREQUEST_HOST_BYTES_MAX + 1];
	bool needs_roots;
	int result; /* EAI_… */
	struct addr at[ORIGIN_ADDRS_MAX];
	size_t n;
};

/* ---- the system's roots ---- */

static struct tls *roots; /* never freed: one for the process */

static void make_roots(void)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	struct err e;

	roots = tls_client_new(&(struct tls_config){.verify_peer = true, .alpn = alpn}, &e);
}

static struct tls *system_tls(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_roots);
	return roots;
}

static void read_roots(void)
{
	SSL_CTX_set_default_verify_paths(tls_ctx(roots));
}

/* Some 150 certificates, a megabyte: only for who needs them, and on a thread that may wait. */
static void load_roots(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_roots);
}

/* ---- targets ---- */

static struct target *target_find(struct origin *o, const struct addr *a)
{
	list_for(n, tmp, &o->targets)
	{
		struct target *t = list_entry(n, struct target, link);

		if (t->addr.len == a->len && memcmp(&t->addr.ss, &a->ss, a->len) == 0)
			return t;
	}
	return NULL;
}

static void target_add(struct origin *o, const struct addr *a)
{
	struct http_client_config c = {.to = *a,
				       .server_name = o->host,
				       .tls = o->tls,
				       .connect_timeout_ms = CONNECT_MS,
				       .idle_max = SUBREQUEST_IDLE_MAX};
	struct target *t = xcalloc(1, sizeof(*t));

	*t = (struct target){.addr = *a, .client = http_client_new(o->set->loop, &c)};
	list_append(&o->targets, &t->link);
	o->n_targets++;
}

static void target_free(struct target *t)
{
	list_del(&t->link);
	http_client_free(t->client);
	free(t);
}

/* These addresses from now on; those that stay keep their connections. */
static void targets_set(struct origin *o, const struct addr *at, size_t n)
{
	o->n_targets = 0;
	list_for(node, tmp, &o->targets) list_entry(node, struct target, link)->gone = true;
	for (size_t i = 0; i < n; i++) {
		struct target *t = target_find(o, &at[i]);

		if (!t) {
			target_add(o, &at[i]);
		} else if (t->gone) {
			t->gone = false;
			o->n_targets++;
		}
	}
	list_for(node, tmp, &o->targets)
	{
		struct target *t = list_entry(node, struct target, link);

		if (t->gone && http_client_open(t->client) == 0)
			target_free(t);
	}
}

void target_failed(struct origin *o, struct target *t)
{
	t->bad_until_ms = loop_now_ms(o->set->loop) + BAD_MS;
}

struct target *origin_pick(struct origin *o, const struct target *except)
{
	uint64_t now = loop_now_ms(o->set->loop);
	struct target *second = NULL;

	list_for(n, tmp, &o->targets)
	{
		struct target *t = list_entry(n, struct target, link);

		if (t->gone)
			continue;
		if (t != except && t->bad_until_ms <= now) {
			list_del(n); /* the next one's turn */
			list_append(&o->targets, n);
			return t;
		}
		/* Among bad ones: not the same again, then the one that has been bad for longest. */
		if (!second || second == except || (t != except && t->bad_until_ms < second->bad_until_ms))
			second = t;
	}
	return second;
}

/* ---- names ---- */

static void resolve_run(struct work *w)
{
	struct resolve *r = container_of(w, struct resolve, work);
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;

	if (r->needs_roots)
		load_roots();
	r->result = getaddrinfo(r->host, NULL, &hints, &list);
	for (struct addrinfo *a = list; a && r->n < ORIGIN_ADDRS_MAX; a = a->ai_next) {
		struct addr *to = &r->at[r->n];

		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
		/* Both families have it at the same place. */
		((struct sockaddr_in *)&to->ss)->sin_port = htons(r->port);
		r->n++;
	}
	if (list)
		freeaddrinfo(list);
}

static void resolve_done(struct work *w)
{
	struct resolve *r = container_of(w, struct resolve, work);
	struct origin *o = r->origin;
	struct err e;

	if (o) {
		uint64_t now = loop_now_ms(o->set->loop);

		o->resolving = NULL;
		o->resolved_ms = now;
		if (r->n > 0)
			targets_set(o, r->at, r->n);
		else /* old addresses are better than none; the name is asked for again soon */
			o->resolved_ms = now - SUBREQUEST_NAME_MS + NAME_FAILED_MS;
		if (r->n == 0)
			err_set(&e, ERR_UNAVAILABLE, "resolving '%s': %s", r->host,
				r->result ? gai_strerror(r->result) : "it has no addresses");
		o->resolved(o, o->n_targets ? NULL : &e);
	}
	free(r);
}

static void resolve_start(struct origin *o)
{
	struct resolve *r = xcalloc(1, sizeof(*r));

	*r = (struct resolve){.work = {.run = resolve_run, .done = resolve_done}, .origin = o, .port = o->port,
			      .needs_roots = o->system_roots};
	memcpy(r->host, o->host, strlen(o->host));
	o->resolving = r;
	loop_work(o->set->loop, &r->work);
}

bool origin_ready(struct origin *o)
{
	uint64_t now = loop_now_ms(o->set->loop);

	if (!o->literal && !o->resolving && (!o->n_targets || now >= o->resolved_ms + SUBREQUEST_NAME_MS))
		resolve_start(o);
	return o->n_targets > 0;
}

/* ---- origins ---- */

/* An address needs no resolving - but where the system's roots are needed, for those are loaded by the way. */
static void set_literal(struct origin *o)
{
	struct addr a;
	struct err e;

	o->literal = !o->system_roots && addr_from_ip(o->host, o->port, &a, &e) == 0;
	if (o->literal)
		target_add(o, &a);
}

void origin_free(struct origin *o)
{
	if (o->resolving)
		o->resolving->origin = NULL;
	list_for(n, tmp, &o->targets) target_free(list_entry(n, struct target, link));
	list_del(&o->link);
	o->set->n_origins--;
	map_del_c(&o->set->by_key, o->key);
	tls_unref(o->tls);
	free(o->key);
	free(o->host);
	free(o);
}

/* Makes room for another one. */
static bool forget_unused(struct subrequests *s)
{
	uint64_t now = loop_now_ms(s->loop);

	list_for(n, tmp, &s->origins)
	{
		struct origin *o = list_entry(n, struct origin, link);

		if (s->n_origins < SUBREQUEST_ORIGINS_MAX && now < o->used_ms + FORGET_MS)
			break;
		if (o->n_open == 0)
			origin_free(o);
	}
	return s->n_origins < SUBREQUEST_ORIGINS_MAX;
}

static struct origin *origin_new(struct subrequests *s, const struct url *u, struct tls *tls, bool system_roots,
				 const char *key)
{
	struct origin *o = xcalloc(1, sizeof(*o));

	*o = (struct origin){
		.set = s, .key = xstrdup(key), .host = str_dup(u->host), .port = u->port, .tls = tls_ref(tls),
		.system_roots = system_roots};
	list_init(&o->targets);
	list_init(&o->waiting);
	list_append(&s->origins, &o->link);
	s->n_origins++;
	map_put_c(&s->by_key, key, o);
	set_literal(o);
	return o;
}

struct origin *origin_get(struct subrequests *s, const struct url *u, struct tls *tls, struct err *e)
{
	char key[SUBREQUEST_HOST_BYTES_MAX + 64];
	bool system_roots = u->https && !tls;

	if (system_roots)
		tls = system_tls();
	if (u->https && !tls) {
		err_set(e, ERR_INTERNAL, "there is no TLS context");
		return NULL;
	}
	if (!u->https)
		tls = NULL;
	snprintf(key, sizeof(key), "%p " STR_FMT " %u", (void *)tls, STR_ARG(u->host), u->port);
	struct origin *o = map_get_c(&s->by_key, key);
	if (!o && !forget_unused(s)) {
		err_set(e, ERR_UNAVAILABLE, "%d origins are in use", SUBREQUEST_ORIGINS_MAX);
		return NULL;
	}
	if (!o)
		o = origin_new(s, u, tls, system_roots, key);
	o->used_ms = loop_now_ms(s->loop);
	list_del(&o->link);
	list_append(&s->origins, &o->link);
	return o;
}
