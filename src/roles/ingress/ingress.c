/* The ingress role: routing table from the cluster, proxy on two sockets. */
#include "base/log.h"
#include "net/x509.h"
#include "roles/ingress/proxy.h"
#include "roles/ingress/sync.h"

#define BACKLOG 4096
#define FAKE_CERT_DAYS 365

struct ingress {
	struct sync *sync;
	struct proxy *proxy;
	struct tls *tls;
};

static struct route_table *current_table(void *ctx)
{
	return sync_table(((struct ingress *)ctx)->sync);
}

/* As ingress-nginx's: self-signed, with a name that says what it is. */
static struct tls *fake_certificate(struct err *e)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	struct x509_request r = { .common_name = "Kubernetes Ingress Controller Fake Certificate", .organization = "Acme Co",
				  .sans = "DNS:ingress.local", .server = true, .days = FAKE_CERT_DAYS };
	EVP_PKEY *key = x509_new_key(e);
	X509 *cert = key ? x509_issue(&r, key, NULL, NULL, e) : NULL;
	struct tls *t = NULL;

	if (cert) {
		cleanup(freep) char *pem = x509_pem(cert);
		cleanup(freep) char *key_pem = x509_key_pem(key);
		t = tls_server_new(&(struct tls_config){ .cert_pem = str_of(pem), .key_pem = str_of(key_pem), .alpn = alpn }, e);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return t;
}

static int listen_on(struct ingress *in, const char *name, const char *address, bool https, struct err *e)
{
	struct addr a;
	int fd = role_listen_fd(name);

	if (fd == -1) {
		if (addr_parse(address, &a, e) < 0)
			return -1;
		fd = addr_listen(&a, BACKLOG, e);
		if (fd == -1)
			return -1;
	}
	return proxy_listen(in->proxy, fd, https, e);
}

/* Not before: until the table is there, connections wait in the sockets' queues instead of getting 404. */
static void first_sync(void *arg)
{
	struct role_ctx *ctx = arg;
	struct ingress *in = ctx->state;
	struct err e;

	if (listen_on(in, "http", ctx->config->http_address, false, &e) < 0 ||
	    listen_on(in, "https", ctx->config->https_address, true, &e) < 0) {
		role_set_error("%s", e.message);
		loop_stop(ctx->loop);
		return;
	}
	log_info("routing %zu hosts", route_host_count(sync_table(in->sync)));
	role_ready();
}

static int ingress_start(struct role_ctx *ctx, struct err *e)
{
	struct ingress *in = xcalloc(1, sizeof(*in));

	ctx->state = in;
	in->tls = fake_certificate(e);
	if (!in->tls)
		return -1;
	in->proxy = proxy_new(ctx->loop, &(struct proxy_config){ .table = current_table, .ctx = in, .default_tls = in->tls });
	in->sync = old_sync_new(ctx, first_sync, ctx);
	if (ctx->config->standalone)
		standalone_ensure(ctx);
	return 0;
}

static void ingress_stop(struct role_ctx *ctx)
{
	struct ingress *in = ctx->state;

	if (!in)
		return;
	proxy_free(in->proxy);
	old_sync_free(in->sync);
	tls_unref(in->tls);
	free(in);
}

const struct role role_ingress = {
	.name = "ingress",
	.summary = "L7 proxy for Ingresses: hosts and paths, TLS, straight to pod addresses.",
	.start = ingress_start,
	.stop = ingress_stop,
};
