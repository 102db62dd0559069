/* client.c - what the benchmarks ask of an API server, of portico's and of its peer's alike.
 *
 *   client poll SECONDS SINCE-NS [TEXT]      asks $BENCH_PATH until it answers 200 (with TEXT): milliseconds since SINCE-NS
 *   client post PATH FILE                    one request
 *   client services N                        creates N ClusterIP Services
 *   client create N THREADS PREFIX           ConfigMaps; microseconds each
 *   client get N PREFIX · client list ROUNDS · client watch WATCHERS WRITES · client clear
 *
 * $BENCH_SERVER is host:port; $BENCH_CERT and $BENCH_KEY a client certificate; $BENCH_HOST a Host header, for plain
 * HTTP. Results are lines "name value".
 */
#include "http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define POLL_PAUSE_US 2000
#define WATCHERS_MAX 1000
#define DATA_BYTES 256

static const char *server;
static SSL_CTX *tls;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void *need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static struct http *http_new(void)
{
	struct http *h = need(malloc(sizeof(*h)));

	http_init(h, server, tls);
	return h;
}

static void expect(struct http *h, int want, const char *method, const char *path, const char *body)
{
	int got = http_call(h, method, path, body);

	if (got != want)
		die("%s %s%s: %d instead of %d: %.300s", method, server, path, got, want, h->body ? h->body : "");
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, uint64_t *ns, size_t n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	printf("%s_p50_us %.1f\n%s_p99_us %.1f\n", name, (double)ns[n / 2] / 1e3, name, (double)ns[n * 99 / 100] / 1e3);
}

static int poll_main(int seconds, uint64_t since, const char *text)
{
	struct http *h = http_new();
	const char *path = getenv("BENCH_PATH");
	uint64_t end = now_ns() + (uint64_t)seconds * 1000000000u;

	h->name = getenv("BENCH_HOST");
	while (now_ns() < end) {
		if (http_call(h, "GET", path, NULL) == 200 && (!text || strstr(h->body, text))) {
			printf("%.1f\n", (double)(now_ns() - since) / 1e6);
			return 0;
		}
		usleep(POLL_PAUSE_US);
	}
	die("%s%s does not answer", server, path);
}

static int post_main(const char *path, const char *file)
{
	FILE *f = fopen(file, "re");
	char *body = need(calloc(1, 1 << 20));

	if (!f || !fread(body, 1, (1 << 20) - 1, f))
		die("cannot read %s", file);
	expect(http_new(), 201, "POST", path, body);
	return 0;
}

static int services_main(int n)
{
	struct http *h = http_new();
	char body[512];

	for (int i = 0; i < n; i++) {
		snprintf(body, sizeof(body),
			 "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"bench-%04d\",\"labels\":"
			 "{\"app\":\"bench-%04d\"}},\"spec\":{\"selector\":{\"app\":\"bench-%04d\"},\"ports\":["
			 "{\"name\":\"http\",\"port\":80,\"targetPort\":8080}]}}", i, i, i);
		expect(h, 201, "POST", "/api/v1/namespaces/default/services", body);
	}
	return 0;
}

static void configmap(char body[1024], const char *prefix, int i)
{
	char data[DATA_BYTES + 1];

	memset(data, 'x', DATA_BYTES);
	data[DATA_BYTES] = '\0';
	snprintf(body, 1024,
		 "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s-%05d\","
		 "\"labels\":{\"bench\":\"yes\"}},\"data\":{\"key\":\"%s\"}}", prefix, i, data);
}

struct creator {
	pthread_t thread;
	const char *prefix;
	atomic_int *next;
	int n;
	uint64_t *ns;
};

static void *creator_run(void *arg)
{
	struct creator *c = arg;
	struct http *h = http_new();
	char body[1024];
	int i;

	expect(h, 200, "GET", "/api/v1/namespaces/default", NULL); /* connected, and known to the server */
	while ((i = atomic_fetch_add(c->next, 1)) < c->n) {
		configmap(body, c->prefix, i);
		uint64_t start = now_ns();
		expect(h, 201, "POST", CONFIGMAPS, body);
		c->ns[i] = now_ns() - start;
	}
	return NULL;
}

static int create_main(int n, int threads, const char *prefix)
{
	uint64_t *ns = need(calloc((size_t)n, sizeof(*ns))), start = now_ns();
	struct creator *all = need(calloc((size_t)threads, sizeof(*all)));
	atomic_int next = 0;
	char name[64];

	for (int i = 0; i < threads; i++) {
		all[i] = (struct creator){ .prefix = prefix, .next = &next, .n = n, .ns = ns };
		pthread_create(&all[i].thread, NULL, creator_run, &all[i]);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(all[i].thread, NULL);
	double seconds = (double)(now_ns() - start) / 1e9;
	snprintf(name, sizeof(name), "create_%d", threads);
	print_quantiles(name, ns, (size_t)n);
	printf("%s_per_s %.0f\n", name, n / seconds);
	return 0;
}

static int get_main(int n, const char *prefix)
{
	uint64_t *ns = need(calloc((size_t)n, sizeof(*ns)));
	struct http *h = http_new();
	char path[256];

	for (int i = -1; i < n; i++) {
		snprintf(path, sizeof(path), CONFIGMAPS "/%s-%05d", prefix, i < 0 ? 0 : i);
		uint64_t start = now_ns();
		expect(h, 200, "GET", path, NULL);
		if (i >= 0)
			ns[i] = now_ns() - start;
	}
	print_quantiles("get", ns, (size_t)n);
	return 0;
}

static int list_main(int rounds)
{
	uint64_t *ns = need(calloc((size_t)rounds, sizeof(*ns)));
	struct http *h = http_new();

	expect(h, 200, "GET", CONFIGMAPS, NULL);
	for (int i = 0; i < rounds; i++) {
		uint64_t start = now_ns();
		expect(h, 200, "GET", CONFIGMAPS, NULL);
		ns[i] = now_ns() - start;
	}
	printf("list_bytes %zu\n", h->body_len);
	print_quantiles("list", ns, (size_t)rounds);
	return 0;
}

/* ---- watch: the writer notes when each write was sent; each watcher when it read the event ---- */

static struct http *watchers[WATCHERS_MAX];
static pthread_t watcher_threads[WATCHERS_MAX];
static uint64_t *sent_ns;
static uint64_t *seen_ns; /* [watcher * writes + write] */
static int n_writes;
static atomic_int arrived;

static void *watcher_run(void *arg)
{
	size_t w = (size_t)(uintptr_t)arg;
	const char *line, *at;

	while ((line = http_read_line(watchers[w]))) {
		if (!(at = strstr(line, "\"name\":\"watch-")))
			continue;
		int i = atoi(at + strlen("\"name\":\"watch-"));
		if (i < 0 || i >= n_writes || seen_ns[w * (size_t)n_writes + (size_t)i])
			continue;
		seen_ns[w * (size_t)n_writes + (size_t)i] = now_ns();
		atomic_fetch_add(&arrived, 1);
	}
	return NULL;
}

static void watchers_start(int n)
{
	struct http *h = http_new();
	char path[256];

	expect(h, 200, "GET", CONFIGMAPS "?limit=1", NULL);
	const char *at = strstr(h->body, "\"resourceVersion\":\"");
	snprintf(path, sizeof(path), CONFIGMAPS "?watch=1&resourceVersion=%d",
		 at ? atoi(at + strlen("\"resourceVersion\":\"")) : 0);
	for (int i = 0; i < n; i++) {
		watchers[i] = http_new();
		if (http_open(watchers[i], "GET", path, NULL) != 200)
			die("watch %d refused", i);
		pthread_create(&watcher_threads[i], NULL, watcher_run, (void *)(uintptr_t)i);
	}
}

static void watch_print(int n)
{
	size_t total = (size_t)n * (size_t)n_writes;
	uint64_t *last = need(calloc((size_t)n_writes, sizeof(*last)));
	char name[64];

	for (size_t k = 0; k < total; k++) {
		size_t i = k % (size_t)n_writes;
		seen_ns[k] -= sent_ns[i];
		last[i] = seen_ns[k] > last[i] ? seen_ns[k] : last[i];
	}
	snprintf(name, sizeof(name), "watch_%d_last", n);
	print_quantiles(name, last, (size_t)n_writes);
	snprintf(name, sizeof(name), "watch_%d", n);
	print_quantiles(name, seen_ns, total);
}

static int watch_main(int n, int writes)
{
	struct http *h = http_new();
	char body[1024];

	if (n > WATCHERS_MAX)
		die("at most %d watchers", WATCHERS_MAX);
	n_writes = writes;
	sent_ns = need(calloc((size_t)writes, sizeof(*sent_ns)));
	seen_ns = need(calloc((size_t)writes * (size_t)n, sizeof(*seen_ns)));
	watchers_start(n);
	for (int i = 0; i < writes; i++) {
		uint64_t give_up = now_ns() + 10000000000u;
		configmap(body, "watch", i);
		sent_ns[i] = now_ns();
		expect(h, 201, "POST", CONFIGMAPS, body);
		while (atomic_load(&arrived) < (i + 1) * n && now_ns() < give_up)
			usleep(200);
		if (atomic_load(&arrived) < (i + 1) * n)
			die("%d of %d events of write %d came", atomic_load(&arrived) - i * n, n, i);
	}
	watch_print(n);
	return 0;
}

int main(int argc, char **argv)
{
	const char *cert = getenv("BENCH_CERT"), *cmd = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0;

	server = getenv("BENCH_SERVER");
	if (!server)
		die("BENCH_SERVER is not set");
	if (!getenv("BENCH_HOST") && !(tls = http_tls_new(cert, getenv("BENCH_KEY"))))
		die("cannot read %s", cert);
	if (!strcmp(cmd, "poll") && argc > 3)
		return poll_main(n, strtoull(argv[3], NULL, 10), argv[4]);
	if (!strcmp(cmd, "post") && argc > 3)
		return post_main(argv[2], argv[3]);
	if (!strcmp(cmd, "services"))
		return services_main(n);
	if (!strcmp(cmd, "create") && argc > 4)
		return create_main(n, atoi(argv[3]), argv[4]);
	if (!strcmp(cmd, "get") && argc > 3)
		return get_main(n, argv[3]);
	if (!strcmp(cmd, "list"))
		return list_main(n);
	if (!strcmp(cmd, "watch") && argc > 3)
		return watch_main(n, atoi(argv[3]));
	if (!strcmp(cmd, "clear")) {
		expect(http_new(), 200, "DELETE", CONFIGMAPS "?labelSelector=bench", NULL);
		return 0;
	}
	die("unknown command '%s'", cmd);
}
