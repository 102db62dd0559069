/* What the upstream is told about a request: its target, Host and headers, as ingress-nginx's template sets them. */
#include "roles/ingress/http/variable.h"
#include "roles/ingress/http/exchange_int.h"

#include "base/map.h"
#include "roles/ingress/http/header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>

#define HTTPS_PORT 443

/* ---- who asks ---- */

static size_t octet_text(char *out, unsigned v)
{
	size_t n = 0;

	if (v >= 100)
		out[n++] = (char)('0' + v / 100);
	if (v >= 10)
		out[n++] = (char)('0' + v / 10 % 10);
	out[n++] = (char)('0' + v % 10);
	return n;
}

/* inet_ntop costs a hundred nanoseconds for what most requests need. */
static void client_text(struct exchange *x)
{
	const struct sockaddr_in *in = (const void *)&x->req.client.ss;
	const struct sockaddr_in6 *in6 = (const void *)&x->req.client.ss;
	const uint8_t *ip = (const uint8_t *)&in->sin_addr;
	char *out = x->req.client_text;
	size_t n = 0;

	if (in->sin_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		ip = in6->sin6_addr.s6_addr + 12;
	else if (in->sin_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, out, sizeof(x->req.client_text));
		return;
	}
	for (int i = 0; i < 4; i++) {
		n += octet_text(out + n, ip[i]);
		if (i < 3)
			out[n++] = '.';
	}
	out[n] = '\0';
}

static unsigned port_of(const struct addr *a)
{
	return ntohs(a->ss.ss_family == AF_INET ? ((const struct sockaddr_in *)&a->ss)->sin_port :
						  ((const struct sockaddr_in6 *)&a->ss)->sin6_port);
}

static bool parse_ip(struct str text, struct addr *ret)
{
	char ip[64];
	struct err ignored;

	text = str_trim(text);
	if (text.len == 0 || text.len >= sizeof(ip))
		return false;
	memcpy(ip, text.ptr, text.len);
	ip[text.len] = '\0';
	return addr_from_ip(ip, 0, ret, &ignored) == 0;
}

/* The last address that is not one of the trusted proxies; the first when all of them are (real_ip_recursive). */
static void believe_forwarded(struct exchange *x, const struct globals *g)
{
	struct str list = header_get(&x->req.headers, g->forwarded_for_header ? g->forwarded_for_header : "x-forwarded-for");
	struct addr a;

	while (list.len) {
		const char *comma = memrchr(list.ptr, ',', list.len);
		struct str last = comma ? (struct str){ comma + 1, list.len - (size_t)(comma + 1 - list.ptr) } : list;
		if (!parse_ip(last, &a))
			return;
		x->req.client = a;
		if (!comma || !cidr_list_has(&g->proxy_real_ip_cidr, &a))
			return;
		list.len = (size_t)(comma - list.ptr);
	}
}

void client_address(struct exchange *x, const struct globals *g)
{
	x->req.client = *x->req.peer;
	if ((g->use_forwarded_headers || g->enable_real_ip) && cidr_list_has(&g->proxy_real_ip_cidr, x->req.peer)) {
		believe_forwarded(x, g);
		if (g->use_forwarded_headers && str_ieq(header_get(&x->req.headers, "x-forwarded-proto"), STR("https")))
			x->req.https = true;
	}
	/* A balancer that ends TLS and says so by the port alone: without this, redirects to https would never end. */
	if (x->req.local && port_of(x->req.local) == HTTPS_PORT)
		x->req.https = true;
	client_text(x);
}

/* ---- X-Request-ID ---- */

#define REQUEST_ID_BYTES 16
#define RANDOM_BYTES 4096 /* drawn at once: a system call for each would cost more than all the rest of it */

/* Of the kernel's generator; should that ever fail, a keyed hash of what never repeats in this process. */
static const uint8_t *random_id(struct worker *w)
{
	static _Thread_local uint8_t pool[RANDOM_BYTES];
	static _Thread_local size_t left;

	if (!left) {
		left = getrandom(pool, sizeof(pool), GRND_NONBLOCK) == sizeof(pool) ? sizeof(pool) : REQUEST_ID_BYTES;
		for (size_t i = 0; left == REQUEST_ID_BYTES && i < REQUEST_ID_BYTES; i += sizeof(uint64_t)) {
			uint64_t v = hash_keyed(&(uint64_t[]){ ++w->request_count, w->number }, 2 * sizeof(uint64_t));
			memcpy(pool + i, &v, sizeof(v));
		}
	}
	left -= REQUEST_ID_BYTES;
	return pool + left;
}

void request_id(struct exchange *x, const struct globals *g)
{
	static const char hex[] = "0123456789abcdef";
	struct worker *w = x->worker;
	struct str own = header_get(&x->req.headers, "x-request-id");
	char *out = x->request_id;

	if (own.len || !g->generate_request_id) {
		size_t n = MIN(own.len, sizeof(x->request_id) - 1);
		memcpy(out, own.ptr ? own.ptr : "", n);
		return;
	}
	const uint8_t *random = random_id(w);
	for (int i = 0; i < REQUEST_ID_BYTES; i++) {
		*out++ = hex[random[i] >> 4];
		*out++ = hex[random[i] & 15];
	}
}

/* ---- the target ---- */

int forward_rewrite(struct exchange *x)
{
	struct buf path, out;
	size_t query;

	buf_init(&path, EXCHANGE_ARENA_BYTES / 8);
	buf_init(&out, EXCHANGE_ARENA_BYTES / 4);
	int rc = location_rewrite_split(x->loc, x->req.uri, &path, &query);
	struct str own = query < path.len ? (struct str){ path.ptr + query, path.len - query } : STR_NONE;
	if (rc == 0)
		rc = uri_encode(&out, (struct str){ path.ptr, path.len - own.len }, "%?#");
	if (rc == 0)
		rc = uri_encode(&out, own, "#");
	if (rc == 0 && x->req.query.len)
		rc = buf_putc(&out, own.len ? '&' : '?') < 0 ? -1 : buf_put_str(&out, x->req.query);
	if (rc == 0)
		x->up_target = x_dup(x, buf_str(&out));
	buf_done(&path);
	buf_done(&out);
	return x->up_target.ptr ? rc : -1;
}

/* An absolute-form target goes on as a path: the Host header says the rest. */
static struct str origin_form(struct exchange *x)
{
	if (x->req.target.len && (x->req.target.ptr[0] == '/' || x->req.target.ptr[0] == '*'))
		return x->req.target;
	return x->req.query.ptr ? x_printf(x, STR_FMT "?" STR_FMT, STR_ARG(x->req.path), STR_ARG(x->req.query)) : x->req.path;
}

static bool is_ascii(struct str s)
{
	uint64_t all = 0, word;
	size_t i = 0;

	for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
		memcpy(&word, s.ptr + i, sizeof(word));
		all |= word;
	}
	for (; i < s.len; i++)
		all |= (unsigned char)s.ptr[i];
	return !(all & 0x8080808080808080ull);
}

/* Bytes past ASCII may not stand in a target (RFC 3986 §2): some servers take them, some refuse them, all know them encoded. */
static struct str ascii_target(struct exchange *x, struct str target)
{
	struct buf out;

	buf_init(&out, EXCHANGE_ARENA_BYTES / 4);
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.ptr[i];
		if (c < 0x80)
			buf_putc(&out, (char)c);
		else
			buf_printf(&out, "%%%02X", c);
	}
	target = out.overflow ? STR_NONE : x_dup(x, buf_str(&out));
	buf_done(&out);
	return target;
}

/* ---- headers ---- */

static struct str believed(struct exchange *x, const struct globals *g, const char *name, struct str own)
{
	struct str theirs = g->use_forwarded_headers ? header_get(&x->req.headers, name) : STR_NONE;

	return theirs.len ? theirs : own;
}

/* nginx.conf's $best_http_host: of a chain of proxies the first knows what the client asked for. */
static struct str best_host(struct exchange *x, const struct globals *g)
{
	struct str list = believed(x, g, "x-forwarded-host", STR_NONE), first = STR_NONE;

	if (list.len)
		first = str_trim(str_cut(list, ',', &list));
	return first.len ? first : x->req.authority;
}

struct str front_port(struct exchange *x)
{
	if (x->req.local)
		return x_printf(x, "%u", port_of(x->req.local));
	if (x->req.https) /* whatever port of ours that is */
		return STR("443");
	const char *port = x->worker->shared->http_port;
	return port[0] ? str_of(port) : STR("80");
}

/* The proxy in front of us, behind those it names. */
struct str forwarded_port(struct exchange *x, const struct globals *g)
{
	return believed(x, g, "x-forwarded-port", front_port(x));
}

static struct str chain_with_peer(struct exchange *x, struct str before)
{
	char peer[ADDR_TEXT_BYTES];

	return x_printf(x, STR_FMT ", %s", STR_ARG(before), addr_ip_text(x->req.peer, peer));
}

static void put_forwarded(struct exchange *x, const struct globals *g)
{
	struct header_list *l = &x->up_headers;
	struct str ip = str_of(x->req.client_text);
	struct str before = x->req.has_ours ? header_get(&x->req.headers, "x-forwarded-for") : STR_NONE;
	struct str original = g->forwarded_for_other ? header_get(&x->req.headers, g->forwarded_for_header) : before;
	const char *host_name = g->forwarded_host_header ? g->forwarded_host_header : "x-forwarded-host";
	struct str host_before = x->req.has_ours || g->forwarded_host_header ? header_get(&x->req.headers, host_name) : STR_NONE;
	struct str scheme = believed(x, g, "x-forwarded-proto", x->req.https ? STR("https") : STR("http"));
	struct str chain = ip;

	if (before.len && g->use_forwarded_headers && g->compute_full_forwarded_for)
		chain = chain_with_peer(x, before);
	struct str id = x->request_id_header.ptr ? x->request_id_header : str_of(x->request_id);
	if (id.len) /* none came, and generate-request-id is off */
		header_add(x, l, "X-Request-ID", id);
	header_add(x, l, "X-Real-IP", ip);
	header_add(x, l, "X-Forwarded-For", chain);
	header_add(x, l, "X-Forwarded-Host", best_host(x, g));
	header_add(x, l, "X-Forwarded-Port", forwarded_port(x, g));
	header_add(x, l, "X-Forwarded-Proto", scheme);
	header_add(x, l, "X-Forwarded-Scheme", scheme);
	header_add(x, l, "X-Scheme", scheme);
	if (original.len)
		header_add(x, l, "X-Original-Forwarded-For", original);
	if (host_before.len)
		header_add(x, l, "X-Original-Forwarded-Host", host_before);
}

static bool ours(struct str name)
{
	enum header_id id = header_id(name);

	return id == H_FORWARDED || id == H_REQUEST_ID || id == H_PROXY;
}

/* A FastCGI program gets the client's headers as they are: nginx's proxy_set_header does not concern it. Only Proxy would
 * become a setting of the program (httpoxy, CVE-2016-5385). */
static void put_cgi_headers(struct exchange *x)
{
	for (size_t i = 0; i < x->req.headers.n; i++) {
		struct http_header h = x->req.headers.at[i];
		if (!x->req.has_ours || header_id(h.name) != H_PROXY)
			header_add_str(x, &x->up_headers, h.name, h.value);
	}
}

static void put_client_headers(struct exchange *x)
{
	for (size_t i = 0; i < x->req.headers.n; i++) {
		struct http_header h = x->req.headers.at[i];
		if (!x->req.has_ours || !ours(h.name))
			header_add_str(x, &x->up_headers, h.name, h.value);
	}
}

static void put_prefix(struct exchange *x)
{
	const struct settings *set = x->loc->set;

	if (set->x_forwarded_prefix && x->loc->rewrite)
		header_set(x, &x->up_headers, "X-Forwarded-Prefix", variable_text_value(set->x_forwarded_prefix, x));
}

/* proxy-set-headers: the client's own of such a name does not go on, and an empty value only takes it away. */
static void put_configured(struct exchange *x, const struct globals *g)
{
	for (size_t i = 0; i < g->n_proxy_set_headers; i++) {
		const struct header_text *h = &g->proxy_set_headers[i];
		struct str value = variable_text_value(h->value, x);

		if (str_ieq(h->name, STR("host"))) {
			x->up_host = value.len ? value : x->up_host;
			continue;
		}
		header_del(&x->up_headers, h->name.ptr);
		if (value.len)
			header_add_str(x, &x->up_headers, h->name, value);
	}
}

int forward_head(struct exchange *x)
{
	const struct globals *g = globals_now(x->worker->shared);
	const struct settings *set = x->loc->set;

	x->up_method = x->req.method;
	x->up_host = set->upstream_vhost ? variable_text_value(set->upstream_vhost, x) : best_host(x, g);
	x->up_target = STR_NONE;
	if (x->loc->rewrite) {
		if (forward_rewrite(x) < 0)
			return -1;
	} else {
		x->up_target = origin_form(x);
	}
	if (!is_ascii(x->up_target))
		x->up_target = ascii_target(x, x->up_target);
	if (!x->up_target.ptr)
		return -1;
	x->up_headers.n = 0;
	if (x->req.has_ours)
		x->request_id_header = header_get(&x->req.headers, "x-request-id");
	if (set->fastcgi) {
		x->up_host = x->req.authority;
		put_cgi_headers(x);
	} else {
		put_forwarded(x, g);
		put_client_headers(x);
		put_prefix(x);
		if (g->add_original_uri)
			header_set(x, &x->up_headers, "X-Original-URI", x->req.target);
		put_configured(x, g);
	}
	if (!x->filter_state)
		return 0;
	for (const struct filter_use *use = x->loc->filters; use->filter; use++)
		if (use->filter->upstream)
			use->filter->upstream(x, &x->filter_state[use - x->loc->filters]);
	return 0;
}

/* ---- the default backend that an annotation names ---- */

static void tell(struct exchange *x, const char *name, struct str value)
{
	header_del(&x->up_headers, name);
	if (value.len)
		header_add(x, &x->up_headers, name, value);
}

void forward_to_default(struct exchange *x)
{
	const struct location *loc = x->loc;

	if (!loc->set->default_backend)
		return;
	tell(x, "X-Code", STR("503"));
	tell(x, "X-Format", header_get(&x->req.headers, "accept"));
	tell(x, "X-Namespace", str_of(loc->ns));
	tell(x, "X-Ingress-Name", str_of(loc->ingress));
	tell(x, "X-Service-Name", str_of(loc->backend ? loc->backend->service : ""));
	tell(x, "X-Service-Port", str_of(loc->backend ? loc->backend->port : ""));
}

/* ---- trailers ---- */

/* What must not come behind a body, as servers that add trailers to the headers would act upon it (RFC 9110 §6.5.1). */
static const char *const never_behind[] = {
	"accept", "age", "authorization", "cache-control", "connection", "content-disposition", "content-encoding", "content-language",
	"content-location", "content-range", "cookie", "date", "expires", "forwarded", "if-match", "if-modified-since", "if-none-match",
	"if-range", "if-unmodified-since", "location", "max-forwards", "origin", "pragma", "proxy-authenticate", "proxy-authorization",
	"range", "referer", "retry-after", "set-cookie", "trailer", "vary", "via", "www-authenticate", "http2-settings",
	"x-forwarded-prefix", "x-http-method-override", "x-original-url", "x-rewrite-url", "x-auth-request-redirect",
};

static bool listed(struct str name, const char *const *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(name, str_of(at[i])))
			return true;
	return false;
}

static bool name_plain(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

static bool is_client_cert(struct str name)
{
	static const struct str prefix = { "ssl-client-", 11 };

	return name.len > prefix.len && str_ieq((struct str){ name.ptr, prefix.len }, prefix);
}

/* What the proxy tells is told in the head: of a client's trailers only those pass that cannot speak for it, nor for those
 * whom it has asked. */
static bool trailer_passes(const struct exchange *x, const struct globals *g, struct str name)
{
	const struct str_list *mine = &x->loc->set->auth_response_headers, *all = &g->defaults->auth_response_headers;

	if (header_id(name) != H_OTHER || !name_plain(name) || is_client_cert(name) ||
	    listed(name, never_behind, ARRAY_LEN(never_behind)) ||
	    listed(name, (const char *const *)mine->at, mine->n) || listed(name, (const char *const *)all->at, all->n))
		return false;
	for (size_t i = 0; i < g->n_proxy_set_headers; i++)
		if (str_ieq(name, g->proxy_set_headers[i].name))
			return false;
	for (size_t i = 0; i < x->up_headers.n; i++)
		if (str_ieq(name, x->up_headers.at[i].name))
			return false;
	return true;
}

struct header_list forward_trailers(struct exchange *x, const struct header_list *from)
{
	const struct globals *g = globals_now(x->worker->shared);
	struct header_list out = { 0 };

	for (size_t i = 0; i < from->n; i++)
		if (trailer_passes(x, g, from->at[i].name))
			header_add_str(x, &out, from->at[i].name, from->at[i].value);
	return out;
}
