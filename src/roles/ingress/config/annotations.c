/* The table of annotations. Names, defaults and meanings: ingress-nginx 1.15. */
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/field_rows.h"

#define LOCATION .scope = "location"
#define HOST .scope = "host"
#define CANARY .scope = "canary"
#define A .tier = TIER_A
#define B .tier = TIER_B
#define C .tier = TIER_C
#define OURS .tier = TIER_OURS
#define DEFAULT(text) .fallback = text
#define ACTS(where) .acts = where
#define GUARDS .flags = FIELD_GUARDS

const struct field_word words_on_off[] = { { "on", true }, { "off", false }, { 0 } };
static const struct field_word protocols[] = { { "HTTP", PROTOCOL_HTTP }, { "HTTPS", PROTOCOL_HTTPS },
	{ "AUTO_HTTP", PROTOCOL_AUTO_HTTP }, { "GRPC", PROTOCOL_GRPC }, { "GRPCS", PROTOCOL_GRPCS }, { "FCGI", PROTOCOL_FCGI }, { 0 } };
const struct field_word words_http_versions[] = { { "1.1", false }, { "1.0", true }, { 0 } };
const struct field_word words_next_upstreams[] = { { "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT },
	{ "invalid_header", NEXT_INVALID_HEADER }, { "http_500", NEXT_500 }, { "http_502", NEXT_502 }, { "http_503", NEXT_503 },
	{ "http_504", NEXT_504 }, { "http_403", NEXT_403 }, { "http_404", NEXT_404 }, { "http_429", NEXT_429 },
	{ "non_idempotent", NEXT_NON_IDEMPOTENT }, { "off", 0 }, { 0 } };
const struct field_word words_balances[] = { { "round_robin", BALANCE_ROUND_ROBIN }, { "ewma", BALANCE_EWMA },
	{ "least_requests", BALANCE_LEAST_REQUESTS }, { "chash", BALANCE_ROUND_ROBIN }, { "chashsubset", BALANCE_ROUND_ROBIN },
	{ "sticky_balanced", BALANCE_ROUND_ROBIN }, { "sticky_persistent", BALANCE_ROUND_ROBIN }, { 0 } };
static const struct field_word affinities[] = { { "cookie", true }, { 0 } };
static const struct field_word affinity_modes[] = { { "balanced", AFFINITY_BALANCED }, { "persistent", AFFINITY_PERSISTENT }, { 0 } };
static const struct field_word canary_behaviours[] = { { "sticky", false }, { "legacy", true }, { 0 } };
static const struct field_word same_sites[] = { { "None", SAME_SITE_NONE }, { "Lax", SAME_SITE_LAX }, { "Strict", SAME_SITE_STRICT },
	{ 0 } };
static const struct field_word tls_versions[] = { { "TLSv1.2", TLS_1_2 }, { "TLSv1.3", TLS_1_3 }, { 0 } };
static const struct field_word auth_types[] = { { "basic", AUTH_BASIC }, { "digest", AUTH_DIGEST }, { 0 } };
static const struct field_word auth_secret_types[] = { { "auth-file", false }, { "auth-map", true }, { 0 } };
static const struct field_word satisfies[] = { { "all", SATISFY_ALL }, { "any", SATISFY_ANY }, { 0 } };
static const struct field_word verify_clients[] = { { "on", VERIFY_ON }, { "off", VERIFY_OFF }, { "optional", VERIFY_OPTIONAL },
	{ "optional_no_ca", VERIFY_OPTIONAL_NO_CA }, { 0 } };
static const struct field_word waf_modes[] = { { "off", WAF_OFF }, { "detect", WAF_DETECT }, { "block", WAF_BLOCK }, { 0 } };

#define H_RECORD struct settings
#define H_HOME HOME_SETTINGS
#define REF(m, f) .type = FIELD_TEXT, .home = HOME_SETTINGS_REFS, OF(struct settings_refs, m, char *), .form = &f
#define REF_BOOL(m) .type = FIELD_BOOL, .home = HOME_SETTINGS_REFS, OF(struct settings_refs, m, bool)

const struct field nginx_annotations[] = {
	/* rewriting and redirects */
	{ "rewrite-target", TEXT(rewrite_target, form_any), A, LOCATION, ACTS("rewrite"),
	  .doc = "The path sent to the upstream; $1 to $9 are the groups of the rule's path. A URL is where to redirect (302). One use on a host makes all its paths "
		 "case-insensitive regular expressions." },
	{ "use-regex", BOOL(use_regex), DEFAULT("false"), A, HOST, ACTS("routing"),
	  .doc = "All paths of the host are case-insensitive regular expressions, matched from their beginning, the longest first." },
	{ "app-root", TEXT(app_root, form_path), A, LOCATION, ACTS("redirects"),
	  .doc = "A request for / is redirected (302) to this path." },
	{ "ssl-redirect", BOOL(ssl_redirect), DEFAULT("true"), A, LOCATION, ACTS("redirects"),
	  .doc = "Redirects http to https (308) when the host has TLS." },
	{ "force-ssl-redirect", BOOL(force_ssl_redirect), DEFAULT("false"), A, LOCATION, ACTS("redirects"),
	  .doc = "Redirects http to https (308) even when the host has no TLS: for TLS that ends at a load balancer." },
	{ "preserve-trailing-slash", BOOL(preserve_trailing_slash), DEFAULT("false"), A, LOCATION, ACTS("redirects"),
	  .doc = "Keeps a trailing slash of the path when redirecting to https." },
	{ "from-to-www-redirect", BOOL(from_to_www_redirect), DEFAULT("false"), A, HOST, ACTS("routing"),
	  .doc = "Redirects (308) www.HOST to HOST, or HOST to www.HOST, whichever of them is not the rule's." },
	{ "permanent-redirect", VARIABLES(permanent_redirect, form_redirect), A, LOCATION, ACTS("redirects"),
	  .doc = "Answers with a redirect (301) to this URL instead of asking an upstream." },
	{ "permanent-redirect-code", INT(permanent_redirect_code, 300, 308), DEFAULT("301"), A, LOCATION, ACTS("redirects"),
	  .doc = "Status of permanent-redirect." },
	{ "temporal-redirect", VARIABLES(temporal_redirect, form_redirect), A, LOCATION, ACTS("redirects"),
	  .doc = "Answers with a redirect (302) to this URL; wins over permanent-redirect." },
	{ "temporal-redirect-code", INT(temporal_redirect_code, 300, 307), DEFAULT("302"), A, LOCATION, ACTS("redirects"),
	  .doc = "Status of temporal-redirect." },
	{ "relative-redirects", BOOL(relative_redirects), DEFAULT("false"), B, LOCATION, ACTS("redirects"),
	  .doc = "A path of permanent-redirect or temporal-redirect stays one, instead of getting the request's scheme and host." },
	{ "use-port-in-redirects", NONE, C, LOCATION, ACTS("redirects"),
	  .doc = "Would put the listening port into the Location of redirects." },
	{ "server-alias", LIST(server_alias, form_server_name), A, HOST, ACTS("routing"),
	  .flags = FIELD_FOOTNOTE | FIELD_EACH, .doc = "More names for the hosts of this Ingress; a name that another Ingress has as a host is left to it.",
	  .differs = "names only: nginx also takes regular expressions (~^...)" },
	{ "upstream-vhost", VARIABLES(upstream_vhost, form_any), A, LOCATION, ACTS("upstream"),
	  .doc = "The Host that the upstream sees; otherwise it is the client's." },
	{ "x-forwarded-prefix", VARIABLES(x_forwarded_prefix, form_any), B, LOCATION, ACTS("upstream"),
	  .doc = "Value of X-Forwarded-Prefix, sent together with rewrite-target." },
	{ "default-backend", TEXT(default_backend, form_service), A, LOCATION, ACTS("routing"),
	  .doc = "A Service of the same namespace (its first port) that answers when the rule's Service has no endpoints, and for "
		 "custom-http-errors." },
	{ "custom-http-errors", CODES(custom_http_errors, n_custom_http_errors, 400, 599), A, LOCATION, ACTS("custom errors"),
	  .doc = "Answers with these statuses are replaced by the default backend's, which is told X-Code, X-Format and more." },
	{ "disable-proxy-intercept-errors", BOOL(disable_intercept), DEFAULT("false"), B, LOCATION, ACTS("custom errors"),
	  .doc = "The upstream's own answers pass although custom-http-errors names their status." },
	{ "service-upstream", BOOL(service_upstream), DEFAULT("false"), B, LOCATION, ACTS("routing"),
	  .doc = "Requests go to the Service's ClusterIP instead of its endpoints." },

	/* bodies, buffers, time */
	{ "proxy-body-size", SIZE(proxy_body_size_bytes), DEFAULT("1m"), A, LOCATION, ACTS("limits"),
	  .doc = "The longest request body; a longer one is answered with 413. 0: no limit." },
	{ "client-body-buffer-size", SIZE(client_body_buffer_bytes), DEFAULT("8k"), B, LOCATION, ACTS("upstream"),
	  .doc = "How much of a request's body is kept for another try.",
	  .differs = "nginx buffers whole bodies, on disk beyond this size; here a longer body, and one above 512 KiB, is streamed and not tried again" },
	{ "proxy-request-buffering", WORD(proxy_request_buffering, words_on_off), DEFAULT("on"), A, LOCATION, ACTS("upstream"),
	  .doc = "Whether the request's body is read before an upstream is asked.",
	  .differs = "bodies above client-body-buffer-size (at least 64 KiB) are streamed: nothing is written to disk", .same_with = "off" },
	{ "proxy-buffering", WORD(proxy_buffering, words_on_off), DEFAULT("off"), A, LOCATION, ACTS("upstream"),
	  .doc = "Whether an answer is read ahead of a slow client.",
	  .differs = "at most proxy-buffer-size times proxy-buffers-number (256 KiB to 32 MiB) is read ahead, in memory", .same_with = "off" },
	{ "proxy-buffer-size", SIZE(proxy_buffer_bytes), DEFAULT("4k"), A, LOCATION, ACTS("upstream"), .flags = FIELD_FOOTNOTE,
	  .doc = "Size of one buffer for an answer.", .differs = "heads of answers may be longer than this: they have a limit of their own" },
	{ "proxy-buffers-number", INT(proxy_buffers_number, 2, 65536), DEFAULT("4"), B, LOCATION, ACTS("upstream"),
	  .doc = "How many buffers an answer may have when it is read ahead." },
	{ "proxy-busy-buffers-size", NONE, C, LOCATION, ACTS("upstream"),
	  .doc = "Would bound what is being sent to the client while the answer is read." },
	{ "proxy-max-temp-file-size", NONE, C, LOCATION, ACTS("upstream"),
	  .doc = "Would bound the temporary file of an answer: nothing is written to disk." },
	{ "proxy-connect-timeout", SECONDS(proxy_connect_timeout_s), DEFAULT("5"), A, LOCATION, ACTS("upstream"),
	  .doc = "How long connecting to an endpoint may take (504)." },
	{ "proxy-read-timeout", SECONDS(proxy_read_timeout_s), DEFAULT("60"), A, LOCATION, ACTS("upstream"),
	  .doc = "How long an upstream may be silent between two reads (504)." },
	{ "proxy-send-timeout", SECONDS(proxy_send_timeout_s), DEFAULT("60"), A, LOCATION, ACTS("upstream"),
	  .doc = "How long an upstream may take nothing between two writes (504)." },

	/* upstream */
	{ "backend-protocol", WORD(backend_protocol, protocols), DEFAULT("HTTP"), A, LOCATION, ACTS("upstream"),
	  .doc = "What the upstream speaks; GRPC is HTTP/2 without TLS, FCGI is FastCGI. HTTPS verifies nothing unless proxy-ssl-verify is on." },
	{ "proxy-http-version", WORD(proxy_http_1_0, words_http_versions), DEFAULT("1.1"), B, LOCATION, ACTS("upstream"),
	  .doc = "HTTP version of requests to the upstream." },
	{ "proxy-next-upstream", WORDS(next_upstream, words_next_upstreams), DEFAULT("error timeout"), B, LOCATION, ACTS("upstream"),
	  .doc = "When another endpoint is tried; only idempotent requests are, unless non_idempotent is among the words." },
	{ "proxy-next-upstream-tries", INT(next_upstream_tries, 0, 1000), DEFAULT("3"), B, LOCATION, ACTS("upstream"),
	  .doc = "How many endpoints are tried, the first included. 0: no limit." },
	{ "proxy-next-upstream-timeout", SECONDS(next_upstream_timeout_s), DEFAULT("0"), B, LOCATION, ACTS("upstream"),
	  .doc = "For how long another endpoint may be tried. 0: no limit." },
	{ "load-balance", WORD(load_balance, words_balances), DEFAULT("round_robin"), B, LOCATION, ACTS("balancing"),
	  .doc = "How an endpoint is chosen. least_requests (the less busy of two) is our own." },
	{ "upstream-hash-by", VARIABLES(upstream_hash_by, form_any), B, LOCATION, ACTS("balancing"),
	  .doc = "Requests with the same value go to the same endpoint (consistent hashing); wins over load-balance." },
	{ "upstream-hash-by-subset", BOOL(upstream_hash_by_subset), DEFAULT("false"), B, LOCATION, ACTS("balancing"),
	  .doc = "upstream-hash-by chooses a group of endpoints, of which one is taken at random." },
	{ "upstream-hash-by-subset-size", INT(upstream_hash_by_subset_size, 1, 10000), DEFAULT("3"), B, LOCATION, ACTS("balancing"),
	  .doc = "Endpoints in each group of upstream-hash-by-subset." },
	{ "proxy-cookie-domain", TEXT(proxy_cookie_domain, form_cookie_domains), DEFAULT("off"), B, LOCATION, ACTS("headers"),
	  .doc = "\"FROM TO\": the Domain of the upstream's cookies, when it is FROM, becomes TO. ~FROM is a regular expression; off: nothing." },
	{ "proxy-cookie-path", TEXT(proxy_cookie_path, form_cookie_paths), DEFAULT("off"), B, LOCATION, ACTS("headers"),
	  .doc = "\"FROM TO\": where the Path of the upstream's cookies begins with FROM, that becomes TO. ~FROM is a regular expression; off: nothing." },
	{ "proxy-redirect-from", TEXT(proxy_redirect_from, form_cookie_value), DEFAULT("off"), B, LOCATION, ACTS("headers"),
	  .doc = "Where Location or the URL in Refresh of the upstream's answers begins with this, that becomes proxy-redirect-to. ~ before it: a "
		 "regular expression; default: ingress-nginx's own name for upstreams, http://upstream_balancer/, becomes /; off: nothing." },
	{ "proxy-redirect-to", TEXT(proxy_redirect_to, form_cookie_value), DEFAULT("off"), B, LOCATION, ACTS("headers"),
	  .doc = "What proxy-redirect-from becomes; a path gets the request's scheme and host." },
	{ "connection-proxy-header", NONE, C, LOCATION, ACTS("upstream"),
	  .doc = "Would set Connection to the upstream: connections are kept as HTTP says." },
	{ "fastcgi-index", TEXT(fastcgi_index, form_file_name), B, LOCATION, ACTS("upstream"), GUARDS,
	  .doc = "With backend-protocol FCGI: what $fastcgi_script_name, and so SCRIPT_NAME, ends in when the path ends in '/'." },
	{ "fastcgi-params-configmap", TEXT(fastcgi_params, form_reference), B, LOCATION, ACTS("upstream"), GUARDS,
	  .doc = "With backend-protocol FCGI: a ConfigMap of the Ingress's namespace whose keys are parameters for the program, beside "
		 "those of nginx's fastcgi_params, and whose values may have $variables: SCRIPT_FILENAME at least. HTTP_NAME replaces the "
		 "client's header; empty, it takes it away." },

	/* sticky sessions */
	{ "affinity", WORD(affinity_cookie, affinities), A, LOCATION, ACTS("affinity"),
	  .doc = "A client stays at the endpoint that a cookie names." },
	{ "affinity-mode", WORD(affinity_mode, affinity_modes), DEFAULT("balanced"), B, LOCATION, ACTS("affinity"),
	  .doc = "balanced: some sessions move when endpoints are added; persistent: none does while its endpoint lives." },
	{ "affinity-canary-behavior", WORD(affinity_canary_legacy, canary_behaviours), DEFAULT("sticky"), B, CANARY, ACTS("affinity"),
	  .doc = "sticky: a client that a canary has served stays with it; legacy: it is chosen anew each time." },
	{ "session-cookie-name", TEXT(session_cookie_name, form_token), DEFAULT("INGRESSCOOKIE"), A, LOCATION, ACTS("affinity"),
	  .doc = "Name of the cookie." },
	{ "session-cookie-path", TEXT(session_cookie_path, form_cookie_value), A, LOCATION, ACTS("affinity"),
	  .doc = "Path of the cookie; by default the path of the rule. Needed with use-regex." },
	{ "session-cookie-domain", TEXT(session_cookie_domain, form_host), B, LOCATION, ACTS("affinity"), .doc = "Domain of the cookie." },
	{ "session-cookie-expires", INT(session_cookie_expires_s, -1, INT32_MAX), DEFAULT("-1"), A, LOCATION, ACTS("affinity"),
	  .doc = "Expires of the cookie, in seconds from now." },
	{ "session-cookie-max-age", INT(session_cookie_max_age_s, -1, INT32_MAX), DEFAULT("-1"), A, LOCATION, ACTS("affinity"),
	  .doc = "Max-Age of the cookie, in seconds." },
	{ "session-cookie-samesite", WORD(session_cookie_samesite, same_sites), A, LOCATION, ACTS("affinity"),
	  .doc = "SameSite of the cookie." },
	{ "session-cookie-conditional-samesite-none", BOOL(session_cookie_conditional_samesite_none), DEFAULT("false"), B, LOCATION,
	  ACTS("affinity"), .doc = "Leaves SameSite=None out for browsers that do not know it." },
	{ "session-cookie-secure", TRISTATE(session_cookie_secure), A, LOCATION, ACTS("affinity"),
	  .doc = "Secure of the cookie, also when the request came without TLS; one that came over https always gets it." },
	{ "session-cookie-change-on-failure", BOOL(session_cookie_change_on_failure), DEFAULT("false"), B, LOCATION, ACTS("affinity"),
	  .doc = "The cookie names another endpoint once its own has failed." },

	/* canaries */
	{ "canary", BOOL(canary), DEFAULT("false"), A, CANARY, ACTS("canary"),
	  .flags = FIELD_FOOTNOTE, .doc = "This Ingress is an alternative for the same hosts and paths of another one.",
	  .differs = "any number of canaries for a rule: nginx uses the first only" },
	{ "canary-by-header", TEXT(canary_by_header, form_header_name), A, CANARY, ACTS("canary"),
	  .doc = "A request whose header of this name is `always` goes to the canary, with `never` it does not." },
	{ "canary-by-header-value", TEXT(canary_by_header_value, form_any), A, CANARY, ACTS("canary"),
	  .doc = "The value that stands for `always`." },
	{ "canary-by-header-pattern", PATTERN(canary_by_header_pattern), A, CANARY, ACTS("canary"),
	  .doc = "A regular expression for values that stand for `always`; canary-by-header-value wins." },
	{ "canary-by-cookie", TEXT(canary_by_cookie, form_token), A, CANARY, ACTS("canary"),
	  .doc = "A request whose cookie of this name is `always` goes to the canary, with `never` it does not." },
	{ "canary-weight", INT(canary_weight, 0, 1000000000), DEFAULT("0"), A, CANARY, ACTS("canary"),
	  .doc = "How many of canary-weight-total requests go to the canary." },
	{ "canary-weight-total", INT(canary_weight_total, 1, 1000000000), DEFAULT("100"), A, CANARY, ACTS("canary"),
	  .doc = "What canary-weight counts against." },

	/* access */
	{ "allowlist-source-range", .alias = "whitelist-source-range", CIDRS(allow), A, LOCATION, ACTS("addresses"), GUARDS,
	  .doc = "Clients from elsewhere get 403. Replaces the list of the ConfigMap." },
	{ "denylist-source-range", CIDRS(deny), B, LOCATION, ACTS("addresses"), GUARDS,
	  .doc = "Clients from these addresses get 403; looked at before the allowed ones." },
	{ "auth-type", WORD(auth_type, auth_types), A, LOCATION, ACTS("basic auth"), .flags = FIELD_GUARDS | FIELD_FOOTNOTE,
	  .doc = "Asks for a user and password (401).", .differs = "digest knows SHA-256 beside MD5, and does not lock out addresses after failures" },
	{ "auth-secret", REF(auth_secret, form_reference), A, LOCATION, ACTS("basic auth"), GUARDS,
	  .doc = "The Secret with users and password hashes. Missing or without its key: every request is answered with 503." },
	{ "auth-secret-type", .type = FIELD_WORD, .home = HOME_SETTINGS_REFS, OF(struct settings_refs, auth_map, bool),
	  .words = auth_secret_types, DEFAULT("auth-file"), A, LOCATION, ACTS("basic auth"), GUARDS,
	  .doc = "auth-file: an htpasswd file in the key `auth`; auth-map: keys are users, values hashes. For digest, htdigest's lines user:realm:hash, and realm:hash." },
	{ "auth-realm", TEXT(auth_realm, form_any), A, LOCATION, ACTS("basic auth"), .doc = "The realm that the browser shows." },
	{ "satisfy", WORD(satisfy, satisfies), DEFAULT("all"), B, LOCATION, ACTS("access"), GUARDS,
	  .doc = "Whether all of address, password and auth-url must let a request pass, or any one of them." },
	{ "auth-url", VARIABLES(auth_url, form_url_with_variables), A, LOCATION, ACTS("external auth"), GUARDS,
	  .doc = "Each request asks this URL first: 2xx lets it pass, 401 and 403 are passed on. The certificate of an https URL is checked (by the system's roots) where proxy-ssl-verify is on." },
	{ "auth-method", TEXT(auth_method, form_method), B, LOCATION, ACTS("external auth"), GUARDS,
	  .doc = "Method of the request to auth-url; by default GET." },
	{ "auth-signin", VARIABLES(auth_signin, form_redirect), A, LOCATION, ACTS("external auth"),
	  .doc = "Where to redirect (302) instead of answering 401." },
	{ "auth-signin-redirect-param", TEXT(auth_signin_redirect_param, form_cookie_value), DEFAULT("rd"), A, LOCATION, ACTS("external auth"),
	  .doc = "The parameter that tells auth-signin where the user came from." },
	{ "auth-response-headers", LIST(auth_response_headers, form_header_name), A, LOCATION, ACTS("external auth"), GUARDS,
	  .doc = "Headers of auth-url's answer that the upstream gets." },
	{ "auth-proxy-set-headers", REF(auth_proxy_set_headers, form_reference), B, LOCATION, ACTS("external auth"), GUARDS,
	  .doc = "A ConfigMap with headers for the request to auth-url." },
	{ "auth-request-redirect", VARIABLES(auth_request_redirect, form_redirect), B, LOCATION, ACTS("external auth"),
	  .doc = "Value of X-Auth-Request-Redirect; by default $request_uri." },
	{ "auth-always-set-cookie", BOOL(auth_always_set_cookie), DEFAULT("false"), B, LOCATION, ACTS("external auth"),
	  .doc = "Cookies of auth-url's answer go to the client whatever the upstream's status is." },
	{ "enable-global-auth", BOOL(enable_global_auth), DEFAULT("true"), B, LOCATION, ACTS("external auth"),
	  .doc = "Whether the ConfigMap's global-auth-url is asked." },
	{ "auth-snippet", NONE, C, LOCATION, ACTS("external auth"), .doc = "Would add nginx directives to the request to auth-url." },
	{ "auth-cache-key", VARIABLES(auth_cache_key, form_cache_key), B, LOCATION, ACTS("external auth"), .flags = FIELD_FOOTNOTE,
	  .doc = "Answers of auth-url are remembered for requests to the same path of the Ingress in whose variables this text is the same: "
		 "whatever the verdict depends on must be in it. By default each request asks. As in nginx, answers with Set-Cookie are not remembered, "
		 "and Cache-Control, Expires, X-Accel-Expires and Vary of an answer count.",
	  .differs = "values of variables count one by one: $a$b is another text for a, bc than for ab, c; $uri and $args are the request's, in nginx those of the request to auth-url; an answer whose Vary names what the proxy itself tells auth-url (X-Original-Method, X-Forwarded-For, …) is not remembered" },
	{ "auth-cache-duration", TEXT(auth_cache_duration, form_cache_durations), DEFAULT("200 202 401 5m"), B, LOCATION, ACTS("external auth"), GUARDS,
	  .doc = "For how long, by status." },
	{ "auth-keepalive", NONE, C, LOCATION, ACTS("external auth"), .flags = FIELD_SILENT,
	  .doc = "How many connections to auth-url would be kept: they always are." },
	{ "auth-keepalive-share-vars", NONE, C, LOCATION, ACTS("external auth"), .doc = "Would share nginx's variables with the request to auth-url." },
	{ "auth-keepalive-requests", NONE, C, LOCATION, ACTS("external auth"), .flags = FIELD_SILENT,
	  .doc = "How many requests a connection to auth-url would carry." },
	{ "auth-keepalive-timeout", NONE, C, LOCATION, ACTS("external auth"), .flags = FIELD_SILENT,
	  .doc = "For how long a connection to auth-url would be kept." },
	{ "auth-tls-secret", REF(auth_tls_secret, form_reference), B, HOST, ACTS("client certificates"), GUARDS,
	  .doc = "The Secret with the CA (`ca.crt`) that client certificates are checked against. Missing: every request to the host is "
		 "answered with 403." },
	{ "auth-tls-verify-client", WORD(auth_tls_verify_client, verify_clients), DEFAULT("on"), B, HOST, ACTS("client certificates"), GUARDS,
	  .doc = "Whether a certificate is asked for, and whether it is needed." },
	{ "auth-tls-verify-depth", INT(auth_tls_verify_depth, 1, 100), DEFAULT("1"), B, HOST, ACTS("client certificates"), GUARDS,
	  .doc = "How many certificates may be between the client's and the CA." },
	{ "auth-tls-error-page", TEXT(auth_tls_error_page, form_redirect), B, HOST, ACTS("client certificates"),
	  .doc = "Where to redirect when the certificate is missing or bad." },
	{ "auth-tls-pass-certificate-to-upstream", BOOL(auth_tls_pass_certificate), DEFAULT("false"), B, HOST, ACTS("client certificates"),
	  .doc = "The upstream gets the certificate in ssl-client-cert." },
	{ "auth-tls-match-cn", .type = FIELD_PATTERN, .home = HOME_SETTINGS, OF(struct settings, auth_tls_match_cn, struct regex *),
	  .form = &form_common_name, B, HOST, ACTS("client certificates"), GUARDS,
	  .doc = "A regular expression for the certificate's subject; others get 403." },

	/* upstream TLS */
	{ "proxy-ssl-secret", REF(proxy_ssl_secret, form_reference), B, LOCATION, ACTS("upstream TLS"), GUARDS,
	  .doc = "The Secret with the certificate shown to the upstream (`tls.crt`, `tls.key`) and the CA it is checked against (`ca.crt`)." },
	{ "proxy-ssl-verify", WORD(proxy_ssl_verify, words_on_off), DEFAULT("off"), B, LOCATION, ACTS("upstream TLS"), GUARDS,
	  .doc = "Checks the upstream's certificate. Needs proxy-ssl-secret." },
	{ "proxy-ssl-verify-depth", .type = FIELD_INT, .home = HOME_SETTINGS_REFS, OF_NUMBER(struct settings_refs, proxy_ssl_verify_depth),
	  .min = 1, .max = 100, DEFAULT("1"), B, LOCATION, ACTS("upstream TLS"),
	  .doc = "How many certificates may be between the upstream's and the CA." },
	{ "proxy-ssl-name", TEXT(proxy_ssl_name, form_host), B, LOCATION, ACTS("upstream TLS"),
	  .doc = "The name that the upstream's certificate must have, and that is sent as SNI." },
	{ "proxy-ssl-server-name", WORD(proxy_ssl_server_name, words_on_off), DEFAULT("off"), B, LOCATION, ACTS("upstream TLS"),
	  .doc = "Sends SNI to the upstream." },
	{ "proxy-ssl-protocols", .type = FIELD_WORDS, .home = HOME_SETTINGS_REFS, OF(struct settings_refs, proxy_ssl_protocols, unsigned),
	  .words = tls_versions, DEFAULT("TLSv1.2"), B, LOCATION, ACTS("upstream TLS"), .doc = "TLS versions spoken to the upstream." },
	{ "proxy-ssl-ciphers", REF(proxy_ssl_ciphers, form_ciphers), DEFAULT("DEFAULT"), B, LOCATION, ACTS("upstream TLS"),
	  .doc = "Ciphers offered to the upstream, for TLS 1.2." },

	/* limits */
	{ "limit-rps", INT(limit_rps, 0, 1000000000), DEFAULT("0"), A, LOCATION, ACTS("limits"),
	  .doc = "Requests per second from one address (a leaky bucket); more are answered with 503." },
	{ "limit-rpm", INT(limit_rpm, 0, 1000000000), DEFAULT("0"), B, LOCATION, ACTS("limits"), .doc = "Requests per minute from one address." },
	{ "limit-burst-multiplier", INT(limit_burst_multiplier, 1, 1000000), DEFAULT("5"), B, LOCATION, ACTS("limits"),
	  .doc = "The bucket of limit-rps and limit-rpm holds this many times the limit." },
	{ "limit-connections", INT(limit_connections, 0, 1000000000), DEFAULT("0"), A, LOCATION, ACTS("limits"),
	  .doc = "Requests from one address that may be under way at once; more are answered with 503." },
	{ "limit-allowlist", .alias = "limit-whitelist", CIDRS(limit_allow), B, LOCATION, ACTS("limits"),
	  .doc = "Clients that limits do not concern." },
	{ "limit-rate", INT(limit_rate_kib, 0, 1000000000), DEFAULT("0"), B, LOCATION, ACTS("limits"),
	  .doc = "KiB per second of an answer; each request for itself. As in nginx only with proxy-buffering, or backend-protocol FCGI. "
		 "X-Accel-Limit-Rate of an upstream (bytes) wins. 0: no limit." },
	{ "limit-rate-after", INT(limit_rate_after_kib, 0, 1000000000), DEFAULT("0"), B, LOCATION, ACTS("limits"),
	  .doc = "So many KiB of an answer go before limit-rate begins." },

	/* CORS */
	{ "enable-cors", BOOL(enable_cors), DEFAULT("false"), A, LOCATION, ACTS("cors"),
	  .doc = "Answers preflight requests and adds the CORS headers." },
	{ "cors-allow-origin", LIST(cors_allow_origin, form_origin), DEFAULT("*"), A, LOCATION, ACTS("cors"),
	  .flags = FIELD_EACH, .doc = "Origins that are allowed; https://*.a.example stands for one label." },
	{ "cors-allow-methods", TEXT(cors_allow_methods, form_methods), DEFAULT("GET, PUT, POST, DELETE, PATCH, OPTIONS"), A, LOCATION,
	  ACTS("cors"), .doc = "Access-Control-Allow-Methods." },
	{ "cors-allow-headers", TEXT(cors_allow_headers, form_header_names),
	  DEFAULT("DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"), A,
	  LOCATION, ACTS("cors"), .doc = "Access-Control-Allow-Headers." },
	{ "cors-expose-headers", TEXT(cors_expose_headers, form_header_names), A, LOCATION, ACTS("cors"), .doc = "Access-Control-Expose-Headers." },
	{ "cors-allow-credentials", BOOL(cors_allow_credentials), DEFAULT("true"), A, LOCATION, ACTS("cors"),
	  .doc = "Access-Control-Allow-Credentials." },
	{ "cors-max-age", INT(cors_max_age_s, 0, INT32_MAX), DEFAULT("1728000"), A, LOCATION, ACTS("cors"),
	  .doc = "Access-Control-Max-Age, in seconds." },

	/* answers, mirrors, snippets */
	{ "custom-headers", REF(custom_headers, form_reference), B, LOCATION, ACTS("headers"), GUARDS,
	  .doc = "A ConfigMap with headers for answers; only names that the ConfigMap's global-allowed-response-headers has." },
	{ "mirror-target", VARIABLES(mirror_target, form_url_with_variables), B, LOCATION, ACTS("mirror"),
	  .doc = "Each request is also sent there; the answer is dropped." },
	{ "mirror-request-body", WORD(mirror_request_body, words_on_off), DEFAULT("on"), B, LOCATION, ACTS("mirror"),
	  .doc = "Whether the mirror gets the request's body." },
	{ "mirror-host", TEXT(mirror_host, form_any), B, LOCATION, ACTS("mirror"), .doc = "Host that the mirror sees; by default that of its URL." },
	{ "configuration-snippet", REF(configuration_snippet, form_any), .flags = FIELD_MULTILINE | FIELD_FOOTNOTE, A, LOCATION, ACTS("snippets"),
	  .doc = "nginx directives for the location. Needs allow-snippet-annotations in the ConfigMap.",
	  .differs = "a subset that is parsed, never pasted: headers, return, rewrite, set, if, allow, deny" },
	{ "server-snippet", REF(server_snippet, form_any), .flags = FIELD_MULTILINE | FIELD_FOOTNOTE, A, HOST, ACTS("snippets"),
	  .doc = "nginx directives for the host's locations. Needs allow-snippet-annotations in the ConfigMap.",
	  .differs = "as configuration-snippet; applied to the locations of this Ingress" },
	{ "stream-snippet", NONE, C, .scope = "global", ACTS("snippets"), .doc = "Would add directives to nginx's stream block." },
	{ "http2-push-preload", NONE, C, LOCATION, ACTS("headers"), .doc = "Would push what Link headers name: browsers no longer take it." },

	/* TLS, observing, filtering */
	{ "ssl-passthrough", BOOL(ssl_passthrough), DEFAULT("false"), B, HOST, ACTS("TLS"),
	  .flags = FIELD_FOOTNOTE, .doc = "Connections for the host go to the Service unread, chosen by SNI; other annotations have no effect.",
	  .differs = "works without a command-line switch" },
	{ "ssl-ciphers", TEXT(ssl_ciphers, form_host_ciphers), C, HOST, ACTS("TLS"),
	  .doc = "Ciphers of TLS 1.2 for clients that name the host (SNI), instead of the ConfigMap's." },
	{ "ssl-prefer-server-ciphers", TRISTATE(ssl_prefer_server_ciphers), C, HOST, ACTS("TLS"),
	  .doc = "true: the order of these ciphers counts; false: the client's. By default the former, but clients that want ChaCha first get it." },
	{ "enable-access-log", BOOL(enable_access_log), DEFAULT("true"), B, LOCATION, ACTS("access log"), .doc = "Whether requests are logged." },
	{ "enable-rewrite-log", NONE, C, LOCATION, ACTS("access log"), .doc = "Would log rewrites: see `portico explain`." },
	{ "enable-opentelemetry", BOOL(enable_opentelemetry), DEFAULT("false"), B, LOCATION, ACTS("tracing"),
	  .doc = "Spans of requests are exported by OTLP, when the ConfigMap says where to." },
	{ "opentelemetry-trust-incoming-span", BOOL(opentelemetry_trust_incoming_span), DEFAULT("true"), C, LOCATION, ACTS("tracing"),
	  .flags = FIELD_FOOTNOTE, .doc = "Whether a client's traceparent is continued, or every request begins a trace.",
	  .differs = "also where tracing is on by the ConfigMap only" },
	{ "opentelemetry-operation-name", VARIABLES(opentelemetry_operation_name, form_word), C, LOCATION, ACTS("tracing"),
	  .flags = FIELD_FOOTNOTE, .doc = "The name of the spans; by default the request's method and the rule's path.",
	  .differs = "also where tracing is on by the ConfigMap only" },
	{ "enable-modsecurity", REF_BOOL(modsecurity), DEFAULT("false"), C, LOCATION, ACTS("waf"),
	  .doc = "Turns the request filter on, together with enable-owasp-core-rules.",
	  .differs = "portico's own rules: it detects, and blocks when modsecurity-snippet says SecRuleEngine On",
	  .same_with = "false" },
	{ "enable-owasp-core-rules", REF_BOOL(owasp_rules), DEFAULT("false"), C, LOCATION, ACTS("waf"),
	  .doc = "Turns the request filter on, together with enable-modsecurity.", .differs = "portico's own rules, see portico.io/waf",
	  .same_with = "false" },
	{ "modsecurity-snippet", REF(modsecurity_snippet, form_any), .flags = FIELD_MULTILINE, C, LOCATION, ACTS("waf"),
	  .doc = "Of ModSecurity's directives only SecRuleEngine is read. Needs allow-snippet-annotations in the ConfigMap.", .differs = "SecRule and the others have no effect" },
	{ "modsecurity-transaction-id", NONE, C, LOCATION, ACTS("waf"), .doc = "Would name requests in ModSecurity's log." },
	{ 0 },
};

const struct field our_annotations[] = {
	{ "request-timeout", SECONDS(request_timeout_s), DEFAULT("0"), OURS, LOCATION, ACTS("upstream"),
	  .doc = "How long a request may take altogether, all tries included (504). 0: no limit." },
	{ "retry-budget-percent", INT(retry_budget_percent, 0, 1000), DEFAULT("20"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "Retries under way may be this share of the requests under way, so that a broken Service is not asked twice as much." },
	{ "max-connections", INT(max_connections, 0, 1000000), DEFAULT("0"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "Requests that one endpoint gets at once; the others go elsewhere or get 503. 0: no limit." },
	{ "max-pending", INT(max_pending, 0, 1000000), DEFAULT("0"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "Requests that may wait for a connection to one endpoint. 0: no limit." },
	{ "slow-start", SECONDS(slow_start_s), DEFAULT("0"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "For how long a new endpoint gets a growing share only." },
	{ "outlier-consecutive-errors", INT(outlier_consecutive_errors, 0, 1000000), DEFAULT("0"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "After so many failures in a row an endpoint is left out for a while. 0: never." },
	{ "outlier-eject", SECONDS(outlier_eject_s), DEFAULT("30"), OURS, LOCATION, ACTS("balancing"),
	  .doc = "For how long an endpoint is left out." },
	{ "health-check-path", TEXT(health_check_path, form_path), OURS, LOCATION, ACTS("health"),
	  .doc = "Endpoints are asked for this path; those that do not answer 2xx or 3xx get no requests." },
	{ "health-check-interval", SECONDS(health_check_interval_s), DEFAULT("10"), OURS, LOCATION, ACTS("health"),
	  .doc = "Time between two checks of an endpoint." },
	{ "health-check-timeout", SECONDS(health_check_timeout_s), DEFAULT("5"), OURS, LOCATION, ACTS("health"),
	  .doc = "How long a check may take." },
	{ "health-check-healthy", INT(health_check_healthy, 1, 1000), DEFAULT("2"), OURS, LOCATION, ACTS("health"),
	  .doc = "Good checks in a row until an endpoint gets requests again." },
	{ "health-check-unhealthy", INT(health_check_unhealthy, 1, 1000), DEFAULT("3"), OURS, LOCATION, ACTS("health"),
	  .doc = "Bad checks in a row until an endpoint gets none." },
	{ "proxy-protocol", BOOL(proxy_protocol_upstream), DEFAULT("false"), OURS, LOCATION, ACTS("upstream"),
	  .doc = "Connections to the upstream begin with a PROXY protocol v2 header." },
	{ "jwt-secret", REF(jwks_secret, form_reference), OURS, LOCATION, ACTS("jwt"), GUARDS,
	  .doc = "Requests need a bearer token signed by a key of the JSON Web Key Set in this Secret (key `jwks` or `jwks.json`)." },
	{ "jwt-configmap", REF(jwks_configmap, form_reference), OURS, LOCATION, ACTS("jwt"), GUARDS,
	  .doc = "As jwt-secret, from a ConfigMap: the keys are public." },
	{ "jwt-jwks-url", REF(jwks_url, form_url), OURS, LOCATION, ACTS("jwt"), GUARDS,
	  .doc = "As jwt-secret, from an http or https URL (the system's roots): fetched every ten minutes; until the first time, 503." },
	{ "jwt-issuer", TEXT(jwt_issuer, form_any), OURS, LOCATION, ACTS("jwt"), GUARDS, .doc = "The token's `iss` must be this." },
	{ "jwt-audiences", LIST(jwt_audiences, form_any), OURS, LOCATION, ACTS("jwt"), GUARDS, .doc = "The token's `aud` must have one of these." },
	{ "jwt-forward-claims", LIST(jwt_forward_claims, form_any), OURS, LOCATION, ACTS("jwt"),
	  .doc = "Claims that the upstream gets as headers: `claim` as X-Jwt-Claim-<claim>, or `claim=Header-Name`." },
	{ "limit-key", VARIABLES(limit_key, form_any), OURS, LOCATION, ACTS("limits"),
	  .doc = "What limit-rps, limit-rpm and limit-connections count by, instead of the client's address: \"$http_x_api_key\"." },
	{ "waf", WORD(waf, waf_modes), OURS, LOCATION, ACTS("waf"),
	  .doc = "The request filter: off, detect (logs what it would refuse) or block (403)." },
	{ "waf-paranoia", INT(waf_paranoia, 1, 4), DEFAULT("1"), OURS, LOCATION, ACTS("waf"),
	  .doc = "How suspicious the request filter is; above 1 it needs exceptions for most applications." },
	{ "waf-exclude-rules", CODES(waf_exclude, n_waf_exclude, 1001, 9999), OURS, LOCATION, ACTS("waf"),
	  .doc = "Rules of the request filter that do not count here, by the numbers in its log lines." },
	{ 0 },
};

const struct field *annotation_table(struct str key, struct str *ret_name)
{
	static const struct {
		struct str prefix;
		const struct field *table;
	} tables[] = { { { NGINX_PREFIX, sizeof(NGINX_PREFIX) - 1 }, nginx_annotations },
		       { { OUR_PREFIX, sizeof(OUR_PREFIX) - 1 }, our_annotations } };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (str_starts(key, tables[i].prefix)) {
			*ret_name = (struct str){ key.ptr + tables[i].prefix.len, key.len - tables[i].prefix.len };
			return tables[i].table;
		}
	return NULL;
}
