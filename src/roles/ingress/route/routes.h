/* routes.h - the routing state: written by the main thread as the cluster changes, read by every worker without a lock.
 *
 * A host is an immutable object. A change builds the hosts it touches anew and swaps their pointers; a request holds the
 * host it was matched in (host_unref when it ends), so it goes on with the picture it began with. What a swap replaced is
 * freed when every worker has ended its turn (loop/quiesce.h). Nothing here is done per request but look-ups, and no change
 * costs more than the hosts it touches.
 *
 * Matching is ingress-nginx's:
 *   host: exact, then "*.rest" for exactly one label, then the catch-all
 *   path: Exact, then the longest of Prefix (by path element) and ImplementationSpecific (by character);
 *         one use of rewrite-target or use-regex on a host makes all its paths regular expressions
 *         ("^path", case-insensitive), longest first, first match wins
 * Of two Ingresses with the same host and path the older one wins, the other gets an event.
 */
#pragma once

#include "base/buf.h"
#include "net/tls.h"
#include "roles/ingress/config/settings.h"
#include "roles/ingress/route/pattern.h"

struct backend; /* upstream/upstream.h */
struct client_auth; /* tls/client_auth.h */
struct host_ciphers; /* tls/host_ciphers.h */
struct filter_use;
struct quiesce;
struct host;

enum path_type { PATH_EXACT, PATH_PREFIX, PATH_IMPLEMENTATION };

struct canary {
	const struct settings *set; /* of the canary Ingress: canary_*, load_balance, affinity */
	struct backend *backend;
	const char *ingress; /* "ns/name" */
};

struct location {
	struct host *host; /* owns this */
	char *path;	   /* as in the Ingress */
	enum path_type type;
	char *ns, *ingress; /* for logs, metrics, X-Namespace, X-Ingress-Name */
	char *rule_host;    /* as in the Ingress; "" for the catch-all */
	const struct settings *set;
	struct backend *backend;	/* NULL: a resource backend, refused with 503 */
	struct backend *default_backend; /* the annotation's, else the global one; NULL: built-in pages */
	struct canary *canaries;	/* in order of age; the first that wants a request gets it */
	size_t n_canaries;
	struct regex *regex;		/* on hosts with regular expressions */
	struct regex *rewrite;		/* the path alone, unanchored, as nginx's `rewrite`; NULL: the URI goes on as it came */
	bool tls;			/* a certificate is configured for the host: ssl-redirect applies */
	struct filter_use *filters;	/* those that this location needs, in the order they run; ends with filter == NULL */
	unsigned metrics_id;		/* slot of its counters, see observe/metrics.h */
	unsigned match_len_;		/* bytes of `path` that are compared: route/match.c */
};

struct host {
	unsigned refs_;
	char *name;			/* folded; "*.rest" or "" */
	bool regex, tls;
	char *redirect_to;		/* from-to-www-redirect: this name only redirects to that one; NULL: not */
	const struct settings *passthrough; /* ssl-passthrough: connections go to `passthrough_backend` unread; NULL: not */
	struct backend *passthrough_backend;
	struct client_auth *client_auth; /* whom it asks for a certificate: tls/client_auth.h; NULL: nobody */
	struct host_ciphers *ciphers;	 /* of TLS 1.2, its own: tls/host_ciphers.h; NULL: everybody's */
	struct location **all;
	size_t n_all;
	void *index_;			/* of paths: route/match.c */
	void (*free_)(struct host *h);	/* the last reference is gone; any thread */
};

struct routes;
struct routes *routes_new(struct quiesce *q); /* q NULL: nothing reads concurrently (tests) */
void routes_free(struct routes *r);

/* ---- any worker ---- */
/* `host` without port, any case; `path` normalised (uri_normalise). NULL: 404. The result's host is referenced: give
 * it back with host_unref(location->host). */
const struct location *routes_match(const struct routes *r, struct str host, struct str path) must_check;
/* The same in steps, with other work between them: of ten thousand hosts none is in a cache, and each step asks memory for what
 * the next one reads. The key is that of `host`. */
uint64_t routes_key(const struct routes *r, struct str host);
void routes_fetch(const struct routes *r, uint64_t key);
const struct location *routes_match_key(const struct routes *r, uint64_t key, struct str host, struct str path) must_check;
/* The host alone, referenced; for redirects between names and for passthrough. */
struct host *routes_host(const struct routes *r, struct str name) must_check;
void host_unref(struct host *h); /* NULL is nothing */
/* The certificate for a server name: exact, then wildcard; NULL: the default one. Valid within the call-back. */
struct tls *routes_tls(const struct routes *r, struct str server_name);
bool routes_pass_through(const struct routes *r); /* is there a host with ssl-passthrough at all? */
size_t routes_host_count(const struct routes *r);
size_t routes_location_count(const struct routes *r);

/* ---- main thread: route/build.c makes hosts, these publish them ---- */
void routes_put_host(struct routes *r, struct host *h); /* replaces one of the same name; takes the reference over */
void routes_del_host(struct routes *r, const char *name);
void routes_put_cert(struct routes *r, const char *name, struct tls *t); /* folded name; takes the reference over; NULL removes */
struct tls *routes_cert(const struct routes *r, const char *name); /* what was put there; no wildcards */
void routes_each_host(const struct routes *r, void (*fn)(void *ctx, const struct host *h), void *ctx);

/* Percent-decoding, merging of slashes, "." and ".." (RFC 3986, 5.2.4), as nginx does before it chooses a location.
 * -1: malformed, %00, or above the root. */
int uri_normalise(struct str path, struct buf *out) must_check;
/* Nothing to normalise: the path can be used as it is. True for nearly every request. */
bool uri_is_normal(struct str path);
/* Text that becomes part of a target: what may not stand there is percent-encoded, and the characters of `more` besides. */
int uri_encode(struct buf *out, struct str text, const char *more) must_check;
/* The upstream path of a location with a rewrite target: appended to `out`, not yet encoded. *ret_query: where in out->ptr the
 * target's own '?' is, what follows are arguments that the request's are added to; SIZE_MAX: it has none. -1: full, or the
 * expression reached its limit. */
int location_rewrite_split(const struct location *loc, struct str path, struct buf *out, size_t *ret_query) must_check;
