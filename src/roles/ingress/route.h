/* route.h - the routing table of the ingress proxy: built whole from Kubernetes objects, then only read.
 *
 * A change builds a new table and swaps one pointer; requests in flight keep the table they began with (it is
 * reference counted). Matching is ingress-nginx's:
 *   host: exact, then "*.rest" for exactly one label, then the catch-all
 *   path: Exact, then the longest of Prefix (by path element) and ImplementationSpecific (by character);
 *         one use of rewrite-target or use-regex on a host makes all its paths regular expressions
 *         ("^path", case-insensitive), longest first.
 * Of two Ingresses with the same host and path the older one wins.
 */
#pragma once

#include "base/map.h"
#include "codec/jx.h"
#include "net/addr.h"
#include "net/tls.h"

/* Where a request may go: one port of one Service. */
struct backend {
	char *key;		 /* "ns/service:port", for logs and the table's own index */
	struct addr *endpoints;	 /* ready addresses */
	size_t n_endpoints;
	unsigned next;		 /* round robin */
	bool service_missing;
};

struct location {
	char *path;		 /* as in the Ingress */
	const char *ingress;	 /* "ns/name", of the table */
	struct backend *backend; /* NULL: a resource backend, which is refused */
	void *regex;		 /* pcre2_code, on hosts with regular expressions */
	void *rewrite_regex;	 /* of the path alone, unanchored, as nginx's `rewrite` */
	char *rewrite_target;	 /* NULL: the URI goes on as it came */
	bool ssl_redirect;	 /* 308 to https for plain requests */
};

struct host;
struct route_table;

/* A snapshot of the cluster, as callbacks so that the builder knows no informer (and tests need none). */
struct route_source {
	void *ctx;
	/* Each calls fn for every object of its kind. */
	void (*each_ingress)(void *ctx, void (*fn)(void *fn_ctx, const json_t *ing), void *fn_ctx);
	const json_t *(*get_service)(void *ctx, const char *ns, const char *name);
	void (*each_slice)(void *ctx, const char *ns, const char *service, void (*fn)(void *fn_ctx, const json_t *slice),
			   void *fn_ctx);
	const json_t *(*get_secret)(void *ctx, const char *ns, const char *name);
	bool (*is_our_class)(void *ctx, const char *ingress_class_name);
	/* A problem of one object, to be shown as an event on it. May be NULL. */
	void (*problem)(void *ctx, const json_t *obj, const char *reason, const char *message);
};

struct route_table *route_table_new(const struct route_source *s);
/* Endpoints come and go far more often than routes: reads the Service and its slices anew, in place. */
void route_table_refresh(struct route_table *t, const struct route_source *s, const char *ns, const char *service);
struct route_table *route_table_ref(struct route_table *t);
void route_table_unref(struct route_table *t);

/* `host` without port, any case. NULL when there is nothing: 404. `path` is normalised (uri_normalise). */
const struct location *route_match(const struct route_table *t, struct str host, struct str path);
/* The endpoint for the next request; NULL when there is none (503). `skip` (may be NULL) was tried already. */
const struct addr *backend_pick(struct backend *b, const struct addr *skip);
/* The upstream path of a location with a rewrite target: appended to `out`. */
int route_rewrite(const struct location *loc, struct str path, struct buf *out) must_check;
/* The certificate for a server name: exact, then wildcard; NULL: the default one. */
struct tls *route_tls(const struct route_table *t, struct str server_name);
size_t route_host_count(const struct route_table *t);

/* Percent-decoding, merging of slashes, "." and ".." (RFC 3986, 5.2.4), as nginx does before it chooses a location.
 * -1: malformed, %00, or above the root. */
int uri_normalise(struct str path, struct buf *out) must_check;
