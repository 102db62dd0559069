#include "roles/cli/command.h"

#include "base/screen.h"
#include "codec/jx.h"
#include "roles/cli/admin_client.h"
#include "roles/cli/explain_env.h"
#include "roles/cli/offline.h"

#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES_MAX (32u << 10)

/* ---- the question ---- */
/* "-X METHOD" and its like, with the value behind it or behind '='. 1: taken; 0: another argument; -1: no value. */
static int option(const struct args *a, int *i, const char *name, const char **ret)
{
	size_t n = strlen(name);

	if (strncmp(a->argv[*i], name, n) != 0)
		return 0;
	if (a->argv[*i][n] == '=' && name[1] == '-') {
		*ret = a->argv[*i] + n + 1;
		return 1;
	}
	if (a->argv[*i][n] && name[1] != '-') { /* -XPOST, as curl's */
		*ret = a->argv[*i] + n;
		return 1;
	}
	if (a->argv[*i][n])
		return 0;
	if (*i + 1 >= a->argc)
		return -1;
	*ret = a->argv[++*i];
	return 1;
}

static void put_url(struct buf *path, const char *url)
{
	buf_puts(path, "url=");
	if (!strstr(url, "://"))
		admin_encode(path, "http://");
	admin_encode(path, url);
}

/* The admin address' path for these arguments; -1 after a usage message. */
static int question(struct args *a, struct buf *path)
{
	static const struct {
		const char *name, *parameter;
	} options[] = { { "-H", "header" }, { "--header", "header" }, { "-X", "method" }, { "--request", "method" },
			{ "--client", "client" } };
	bool url = false;

	buf_puts(path, "/explain?");
	for (int i = 1; i < a->argc; i++) {
		const char *value = NULL;
		size_t o = 0;
		int rc = 0;
		for (; o < ARRAY_LEN(options) && rc == 0; o++)
			rc = option(a, &i, options[o].name, &value);
		if (rc < 0)
			return args_usage(a, "%s needs a value", options[o - 1].name);
		if (rc == 0 && (a->argv[i][0] == '-' || url))
			return args_usage(a, "unknown argument '%s'", a->argv[i]);
		if (path->ptr[path->len - 1] != '?')
			buf_putc(path, '&');
		if (rc) {
			buf_printf(path, "%s=", options[o - 1].parameter);
			admin_encode(path, value);
		} else {
			put_url(path, a->argv[i]);
			url = true;
		}
	}
	return url ? 0 : args_usage(a, "which URL?");
}

/* ---- the answer, as text ---- */
static bool colour;

static void label(const char *text)
{
	printf("%s%-13s%s ", colour ? "\033[1m" : "", text, colour ? "\033[0m" : "");
}

static void more(void)
{
	printf("%-13s ", "");
}

static const char *yes_or(const json_t *obj, const char *path, const char *yes, const char *no)
{
	return jx_bool(obj, path, false) ? yes : no;
}

static void print_names(const json_t *names)
{
	json_t *n;
	size_t i;

	json_array_foreach(names, i, n)
		printf("%s%s", i ? ", " : " for ", json_string_value(n));
}

static void print_certificate(const json_t *doc)
{
	const json_t *c = jx_at(doc, "certificate");

	if (!c)
		return;
	label("Certificate");
	printf("%s", jx_str_or(c, "subject", "none"));
	print_names(jx_at(c, "names"));
	printf("%s%s\n", jx_str_or(c, "notAfter", "")[0] ? ", until " : "", jx_str_or(c, "notAfter", ""));
	if (jx_bool(c, "fallback", false)) {
		more();
		printf("the default one: no Ingress has a certificate for %s\n", jx_str_or(c, "serverName", ""));
	} else if (!jx_bool(c, "matches", true)) {
		more();
		printf("it is not for %s\n", jx_str_or(c, "serverName", ""));
	}
}

static void print_match(const json_t *doc)
{
	const json_t *h = jx_at(doc, "host"), *l = jx_at(doc, "location");
	json_t *p;
	size_t i;

	if (h) {
		label("Host");
		printf("%s%s%s\n", jx_str_or(h, "name", ""), jx_str(h, "name") ? ": " : "", jx_str_or(h, "why", ""));
	}
	json_array_foreach(jx_at(h, "unmatched"), i, p) {
		if (i == 0)
			label("No path");
		else
			more();
		printf("%s (%s) of %s/%s\n", jx_str_or(p, "path", ""), jx_str_or(p, "type", ""), jx_str_or(p, "namespace", ""),
		       jx_str_or(p, "ingress", ""));
	}
	if (!l)
		return;
	label("Path");
	printf("%s (%s): %s\n", jx_str_or(l, "path", ""), jx_str_or(l, "type", ""), jx_str_or(l, "why", ""));
	label("Ingress");
	printf("%s/%s\n", jx_str_or(l, "namespace", ""), jx_str_or(l, "ingress", ""));
	if (jx_str(l, "denied")) {
		label("Refused");
		printf("%s\n", jx_str(l, "denied"));
	}
}

static void print_list(const char *title, const json_t *list, void (*one)(const json_t *v))
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		if (i == 0)
			label(title);
		else
			more();
		one(v);
	}
}

static void print_annotation(const json_t *v)
{
	printf("%s = %s   (%s)\n", jx_str_or(v, "name", ""), jx_str_or(v, "value", ""), jx_str_or(v, "from", ""));
}

static void print_filter(const json_t *v)
{
	const char *what = yes_or(v, "answered", "answers", "passes");

	if (!jx_bool(v, "run", false))
		what = "not asked: it acts on answers, or has effects";
	printf("%s: %s\n", jx_str_or(v, "name", ""), what);
}

static void print_header(const json_t *v)
{
	printf("  %s: %s\n", jx_str_or(v, "name", ""), jx_str_or(v, "value", ""));
}

static void print_headers(const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		more();
		print_header(v);
	}
}

static void print_answer(const json_t *doc)
{
	const json_t *a = jx_at(doc, "answer");

	if (!a)
		return;
	label("Answer");
	printf("%lld%s%s\n", (long long)jx_int(a, "status", 0), jx_str(a, "by") ? " by " : "", jx_str_or(a, "by", ""));
	print_headers(jx_at(a, "headers"));
}

static void print_candidate(const json_t *v)
{
	printf("%s%s (%s): weight %lld of %lld", yes_or(v, "chosen", "* ", "  "), jx_str_or(v, "ingress", ""), jx_str_or(v, "backend", ""),
	       (long long)jx_int(v, "weight", 0), (long long)jx_int(v, "weightTotal", 0));
	if (jx_str(v, "header"))
		printf(", header %s%s%s", jx_str(v, "header"), jx_str(v, "headerValue") ? " = " : "", jx_str_or(v, "headerValue", ""));
	if (jx_str(v, "cookie"))
		printf(", cookie %s", jx_str(v, "cookie"));
	printf(", %lld endpoints\n", (long long)jx_int(v, "endpoints", 0));
}

static void print_upstream(const json_t *doc)
{
	const json_t *u = jx_at(doc, "upstream"), *c = jx_at(doc, "canary");

	if (c) {
		print_list("Canaries", jx_at(c, "candidates"), print_candidate);
		more();
		printf("chosen by: %s\n", jx_str_or(c, "why", ""));
	}
	if (!u)
		return;
	label("Service");
	printf("%s/%s port %s, %s, %s%s%s\n", jx_str_or(u, "namespace", ""), jx_str_or(u, "service", ""), jx_str_or(u, "port", ""),
	       jx_str_or(u, "protocol", ""), jx_str_or(u, "balance", ""), yes_or(u, "sticky", ", sticky", ""),
	       yes_or(u, "serviceMissing", ": it does not exist", ""));
	label("Request");
	printf("%s %s\n", jx_str_or(u, "method", ""), jx_str_or(u, "target", ""));
	if (jx_at(u, "params")) { /* the headers are among them */
		print_headers(jx_at(u, "params"));
		return;
	}
	more();
	printf("  Host: %s\n", jx_str_or(u, "host", ""));
	print_headers(jx_at(u, "headers"));
}

static void print_endpoint(const json_t *v)
{
	printf("%s%s%s%s: %s%s, %lld in flight, %lld requests, %lld errors", yes_or(v, "picked", "* ", "  "),
	       jx_str_or(v, "address", ""), jx_str(v, "pod") ? " " : "", jx_str_or(v, "pod", ""), jx_str_or(v, "health", ""),
	       yes_or(v, "draining", ", draining", ""), (long long)jx_int(v, "inFlight", 0), (long long)jx_int(v, "requests", 0),
	       (long long)jx_int(v, "errors", 0));
	if (jx_int(v, "ewmaUs", 0))
		printf(", average %.1f ms", (double)jx_int(v, "ewmaUs", 0) / 1000);
	if (jx_int(v, "ejectedMs", 0))
		printf(", ejected for another %.1f s", (double)jx_int(v, "ejectedMs", 0) / 1000);
	printf("\n");
}

static void print_deviation(const json_t *v)
{
	if (jx_str(v, "nginx")) {
		printf("%s: nginx: %s\n", jx_str_or(v, "id", ""), jx_str(v, "nginx"));
		more();
		printf("  portico: %s\n", jx_str_or(v, "portico", ""));
	} else {
		printf("%s: %s\n", jx_str_or(v, "id", ""), jx_str_or(v, "portico", ""));
	}
}

static void print_all(const json_t *doc)
{
	colour = screen_colours(STDOUT_FILENO);
	label("Request");
	printf("%s %s://%s%s\n", jx_str_or(doc, "request.method", ""), jx_str_or(doc, "request.scheme", ""),
	       jx_str_or(doc, "request.host", ""), jx_str_or(doc, "request.target", ""));
	print_certificate(doc);
	print_match(doc);
	print_list("Annotations", jx_at(doc, "annotations"), print_annotation);
	print_list("Filters", jx_at(doc, "filters"), print_filter);
	print_answer(doc);
	print_upstream(doc);
	print_list("Endpoints", jx_at(doc, "endpoints"), print_endpoint);
	if (jx_at(doc, "endpoints") && jx_len(doc, "endpoints") == 0) {
		label("Endpoints");
		printf("none: the answer is %s\n", jx_str(doc, "upstream.defaultBackend") ? "the default backend's" : "503");
	}
	if (jx_bool(doc, "circuitFull", false)) {
		more();
		printf("every endpoint is at its limit: the answer is 503\n");
	}
	print_list("Unlike nginx", jx_at(doc, "deviations"), print_deviation);
}

/* Of the running proxy, or of one that is made for it. */
static json_t *ask(struct config *c, const char *path, struct err *e)
{
	pid_t child = c->from ? offline_start(c, e) : 0;

	if (child == -1)
		return NULL;
	json_t *doc = admin_ask(c, path, e);
	if (child && !offline_stop(child) && !doc)
		err_set(e, ERR_INVALID, "the manifests in '%s' cannot be served", c->from);
	return doc;
}

static int run(struct config *c, struct args *a)
{
	struct buf path;
	struct err e;
	bool json;

	if (a->argc > 1 && strcmp(a->argv[1], "env") == 0)
		return explain_env(c, a);
	if (args_json(a, &json) < 0)
		return 2;
	buf_init(&path, PATH_BYTES_MAX);
	int rc = question(a, &path);
	if (rc == 0 && path.overflow)
		rc = args_usage(a, "that is too long");
	cleanup(json_decrefp) json_t *doc = rc == 0 ? ask(c, path.ptr, &e) : NULL;
	buf_done(&path);
	if (rc)
		return 2;
	if (!doc)
		return args_failed(&e);
	if (json) {
		cleanup(freep) char *text = json_dumps(doc, JSON_INDENT(2));
		puts(text);
	} else {
		print_all(doc);
	}
	return 0;
}

const struct command command_explain = {
	"explain", "URL|env POD [--output text|json]",
	"Tell what the ingress proxy would do with a request, or where a pod's environment comes from, and why.",
	"portico explain URL [--from DIR] [-H 'NAME: VALUE'] [-X METHOD] [--client ADDRESS]\n"
	"Tells which Ingress and path match, which annotations are in force, what redirects or refuses the request, which\n"
	"canary and endpoint it would go to, with which target and headers, and where that differs from ingress-nginx. Asks the\n"
	"running proxy. Nothing is sent to the Service.\n\n"
	"  --from DIR         ask the manifests in this folder, without a running proxy\n"
	"  -H 'NAME: VALUE'   a header of the request; may be repeated\n"
	"  -X METHOD          its method [GET]\n"
	"  --client ADDRESS   who asks [127.0.0.1]\n\n"
	"portico explain env POD [-n NAMESPACE] [--container NAME] [--show-secrets]\n"
	"Every environment variable of a container with what it comes from (its own value, a ConfigMap's or Secret's key, a\n"
	"field, a Service) and what it hides; Services that are left out, and why; what cannot be resolved. Asks the cluster of\n"
	"--kubeconfig, $KUBECONFIG or ~/.kube/config. What the image and the runtime add (PATH, HOME, HOSTNAME) no cluster knows.\n"
	"The exit status is 1 when something cannot be resolved.\n\n"
	"  -n NAMESPACE       the pod's [default]\n"
	"  --container NAME   which one [the pod's default, else its first]\n"
	"  --show-secrets     show values that come from Secrets, or were made with them",
	run,
};
