/* `forward` as CoreDNS writes it: plugin/forward/README.md of CoreDNS 1.15. */
#include "base/file.h"
#include "codec/dns_text.h"
#include "roles/dns/plugin/forward.h"

#include <unistd.h>

#define PEM_BYTES_MAX (1u << 20) /* a bundle of all public authorities is 200 KiB */
#define DAY_MS (24ull * 3600 * 1000)

static const char name[] = "forward";

const struct plugin_property forward_properties[] = {
	{ "except", "NAME…", "names below these are left to the plug-ins behind" },
	{ "force_tcp", "", "asks over TCP at once" },
	{ "prefer_udp", "", "accepted; UDP comes first in any case, and TCP after a truncated answer" },
	{ "expire", "DURATION", "how long an idle connection is kept (10s)" },
	{ "max_age", "DURATION", "how long any connection takes new questions (no limit)" },
	{ "max_idle_conns", "N", "idle connections kept for each upstream and worker (0: all, of at most four)" },
	{ "read_timeout", "DURATION", "the longest that one upstream is waited for before another is asked (2s); how long it is "
				      "usually follows from how long it took before" },
	{ "max_fails", "N", "failed health checks in a row after which an upstream is down (2); 0: never, and no checks" },
	{ "max_connect_attempts", "N", "how often a question is sent in all (twice the upstreams, at least four, at most eight); 0: eight" },
	{ "doh_method", "GET|POST", "accepted; there are no upstreams over HTTPS" },
	{ "tls", "[CERT KEY] [CA]", "client certificate, and whom to trust, for tls:// upstreams; without a CA the system's" },
	{ "tls_servername", "NAME", "the name in the upstreams' certificates; without it their address must be in them" },
	{ "policy", "random|round_robin|sequential", "which upstream is asked first (random)" },
	{ "health_check", "DURATION [no_rec] [domain FQDN]", "how often an upstream that failed is checked until it answers (0.5s)" },
	{ "max_concurrent", "N", "questions under way, of all workers; more are answered with REFUSED (0: no limit)" },
	{ "next", "RCODE…", "with these rcodes the next forward directive that matches is asked" },
	{ "next_on_nodata", "", "the same for answers without records" },
	{ "failfast_all_unhealthy_upstreams", "", "when all are down: SERVFAIL at once, instead of trying one of them" },
	{ "failover", "RCODE…", "with these rcodes another upstream is asked; with SERVFAIL, FORMERR and REFUSED it always is" },
	{ NULL },
};

/* What a directive's lines say before the upstreams are read: they need some of it. */
struct reading {
	const struct directive *d;
	const struct corefile_line *line;
	const struct plugin_scope *scope;
	struct forward_rule *rule;
	const struct corefile_line *tls; /* NULL: no such line */
	struct err *e;
};

static int wrong(struct reading *r, const char *what)
{
	return directive_error(r->e, r->line, name, "%s %s", r->line->words[0], what);
}

/* ---- values ---- */

static int take_number(struct reading *r, uint64_t max, uint64_t *ret)
{
	if (r->line->n != 2 || !directive_number(r->line->words[1], 0, max, ret))
		return directive_error(r->e, r->line, name, "%s takes one number up to %llu", r->line->words[0], (unsigned long long)max);
	return 0;
}

static int take_duration(struct reading *r, uint64_t min_ms, uint64_t *ret_ms)
{
	if (r->line->n != 2 || !directive_duration_ms(r->line->words[1], DAY_MS, ret_ms) || *ret_ms < min_ms)
		return wrong(r, "takes one duration, like 10s or 500ms");
	return 0;
}

static int take_flag(struct reading *r, bool *ret)
{
	*ret = true;
	return r->line->n == 1 ? 0 : wrong(r, "takes no argument");
}

static int take_rcodes(struct reading *r, bool noerror, uint32_t *ret)
{
	if (r->line->n < 2)
		return wrong(r, "takes rcodes, like SERVFAIL");
	for (size_t i = 1; i < r->line->n; i++) {
		uint16_t rcode;
		if (!dns_rcode_from_text(str_of(r->line->words[i]), &rcode) || rcode > DNS_FLAGS_RCODE)
			return directive_error(r->e, r->line, name, "%s: '%.32s' is not an rcode, like SERVFAIL or NXDOMAIN", r->line->words[0],
					       r->line->words[i]);
		if (!noerror && rcode == DNS_NOERROR)
			return wrong(r, "cannot take NOERROR");
		*ret |= 1u << rcode;
	}
	return 0;
}

/* ---- properties ---- */

static int read_except(struct reading *r)
{
	if (r->line->n < 2)
		return wrong(r, "takes names");
	return zone_set_add(&r->rule->except, r->line->words + 1, r->line->n - 1, r->line, name, r->e);
}

static int read_force_tcp(struct reading *r)
{
	return take_flag(r, &r->rule->forwarder->o.line.force_tcp);
}

static int read_prefer_udp(struct reading *r)
{
	bool ignored;

	return take_flag(r, &ignored);
}

static int read_expire(struct reading *r)
{
	return take_duration(r, 0, &r->rule->forwarder->o.line.expire_ms);
}

static int read_max_age(struct reading *r)
{
	return take_duration(r, 0, &r->rule->forwarder->o.line.max_age_ms);
}

static int read_max_idle_conns(struct reading *r)
{
	uint64_t n;

	if (take_number(r, UINT32_MAX, &n) < 0)
		return -1;
	r->rule->forwarder->o.line.idle_max = n;
	return 0;
}

static int read_read_timeout(struct reading *r)
{
	return take_duration(r, 1, &r->rule->forwarder->o.read_timeout_ms);
}

static int read_max_fails(struct reading *r)
{
	uint64_t n;

	if (take_number(r, UINT32_MAX, &n) < 0)
		return -1;
	r->rule->forwarder->o.health.max_fails = (unsigned)n;
	return 0;
}

static int read_max_connect_attempts(struct reading *r)
{
	uint64_t n;

	if (take_number(r, UINT32_MAX, &n) < 0)
		return -1;
	r->rule->forwarder->o.max_tries = n ? (unsigned)n : FORWARD_TRIES_MAX;
	return 0;
}

static int read_doh_method(struct reading *r)
{
	bool ok = r->line->n == 2 && (!strcmp(r->line->words[1], "GET") || !strcmp(r->line->words[1], "POST"));

	return ok ? 0 : wrong(r, "takes GET or POST");
}

static int read_tls(struct reading *r)
{
	r->tls = r->line;
	return r->line->n <= 4 ? 0 : wrong(r, "takes [CERT KEY] [CA]");
}

static int read_tls_servername(struct reading *r)
{
	struct dns_name n;

	if (r->line->n != 2 || !dns_name_from_text(str_of(r->line->words[1]), &n))
		return wrong(r, "takes one name");
	free((char *)r->rule->forwarder->upstream.server_name);
	r->rule->forwarder->upstream.server_name = xstrdup(r->line->words[1]);
	return 0;
}

static int read_policy(struct reading *r)
{
	static const char *const names[] = { "random", "round_robin", "sequential" };

	for (size_t i = 0; r->line->n == 2 && i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], r->line->words[1]) == 0) {
			r->rule->forwarder->o.policy = (enum forward_policy)i;
			return 0;
		}
	return wrong(r, "takes random, round_robin or sequential");
}

static int read_health_check(struct reading *r)
{
	struct health_options *h = &r->rule->forwarder->o.health;
	const struct corefile_line *l = r->line;

	if (l->n < 2 || !directive_duration_ms(l->words[1], DAY_MS, &h->interval_ms))
		return wrong(r, "takes DURATION [no_rec] [domain FQDN]");
	h->interval_ms = MAX(h->interval_ms, (uint64_t)1);
	for (size_t i = 2; i < l->n; i++) {
		if (strcmp(l->words[i], "no_rec") == 0)
			h->no_recursion = true;
		else if (strcmp(l->words[i], "domain") != 0 || ++i == l->n || !dns_name_from_text(str_of(l->words[i]), &h->name))
			return wrong(r, "takes DURATION [no_rec] [domain FQDN]");
	}
	return 0;
}

static int read_max_concurrent(struct reading *r)
{
	return take_number(r, UINT32_MAX, &r->rule->forwarder->o.max_concurrent);
}

static int read_next(struct reading *r)
{
	return take_rcodes(r, true, &r->rule->next);
}

static int read_next_on_nodata(struct reading *r)
{
	return take_flag(r, &r->rule->next_on_nodata);
}

static int read_failfast(struct reading *r)
{
	return take_flag(r, &r->rule->forwarder->o.failfast);
}

static int read_failover(struct reading *r)
{
	return take_rcodes(r, false, &r->rule->forwarder->o.failover);
}

static const struct {
	const char *name;
	int (*read)(struct reading *r);
} readers[] = {
	{ "except", read_except },
	{ "force_tcp", read_force_tcp },
	{ "prefer_udp", read_prefer_udp },
	{ "expire", read_expire },
	{ "max_age", read_max_age },
	{ "max_idle_conns", read_max_idle_conns },
	{ "read_timeout", read_read_timeout },
	{ "max_fails", read_max_fails },
	{ "max_connect_attempts", read_max_connect_attempts },
	{ "doh_method", read_doh_method },
	{ "tls", read_tls },
	{ "tls_servername", read_tls_servername },
	{ "policy", read_policy },
	{ "health_check", read_health_check },
	{ "max_concurrent", read_max_concurrent },
	{ "next", read_next },
	{ "next_on_nodata", read_next_on_nodata },
	{ "failfast_all_unhealthy_upstreams", read_failfast },
	{ "failover", read_failover },
};

static int read_property(struct reading *r)
{
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		if (strcmp(readers[i].name, r->line->words[0]) == 0)
			return readers[i].read(r);
	return directive_error(r->e, r->line, name, "unknown property '%.64s'", r->line->words[0]);
}

/* ---- TLS ---- */

struct pems {
	struct buf cert, key, ca;
};

static int read_pem(struct reading *r, struct buf *out, const char *path)
{
	if (file_read(path, out, r->e) == 0)
		return 0;
	struct err why = *r->e;
	return directive_error(r->e, r->tls, name, "tls: %s", why.message);
}

/* By their number: CA, CERT KEY, CERT KEY CA. */
static int read_pems(struct reading *r, struct pems *p)
{
	const char *const *words = r->tls ? r->tls->words + 1 : NULL;
	size_t n = r->tls ? r->tls->n - 1 : 0;

	if (n >= 2 && (read_pem(r, &p->cert, words[0]) < 0 || read_pem(r, &p->key, words[1]) < 0))
		return -1;
	return n == 1 || n == 3 ? read_pem(r, &p->ca, words[n - 1]) : 0;
}

static struct tls *make_tls(struct reading *r, struct pems *p)
{
	struct tls_config c = {
		.cert_pem = buf_str(&p->cert),
		.key_pem = buf_str(&p->key),
		.ca_pem = buf_str(&p->ca),
		.verify_peer = true,
	};
	struct tls *t = tls_client_new(&c, r->e);

	if (!t) {
		struct err why = *r->e;
		directive_error(r->e, r->tls ? r->tls : &r->d->head, name, "tls: %s", why.message);
		return NULL;
	}
	if (!p->ca.len)
		SSL_CTX_set_default_verify_paths(tls_ctx(t));
	return t;
}

/* The system's authorities are two hundred certificates: not read for nothing. */
static bool needs_tls(const struct reading *r)
{
	for (size_t i = 2; i < r->d->head.n; i++)
		if (str_starts(str_of(r->d->head.words[i]), STR("tls://")))
			return true;
	return r->tls;
}

static int read_certificates(struct reading *r)
{
	struct pems p;

	if (!needs_tls(r))
		return 0;
	buf_init(&p.cert, PEM_BYTES_MAX);
	buf_init(&p.key, PEM_BYTES_MAX);
	buf_init(&p.ca, PEM_BYTES_MAX);
	if (read_pems(r, &p) == 0)
		r->rule->forwarder->o.line.tls = make_tls(r, &p);
	buf_done(&p.cert);
	buf_done(&p.key);
	buf_done(&p.ca);
	return r->rule->forwarder->o.line.tls ? 0 : -1;
}

/* ---- upstreams ---- */

static int check_upstream(struct reading *r, const char *word)
{
	if (upstream_word_is_address(word) || word[0] == '/' || access(word, F_OK) == 0)
		return 0;
	if (str_starts(str_of(word), STR("https://")))
		return directive_error(r->e, r->line, name, "'%.128s': DNS over HTTPS upstreams are not supported; tls:// is", word);
	return directive_error(r->e, r->line, name,
			       "'%.128s' is neither an address (10.0.0.1, 10.0.0.1:53, [fd00::1]:53, tls://10.0.0.1%%name) nor a "
			       "file like /etc/resolv.conf; names of hosts are not looked up here", word);
}

static void copy_own_ips(struct forwarder *f, const struct plugin_scope *scope)
{
	size_t n = 0;
	char **copy;

	while (scope->own_ips && scope->own_ips[n])
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(scope->own_ips[i]);
	f->upstream.own_ips = (const char *const *)copy;
}

static int read_upstreams(struct reading *r)
{
	struct forwarder *f = r->rule->forwarder;
	const struct corefile_line *head = &r->d->head;

	r->line = head;
	for (size_t i = 2; i < head->n; i++)
		if (check_upstream(r, head->words[i]) < 0)
			return -1;
	f->upstream.port = r->scope->upstream_port ? r->scope->upstream_port : 53;
	f->upstream.tls = f->o.line.tls;
	copy_own_ips(f, r->scope);
	if (forwarder_set_upstreams(f, head->words + 2, head->n - 2, r->e) == 0)
		return 0;
	struct err why = *r->e;
	return directive_error(r->e, head, name, "%s", why.message);
}

/* ---- directives ---- */

int forward_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct forward *f = *settings ? *settings : xcalloc(1, sizeof(*f));
	struct reading r = { .d = d, .line = &d->head, .scope = scope, .e = e };

	*settings = f;
	if (d->head.n < 3)
		return directive_error(e, &d->head, name, "takes a zone and at least one upstream: forward . /etc/resolv.conf");
	if (f->n == FORWARD_RULES_MAX)
		return directive_error(e, &d->head, name, "more than %d directives in one block", FORWARD_RULES_MAX);
	f->rules = xrealloc(f->rules, (f->n + 1) * sizeof(*f->rules));
	r.rule = &f->rules[f->n++];
	*r.rule = (struct forward_rule){ .forwarder = forwarder_new() };
	if (zone_set_add(&r.rule->from, d->head.words + 1, 1, &d->head, name, e) < 0)
		return -1;
	if (r.rule->from.n == 1)
		r.rule->forwarder->o.from = r.rule->from.names[0];
	for (size_t i = 0; i < d->n_body; i++) {
		r.line = &d->body[i];
		if (read_property(&r) < 0)
			return -1;
	}
	return read_certificates(&r) < 0 || read_upstreams(&r) < 0 ? -1 : 0;
}

void forward_free(void *settings)
{
	struct forward *f = settings;

	for (size_t i = 0; f && i < f->n; i++) {
		zone_set_done(&f->rules[i].from);
		zone_set_done(&f->rules[i].except);
		forwarder_free(f->rules[i].forwarder);
	}
	if (f)
		free(f->rules);
	free(f);
}
