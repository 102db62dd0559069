#include "roles/dns/resolve/upstream.h"

#include "roles/dns/observe/metrics.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/random.h>

#define DNS_TLS_PORT_DEFAULT 853
#define PROBE_LABEL 16 /* hexadecimal digits */

/* ---- sets ---- */

struct upstream_set *upstream_set_new(void)
{
	struct upstream_set *s = xcalloc(1, sizeof(*s));

	s->refs_ = 1;
	return s;
}

struct upstream_set *upstream_set_ref(struct upstream_set *s)
{
	__atomic_add_fetch(&s->refs_, 1, __ATOMIC_RELAXED);
	return s;
}

void upstream_set_unref(struct upstream_set *s)
{
	if (s && __atomic_sub_fetch(&s->refs_, 1, __ATOMIC_ACQ_REL) == 0)
		free(s);
}

/* ---- words ---- */

struct endpoint {
	bool tls;
	char host[ADDR_TEXT_BYTES]; /* without brackets */
	char server_name[UPSTREAM_SERVER_NAME_BYTES];
	uint64_t port; /* 0: none given */
};

static bool is_ip(const char *host)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static bool put(char *out, size_t size, struct str s)
{
	if (s.len >= size || memchr(s.ptr, '\0', s.len))
		return false;
	memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return true;
}

static bool cut_scheme(struct str *s, bool *ret_tls)
{
	*ret_tls = str_starts(*s, STR("tls://"));
	if (*ret_tls || str_starts(*s, STR("dns://"))) {
		s->ptr += 6;
		s->len -= 6;
		return true;
	}
	return !memmem(s->ptr, s->len, "://", 3);
}

/* "host", "host:port", "[host]:port"; an IPv6 address without brackets has more than one colon. */
static bool cut_port(struct str s, struct str *ret_host, struct str *ret_port)
{
	const char *first = memchr(s.ptr, ':', s.len), *last = memrchr(s.ptr, ':', s.len);

	*ret_host = s;
	*ret_port = STR_NONE;
	if (s.len && s.ptr[0] == '[') {
		const char *end = memchr(s.ptr, ']', s.len);
		if (!end)
			return false;
		*ret_host = (struct str){ s.ptr + 1, (size_t)(end - s.ptr) - 1 };
		struct str rest = { end + 1, s.len - ret_host->len - 2 };
		if (!rest.len)
			return true;
		*ret_port = (struct str){ rest.ptr + 1, rest.len - 1 };
		return rest.ptr[0] == ':';
	}
	if (first && first == last) {
		*ret_host = (struct str){ s.ptr, (size_t)(first - s.ptr) };
		*ret_port = (struct str){ first + 1, s.len - ret_host->len - 1 };
	}
	return true;
}

/* A server's name stands between the address and the port: "9.9.9.9%dns.quad9.net:853", "[2620:fe::fe%dns.quad9.net]:853". */
static bool cut_server_name(struct str s, char *address, size_t size, struct str *ret_name)
{
	const char *percent = memrchr(s.ptr, '%', s.len);

	*ret_name = STR_NONE;
	if (!percent)
		return put(address, size, s);
	struct str before = { s.ptr, (size_t)(percent - s.ptr) }, name = { percent + 1, s.len - before.len - 1 };
	struct str behind = STR_NONE;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == ':' || name.ptr[i] == ']') {
			behind = (struct str){ name.ptr + i, name.len - i };
			name.len = i;
			break;
		}
	*ret_name = name;
	if (before.len + behind.len >= size || !name.len)
		return false;
	memcpy(address, before.ptr, before.len);
	if (behind.len)
		memcpy(address + before.len, behind.ptr, behind.len);
	address[before.len + behind.len] = '\0';
	return true;
}

static bool endpoint_parse(const char *word, struct endpoint *ret)
{
	char address[2 * ADDR_TEXT_BYTES];
	struct str s = str_of(word), host, port, name;

	*ret = (struct endpoint){ 0 };
	if (!s.len || !cut_scheme(&s, &ret->tls) || !s.len || !cut_server_name(s, address, sizeof(address), &name) ||
	    !cut_port(str_of(address), &host, &port))
		return false;
	if ((name.ptr && !put(ret->server_name, sizeof(ret->server_name), name)) || !put(ret->host, sizeof(ret->host), host))
		return false;
	if (port.ptr && (!str_to_u64(port, 65535, &ret->port) || ret->port == 0))
		return false;
	return is_ip(ret->host);
}

bool upstream_word_is_address(const char *word)
{
	struct endpoint ep;

	return endpoint_parse(word, &ep);
}

static bool set_has(const struct upstream_set *s, const struct upstream *u)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].tls == u->tls && strcmp(s->at[i].text, u->text) == 0)
			return true;
	return false;
}

void upstream_random(void *p, size_t len)
{
	if (getrandom(p, len, 0) != (ssize_t)len)
		abort(); /* cannot happen for a few bytes, and a guessable value must not */
}

int upstream_set_add(struct upstream_set *s, const char *word, const struct upstream_options *o, struct err *e)
{
	struct upstream u = { 0 };
	struct endpoint ep;

	if (!endpoint_parse(word, &ep))
		return err_set(e, ERR_INVALID, "'%s' is not an address (10.0.0.1, 10.0.0.1:53, [fd00::1]:53, tls://10.0.0.1)", word);
	if (ep.server_name[0] && !ep.tls)
		return err_set(e, ERR_INVALID, "'%s': a server name is only for tls://", word);
	if (ep.server_name[0] && o->server_name)
		return err_set(e, ERR_INVALID, "'%s' names its server, and so does tls_servername: leave one out", word);
	uint16_t port = (uint16_t)(ep.port ? ep.port : ep.tls ? DNS_TLS_PORT_DEFAULT : o->port);
	if (addr_from_ip(ep.host, port, &u.addr, e) < 0)
		return -1;
	u.tls = ep.tls;
	const char *name = ep.server_name[0] ? ep.server_name : o->server_name ? o->server_name : ep.host;
	if (!put(u.server_name, sizeof(u.server_name), str_of(name)))
		return err_set(e, ERR_INVALID, "'%.80s…' is too long for a server's name", name);
	addr_text(&u.addr, u.text);
	if (set_has(s, &u))
		return 0;
	if (s->n == UPSTREAMS_MAX)
		return err_set(e, ERR_INVALID, "more than %d upstreams", UPSTREAMS_MAX);
	upstream_random(u.probe, sizeof(u.probe));
	s->at[s->n++] = u;
	return 0;
}

/* ---- resolv.conf ---- */

static bool is_own(const char *ip, const char *const *own)
{
	for (; own && *own; own++)
		if (strcmp(ip, *own) == 0)
			return true;
	return false;
}

static struct str first_word(struct str s, struct str *rest)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != '\t')
		n++;
	*rest = str_trim((struct str){ s.ptr + n, s.len - n });
	return (struct str){ s.ptr, n };
}

void upstream_set_add_file(struct upstream_set *s, struct str text, const struct upstream_options *o)
{
	for (struct str rest = text; rest.ptr && s->n < UPSTREAMS_MAX;) {
		struct str after, line = str_trim(str_cut(rest, '\n', &rest));
		char ip[ADDR_TEXT_BYTES];
		struct err e;

		if (!str_eq_c(first_word(line, &line), "nameserver"))
			continue;
		struct str word = first_word(line, &after);
		if (word.len && put(ip, sizeof(ip), word) && is_ip(ip) && !is_own(ip, o->own_ips))
			(void)!upstream_set_add(s, ip, o, &e);
	}
}

/* ---- metrics ---- */

static const char *const rcode_names[UPSTREAM_RCODES] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "OTHER" };
static const char *const proto_names[UPSTREAM_TRANSPORTS] = { "udp", "tcp", "tcp-tls" };

/* The labels that CoreDNS gives them. */
static struct metric *proxy_metric(struct dns_metrics *m, const char *name, enum metric_kind kind, const char *help,
				   const struct upstream *u, const char *label, const char *value)
{
	char labels[ADDR_TEXT_BYTES + 96];

	if (label)
		snprintf(labels, sizeof(labels), "proxy_name=\"forward\",%s=\"%s\",to=\"%s\"", label, value, u->text);
	else
		snprintf(labels, sizeof(labels), "proxy_name=\"forward\",to=\"%s\"", u->text);
	return dns_metric(m, name, kind, help, labels);
}

static void upstream_metrics(struct upstream *u, struct dns_metrics *m)
{
	for (int i = 0; i < UPSTREAM_RCODES; i++)
		u->m_duration[i] = proxy_metric(m, "coredns_proxy_request_duration_seconds", METRIC_HISTOGRAM,
						"Histogram of the time each request took.", u, "rcode", rcode_names[i]);
	for (int i = 0; i < UPSTREAM_TRANSPORTS; i++) {
		u->m_conn_hits[i] = proxy_metric(m, "coredns_proxy_conn_cache_hits_total", METRIC_COUNTER,
						 "Questions asked over a connection that was there.", u, "proto", proto_names[i]);
		u->m_conn_misses[i] = proxy_metric(m, "coredns_proxy_conn_cache_misses_total", METRIC_COUNTER,
						   "Questions that needed a new socket.", u, "proto", proto_names[i]);
	}
	u->m_check_failures = proxy_metric(m, "coredns_proxy_healthcheck_failures_total", METRIC_COUNTER,
					   "Counter of the number of failed healthchecks.", u, NULL, NULL);
}

void upstream_set_metrics(struct upstream_set *s, struct dns_metrics *m)
{
	for (size_t i = 0; m && i < s->n; i++)
		upstream_metrics(&s->at[i], m);
}

/* ---- what is known ---- */

bool upstream_down(const struct upstream *u, unsigned max_fails)
{
	return max_fails && __atomic_load_n(&u->fails, __ATOMIC_RELAXED) >= max_fails;
}

/* RFC 6298, 2.3. Several workers may measure at once: a measurement that gets lost is no harm. */
static void measured(struct upstream *u, uint64_t us)
{
	uint32_t r = (uint32_t)MIN(us, (uint64_t)10 * 1000 * 1000), srtt = __atomic_load_n(&u->srtt_us, __ATOMIC_RELAXED);
	uint32_t var = __atomic_load_n(&u->rttvar_us, __ATOMIC_RELAXED);

	if (!srtt) {
		srtt = MAX(r, 1u);
		var = r / 2;
	} else {
		uint32_t off = r > srtt ? r - srtt : srtt - r;
		var = var - var / 4 + off / 4;
		srtt = MAX(srtt - srtt / 8 + r / 8, 1u);
	}
	__atomic_store_n(&u->srtt_us, srtt, __ATOMIC_RELAXED);
	__atomic_store_n(&u->rttvar_us, var, __ATOMIC_RELAXED);
}

uint64_t upstream_patience_ms(const struct upstream *u)
{
	uint64_t srtt = __atomic_load_n(&u->srtt_us, __ATOMIC_RELAXED);
	uint64_t var = __atomic_load_n(&u->rttvar_us, __ATOMIC_RELAXED);

	if (!srtt)
		return UPSTREAM_PATIENCE_FIRST_MS;
	uint64_t ms = (srtt + 4 * var) / 1000;
	return MIN(MAX(ms, (uint64_t)UPSTREAM_PATIENCE_MIN_MS), (uint64_t)UPSTREAM_PATIENCE_MAX_MS);
}

void upstream_answered(struct upstream *u, unsigned worker, unsigned rcode, uint64_t us)
{
	struct metric *m = u->m_duration[MIN(rcode, UPSTREAM_RCODES - 1u)];

	if (__atomic_load_n(&u->fails, __ATOMIC_RELAXED))
		__atomic_store_n(&u->fails, 0, __ATOMIC_RELAXED);
	measured(u, us);
	if (m)
		metric_observe_us(m, worker, us);
}

/* ---- loops ---- */

bool upstream_probe_name(const struct upstream *u, const struct dns_name *zone, struct dns_name *ret)
{
	char label[PROBE_LABEL + 1];
	uint8_t *p = ret->wire;

	if (zone->len + 2 * (1 + PROBE_LABEL) > DNS_NAME_BYTES_MAX)
		return false;
	for (int i = 0; i < 2; i++) {
		snprintf(label, sizeof(label), "%016llx", (unsigned long long)u->probe[i]);
		*p++ = PROBE_LABEL;
		p = mempcpy(p, label, PROBE_LABEL);
	}
	memcpy(p, zone->wire, zone->len);
	ret->len = (uint8_t)(zone->len + 2 * (1 + PROBE_LABEL));
	ret->labels = (uint8_t)(zone->labels + 2);
	return true;
}

struct upstream *upstream_of_probe(struct upstream_set *s, const struct dns_name *name)
{
	const struct dns_name root = { .len = 1 };
	struct dns_name probe;

	for (size_t i = 0; i < s->n; i++)
		if (name->len > 2 * (1 + PROBE_LABEL) && upstream_probe_name(&s->at[i], &root, &probe) &&
		    memcmp(name->wire, probe.wire, 2 * (1 + PROBE_LABEL)) == 0)
			return &s->at[i];
	return NULL;
}
