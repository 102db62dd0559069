/* refs.h - values of settings that name something else, or only make sense together: what resolve.c turns into settings. */
#pragma once

#include "roles/ingress/config/settings.h"

struct settings_refs {
	char *affinity;
	char *auth_secret;
	bool auth_map;
	char *auth_tls_secret;
	char *proxy_ssl_secret, *proxy_ssl_ciphers;
	unsigned proxy_ssl_protocols; /* enum tls_version bits */
	unsigned proxy_ssl_verify_depth;
	char *custom_headers, *auth_proxy_set_headers;
	char *jwks_secret, *jwks_configmap, *jwks_url;
	char *configuration_snippet, *server_snippet;
	bool modsecurity, owasp_rules;
	char *modsecurity_snippet;
};
struct globals_refs {
	char *proxy_set_headers, *add_headers; /* ConfigMaps */
	char *ssl_session_ticket_key, *ssl_session_ticket_secret; /* base64; a Secret */
	char *large_client_header_buffers;     /* "4 8k" */
	uint64_t client_header_buffer_bytes;
	char *otlp_host, *otlp_endpoint;
	unsigned otlp_port;
	enum otel_sampler { SAMPLER_ON, SAMPLER_OFF, SAMPLER_RATIO } otel_sampler;
	unsigned otel_ratio; /* of 10,000 */
	bool modsecurity, owasp_rules;
	char *modsecurity_snippet;
	char *http_access_log_path;
	bool disable_http_access_log;
};
enum tls_version { TLS_1_2 = 1 << 0, TLS_1_3 = 1 << 1 };
