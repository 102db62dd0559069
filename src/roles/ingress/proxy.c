#include "roles/ingress/proxy_int.h"

static void on_http(void *ctx, int fd, const struct addr *peer)
{
	down_accept(ctx, fd, peer, false);
}

static void on_https(void *ctx, int fd, const struct addr *peer)
{
	down_accept(ctx, fd, peer, true);
}

/* Chooses the certificate by server name; the connection then holds the context itself. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	struct proxy *p = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct route_table *t = p->config.table(p->config.ctx);
	struct tls *tls = name && t ? route_tls(t, str_of(name)) : NULL;

	(void)alert;
	if (tls)
		SSL_set_SSL_CTX(ssl, tls_ctx(tls));
	return SSL_TLSEXT_ERR_OK;
}

struct proxy *proxy_new(struct loop *l, const struct proxy_config *c)
{
	struct proxy *p = xcalloc(1, sizeof(*p));

	*p = (struct proxy){ .loop = l, .config = *c, .tls = tls_ref(c->default_tls),
			     .sweep = { .fire = up_sweep, .ctx = p } };
	list_init(&p->downs);
	SSL_CTX_set_tlsext_servername_callback(tls_ctx(p->tls), on_server_name);
	SSL_CTX_set_tlsext_servername_arg(tls_ctx(p->tls), p);
	up_sweep(&p->sweep);
	return p;
}

int proxy_listen(struct proxy *p, int fd, bool https, struct err *e)
{
	struct listener **at = https ? &p->https : &p->http;

	*at = listener_new(p->loop, fd, https ? on_https : on_http, p, e);
	return *at ? 0 : -1;
}

void proxy_free(struct proxy *p)
{
	if (!p)
		return;
	listener_free(p->http);
	listener_free(p->https);
	while (!list_empty(&p->downs))
		down_close(list_entry(p->downs.next, struct down, link));
	up_pools_done(p);
	timer_stop(&p->sweep);
	tls_unref(p->tls);
	free(p);
}
