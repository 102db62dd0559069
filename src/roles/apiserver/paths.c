/* Paths that are no resource's: discovery, OpenAPI, health, version, metrics, the token issuer's
 * keys. */
#include "roles/apiserver/handlers.h"

#include "base/limits.h"
#include "codec/http_date.h"
#include "kube/schema/openapi.h"
#include "roles/apiserver/discovery.h"
#include "roles/apiserver/status.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#define OPENAPI_V2_PB "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define OPENAPI_V2_PB_TYPE "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
#define VERSION_MAJOR "1"
#define VERSION_MINOR "33"
#define VERSION_GIT "v1.33.0+portico"

struct path_row {
	const char *path; /* ends in '*': everything that begins so */
	void (*handle)(struct request *q);
};

static void not_found(struct request *q)
{
	reply_text(q, 404, "404 page not found\n");
}

/* Documents that change only with the program: an ETag, and 304 when the client has it. */
static const char *etag_of(struct request *q, struct str body)
{
	unsigned char digest[SHA512_DIGEST_LENGTH];
	char hex[2 * SHA512_DIGEST_LENGTH + 3] = "\"";

	SHA512((const unsigned char *)body.ptr, body.len, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 1 + 2 * i, 3, "%02X", digest[i]);
	strcat(hex, "\"");
	return arena_strndup(q->arena, hex, strlen(hex));
}

static void reply_document(struct request *q, const char *content_type, const char *cache_control,
			   struct buf *body)
{
	const char *etag = etag_of(q, buf_str(body));

	reply_header(q, "etag", etag);
	reply_header(q, "vary", "Accept");
	reply_header(q, "cache-control", cache_control);
	if (etag && str_eq_c(http_header_get(q->http->headers, "if-none-match"), etag)) {
		buf_clear(body);
		reply_body(q, 304, content_type, body);
		buf_done(body);
		return;
	}
	reply_body(q, 200, content_type, body);
}

static void reply_tree(struct request *q, const char *content_type, json_t *v)
{
	struct buf b;

	if (!v) {
		not_found(q);
		return;
	}
	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	(void)!jx_dump(v, &b);
	json_decref(v);
	reply_document(q, content_type, "public", &b);
}

static void discovery_root(struct request *q, bool core)
{
	enum form f = negotiate(http_header_get(q->http->headers, "accept"), ALLOW_DISCOVERY);

	if (f == FORM_DISCOVERY_V2)
		reply_tree(q, form_media_type(f), discovery_aggregated(core, "v2"));
	else if (f == FORM_DISCOVERY_V2BETA1)
		reply_tree(q, form_media_type(f), discovery_aggregated(core, "v2beta1"));
	else if (f == FORM_NONE)
		reply_text(q, 406,
			   "406: Not Acceptable\n\nAvailable representations: application/json");
	else if (core)
		reply_tree(q, "application/json",
			   discovery_api_versions(q->api->config->api_address));
	else
		reply_tree(q, "application/json", discovery_groups());
}

static void path_api(struct request *q)
{
	discovery_root(q, true);
}

static void path_apis(struct request *q)
{
	discovery_root(q, false);
}

static void path_group_version(struct request *q)
{
	if (q->info.version)
		reply_tree(q, "application/json",
			   discovery_resources(q->info.group, q->info.version));
	else
		reply_tree(q, "application/json", discovery_group(q->info.group));
}

/* OpenAPI */

static void path_openapi_v3(struct request *q)
{
	char *modified = arena_alloc(q->arena, HTTP_DATE_BYTES);
	struct buf b;

	if (modified)
		http_date(q->api->started_ms / 1000, modified);
	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	reply_header(q, "last-modified", modified);
	if (modified &&
	    str_eq_c(http_header_get(q->http->headers, "if-modified-since"), modified)) {
		reply_body(q, 304, "text/plain; charset=utf-8", &b);
		return;
	}
	if (openapi_v3_index(&b) < 0) {
		buf_done(&b);
		reply_status(q, status_failure(ERR_INTERNAL, "the OpenAPI index cannot be made"));
		return;
	}
	reply_body(q, 200, "text/plain; charset=utf-8", &b);
}

static void path_openapi_v3_group(struct request *q)
{
	const char *group_version = q->info.path + strlen("/openapi/v3/");
	bool hashed = http_query_get(q->http->query, "hash", q->arena) != NULL;
	struct buf b;
	struct err e;

	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	if (openapi_v3_group(str_of(group_version), &b, &e) < 0) {
		buf_done(&b);
		not_found(q);
		return;
	}
	reply_document(q, "application/json", hashed ? "public, immutable" : "no-cache, private",
		       &b);
}

static void path_openapi_v2(struct request *q)
{
	struct str accept = http_header_get(q->http->headers, "accept");
	bool json = accept_allows(accept, "application/json");
	struct buf b;

	if (!json && !accept_allows(accept, OPENAPI_V2_PB)) {
		reply_text(q, 406,
			   "406: Not Acceptable\n\nAvailable representations: "
			   "application/json, " OPENAPI_V2_PB);
		return;
	}
	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	if ((json ? openapi_v2_json(&b) : openapi_v2_protobuf(&b)) < 0) {
		buf_done(&b);
		reply_status(q,
			     status_failure(ERR_INTERNAL, "the OpenAPI document cannot be made"));
		return;
	}
	reply_document(q, json ? "application/json" : OPENAPI_V2_PB_TYPE, "no-cache, private", &b);
}

/* Health, version, metrics */

static void path_health(struct request *q)
{
	const char *check = q->info.path + 1,
		   *verbose = http_query_get(q->http->query, "verbose", q->arena);
	bool ready = q->api->ready || !c_eq(check, "readyz");
	const char *mark = ready ? "[+]" : "[-]", *word = ready ? "ok" : "failed: reason withheld";
	char text[256];

	if (ready && !verbose) {
		reply_text(q, 200, "ok");
		return;
	}
	snprintf(text, sizeof(text), "[+]ping ok\n%sstore %s\n%s check %s\n", mark, word, check,
		 ready ? "passed" : "failed");
	reply_text(q, ready ? 200 : 500, text);
}

static void path_version(struct request *q)
{
	reply_json(q, 200,
		   json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "major", VERSION_MAJOR,
			     "minor", VERSION_MINOR, "gitVersion", VERSION_GIT, "gitCommit", "",
			     "gitTreeState", "clean", "buildDate", "1970-01-01T00:00:00Z",
			     "goVersion", "none", "compiler", "gcc", "platform", "linux/amd64"));
}

static void path_metrics(struct request *q)
{
	const struct metrics *m = &q->api->metrics;
	struct buf b;

	buf_init(&b, 64u << 10);
	buf_printf(&b,
		   "# HELP apiserver_request_total Requests received.\n# TYPE "
		   "apiserver_request_total counter\n"
		   "apiserver_request_total %llu\n",
		   (unsigned long long)m->requests);
	buf_printf(&b,
		   "# HELP apiserver_request_errors_total Answers with a status of 400 or more.\n"
		   "# TYPE apiserver_request_errors_total counter\napiserver_request_errors_total "
		   "%llu\n",
		   (unsigned long long)m->errors);
	buf_printf(&b,
		   "# HELP apiserver_longrunning_requests Watches that are open.\n"
		   "# TYPE apiserver_longrunning_requests "
		   "gauge\napiserver_longrunning_requests{verb=\"WATCH\"} %llu\n",
		   (unsigned long long)m->watches);
	buf_printf(
		&b,
		"# HELP apiserver_watch_events_total Events sent to watches.\n"
		"# TYPE apiserver_watch_events_total counter\napiserver_watch_events_total %llu\n",
		(unsigned long long)m->watch_events);
	buf_printf(&b,
		   "# HELP apiserver_storage_resource_version The newest durable resourceVersion.\n"
		   "# TYPE apiserver_storage_resource_version "
		   "gauge\napiserver_storage_resource_version %llu\n",
		   (unsigned long long)store_durable_rv(q->api->store));
	for (size_t i = 0; i < n_resources; i++) {
		const struct table *t = store_table(q->api->store, &resources[i]);
		if (t && !resources[i].storage && t->n)
			buf_printf(&b, "apiserver_storage_objects{resource=\"%s\"} %zu\n", t->name,
				   t->n);
	}
	reply_body(q, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}

static void path_issuer(struct request *q)
{
	const char *issuer = q->api->authn.issuer;

	reply_json(q, 200,
		   json_pack("{s:s,s:o,s:[s],s:[s],s:[s]}", "issuer", issuer, "jwks_uri",
			     json_sprintf("%s/openid/v1/jwks", issuer), "response_types_supported",
			     "id_token", "subject_types_supported", "public",
			     "id_token_signing_alg_values_supported", "ES256"));
}

static void path_keys(struct request *q)
{
	reply_json(q, 200, json_pack("{s:[o]}", "keys", jwt_public_jwk(&q->api->authn.key)));
}

static void path_root(struct request *q);

static const struct path_row paths[] = {
	{ "/", path_root },
	{ "/api", path_api },
	{ "/api/", path_api },
	{ "/api/*", path_group_version },
	{ "/apis", path_apis },
	{ "/apis/", path_apis },
	{ "/apis/*", path_group_version },
	{ "/openapi/v2", path_openapi_v2 },
	{ "/openapi/v3", path_openapi_v3 },
	{ "/openapi/v3/*", path_openapi_v3_group },
	{ "/healthz", path_health },
	{ "/livez", path_health },
	{ "/readyz", path_health },
	{ "/metrics", path_metrics },
	{ "/version", path_version },
	{ "/version/", path_version },
	{ "/.well-known/openid-configuration", path_issuer },
	{ "/openid/v1/jwks", path_keys },
};

static void path_root(struct request *q)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (!strchr(paths[i].path, '*'))
			json_array_append_new(list, json_string(paths[i].path));
	reply_json(q, 200, json_pack("{s:o}", "paths", list));
}

static bool path_matches(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	return pattern[n - 1] == '*' ? !strncmp(pattern, path, n - 1) : !strcmp(pattern, path);
}

void handle_path(struct request *q)
{
	if (!c_eq(q->info.verb, "get") && !c_eq(q->info.verb, "head")) {
		reply_status(q, status_failure(ERR_METHOD_NOT_ALLOWED,
					       "the server does not allow this method on the "
					       "requested resource"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (path_matches(paths[i].path, q->info.path)) {
			paths[i].handle(q);
			return;
		}
	not_found(q);
}
