#include "roles/ingress/observe/deviation.h"

#include "roles/ingress/upstream/upstream.h"

static bool several_canaries(const struct location *loc)
{
	return loc->n_canaries > 1;
}

static bool empty_canary(const struct location *loc)
{
	for (size_t i = 0; i < loc->n_canaries; i++)
		if (!loc->canaries[i].backend || backend_endpoints(loc->canaries[i].backend)->n == 0)
			return true;
	return false;
}

static bool denied(const struct location *loc)
{
	return loc->set->denied != NULL;
}

static bool has_cors(const struct location *loc)
{
	return loc->set->enable_cors;
}

static bool without_backend(const struct location *loc)
{
	return !loc->backend;
}

static bool has_cors_origins(const struct location *loc)
{
	return loc->set->enable_cors && !(loc->set->cors_allow_origin.n == 1 && c_eq(loc->set->cors_allow_origin.at[0], "*"));
}

static bool is_fastcgi(const struct location *loc)
{
	return loc->set->fastcgi != NULL;
}

const struct deviation deviations[] = {
	{ "several-canaries", "Only one canary of a rule takes part; which one is not defined.",
	  "All canaries take part, oldest first: headers of all, then cookies, then weights side by side.", several_canaries },
	{ "empty-canary", "A canary without endpoints is chosen all the same, and its requests get 503.",
	  "A canary without endpoints is passed over; its share goes to the primary.", empty_canary },
	{ "regex-limits", "A regular expression may back-track for as long as it takes.",
	  "Whether one matches that takes more than a named number of steps is not known: such a request is refused.", NULL },
	{ "retry-budget", "Each request is tried up to proxy-next-upstream-tries times, whatever the load.",
	  "Besides, retries may not exceed retry-budget percent of the requests in flight at a Service.", NULL },
	{ "block-cidrs", "block-cidrs are forgotten in a location that has an allow or deny list of its own.", "They count everywhere.", NULL },
	{ "cors-length", "Answers to preflight requests have Content-Length: 0 beside their status 204.",
	  "They have none, as RFC 9110 (8.6) wants it.", has_cors },
	{ "cors-vary", "CORS answers for some origins carry no Vary: caches may give them to other origins.",
	  "They carry Vary: Origin.", has_cors_origins },
	{ "cors-origin", "An allowed origin is looked for at the end of Origin: \"xhttps://a.test\" passes for \"https://a.test\".",
	  "The whole of Origin is compared.", has_cors_origins },
	{ "request-buffering", "A request's body is stored as a whole, on disk if it is large, before the upstream is asked.",
	  "It is held in memory up to client-body-buffer-size (at least 64 KiB), then streamed.", NULL },
	{ "resource-backend", "A path whose backend is no Service is passed over: a shorter path answers, or 404.",
	  "It answers 503, with an event on the Ingress.", without_backend },
	{ "fastcgi-annotations", "With backend-protocol FCGI, proxy-*-timeout, proxy-next-upstream*, proxy-*buffering and custom-http-errors have no effect.",
	  "They apply to FastCGI as to HTTP.", is_fastcgi },
	{ "fastcgi-headers", "The client's Proxy header becomes HTTP_PROXY unless the ConfigMap takes it away (httpoxy), and headers of "
	  "auth-response-headers, auth-tls-* and tracing do not reach FastCGI programs.",
	  "Proxy never reaches them, those headers do.", is_fastcgi },
	{ "fastcgi-length", "A FastCGI program is told the length of a body that came without one, however long: it was stored.",
	  "Up to 512 KiB; a longer one is answered with 411.", is_fastcgi },
	{ "fastcgi-end", "The answer of a FastCGI program that dies before it ends its request counts as complete.",
	  "The client's connection is cut: it sees that the rest is missing.", is_fastcgi },
	{ "word-blocklist", "An Ingress with a word of annotation-value-word-blocklist is left out: another's shorter path answers, or 404.",
	  "Its paths answer 503.", NULL },
	{ "no-such-path", "A path that no rule has is treated by the annotations of the host's oldest Ingress (a login, a redirect to https) "
	  "before it is answered with 404.",
	  "It is answered with 404, or by the default backend, at once.", NULL },
	{ "denied", "A location with a broken setting that guards it answers 503.",
	  "The same; the reason is an event on the Ingress and told here.", denied },
	{ "reload", "A change of routes starts new processes; old connections are cut after worker-shutdown-timeout.",
	  "Routes are swapped between two requests; connections stay.", NULL },
	{ "metrics-host", "Requests to wildcard and catch-all hosts are not counted by default.",
	  "They are counted under the rule's host; the catch-all is \"_\".", NULL },
	{ 0 },
};
