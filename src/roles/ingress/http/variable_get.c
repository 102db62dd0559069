/* The variables: names, values, meanings. nginx's core, upstream and ssl modules, and what ingress-nginx sets. */
#include "roles/ingress/http/variable_int.h"

#include "roles/ingress/observe/access_log.h"

#include <strings.h>
#include <sys/time.h>
#include <time.h>

#define GET(fn) static void fn(struct variable_sink *o, struct exchange *x, const struct variable_part *p)
#define FIELD(member) offsetof(struct exchange, member)

/* ---- fields of the exchange: p->arg is the offset ---- */

GET(get_str)
{
	variable_put(o, *(const struct str *)((const char *)x + p->arg));
}

GET(get_chars)
{
	variable_put(o, str_of((const char *)x + p->arg));
}

static void put_u64(struct variable_sink *o, uint64_t n)
{
	char text[24];
	char *at = text + sizeof(text);

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	variable_put(o, (struct str){ at, (size_t)(text + sizeof(text) - at) });
}

GET(get_u64)
{
	put_u64(o, *(const uint64_t *)((const char *)x + p->arg));
}

GET(get_bytes_sent)
{
	(void)p;
	put_u64(o, x->answer_head_bytes + x->answer_body_bytes);
}

GET(get_nonzero)
{
	uint64_t n = *(const uint64_t *)((const char *)x + p->arg);

	if (n)
		put_u64(o, n);
}

GET(get_constant)
{
	(void)x;
	variable_put(o, str_of((const char *)p->arg));
}

/* ---- the request ---- */

GET(get_request)
{
	(void)p;
	if (x->req.method.len == 0)
		return;
	variable_put(o, x->req.method);
	variable_put(o, STR(" "));
	variable_put(o, x->req.target);
	variable_put(o, STR(" "));
	variable_put(o, x->req.protocol);
}

/* $host is lower case, and the name of the rule when the request names none. */
GET(get_host)
{
	char folded[256];
	struct str h = x->req.host;

	(void)p;
	if (h.len == 0 && x->loc)
		h = str_of(x->loc->rule_host);
	if (h.len > sizeof(folded))
		return;
	for (size_t i = 0; i < h.len; i++)
		folded[i] = (char)(h.ptr[i] >= 'A' && h.ptr[i] <= 'Z' ? h.ptr[i] + 32 : h.ptr[i]);
	variable_put(o, (struct str){ folded, h.len });
}

GET(get_script_name)
{
	struct str uri = x->req.uri;

	(void)p;
	variable_put(o, uri);
	if (x->loc && x->loc->set->fastcgi_index && uri.len && uri.ptr[uri.len - 1] == '/')
		variable_put(o, str_of(x->loc->set->fastcgi_index));
}

GET(get_is_args)
{
	(void)p;
	if (x->req.query.len)
		variable_put(o, STR("?"));
}

/* The value as it came: neither nginx nor we decode it. */
GET(get_arg)
{
	struct str rest = x->req.query;

	while (rest.len) {
		struct str value;
		struct str pair = str_cut(rest, '&', &rest);
		struct str name = str_cut(pair, '=', &value);
		if (str_ieq(name, p->text)) {
			variable_put(o, value);
			return;
		}
	}
}

GET(get_cookie)
{
	for (size_t i = 0; i < x->req.headers.n; i++) {
		const struct http_header *h = &x->req.headers.at[i];
		struct str rest = h->value;
		if (!str_ieq(h->name, STR("cookie")))
			continue;
		while (rest.len) {
			struct str value;
			struct str name = str_cut(str_trim(str_cut(rest, ';', &rest)), '=', &value);
			if (str_ieq(name, p->text)) {
				variable_put(o, value);
				return;
			}
		}
	}
}

/* All fields of a name, joined as nginx does since 1.23. */
static bool put_headers(struct variable_sink *o, const struct header_list *l, struct str name)
{
	struct str between = str_eq_c(name, "cookie") ? STR("; ") : STR(", ");
	bool found = false;

	for (size_t i = 0; i < l->n; i++) {
		if (!str_ieq(l->at[i].name, name))
			continue;
		if (found)
			variable_put(o, between);
		variable_put(o, l->at[i].value);
		found = true;
	}
	return found;
}

static void put_length(struct variable_sink *o, int64_t length)
{
	if (length >= 0)
		put_u64(o, (uint64_t)length);
}

/* Host, Upgrade and Content-Length are no longer among the headers: the codecs keep them apart. */
GET(get_http)
{
	if (put_headers(o, &x->req.headers, p->text))
		return;
	if (str_eq_c(p->text, "host"))
		variable_put(o, x->req.authority);
	else if (str_eq_c(p->text, "upgrade"))
		variable_put(o, x->req.upgrade);
	else if (str_eq_c(p->text, "connection") && x->req.upgrade.len)
		variable_put(o, STR("upgrade"));
	else if (str_eq_c(p->text, "content-length"))
		put_length(o, x->req.content_length);
}

GET(get_content_length)
{
	(void)p;
	put_length(o, x->req.content_length);
}

GET(get_content_type)
{
	(void)p;
	put_headers(o, &x->req.headers, STR("content-type"));
}

GET(get_sent_http)
{
	if (!put_headers(o, &x->ans.headers, p->text) && str_eq_c(p->text, "content-length"))
		put_length(o, x->ans.content_length);
}

GET(get_request_id)
{
	struct str theirs = header_get(&x->req.headers, "x-request-id");

	(void)p;
	variable_put(o, theirs.len ? theirs : str_of(x->request_id));
}

GET(get_escaped_uri)
{
	enum variable_escape how = o->how;

	(void)p;
	o->how = ESCAPE_URI;
	variable_put(o, x->req.target);
	o->how = how;
}

/* ---- time ---- */

enum time_form { TIME_LOCAL, TIME_ISO };

/* One strftime a second and thread: a busy log writes the same text thousands of times. */
GET(get_time)
{
	static __thread struct {
		time_t at;
		char text[40];
	} kept[2];
	static const char *const forms[] = { "%d/%b/%Y:%H:%M:%S %z", "%Y-%m-%dT%H:%M:%S%z" };
	time_t now = time(NULL);
	struct tm tm;

	(void)x;
	if (kept[p->arg].at != now && localtime_r(&now, &tm)) {
		char *text = kept[p->arg].text;
		size_t n = strftime(text, sizeof(kept[0].text), forms[p->arg], &tm);
		if (p->arg == TIME_ISO && n >= 2) { /* +0100 is +01:00 there */
			memmove(text + n - 1, text + n - 2, 3);
			text[n - 2] = ':';
		}
		kept[p->arg].at = now;
	}
	variable_put(o, str_of(kept[p->arg].text));
}

GET(get_msec)
{
	struct timeval now;

	(void)x;
	(void)p;
	gettimeofday(&now, NULL);
	variable_printf(o, "%lld.%03d", (long long)now.tv_sec, (int)(now.tv_usec / 1000));
}

/* nginx's way: seconds, three digits. */
static void put_seconds(struct variable_sink *o, uint64_t us)
{
	char text[28];
	char *at = text + sizeof(text);
	uint64_t n = us / 1000;

	for (int digit = 0; digit < 4 || n; digit++) {
		*--at = (char)('0' + n % 10);
		n /= 10;
		if (digit == 2)
			*--at = '.';
	}
	variable_put(o, (struct str){ at, (size_t)(text + sizeof(text) - at) });
}

GET(get_request_time)
{
	(void)p;
	put_seconds(o, x->started_us ? x_now_us(x) - x->started_us : 0);
}

/* ---- the answer ---- */

/* 499 is nginx's number for a client that went away before it had an answer. */
GET(get_status)
{
	int status = x->ans.status ? x->ans.status : x->client_gone ? 499 : 0;

	(void)p;
	if (status)
		put_u64(o, (uint64_t)status);
}

GET(get_completion)
{
	(void)p;
	if (x->answer_done)
		variable_put(o, STR("OK"));
}

/* ---- the route ---- */

GET(get_loc_text)
{
	if (x->loc)
		variable_put(o, str_of(*(char *const *)((const char *)x->loc + p->arg)));
}

GET(get_server_name)
{
	(void)p;
	if (x->loc)
		variable_put(o, x->loc->rule_host[0] ? str_of(x->loc->rule_host) : STR("_"));
}

GET(get_backend_text)
{
	if (x->loc && x->loc->backend)
		variable_put(o, str_of(*(char *const *)((const char *)x->loc->backend + p->arg)));
}

/* The primary's name even when a canary serves; a request that nothing matches goes to nginx's default backend. */
GET(get_upstream_name)
{
	if (x->loc)
		get_backend_text(o, x, p);
	else if (x->req.uri.len)
		variable_put(o, STR("upstream-default-backend"));
}

GET(get_alternative_name)
{
	(void)p;
	o->any = true; /* ingress-nginx sets it to "", and an empty value is not an absent one: logged as [] */
	if (x->canary_why && x->backend)
		variable_put(o, str_of(x->backend->name));
}

GET(get_canary_why)
{
	(void)p;
	variable_put(o, str_of(x->canary_why));
}

/* ---- the tries ---- */

/* Digits, dots and commas: nothing to escape. */
GET(get_tries)
{
	size_t before = o->out->len;

	if (access_log_tries_write(x, (enum access_try_field)p->arg, o->out) == 0 && o->out->len > before)
		o->any = true;
}

/* ---- tracing: W3C traceparent is "00-<trace>-<parent>-<flags>" ---- */

GET(get_trace)
{
	static const struct {
		size_t at, len;
	} field[] = { { 0, 55 }, { 3, 32 }, { 36, 16 } };

	if (x->trace_parent[0])
		variable_put(o, (struct str){ x->trace_parent + field[p->arg].at, field[p->arg].len });
}

/*     name                        get                 arg                              meaning */
#define VARIABLES(X) \
	X("arg_",                      get_arg,            0,                               "$arg_NAME: a parameter of the query, as it came", true) \
	X("args",                      get_str,            FIELD(req.query),                "the query, without '?'", false) \
	X("best_http_host",            get_str,            FIELD(req.authority),            "the Host of the request, with its port", false) \
	X("binary_remote_addr",        variable_binary_addr, 0,                             "the client's address as 4 or 16 bytes", false) \
	X("body_bytes_sent",           get_u64,            FIELD(answer_body_bytes),        "bytes of the answer's body", false) \
	X("bytes_sent",                get_bytes_sent,     0,                               "bytes of the answer, head and body", false) \
	X("canary_why",                get_canary_why,     0,                               "why a canary serves the request: header, cookie or weight", false) \
	X("connection",                get_nonzero,        FIELD(req.connection),           "serial number of the connection", false) \
	X("connection_requests",       get_nonzero,        FIELD(req.connection_requests),  "how many requests the connection has carried so far", false) \
	X("content_length",            get_content_length, 0,                               "Content-Length of the request", false) \
	X("content_type",              get_content_type,   0,                               "Content-Type of the request", false) \
	X("cookie_",                   get_cookie,         0,                               "$cookie_NAME: a cookie of the request", true) \
	X("document_root",             get_constant,       (size_t)"/usr/local/nginx/html", "a folder of ingress-nginx's image: for FastCGI programs that are told it", false) \
	X("document_uri",              get_str,            FIELD(req.uri),                  "the path, decoded and normalised", false) \
	X("escaped_request_uri",       get_escaped_uri,    0,                               "$request_uri, percent-encoded as a part of another URL", false) \
	X("fastcgi_path_info",         get_constant,       (size_t)"",                      "always empty: ingress-nginx sets no fastcgi_split_path_info", false) \
	X("fastcgi_script_name",       get_script_name,    0,                               "the path; when it ends in '/', with fastcgi-index", false) \
	X("host",                      get_host,           0,                               "the host of the request without port, lower case; else the rule's", false) \
	X("hostname",                  variable_hostname,  0,                               "the name of this machine", false) \
	X("http2",                     variable_http2,     0,                               "h2 over TLS, h2c without, empty for HTTP/1", false) \
	X("http_",                     get_http,           0,                               "$http_NAME: a header of the request, '-' written as '_'", true) \
	X("https",                     variable_https,     0,                               "on when the connection is TLS", false) \
	X("ingress_name",              get_loc_text,       offsetof(struct location, ingress), "name of the Ingress that matched", false) \
	X("is_args",                   get_is_args,        0,                               "'?' when there is a query", false) \
	X("literal_dollar",            get_constant,       (size_t)"$",                     "a dollar sign", false) \
	X("location_path",             get_loc_text,       offsetof(struct location, path), "the path of the rule that matched, as in the Ingress", false) \
	X("msec",                      get_msec,           0,                               "the time now: seconds since 1970 with milliseconds", false) \
	X("namespace",                 get_loc_text,       offsetof(struct location, ns),   "namespace of the Ingress that matched", false) \
	X("nginx_version",             get_constant,       (size_t)"1.27.1",                "of ingress-nginx 1.15", false) \
	X("opentelemetry_context_traceparent", get_trace,  0,                               "the W3C traceparent sent to the upstream", false) \
	X("opentelemetry_span_id",     get_trace,          2,                               "our span of the trace", false) \
	X("opentelemetry_trace_id",    get_trace,          1,                               "the trace that the request belongs to", false) \
	X("pass_access_scheme",        variable_pass_scheme, 0,                             "http or https, as a believed X-Forwarded-Proto or the connection says", false) \
	X("pass_port",                 variable_pass_port, 0,                               "X-Forwarded-Port, if it is believed; else as $pass_server_port", false) \
	X("pass_server_port",          variable_pass_server_port, 0,                        "the port that a PROXY header tells; else 443 for https, and for http the one we listen on", false) \
	X("pid",                       variable_pid,       0,                               "number of this process", false) \
	X("proxy_alternative_upstream_name", get_alternative_name, 0,                       "<namespace>-<service>-<port> of the canary that serves", false) \
	X("proxy_host",                get_upstream_name,  offsetof(struct backend, name),  "the same as $proxy_upstream_name", false) \
	X("proxy_protocol_addr",       variable_proxy_protocol_addr, 0,                     "the client's address when use-proxy-protocol is on", false) \
	X("proxy_upstream_name",       get_upstream_name,  offsetof(struct backend, name),  "<namespace>-<service>-<port>", false) \
	X("query_string",              get_str,            FIELD(req.query),                "the query, without '?'", false) \
	X("realip_remote_addr",        variable_peer_addr, 0,                               "the address of the TCP peer", false) \
	X("realip_remote_port",        variable_peer_port, 0,                               "the port of the TCP peer", false) \
	X("redirect_scheme",           variable_pass_scheme, 0,                             "the same as $pass_access_scheme", false) \
	X("remote_addr",               get_chars,          FIELD(req.client_text),          "the client's address", false) \
	X("remote_port",               variable_remote_port, 0,                             "the client's port", false) \
	X("remote_user",               get_str,            FIELD(remote_user),              "the user of basic authentication or of a token", false) \
	X("req_id",                    get_request_id,     0,                               "X-Request-ID of the request, or one made here", false) \
	X("request",                   get_request,        0,                               "the first line of the request", false) \
	X("request_completion",        get_completion,     0,                               "OK when the answer is complete", false) \
	X("request_id",                get_chars,          FIELD(request_id),               "32 hexadecimal digits, made here", false) \
	X("request_length",            get_u64,            FIELD(req.bytes),                "bytes of the request: head and body", false) \
	X("request_method",            get_str,            FIELD(req.method),               "GET, POST, ...", false) \
	X("request_time",              get_request_time,   0,                               "seconds since the request began", false) \
	X("request_uri",               get_str,            FIELD(req.target),               "path and query as they came", false) \
	X("scheme",                    get_str,            FIELD(req.scheme),               "http or https, as the connection is", false) \
	X("sent_http_",                get_sent_http,      0,                               "$sent_http_NAME: a header of the answer, '-' written as '_'", true) \
	X("server_addr",               variable_server_addr, 0,                             "the address that the client has connected to", false) \
	X("server_name",               get_server_name,    0,                               "the host of the rule that matched; _ for the catch-all", false) \
	X("server_port",               variable_server_port, 0,                             "443 on connections with TLS, else 80", false) \
	X("server_protocol",           get_str,            FIELD(req.protocol),             "HTTP/1.0, HTTP/1.1 or HTTP/2.0", false) \
	X("service_name",              get_backend_text,   offsetof(struct backend, service), "name of the Service of the rule", false) \
	X("service_port",              get_backend_text,   offsetof(struct backend, port),  "port of the Service of the rule", false) \
	X("ssl_alpn_protocol",         variable_ssl_alpn,  0,                               "protocol chosen by ALPN", false) \
	X("ssl_cipher",                variable_ssl_cipher, 0,                              "cipher of the connection", false) \
	X("ssl_client_escaped_cert",   variable_ssl_client_cert, CERT_ESCAPED,              "client certificate as PEM, percent-encoded", false) \
	X("ssl_client_fingerprint",    variable_ssl_client_fingerprint, 0,                  "SHA-1 of the client certificate", false) \
	X("ssl_client_i_dn",           variable_ssl_client_dn, DN_ISSUER,                   "issuer of the client certificate (RFC 2253)", false) \
	X("ssl_client_raw_cert",       variable_ssl_client_cert, CERT_RAW,                  "client certificate as PEM", false) \
	X("ssl_client_s_dn",           variable_ssl_client_dn, DN_SUBJECT,                  "subject of the client certificate (RFC 2253)", false) \
	X("ssl_client_serial",         variable_ssl_client_serial, 0,                       "serial number of the client certificate", false) \
	X("ssl_client_v_end",          variable_ssl_client_time, 1,                         "end of the client certificate", false) \
	X("ssl_client_v_start",        variable_ssl_client_time, 0,                         "beginning of the client certificate", false) \
	X("ssl_client_verify",         variable_ssl_client_verify, 0,                       "SUCCESS, FAILED:reason, or NONE without a certificate", false) \
	X("ssl_curve",                 variable_ssl_curve, 0,                               "group of the key exchange", false) \
	X("ssl_protocol",              variable_ssl_protocol, 0,                            "TLSv1.2 or TLSv1.3", false) \
	X("ssl_server_name",           variable_ssl_server_name, 0,                         "name the client asked for (SNI)", false) \
	X("ssl_session_id",            variable_ssl_session_id, 0,                          "number of the TLS session", false) \
	X("ssl_session_reused",        variable_ssl_session_reused, 0,                      "r when the session was resumed, else .", false) \
	X("status",                    get_status,         0,                               "status of the answer", false) \
	X("the_real_ip",               get_chars,          FIELD(req.client_text),          "the client's address", false) \
	X("time_iso8601",              get_time,           TIME_ISO,                        "the time now, ISO 8601", false) \
	X("time_local",                get_time,           TIME_LOCAL,                      "the time now, as Common Log Format has it", false) \
	X("upstream_addr",             get_tries,          TRY_ADDR,                        "address and port of the endpoint; of all that were tried, with commas", false) \
	X("upstream_bytes_received",   get_tries,          TRY_RESPONSE_LENGTH,             "bytes of the upstream's body", false) \
	X("upstream_cache_status",     get_constant,       (size_t)"",                      "always empty: there is no cache", false) \
	X("upstream_connect_time",     get_tries,          TRY_CONNECT_TIME,                "seconds until the endpoint was connected", false) \
	X("upstream_header_time",      get_tries,          TRY_HEADER_TIME,                 "seconds until the head of the endpoint's answer", false) \
	X("upstream_http_",            get_sent_http,      0,                               "$upstream_http_NAME: a header of the answer as it is passed on", true) \
	X("upstream_response_length",  get_tries,          TRY_RESPONSE_LENGTH,             "bytes of the upstream's body", false) \
	X("upstream_response_time",    get_tries,          TRY_RESPONSE_TIME,               "seconds until the end of the endpoint's answer", false) \
	X("upstream_status",           get_tries,          TRY_STATUS,                      "status of the endpoint's answer; of all that were tried, with commas", false) \
	X("uri",                       get_str,            FIELD(req.uri),                  "the path, decoded and normalised", false)

const struct variable_row variable_rows[] = {
#define X(name, get, arg, meaning, family) { name, get, arg, family },
	VARIABLES(X)
#undef X
	{ 0 },
};

const struct variable_doc *variable_docs(void)
{
	static const struct variable_doc docs[] = {
#define X(name, get, arg, meaning, family) { name, meaning },
		VARIABLES(X)
#undef X
		{ 0 },
	};
	return docs;
}
