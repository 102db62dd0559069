/* Changes objects through the Kubernetes API and watches the ingress proxy for what comes of it. Linked with
 * bench/client/http.c.
 *
 *	change make FROM TO		Ingresses h<i>, hosts h<i>.bench.example, by several connections
 *	change list			milliseconds in which the API server answers a list of all Ingresses; bytes
 *	change ask HOST MILLISECONDS	until the proxy answers it with 200: prints when (ns of CLOCK_REALTIME)
 *	change host|create|slice|cert|hello N	N changes one after another: microseconds until a request sees each. Of a
 *					certificate: until a handshake that shows it has ended; or until a ClientHello is sent that it answers
 *	change storm N SECONDS PER-SECOND	changes all the time, of N Ingresses, a slice and a Secret; prints how many
 * In the environment: BENCH_SERVER, BENCH_CERT, BENCH_KEY (the API), BENCH_PROXY, BENCH_PROXY_TLS, BENCH_BACKEND, BENCH_A, BENCH_B
 * (the backends' address and ports: their answers differ in length), BENCH_PEM_A, BENCH_PEM_B (a certificate and its key, base64, by line).
 */
#include "client/http.h"
#include "hello.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAKERS 8
#define GIVE_UP_NS 10000000000ull
#define SETTLED 20 /* requests after a change that must not see what was before */
#define HELLO_PAUSE_US 500 /* of each of hello.c's threads */
#define INGRESSES "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
#define SLICES "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
#define SECRETS "/api/v1/namespaces/default/secrets"

static struct http api, proxy;
static char text[20000];

static void die(const char *what)
{
	fprintf(stderr, "change: %s\n", what);
	exit(1);
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	if (!v)
		die(name);
	return v;
}

static void api_open(struct http *h)
{
	SSL_CTX *tls = http_tls_new(env("BENCH_CERT"), env("BENCH_KEY"));

	if (!tls)
		die("no client certificate");
	http_init(h, env("BENCH_SERVER"), tls);
}

static void change(struct http *h, const char *method, const char *path, const char *object)
{
	int status = http_call(h, method, path, object);

	if (status != 200 && status != 201) {
		fprintf(stderr, "%s %s: %d\n", method, path, status);
		die(status > 0 ? h->body : "no answer");
	}
}

/* ---- objects ---- */

static const char *ingress(char *out, const char *name, const char *host, long version)
{
	sprintf(out,
		"{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\","
		"\"annotations\":{\"nginx.ingress.kubernetes.io/proxy-read-timeout\":\"%ld\"}},\"spec\":{\"ingressClassName\":\"nginx\","
		"\"rules\":[{\"host\":\"%s\",\"http\":{\"paths\":[{\"path\":\"/\",\"pathType\":\"Prefix\",\"backend\":{\"service\":"
		"{\"name\":\"small\",\"port\":{\"number\":80}}}}]}}]}}",
		name, 60 + version % 1000, host);
	return out;
}

static const char *slice(const char *name, bool second)
{
	sprintf(text,
		"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"%s-1\",\"namespace\":\"default\","
		"\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":%s}],"
		"\"endpoints\":[{\"addresses\":[\"%s\"]}]}",
		name, name, env(second ? "BENCH_B" : "BENCH_A"), env("BENCH_BACKEND"));
	return text;
}

static void read_pem(const char *pem, char cert[8192], char key[8192])
{
	FILE *f = fopen(pem, "r");

	if (!f || fscanf(f, "%8191s %8191s", cert, key) != 2)
		die(pem);
	fclose(f);
}

static const char *secret(const char *pem)
{
	char cert[8192], key[8192];

	read_pem(pem, cert, key);
	snprintf(text, sizeof(text),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"cert\",\"namespace\":\"default\"},"
		 "\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.crt\":\"%s\",\"tls.key\":\"%s\"}}",
		 cert, key);
	return text;
}

/* ---- many Ingresses ---- */

struct maker {
	pthread_t thread;
	long from, to, step;
};

static void *make_some(void *arg)
{
	struct maker *m = arg;
	struct http *h = calloc(1, sizeof(*h));
	char object[2048], name[32], host[64];

	api_open(h);
	for (long i = m->from; i < m->to; i += m->step) {
		sprintf(name, "h%ld", i);
		sprintf(host, "h%ld.bench.example", i);
		change(h, "POST", INGRESSES, ingress(object, name, host, 0));
	}
	http_close(h);
	return NULL;
}

static void make(long from, long to)
{
	struct maker m[MAKERS];

	for (int i = 0; i < MAKERS; i++) {
		m[i] = (struct maker){ .from = from + i, .to = to, .step = MAKERS };
		pthread_create(&m[i].thread, NULL, make_some, &m[i]);
	}
	for (int i = 0; i < MAKERS; i++)
		pthread_join(m[i].thread, NULL);
}

static void list(void)
{
	uint64_t before = now_ns();

	change(&api, "GET", "/apis/networking.k8s.io/v1/ingresses", NULL);
	printf("%.1f %zu\n", (double)(now_ns() - before) / 1e6, api.body_len);
}

/* ---- what the proxy does ---- */

static int ask(const char *host)
{
	proxy.name = host;
	int status = http_call(&proxy, "GET", "/", NULL);
	/* Kept connections are closed after a number of requests (keep-alive-requests). */
	return status < 0 ? http_call(&proxy, "GET", "/", NULL) : status;
}

static void ask_until(const char *host, long ms)
{
	uint64_t end = now_ns() + (uint64_t)ms * 1000000;

	while (ask(host) != 200) {
		if (now_ns() > end)
			die("no 200 in time");
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	printf("%llu\n", (unsigned long long)now_ns());
}

static bool answers(const void *host)
{
	return ask(host) == 200;
}

static bool answer_has_length(const void *length)
{
	return ask("slice.example") == 200 && proxy.body_len == *(const size_t *)length;
}

static struct sockaddr_in proxy_tls(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char host[64];
	int port;

	sscanf(env("BENCH_PROXY_TLS"), "%63[^:]:%d", host, &port);
	inet_pton(AF_INET, host, &to.sin_addr);
	to.sin_port = htons((uint16_t)port);
	return to;
}

/* A new connection each time: its certificate is what counts. */
static bool certificate_is(const void *want)
{
	static SSL_CTX *ctx;
	struct sockaddr_in to = proxy_tls();
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ctx = ctx ? ctx : SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, "cert.example");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || SSL_connect(ssl) != 1)
		die("no TLS handshake");
	X509 *cert = SSL_get1_peer_certificate(ssl);
	bool same = ASN1_INTEGER_get(X509_get0_serialNumber(cert)) == *(const long *)want;
	X509_free(cert);
	SSL_free(ssl);
	close(fd);
	return same;
}

/* Prints microseconds since the change was sent, and since it was answered. */
static void measure(const char *method, const char *path, const char *object, bool (*seen)(const void *), const void *want)
{
	uint64_t sent = now_ns();

	change(&api, method, path, object);
	uint64_t answered = now_ns();
	while (!seen(want))
		if (now_ns() - answered > GIVE_UP_NS)
			die("a change was never seen");
	uint64_t now = now_ns();
	printf("%llu %llu\n", (unsigned long long)(now - sent) / 1000, (unsigned long long)(now - answered) / 1000);
	for (int i = 0; i < SETTLED; i++)
		if (!seen(want))
			die("what was before came back");
}

/* From base64 of PEM. */
static size_t leaf_der(const char *pem, uint8_t der[4096])
{
	char cert[8192], key[8192], plain[8192];
	uint8_t *at = der;

	read_pem(pem, cert, key);
	int n = EVP_DecodeBlock((unsigned char *)plain, (unsigned char *)cert, (int)strlen(cert));
	BIO *bio = BIO_new_mem_buf(plain, n);
	X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!leaf || i2d_X509(leaf, NULL) > 4096)
		die(pem);
	n = i2d_X509(leaf, &at);
	X509_free(leaf);
	BIO_free(bio);
	return (size_t)n;
}

/* By when things were sent: what a handshake takes is not in it. One that was sent before the answer counts as none at all. */
static void measure_hello(const char *pem)
{
	struct sockaddr_in to = proxy_tls();
	uint8_t der[4096];
	size_t len = leaf_der(pem, der);
	struct hello_watch *w = hello_watch_start(&to, "cert.example", der, len, HELLO_PAUSE_US);

	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL); /* some that see what was before */
	uint64_t sent = now_ns();
	change(&api, "PUT", SECRETS "/cert", secret(pem));
	uint64_t answered = now_ns(), seen = hello_watch_end(w, SETTLED, GIVE_UP_NS);
	if (!seen)
		die("a certificate was never seen");
	printf("%llu %llu\n", (unsigned long long)(seen > sent ? seen - sent : 0) / 1000,
	       (unsigned long long)(seen > answered ? seen - answered : 0) / 1000);
}

static void one_change(const char *kind, long i)
{
	char object[2048], path[256], name[64], host[64];
	size_t lengths[] = { 100, 200 };
	long serials[] = { 1, 2 };

	if (strcmp(kind, "host") == 0) {
		sprintf(host, "moved%ld.bench.example", i);
		measure("PUT", INGRESSES "/moved", ingress(object, "moved", host, i), answers, host);
	} else if (strcmp(kind, "create") == 0) {
		sprintf(name, "new%ld", i);
		sprintf(host, "new%ld.bench.example", i);
		measure("POST", INGRESSES, ingress(object, name, host, i), answers, host);
		sprintf(path, INGRESSES "/%s", name);
		change(&api, "DELETE", path, NULL);
	} else if (strcmp(kind, "slice") == 0) {
		measure("PUT", SLICES "/slice-1", slice("slice", i % 2), answer_has_length, &lengths[i % 2]);
	} else if (strcmp(kind, "hello") == 0) {
		measure_hello(env(i % 2 ? "BENCH_PEM_A" : "BENCH_PEM_B"));
	} else {
		measure("PUT", SECRETS "/cert", secret(env(i % 2 ? "BENCH_PEM_B" : "BENCH_PEM_A")), certificate_is, &serials[i % 2]);
	}
}

/* ---- change all the time ---- */

static void storm_one(long i, long n)
{
	char object[2048], path[256], name[32], host[64];

	if (i % 10 == 8) {
		change(&api, "PUT", SLICES "/small-1", slice("small", i / 10 % 2 == 0));
	} else if (i % 10 == 9) {
		change(&api, "PUT", SECRETS "/cert", secret(env(i / 10 % 2 ? "BENCH_PEM_B" : "BENCH_PEM_A")));
	} else {
		long which = i * 7919 % n;
		sprintf(name, "h%ld", which);
		sprintf(host, "h%ld.bench.example", which);
		sprintf(path, INGRESSES "/%s", name);
		change(&api, "PUT", path, ingress(object, name, host, i));
	}
}

static void storm(long n, long seconds, long per_second)
{
	uint64_t start = now_ns(), end = start + (uint64_t)seconds * 1000000000;
	long i = 0;

	for (; now_ns() < end; i++) {
		uint64_t due = start + (uint64_t)i * 1000000000 / (uint64_t)per_second, now = now_ns();
		if (due > now)
			nanosleep(&(struct timespec){ .tv_sec = (time_t)((due - now) / 1000000000), .tv_nsec = (long)((due - now) % 1000000000) }, NULL);
		storm_one(i, n);
	}
	printf("%ld\n", i);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	http_init(&proxy, env("BENCH_PROXY"), NULL);
	if (strcmp(argv[1], "ask") != 0)
		api_open(&api);
	if (strcmp(argv[1], "make") == 0 && argc == 4)
		make(atol(argv[2]), atol(argv[3]));
	else if (strcmp(argv[1], "list") == 0)
		list();
	else if (strcmp(argv[1], "ask") == 0 && argc == 4)
		ask_until(argv[2], atol(argv[3]));
	else if (strcmp(argv[1], "storm") == 0 && argc == 5)
		storm(atol(argv[2]), atol(argv[3]), atol(argv[4]));
	else if (argc == 3)
		for (long i = 0; i < atol(argv[2]); i++)
			one_change(argv[1], i);
	else
		return 2;
	return 0;
}
