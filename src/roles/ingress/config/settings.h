/* settings.h - what annotations and the global ConfigMap ask for: one immutable, typed record for each Ingress.
 *
 * Every field is filled by a row of the tables in annotations.c (one Ingress) and globals.c (the ConfigMap): name, type,
 * default, tier, where it acts, sentence of documentation. An Ingress without annotations shares the defaults' record.
 * Names and defaults are ingress-nginx 1.15's (docs/user-guide/nginx-configuration/annotations.md, configmap.md).
 * Built on the main thread, read by every worker, freed when the last table that uses it is gone.
 */
#pragma once

#include "base/base.h"
#include "net/addr.h"
#include "net/tls.h"

struct cidr {
	uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;	/* of 128 */
};
struct cidr_list {
	struct cidr *at;
	size_t n;
};
bool cidr_list_has(const struct cidr_list *l, const struct addr *a);

struct str_list {
	char **at;
	size_t n;
};

struct variable_text; /* a text with $variables, parsed once: see http/variable.h */
struct regex;	      /* a compiled regular expression with its limits: see route/pattern.h */
struct htpasswd;      /* see filter/htpasswd.h */
struct htdigest;      /* see filter/htdigest.h */
struct snippet;	      /* see config/snippet.h */
struct jwks;	      /* see filter/jwt.h */
struct auth_cache_policy; /* see filter/auth_cache.h */
struct block_rules;   /* see filter/block.h */
struct answer_rewrites; /* see config/answer_rewrites.h */
struct fastcgi;	      /* see config/fastcgi.h */

/* A header whose value may have variables: variable_text_value(h->value, x). */
struct header_text {
	struct str name; /* as it is written in the ConfigMap; owned */
	struct variable_text *value;
};

enum backend_protocol { PROTOCOL_HTTP, PROTOCOL_HTTPS, PROTOCOL_AUTO_HTTP, PROTOCOL_GRPC, PROTOCOL_GRPCS, PROTOCOL_FCGI };
enum load_balance { BALANCE_ROUND_ROBIN, BALANCE_EWMA, BALANCE_LEAST_REQUESTS };
enum verify_client { VERIFY_ON, VERIFY_OFF, VERIFY_OPTIONAL, VERIFY_OPTIONAL_NO_CA };
enum auth_type { AUTH_NONE, AUTH_BASIC, AUTH_DIGEST };
enum satisfy { SATISFY_ALL, SATISFY_ANY };
enum affinity_mode { AFFINITY_BALANCED, AFFINITY_PERSISTENT };
enum same_site { SAME_SITE_UNSET, SAME_SITE_NONE, SAME_SITE_LAX, SAME_SITE_STRICT };
enum waf_mode { WAF_OFF, WAF_DETECT, WAF_BLOCK };
/* proxy-next-upstream: when another endpoint is tried */
enum next_upstream {
	NEXT_ERROR = 1 << 0, NEXT_TIMEOUT = 1 << 1, NEXT_INVALID_HEADER = 1 << 2, NEXT_500 = 1 << 3, NEXT_502 = 1 << 4,
	NEXT_503 = 1 << 5, NEXT_504 = 1 << 6, NEXT_403 = 1 << 7, NEXT_404 = 1 << 8, NEXT_429 = 1 << 9,
	NEXT_NON_IDEMPOTENT = 1 << 10,
};

struct settings {
	unsigned refs_;
	char *denied; /* why every request of this Ingress is refused with 503 (a broken auth Secret, …); NULL: not */

	/* rewriting and redirects */
	char *rewrite_target;
	bool use_regex, relative_redirects, disable_intercept;
	char *app_root;
	bool ssl_redirect, force_ssl_redirect, preserve_trailing_slash, from_to_www_redirect;
	unsigned http_redirect_code; /* global; 308 */
	struct variable_text *permanent_redirect, *temporal_redirect;
	unsigned permanent_redirect_code, temporal_redirect_code;
	struct str_list server_alias;
	struct variable_text *upstream_vhost, *x_forwarded_prefix; /* "$service_name.$namespace.svc", "/$1" */
	char *default_backend; /* a Service of the same namespace */
	unsigned *custom_http_errors;
	size_t n_custom_http_errors;
	bool service_upstream;

	/* bodies, buffers, time */
	uint64_t proxy_body_size_bytes; /* 0: no limit */
	uint64_t client_body_buffer_bytes, proxy_buffer_bytes;
	unsigned proxy_buffers_number;
	bool proxy_buffering, proxy_request_buffering;
	unsigned proxy_connect_timeout_s, proxy_read_timeout_s, proxy_send_timeout_s;
	unsigned request_timeout_s; /* of a whole exchange, all tries; 0: none (our own annotation) */

	/* upstream */
	enum backend_protocol backend_protocol;
	bool proxy_http_1_0;
	unsigned next_upstream; /* enum next_upstream bits */
	unsigned next_upstream_tries, next_upstream_timeout_s; /* 0: no limit */
	unsigned retry_budget_percent;			       /* of the requests in flight (our own annotation); 20 */
	enum load_balance load_balance;
	struct variable_text *upstream_hash_by;
	bool upstream_hash_by_subset;
	unsigned upstream_hash_by_subset_size;
	bool affinity_cookie, affinity_canary_legacy;
	enum affinity_mode affinity_mode;
	char *session_cookie_name, *session_cookie_path, *session_cookie_domain;
	int session_cookie_expires_s, session_cookie_max_age_s; /* -1: unset */
	enum same_site session_cookie_samesite;
	bool session_cookie_conditional_samesite_none, session_cookie_change_on_failure;
	int session_cookie_secure; /* -1: when the request was https */
	unsigned max_connections, max_pending; /* per endpoint; circuit limits (our own annotations); 0: none */
	unsigned slow_start_s;			/* our own */
	unsigned outlier_consecutive_errors, outlier_eject_s; /* our own; 0: off */
	char *health_check_path;			      /* our own; NULL: none */
	unsigned health_check_interval_s, health_check_timeout_s, health_check_healthy, health_check_unhealthy;
	bool proxy_protocol_upstream; /* our own: PROXY v2 before the request */

	char *fastcgi_index;	 /* NULL: none */
	char *fastcgi_params;	 /* the ConfigMap, as it is named */
	struct fastcgi *fastcgi; /* with PROTOCOL_FCGI: the parameters */

	/* upstream TLS */
	struct tls *proxy_ssl; /* built from proxy-ssl-*; NULL: the shared context that verifies nothing */
	char *proxy_ssl_name;
	bool proxy_ssl_server_name, proxy_ssl_verify;

	/* canary */
	bool canary;
	char *canary_by_header, *canary_by_header_value, *canary_by_cookie;
	struct regex *canary_by_header_pattern;
	bool canary_pattern_bad; /* there is one, and it cannot be used */
	unsigned canary_weight, canary_weight_total;

	/* access */
	struct cidr_list allow, deny; /* whitelist-source-range (empty: all), denylist-source-range */
	enum auth_type auth_type;
	char *auth_realm;
	struct htpasswd *htpasswd; /* of basic; digest has */
	struct htdigest *htdigest;
	enum satisfy satisfy;
	struct variable_text *auth_url, *auth_signin;
	char *auth_signin_redirect_param, *auth_method;
	struct str_list auth_response_headers;
	struct header_text *auth_proxy_set_headers; /* from a ConfigMap */
	size_t n_auth_proxy_set_headers;
	struct variable_text *auth_request_redirect;
	bool auth_always_set_cookie, enable_global_auth;
	struct variable_text *auth_cache_key;
	char *auth_cache_duration;
	struct auth_cache_policy *auth_cache; /* what these two ask for; NULL: each request asks */
	struct jwks *jwt_jwks; /* our own: jwks_new() of a Secret's or ConfigMap's document; NULL: off */
	char *jwt_issuer;
	struct str_list jwt_audiences, jwt_forward_claims;
	char *auth_tls_ca; /* PEM of auth-tls-secret's ca.crt; "": there should be one, and every request is refused */
	char *auth_tls_crl; /* PEM of its ca.crl; NULL: none. What cannot be read makes auth_tls_ca "" */
	enum verify_client auth_tls_verify_client;
	unsigned auth_tls_verify_depth;
	bool auth_tls_pass_certificate;
	struct regex *auth_tls_match_cn;
	char *auth_tls_error_page;

	/* limits: per client address */
	unsigned limit_rps, limit_rpm, limit_connections, limit_burst_multiplier;
	struct cidr_list limit_allow;	     /* exempt */
	struct variable_text *limit_key;     /* our own: another key than the address */
	unsigned limit_req_status, limit_conn_status; /* global */
	unsigned limit_rate_kib, limit_rate_after_kib; /* per second, of an answer; after how much of it. 0: no limit */

	/* CORS */
	bool enable_cors, cors_allow_credentials;
	struct str_list cors_allow_origin; /* "*", "https://a.b", "null"; one label may be "*" */
	char *cors_allow_methods, *cors_allow_headers, *cors_expose_headers;
	unsigned cors_max_age_s;

	/* answers */
	struct header_text *custom_headers; /* from a ConfigMap, already filtered by global-allowed-response-headers */
	size_t n_custom_headers;
	char *proxy_cookie_domain, *proxy_cookie_path; /* "off", or "from to" */
	char *proxy_redirect_from, *proxy_redirect_to;
	struct answer_rewrites *answer_rewrites; /* of these four; NULL: all are off */
	struct variable_text *mirror_target;
	char *mirror_host;
	bool mirror_request_body;
	struct snippet *configuration_snippet, *server_snippet;

	/* TLS, whole hosts */
	bool ssl_passthrough;
	char *ssl_ciphers;	       /* of TLS 1.2; NULL: struct globals' */
	int ssl_prefer_server_ciphers; /* -1: unset */

	/* observing and filtering */
	bool enable_access_log, enable_opentelemetry, opentelemetry_trust_incoming_span;
	struct variable_text *opentelemetry_operation_name; /* of spans; NULL: method and path of the rule */
	enum waf_mode waf;	/* our own annotation; also modsecurity's switches (enable-modsecurity, SecRuleEngine) */
	unsigned waf_paranoia;	/* 1 to 4 */
	unsigned *waf_exclude;	/* rules that do not count here: filter/waf_rules.c */
	size_t n_waf_exclude;
};

/* What keys of session tickets are derived from. Wiped where it is not needed any more. */
#define TICKET_SECRET_BYTES 80
struct ticket_secret {
	uint8_t len; /* 0: none */
	uint8_t bytes[TICKET_SECRET_BYTES];
};

/* The ConfigMap's settings that concern the whole proxy. Those that annotations may override are `defaults`. */
struct globals {
	struct settings *defaults;
	bool hsts, hsts_include_subdomains, hsts_preload;
	unsigned hsts_max_age_s;
	bool http2, gzip, brotli, zstd;
	int gzip_level, brotli_level, zstd_level;
	uint64_t gzip_min_bytes, brotli_min_bytes; /* zstd (our own): gzip's */
	struct str_list gzip_types, brotli_types; /* content types; "*": all */
	unsigned keep_alive_s, keep_alive_requests;
	unsigned upstream_keepalive_connections, upstream_keepalive_timeout_s, upstream_keepalive_requests;
	uint64_t client_header_buffer_bytes, large_client_header_bytes; /* of one header line; of the whole head */
	unsigned client_header_timeout_s, client_body_timeout_s, worker_shutdown_timeout_s;
	unsigned http2_max_concurrent_streams;
	char *ssl_protocols, *ssl_ciphers, *ssl_ecdh_curve;
	bool ssl_session_tickets, enable_ocsp, ssl_reject_handshake;
	unsigned ssl_session_timeout_s;
	struct ticket_secret ticket_secret;
	bool ticket_secret_bad; /* one is named or given, but cannot be used: the one in force stays */
	bool use_proxy_protocol, use_forwarded_headers, compute_full_forwarded_for, enable_real_ip, add_original_uri;
	char *forwarded_for_header, *forwarded_host_header; /* the latter NULL: X-Forwarded-Host */
	bool forwarded_for_other;			    /* it is not X-Forwarded-For */
	struct cidr_list proxy_real_ip_cidr; /* whose PROXY header or X-Forwarded-For is believed */
	bool generate_request_id, server_tokens, allow_backend_server_header, retry_non_idempotent, allow_snippets, allow_cross_namespace;
	bool strict_validate_path_type, enable_underscores_in_headers, ignore_invalid_headers;
	struct str_list no_auth_locations, no_tls_redirect_locations; /* prefixes of locations' paths; ACME's by default */
	struct str_list annotation_value_word_blocklist; /* an Ingress with such a value is refused */
	bool disable_access_log, log_format_escape_json;
	char *log_format_upstream, *access_log_path;
	struct str_list skip_access_log_urls; /* exact, or "~regex" */
	struct str_list hide_headers, global_allowed_response_headers;
	struct header_text *proxy_set_headers, *add_headers; /* from ConfigMaps */
	size_t n_proxy_set_headers, n_add_headers;
	struct str_list block_user_agents;
	struct cidr_list block_cidrs;
	struct str_list block_referers;
	struct block_rules *block_rules; /* block_rules_new() of the two lists: filter/block.h; NULL: they are empty */
	char *otlp_endpoint; /* "http://host:4318": traces; NULL: off */
	char *otel_service_name;
	char *location_snippet, *server_snippet; /* behind those of annotations; each is one that snippet_new() takes */
	unsigned trace_sample_per_10000;
	bool trace_parent_based; /* the client decides for its traces */
	char *custom_error_service; /* --default-backend-service: "ns/name", NULL: built in */
};

struct settings *settings_ref(const struct settings *s); /* may be called from any thread */
void settings_unref(const struct settings *s);
/* Whether nginx would buffer answers, which its limit_rate needs: with proxy-buffering, always FastCGI's, never gRPC's. */
static inline bool settings_buffer_answers(const struct settings *s)
{
	bool grpc = s->backend_protocol == PROTOCOL_GRPC || s->backend_protocol == PROTOCOL_GRPCS;

	return s->backend_protocol == PROTOCOL_FCGI || (s->proxy_buffering && !grpc);
}
