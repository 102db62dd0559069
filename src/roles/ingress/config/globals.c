/* The table of the ConfigMap's keys. Names and defaults: ingress-nginx 1.15. */
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/field_rows.h"
#include "roles/ingress/observe/access_log.h"

#define A .tier = TIER_A
#define B .tier = TIER_B
#define C .tier = TIER_C
#define OURS .tier = TIER_OURS
#define GUARDS .flags = FIELD_GUARDS
#define DEFAULT(text) .fallback = text
#define ACTS(where) .scope = "global", .acts = where
#define EACH(where) .scope = "location", .acts = where
#define IGNORED .type = FIELD_NONE, C, .scope = "global", .acts = "nothing"
#define SILENT .type = FIELD_NONE, C, .flags = FIELD_SILENT, .scope = "global", .acts = "nothing"
#define REF(m, f) .type = FIELD_TEXT, .home = HOME_GLOBALS_REFS, OF(struct globals_refs, m, char *), .form = &f
#define REF_BOOL(m) .type = FIELD_BOOL, .home = HOME_GLOBALS_REFS, OF(struct globals_refs, m, bool)

#define SNIPPETS_DIFFER "a subset that is parsed, never pasted: headers, return, rewrite, set, if, allow, deny; with anything else it has no effect"
#define TEXT_TYPES                                                                                                              \
	"application/atom+xml application/javascript application/x-javascript application/json application/rss+xml "            \
	"application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json application/xhtml+xml "       \
	"application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript text/plain text/x-component"
#define CIPHERS                                                                                                                 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"  \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256"
#define ACME "/.well-known/acme-challenge"

static const struct field_word samplers[] = { { "AlwaysOn", SAMPLER_ON }, { "AlwaysOff", SAMPLER_OFF },
	{ "TraceIdRatioBased", SAMPLER_RATIO }, { 0 } };

const struct field configmap_fields[] = {
#define H_RECORD struct settings
#define H_HOME HOME_SETTINGS
	/* defaults of annotations */
	{ "proxy-body-size", SIZE(proxy_body_size_bytes), DEFAULT("1m"), A, EACH("limits"), .doc = "The longest request body. 0: no limit." },
	{ "client-body-buffer-size", SIZE(client_body_buffer_bytes), DEFAULT("8k"), B, EACH("upstream"),
	  .doc = "How much of a request's body is kept for another try." },
	{ "proxy-connect-timeout", SECONDS(proxy_connect_timeout_s), DEFAULT("5"), A, EACH("upstream"), .doc = "How long connecting to an endpoint may take." },
	{ "proxy-read-timeout", SECONDS(proxy_read_timeout_s), DEFAULT("60"), A, EACH("upstream"), .doc = "How long an upstream may be silent." },
	{ "proxy-send-timeout", SECONDS(proxy_send_timeout_s), DEFAULT("60"), A, EACH("upstream"), .doc = "How long an upstream may take nothing." },
	{ "proxy-buffers-number", INT(proxy_buffers_number, 2, 65536), DEFAULT("4"), B, EACH("upstream"), .doc = "Buffers of an answer that is read ahead." },
	{ "proxy-buffer-size", SIZE(proxy_buffer_bytes), DEFAULT("4k"), A, EACH("upstream"), .doc = "Size of one of them." },
	{ "proxy-buffering", WORD(proxy_buffering, words_on_off), DEFAULT("off"), A, EACH("upstream"), .doc = "Whether answers are read ahead of slow clients." },
	{ "proxy-request-buffering", WORD(proxy_request_buffering, words_on_off), DEFAULT("on"), A, EACH("upstream"),
	  .doc = "Whether a request's body is read before an upstream is asked." },
	{ "proxy-http-version", WORD(proxy_http_1_0, words_http_versions), DEFAULT("1.1"), B, EACH("upstream"), .doc = "HTTP version of requests to upstreams." },
	{ "proxy-next-upstream", WORDS(next_upstream, words_next_upstreams), DEFAULT("error timeout"), B, EACH("upstream"), .doc = "When another endpoint is tried." },
	{ "proxy-next-upstream-timeout", SECONDS(next_upstream_timeout_s), DEFAULT("0"), B, EACH("upstream"), .doc = "For how long other endpoints are tried. 0: no limit." },
	{ "proxy-next-upstream-tries", INT(next_upstream_tries, 0, 1000), DEFAULT("3"), B, EACH("upstream"), .doc = "How many endpoints are tried." },
	{ "load-balance", WORD(load_balance, words_balances), DEFAULT("round_robin"), B, EACH("balancing"), .doc = "How an endpoint is chosen." },
	{ "proxy-cookie-domain", TEXT(proxy_cookie_domain, form_any), DEFAULT("off"), B, EACH("headers"), .doc = "Rewrites the Domain of cookies; with quotes and $variables, as nginx's proxy_cookie_domain." },
	{ "proxy-cookie-path", TEXT(proxy_cookie_path, form_any), DEFAULT("off"), B, EACH("headers"), .doc = "Rewrites the Path of cookies; as nginx's proxy_cookie_path." },
	{ "proxy-redirect-from", TEXT(proxy_redirect_from, form_any), DEFAULT("off"), B, EACH("headers"), .doc = "Rewrites Location and Refresh; as nginx's proxy_redirect." },
	{ "proxy-redirect-to", TEXT(proxy_redirect_to, form_any), DEFAULT("off"), B, EACH("headers"), .doc = "What proxy-redirect-from becomes." },
	{ "relative-redirects", BOOL(relative_redirects), DEFAULT("false"), B, EACH("redirects"), .doc = "Paths in redirects stay paths." },
	{ "service-upstream", BOOL(service_upstream), DEFAULT("false"), B, EACH("routing"), .doc = "Requests go to ClusterIPs instead of endpoints." },
	{ "ssl-redirect", BOOL(ssl_redirect), DEFAULT("true"), A, EACH("redirects"), .doc = "Redirects http to https when a host has TLS." },
	{ "force-ssl-redirect", BOOL(force_ssl_redirect), DEFAULT("false"), A, EACH("redirects"), .doc = "Redirects http to https always." },
	{ "preserve-trailing-slash", BOOL(preserve_trailing_slash), DEFAULT("false"), A, EACH("redirects"), .doc = "Keeps a trailing slash when redirecting to https." },
	{ "custom-http-errors", CODES(custom_http_errors, n_custom_http_errors, 300, 599), A, EACH("custom errors"),
	  .doc = "Statuses whose answers the default backend gives." },
	{ "disable-proxy-intercept-errors", BOOL(disable_intercept), DEFAULT("false"), B, EACH("custom errors"), .doc = "Upstreams' own answers pass all the same." },
	{ "whitelist-source-range", CIDRS(allow), A, EACH("addresses"), GUARDS, .doc = "Clients from elsewhere get 403." },
	{ "denylist-source-range", CIDRS(deny), B, EACH("addresses"), GUARDS, .doc = "Clients from these addresses get 403." },
	{ "http-redirect-code", INT(http_redirect_code, 301, 308), DEFAULT("308"), A, EACH("redirects"), .doc = "Status of redirects to https." },
	{ "limit-req-status-code", INT(limit_req_status, 400, 599), DEFAULT("503"), B, EACH("limits"), .doc = "Status when limit-rps or limit-rpm is exceeded." },
	{ "limit-rate", INT(limit_rate_kib, 0, 1000000000), DEFAULT("0"), B, EACH("limits"), .doc = "KiB per second of an answer, where it is buffered. 0: no limit." },
	{ "limit-rate-after", INT(limit_rate_after_kib, 0, 1000000000), DEFAULT("0"), B, EACH("limits"), .doc = "So many KiB of an answer go before limit-rate begins." },
	{ "limit-conn-status-code", INT(limit_conn_status, 400, 599), DEFAULT("503"), B, EACH("limits"), .doc = "Status when limit-connections is exceeded." },
	{ "enable-opentelemetry", BOOL(enable_opentelemetry), DEFAULT("false"), B, EACH("tracing"), .doc = "Exports spans by OTLP." },
	{ "global-auth-url", VARIABLES(auth_url, form_url_with_variables), B, EACH("external auth"), GUARDS,
	  .doc = "Every request asks this URL first, unless its Ingress has an auth-url or enable-global-auth: \"false\"." },
	{ "global-auth-method", TEXT(auth_method, form_method), B, EACH("external auth"), .doc = "Method of that request." },
	{ "global-auth-signin", VARIABLES(auth_signin, form_redirect), B, EACH("external auth"), .doc = "Where to redirect instead of 401." },
	{ "global-auth-signin-redirect-param", TEXT(auth_signin_redirect_param, form_cookie_value), DEFAULT("rd"), B, EACH("external auth"),
	  .doc = "The parameter that tells it where the user came from." },
	{ "global-auth-response-headers", LIST(auth_response_headers, form_header_name), B, EACH("external auth"),
	  .doc = "Headers of its answer that upstreams get." },
	{ "global-auth-request-redirect", VARIABLES(auth_request_redirect, form_redirect), B, EACH("external auth"), .doc = "X-Auth-Request-Redirect of that request." },
	{ "global-auth-cache-key", VARIABLES(auth_cache_key, form_any), B, EACH("external auth"),
	  .doc = "As auth-cache-key, for answers of global-auth-url." },
	{ "global-auth-cache-duration", TEXT(auth_cache_duration, form_cache_durations), DEFAULT("200 202 401 5m"), B, EACH("external auth"),
	  .doc = "For how long, by status." },
	{ "global-auth-always-set-cookie", BOOL(auth_always_set_cookie), DEFAULT("false"), B, EACH("external auth"),
	  .doc = "Its cookies go to the client whatever the upstream's status is." },
#undef H_RECORD
#undef H_HOME
#define H_RECORD struct globals
#define H_HOME HOME_GLOBALS
	/* clients */
	{ "hsts", BOOL(hsts), DEFAULT("true"), A, ACTS("headers"), .doc = "Strict-Transport-Security on https answers of hosts with TLS." },
	{ "hsts-max-age", SECONDS(hsts_max_age_s), DEFAULT("31536000"), A, ACTS("headers"), .doc = "max-age of that header, in seconds." },
	{ "hsts-include-subdomains", BOOL(hsts_include_subdomains), DEFAULT("true"), A, ACTS("headers"), .doc = "includeSubDomains of that header." },
	{ "hsts-preload", BOOL(hsts_preload), DEFAULT("false"), A, ACTS("headers"), .doc = "preload of that header." },
	{ "use-http2", BOOL(http2), DEFAULT("true"), A, ACTS("connections"), .doc = "Offers HTTP/2." },
	{ "http2-max-concurrent-streams", INT(http2_max_concurrent_streams, 1, 100000), DEFAULT("128"), B, ACTS("connections"),
	  .doc = "Requests at once on an HTTP/2 connection." },
	{ "keep-alive", SECONDS(keep_alive_s), DEFAULT("75"), A, ACTS("connections"), .doc = "For how long an idle connection is kept. 0: not at all." },
	{ "keep-alive-requests", INT(keep_alive_requests, 0, INT32_MAX), DEFAULT("1000"), A, ACTS("connections"), .doc = "Requests that a connection may carry." },
	{ "client-header-timeout", SECONDS(client_header_timeout_s), DEFAULT("60"), B, ACTS("connections"), .doc = "How long a request's head may take (408)." },
	{ "client-body-timeout", SECONDS(client_body_timeout_s), DEFAULT("60"), B, ACTS("connections"), .doc = "How long between two reads of a request's body (408)." },
	{ "worker-shutdown-timeout", SECONDS(worker_shutdown_timeout_s), DEFAULT("240s"), B, ACTS("connections"),
	  .doc = "How long connections may go on after this process was told to end." },
	{ "client-header-buffer-size", .type = FIELD_SIZE, .home = HOME_GLOBALS_REFS, OF(struct globals_refs, client_header_buffer_bytes, uint64_t),
	  DEFAULT("1k"), B, ACTS("connections"), .doc = "A line of a head may have this many bytes, or those of large-client-header-buffers." },
	{ "large-client-header-buffers", REF(large_client_header_buffers, form_any), DEFAULT("4 8k"), B, ACTS("connections"),
	  .doc = "NUMBER SIZE: a line of a head may have SIZE bytes (400), all of it NUMBER times as many (431)." },
	{ "enable-underscores-in-headers", BOOL(enable_underscores_in_headers), DEFAULT("false"), B, ACTS("connections"),
	  .doc = "Headers with '_' in their names are passed on; otherwise they are dropped." },
	{ "ignore-invalid-headers", BOOL(ignore_invalid_headers), DEFAULT("true"), B, ACTS("connections"), .doc = "Headers with other invalid names are dropped, not refused." },

	/* who asks */
	{ "use-forwarded-headers", BOOL(use_forwarded_headers), DEFAULT("false"), A, ACTS("upstream"), .doc = "Believes X-Forwarded-* of a proxy in front." },
	{ "enable-real-ip", BOOL(enable_real_ip), DEFAULT("false"), B, ACTS("upstream"), .doc = "Believes forwarded-for-header for the client's address only." },
	{ "forwarded-for-header", TEXT(forwarded_for_header, form_header_name), DEFAULT("X-Forwarded-For"), B, ACTS("upstream"),
	  .doc = "The header that has the client's address." },
	{ "compute-full-forwarded-for", BOOL(compute_full_forwarded_for), DEFAULT("false"), B, ACTS("upstream"), .doc = "Appends to X-Forwarded-For instead of replacing it." },
	{ "proxy-add-original-uri-header", BOOL(add_original_uri), DEFAULT("false"), B, ACTS("upstream"), .doc = "Sends X-Original-URI, path and query as they came, to upstreams." },
	{ "proxy-real-ip-cidr", CIDRS(proxy_real_ip_cidr), DEFAULT("0.0.0.0/0"), A, ACTS("upstream"), GUARDS,
	  .doc = "Which proxies are believed." },
	{ "use-proxy-protocol", BOOL(use_proxy_protocol), DEFAULT("false"), A, ACTS("connections"), .doc = "Connections begin with a PROXY protocol header." },
	{ "generate-request-id", BOOL(generate_request_id), DEFAULT("true"), B, ACTS("upstream"), .doc = "Makes an X-Request-ID when the request has none." },

	/* answers */
	{ "use-gzip", BOOL(gzip), DEFAULT("false"), A, ACTS("compress"), .doc = "Compresses answers." },
	{ "gzip-level", INT(gzip_level, 1, 9), DEFAULT("1"), B, ACTS("compress"), .doc = "How hard it tries." },
	{ "gzip-min-length", SIZE(gzip_min_bytes), DEFAULT("256"), B, ACTS("compress"), .doc = "Shorter answers are left alone." },
	{ "gzip-types", LIST(gzip_types, form_content_type), DEFAULT(TEXT_TYPES), B, ACTS("compress"), .doc = "Content types that are compressed, with text/html." },
	{ "enable-brotli", BOOL(brotli), DEFAULT("false"), B, ACTS("compress"), .doc = "Compresses answers for clients that know br." },
	{ "brotli-level", INT(brotli_level, 0, 11), DEFAULT("4"), B, ACTS("compress"), .doc = "How hard it tries." },
	{ "brotli-min-length", SIZE(brotli_min_bytes), DEFAULT("20"), B, ACTS("compress"), .doc = "Shorter answers are left alone." },
	{ "brotli-types", LIST(brotli_types, form_content_type), DEFAULT("application/xml+rss " TEXT_TYPES), B, ACTS("compress"), .doc = "Content types that are compressed." },
	{ "enable-zstd", BOOL(zstd), DEFAULT("false"), OURS, ACTS("compress"), .doc = "Compresses answers for clients that know zstd." },
	{ "zstd-level", INT(zstd_level, 1, 19), DEFAULT("3"), OURS, ACTS("compress"), .doc = "How hard it tries." },
	{ "server-tokens", BOOL(server_tokens), DEFAULT("false"), B, ACTS("headers"), .doc = "Answers have a Server header." },
	{ "hide-headers", LIST(hide_headers, form_header_name), B, ACTS("headers"), .doc = "Headers of upstreams that clients do not get." },
	{ "add-headers", REF(add_headers, form_reference), A, ACTS("headers"), .doc = "A ConfigMap with headers for all answers." },
	{ "global-allowed-response-headers", LIST(global_allowed_response_headers, form_header_name), B, ACTS("headers"),
	  .doc = "Headers that custom-headers may set." },

	/* upstreams */
	{ "proxy-set-headers", REF(proxy_set_headers, form_reference), A, ACTS("upstream"), .doc = "A ConfigMap with headers for all requests to upstreams." },
	{ "upstream-keepalive-connections", INT(upstream_keepalive_connections, 0, 100000), DEFAULT("320"), B, ACTS("upstream"),
	  .doc = "Idle connections to upstreams that each worker keeps." },
	{ "upstream-keepalive-timeout", SECONDS(upstream_keepalive_timeout_s), DEFAULT("60"), B, ACTS("upstream"), .doc = "For how long they are kept." },
	{ "upstream-keepalive-requests", INT(upstream_keepalive_requests, 1, INT32_MAX), DEFAULT("10000"), B, ACTS("upstream"), .doc = "Requests that such a connection may carry." },
	{ "retry-non-idempotent", BOOL(retry_non_idempotent), DEFAULT("false"), B, ACTS("upstream"), .doc = "POST, LOCK and PATCH are tried again, too." },

	/* TLS */
	{ "ssl-protocols", TEXT(ssl_protocols, form_ciphers), DEFAULT("TLSv1.2 TLSv1.3"), A, ACTS("TLS"), .doc = "TLS versions.", .differs = "older ones than 1.2 are not spoken" },
	{ "ssl-ciphers", TEXT(ssl_ciphers, form_ciphers), DEFAULT(CIPHERS), A, ACTS("TLS"), .doc = "Ciphers of TLS 1.2." },
	{ "ssl-ecdh-curve", TEXT(ssl_ecdh_curve, form_ciphers), DEFAULT("auto"), B, ACTS("TLS"), .doc = "Groups for the key exchange, separated by ':'." },
	{ "enable-ocsp", BOOL(enable_ocsp), DEFAULT("false"), B, ACTS("TLS"), .doc = "Staples the answer of a certificate's OCSP responder." },
	{ "ssl-session-tickets", BOOL(ssl_session_tickets), DEFAULT("true"), A, ACTS("TLS"), .doc = "Sessions are resumed by tickets.", .differs = "on by default, and there is no cache; keys change every hour" },
	{ "ssl-session-ticket-key", REF(ssl_session_ticket_key, form_ticket_key), .flags = FIELD_MULTILINE, B, ACTS("TLS"),
	  .doc = "Replicas with the same one take each other's tickets, also after a restart. Without it keys are random and a process' own.",
	  .differs = "each hour's key is derived from it; nginx uses it as it is, for ever" },
	{ "ssl-session-ticket-secret", REF(ssl_session_ticket_secret, form_reference), OURS, ACTS("TLS"),
	  .doc = "A Secret whose tickets.key is used instead of ssl-session-ticket-key: 48 or 80 bytes, or these in base64." },
	{ "ssl-session-timeout", SECONDS(ssl_session_timeout_s), DEFAULT("1d"), B, ACTS("TLS"), .doc = "For how long a session may be resumed.",
	  .differs = "a day by default, which is the longest; 10 minutes there" },

	/* rules */
	{ "location-snippet", TEXT(location_snippet, form_any), .flags = FIELD_MULTILINE | FIELD_FOOTNOTE, B, ACTS("snippets"),
	  .doc = "nginx directives for all locations, whether or not annotations may have some.", .differs = SNIPPETS_DIFFER },
	{ "server-snippet", TEXT(server_snippet, form_any), .flags = FIELD_MULTILINE | FIELD_FOOTNOTE, B, ACTS("snippets"),
	  .doc = "nginx directives for all hosts; they run first.", .differs = SNIPPETS_DIFFER },
	{ "allow-snippet-annotations", BOOL(allow_snippets), DEFAULT("false"), A, ACTS("snippets"), .doc = "Whether *-snippet annotations are read." },
	{ "allow-cross-namespace-resources", BOOL(allow_cross_namespace), DEFAULT("false"), A, ACTS("routing"),
	  .doc = "Annotations may name Secrets and ConfigMaps of other namespaces." },
	{ "annotation-value-word-blocklist", LIST(annotation_value_word_blocklist, form_any), B, ACTS("routing"),
	  .doc = "An Ingress with one of these in the value of an annotation answers 503." },
	{ "strict-validate-path-type", BOOL(strict_validate_path_type), DEFAULT("true"), B, ACTS("routing"),
	  .doc = "Exact and Prefix paths with characters of regular expressions are told of; ingress-nginx's webhook refuses them, its controller serves those that are there." },
	{ "no-auth-locations", LIST(no_auth_locations, form_path), DEFAULT(ACME), B, ACTS("access"), .doc = "Paths that need no password." },
	{ "no-tls-redirect-locations", LIST(no_tls_redirect_locations, form_path), DEFAULT(ACME), B, ACTS("redirects"), .doc = "Paths that are not redirected to https." },
	{ "block-cidrs", CIDRS(block_cidrs), B, ACTS("block"), .doc = "Clients that get 403 everywhere." },
	{ "block-user-agents", LIST(block_user_agents, form_any), B, ACTS("block"), .doc = "User-Agents that get 403: texts, or ~regex, ~*regex." },
	{ "block-referers", LIST(block_referers, form_any), B, ACTS("block"), .doc = "Referers that get 403: texts, or ~regex, ~*regex." },
	{ "enable-modsecurity", REF_BOOL(modsecurity), DEFAULT("false"), B, EACH("waf"), .doc = "With enable-owasp-modsecurity-crs: turns the request filter on." },
	{ "enable-owasp-modsecurity-crs", REF_BOOL(owasp_rules), DEFAULT("false"), B, EACH("waf"), .doc = "With enable-modsecurity: turns the request filter on.",
	  .differs = "portico's own rules" },
	{ "modsecurity-snippet", REF(modsecurity_snippet, form_any), .flags = FIELD_MULTILINE, B, EACH("waf"),
	  .doc = "Of ModSecurity's directives only SecRuleEngine is read." },

	/* observing */
	{ "disable-access-log", BOOL(disable_access_log), DEFAULT("false"), A, ACTS("access log"), .doc = "Turns the access log off." },
	{ "access-log-path", TEXT(access_log_path, form_path), B, ACTS("access log"), .doc = "The file of the access log; by default standard output.",
	  .differs = "/var/log/nginx/access.log, nginx's default, is a link to standard output there" },
	{ "log-format-upstream", TEXT(log_format_upstream, form_any), DEFAULT(ACCESS_LOG_FORMAT), A, ACTS("access log"), .doc = "The lines of the access log." },
	{ "log-format-escape-json", BOOL(log_format_escape_json), DEFAULT("false"), A, ACTS("access log"), .doc = "Escapes values as JSON does." },
	{ "skip-access-log-urls", LIST(skip_access_log_urls, form_any), B, ACTS("access log"), .doc = "URIs that are not logged: texts, or ~regex." },
	{ "otlp-collector-host", REF(otlp_host, form_host), B, ACTS("tracing"), .doc = "Where spans go: OTLP over HTTP." },
	{ "otlp-collector-port", .type = FIELD_INT, .home = HOME_GLOBALS_REFS, OF(struct globals_refs, otlp_port, unsigned), .min = 1, .max = 65535,
	  DEFAULT("4318"), B, ACTS("tracing"), .doc = "The collector's port.", .differs = "OTLP over HTTP (4318), not gRPC; 4317 is taken for 4318" },
	{ "otlp-endpoint", REF(otlp_endpoint, form_url), OURS, ACTS("tracing"), .doc = "Where spans go, as a URL; instead of otlp-collector-host and -port." },
	{ "otel-service-name", TEXT(otel_service_name, form_any), DEFAULT("portico-ingress"), B, ACTS("tracing"), .doc = "service.name of the spans.",
	  .differs = "nginx's default is nginx" },
	{ "otel-sampler", .type = FIELD_WORD, .home = HOME_GLOBALS_REFS, OF_NUMBER(struct globals_refs, otel_sampler), .words = samplers,
	  DEFAULT("AlwaysOn"), B, ACTS("tracing"), .doc = "Which requests have spans." },
	{ "otel-sampler-ratio", .type = FIELD_PERCENT, .home = HOME_GLOBALS_REFS, OF(struct globals_refs, otel_ratio, unsigned), DEFAULT("0.01"), B,
	  ACTS("tracing"), .doc = "The share of requests that TraceIdRatioBased takes." },

	/* without effect, and a warning */
	{ "main-snippet", IGNORED, .doc = "nginx's configuration: there is none here." },
	{ "http-snippet", IGNORED, .doc = "nginx's configuration: there is none here." },
	{ "stream-snippet", IGNORED, .doc = "nginx's configuration: there is none here." },
	{ "global-auth-snippet", IGNORED, .doc = "nginx's configuration: there is none here." },
	{ "allow-backend-server-header", IGNORED, .doc = "Would pass Server of upstreams on: it is." },
	{ "forwarded-host-header", IGNORED, .doc = "Would name the header with the original host: it is X-Forwarded-Host." },
	{ "forwarded-for-proxy-protocol-header", IGNORED, .doc = "Would name a header with the PROXY protocol's addresses." },
	{ "limit-conn-zone-variable", IGNORED, .doc = "Would change what limit-connections counts by: see portico.io/limit-key." },
	{ "gzip-disable", IGNORED, .doc = "Would not compress for some browsers." },
	{ "log-format-escape-none", IGNORED, .doc = "Would not escape values: a client could write lines of the log." },
	{ "log-format-stream", IGNORED, .doc = "Would be the log of tcp-services." },
	{ "http-access-log-path", IGNORED, .doc = "See access-log-path." },
	{ "stream-access-log-path", IGNORED, .doc = "Would be the log of tcp-services." },
	{ "access-log-params", IGNORED, .doc = "Parameters of nginx's log." },
	{ "disable-http-access-log", IGNORED, .doc = "See disable-access-log." },
	{ "enable-access-log-for-default-backend", IGNORED, .doc = "The default backend's answers are logged like all others." },
	{ "enable-auth-access-log", IGNORED, .doc = "Would log requests to auth-url." },
	{ "enable-syslog", IGNORED, .doc = "Would log to syslog." },
	{ "syslog-host", IGNORED, .doc = "Would log to syslog." },
	{ "syslog-port", IGNORED, .doc = "Would log to syslog." },
	{ "use-geoip2", IGNORED, .doc = "Would know countries of addresses." },
	{ "geoip2-autoreload-in-minutes", IGNORED, .doc = "Would know countries of addresses." },
	{ "ssl-dh-param", IGNORED, .doc = "Parameters for finite-field Diffie-Hellman: OpenSSL's are used." },
	{ "ssl-early-data", IGNORED, .doc = "Would take requests before the handshake's end, which can be replayed." },
	{ "ssl-reject-handshake", IGNORED, .doc = "Would refuse names without a certificate." },
	{ "grpc-buffer-size-kb", IGNORED, .doc = "Size of gRPC's buffers." },
	{ "default-type", IGNORED, .doc = "Content type of answers without one." },
	{ "opentelemetry-operation-name", IGNORED, .doc = "Would name the spans." },
	{ "opentelemetry-trust-incoming-span", IGNORED, .doc = "Would choose whether a client's traceparent is continued: it is." },
	{ "opentelemetry-config", IGNORED, .doc = "A file of nginx's module." },
	{ "otel-sampler-parent-based", IGNORED, .doc = "A client's decision is always followed." },
	{ "otel-max-queuesize", IGNORED, .doc = "Spans that may wait." },
	{ "otel-schedule-delay-millis", IGNORED, .doc = "How often spans are sent." },
	{ "otel-max-export-batch-size", IGNORED, .doc = "Spans in one message." },
	{ "proxy-stream-next-upstream", IGNORED, .doc = "Would try other endpoints for tcp-services." },
	{ "proxy-stream-next-upstream-timeout", IGNORED, .doc = "For how long they would be tried." },
	{ "proxy-stream-next-upstream-tries", IGNORED, .doc = "How many would be tried." },
	{ "proxy-stream-responses", IGNORED, .doc = "Datagrams expected from udp-services." },
	{ "proxy-stream-timeout", IGNORED, .doc = "How long tcp-services may be silent." },

	/* without effect, and nothing to say: they tune nginx itself */
	{ "annotations-risk-level", SILENT, .doc = "Which annotations nginx would trust: none can reach a configuration file here." },
	{ "worker-processes", SILENT, .doc = "See --workers." },
	{ "worker-cpu-affinity", SILENT, .doc = "Binds nginx's workers to CPUs." },
	{ "enable-serial-reloads", SILENT, .doc = "There are no reloads." },
	{ "max-worker-connections", SILENT, .doc = "Connections of a worker." },
	{ "max-worker-open-files", SILENT, .doc = "Descriptors of a worker." },
	{ "enable-multi-accept", SILENT, .doc = "How nginx accepts." },
	{ "reuse-port", SILENT, .doc = "How nginx listens." },
	{ "enable-aio-write", SILENT, .doc = "How nginx writes files." },
	{ "map-hash-bucket-size", SILENT, .doc = "nginx's tables." },
	{ "server-name-hash-max-size", SILENT, .doc = "nginx's tables." },
	{ "server-name-hash-bucket-size", SILENT, .doc = "nginx's tables." },
	{ "proxy-headers-hash-max-size", SILENT, .doc = "nginx's tables." },
	{ "proxy-headers-hash-bucket-size", SILENT, .doc = "nginx's tables." },
	{ "variables-hash-bucket-size", SILENT, .doc = "nginx's tables." },
	{ "variables-hash-max-size", SILENT, .doc = "nginx's tables." },
	{ "lua-shared-dicts", SILENT, .doc = "Tables of nginx's Lua." },
	{ "nginx-status-ipv4-whitelist", SILENT, .doc = "nginx's status page." },
	{ "nginx-status-ipv6-whitelist", SILENT, .doc = "nginx's status page." },
	{ "error-log-path", SILENT, .doc = "nginx's error log." },
	{ "error-log-level", SILENT, .doc = "nginx's error log: see --log-level." },
	{ "debug-connections", SILENT, .doc = "nginx's error log." },
	{ "bind-address", SILENT, .doc = "See --http-address and --https-address." },
	{ "disable-ipv6", SILENT, .doc = "See --http-address and --https-address." },
	{ "disable-ipv6-dns", SILENT, .doc = "Names are resolved by the system." },
	{ "http2-max-field-size", SILENT, .doc = "Obsolete: see large-client-header-buffers." },
	{ "http2-max-header-size", SILENT, .doc = "Obsolete: see large-client-header-buffers." },
	{ "http2-max-requests", SILENT, .doc = "Obsolete: see keep-alive-requests." },
	{ "ssl-session-cache", SILENT, .doc = "How sessions without tickets are kept: tickets do without." },
	{ "ssl-session-cache-size", SILENT, .doc = "How sessions without tickets are kept: tickets do without." },
	{ "ssl-buffer-size", SILENT, .doc = "Size of TLS records: they begin small by themselves." },
	{ "proxy-protocol-header-timeout", SILENT, .doc = "How long a PROXY header may take: client-header-timeout." },
	{ "proxy-busy-buffers-size", SILENT, .doc = "nginx's buffers." },
	{ "proxy-max-temp-file-size", SILENT, .doc = "Nothing is written to disk." },
	{ "proxy-ssl-location-only", SILENT, .doc = "Where nginx puts proxy-ssl-*: here it is each location." },
	{ "upstream-keepalive-time", SILENT, .doc = "How old a connection to an upstream may get." },
	{ 0 },
};
