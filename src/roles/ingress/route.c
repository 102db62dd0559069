#include "roles/ingress/route_int.h"

#include <ctype.h>
#include <stdatomic.h>

#define HOST_BYTES 254
#define CAPTURES 10

struct route_table *route_table_ref(struct route_table *t)
{
	t->refs++;
	return t;
}

static void location_free(struct location *l)
{
	pcre2_code_free(l->regex);
	pcre2_code_free(l->rewrite_regex);
	free(l->rewrite_target);
	free(l->path);
	free(l);
}

static void host_free(void *p)
{
	struct host *h = p;

	for (size_t i = 0; i < h->n_all; i++)
		location_free(h->all[i]);
	free(h->all);
	free(h->by_length);
	map_done(&h->exact, NULL);
	map_done(&h->prefix, NULL);
	free(h);
}

static void backend_free(void *p)
{
	struct backend *b = p;

	free(b->endpoints);
	free(b->key);
	free(b);
}

static void cert_free(void *p)
{
	tls_unref(p);
}

void route_table_unref(struct route_table *t)
{
	if (!t || --t->refs > 0)
		return;
	map_done(&t->hosts, host_free);
	map_done(&t->backends, backend_free);
	map_done(&t->certs, cert_free);
	map_done(&t->names, free);
	free(t);
}

/* Lower case, without a final dot; false when it is too long to be a host. */
static bool fold_host(struct str host, char out[HOST_BYTES], struct str *ret)
{
	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len >= HOST_BYTES)
		return false;
	for (size_t i = 0; i < host.len; i++)
		out[i] = (char)tolower((unsigned char)host.ptr[i]);
	*ret = (struct str){ out, host.len };
	return true;
}

/* Exact, then "*.rest" with one label for the star. Wildcards are stored with the star. */
static void *find_name(const struct map *m, struct str host)
{
	void *found = map_get(m, host);
	char wildcard[HOST_BYTES + 1];
	struct str rest;

	if (found || host.len == 0)
		return found;
	str_cut(host, '.', &rest);
	if (!rest.ptr || rest.ptr == host.ptr + 1)
		return NULL;
	wildcard[0] = '*';
	wildcard[1] = '.';
	memcpy(wildcard + 2, rest.ptr, rest.len);
	return map_get(m, (struct str){ wildcard, rest.len + 2 });
}

static bool regex_matches(const struct route_table *t, void *regex, struct str path)
{
	/* 0: it matches, and has more groups than the match data holds. */
	return regex && pcre2_match(regex, (PCRE2_SPTR)path.ptr, path.len, 0, 0, t->match_data, t->match_limits) >= 0;
}

static const struct location *match_regex(const struct route_table *t, const struct host *h, struct str path)
{
	for (size_t i = 0; i < h->n_by_length; i++)
		if (regex_matches(t, h->by_length[i]->regex, path))
			return h->by_length[i];
	return NULL;
}

/* The longest Prefix: whole path elements, so each '/' is one look-up. "" is the root. */
static const struct location *match_prefix(const struct host *h, struct str path)
{
	if (path.len > 1 && path.ptr[path.len - 1] == '/')
		path.len--;
	for (;;) {
		const struct location *l = map_get(&h->prefix, path);
		if (l || path.len == 0)
			return l;
		while (path.len > 0 && path.ptr[path.len - 1] != '/')
			path.len--;
		if (path.len > 0)
			path.len--;
	}
}

static const struct location *match_plain(const struct host *h, struct str path)
{
	const struct location *best = map_get(&h->exact, path);

	if (best)
		return best;
	best = match_prefix(h, path);
	size_t best_len = best ? strlen(best->path) : 0;
	for (size_t i = 0; i < h->n_by_length; i++) {
		const struct location *l = h->by_length[i];
		if (best && strlen(l->path) <= best_len)
			break;
		if (str_starts(path, str_of(l->path)))
			return l;
	}
	return best;
}

const struct location *route_match(const struct route_table *t, struct str host, struct str path)
{
	char folded[HOST_BYTES];
	struct str name;
	const struct host *h = fold_host(host, folded, &name) ? find_name(&t->hosts, name) : NULL;
	const struct location *l = h ? (h->regex ? match_regex(t, h, path) : match_plain(h, path)) : NULL;

	/* A known host without the path is 404 in ingress-nginx; only unknown hosts fall to the catch-all. */
	if (h)
		return l;
	h = map_get(&t->hosts, STR(""));
	return h ? (h->regex ? match_regex(t, h, path) : match_plain(h, path)) : NULL;
}

static bool same_addr(const struct addr *a, const struct addr *b)
{
	return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}

const struct addr *backend_pick(struct backend *b, const struct addr *skip)
{
	for (size_t tries = 0; tries < b->n_endpoints; tries++) {
		const struct addr *a = &b->endpoints[b->next++ % b->n_endpoints];
		if (!skip || !same_addr(a, skip) || b->n_endpoints == 1)
			return a;
	}
	return NULL;
}

int route_rewrite(const struct location *loc, struct str path, struct buf *out)
{
	pcre2_match_data *md = pcre2_match_data_create(CAPTURES, NULL);
	int n = loc->rewrite_regex ?
			pcre2_match(loc->rewrite_regex, (PCRE2_SPTR)path.ptr, path.len, 0, 0, md, NULL) : -1;
	int rc = 0;

	if (n == 0)
		n = CAPTURES;
	if (n < 0) {
		pcre2_match_data_free(md);
		return buf_put_str(out, path);
	}
	const size_t *at = pcre2_get_ovector_pointer(md);
	for (const char *p = loc->rewrite_target; *p && rc == 0; p++) {
		int group = p[0] == '$' && p[1] >= '1' && p[1] <= '9' ? p[1] - '0' : 0;
		if (!group) {
			rc = buf_putc(out, *p);
			continue;
		}
		p++;
		if (group < n && at[2 * group] != PCRE2_UNSET)
			rc = buf_put(out, path.ptr + at[2 * group], at[2 * group + 1] - at[2 * group]);
	}
	pcre2_match_data_free(md);
	return rc;
}

struct tls *route_tls(const struct route_table *t, struct str server_name)
{
	char folded[HOST_BYTES];
	struct str name;

	return fold_host(server_name, folded, &name) ? find_name(&t->certs, name) : NULL;
}

size_t route_host_count(const struct route_table *t)
{
	return t->hosts.count;
}
