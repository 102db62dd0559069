#include "roles/ingress/route/model.h"
#include "roles/ingress/route/sync.h"

#include "base/log.h"
#include "kube/client/client.h"

#include <stdio.h>

#define RETRY_MS 500

/* One object to be there; made in this order, each when the one before exists. */
struct ensure {
	struct role_ctx *ctx;
	struct timer retry;
	size_t step;
};

static json_t *ingress_class(const struct config *c)
{
	(void)c;
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s}, s:{s:s}}, s:{s:s}}", "apiVersion", "networking.k8s.io/v1", "kind",
			 "IngressClass", "metadata", "name", "nginx", "labels", "app.kubernetes.io/name", "ingress-nginx",
			 "app.kubernetes.io/managed-by", "portico", "annotations",
			 "ingressclass.kubernetes.io/is-default-class", "true", "spec", "controller", MODEL_CONTROLLER);
}

static json_t *namespace(const struct config *c)
{
	(void)c;
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name",
			 "ingress-nginx", "labels", "app.kubernetes.io/name", "ingress-nginx");
}

static int port_of(const char *address)
{
	const char *colon = strrchr(address, ':');
	uint64_t port;

	return colon && str_to_u64(str_of(colon + 1), 65535, &port) ? (int)port : 0;
}

/* No selector: the proxy is a process of this machine, which the slice below names. */
static json_t *service(const struct config *c)
{
	(void)c;
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:[{s:s, s:i, s:s, s:s}, {s:s, s:i, s:s, s:s}]}}",
			 "apiVersion", "v1", "kind", "Service", "metadata", "name", "ingress-nginx-controller", "namespace",
			 "ingress-nginx", "labels", "app.kubernetes.io/name", "ingress-nginx", "spec", "ports", "name", "http",
			 "port", 80, "protocol", "TCP", "targetPort", "http", "name", "https", "port", 443, "protocol", "TCP",
			 "targetPort", "https");
}

static json_t *slice(const struct config *c)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:s, s:[{s:[s], s:{s:b}, s:s}], s:[{s:s, s:i, s:s}, "
			 "{s:s, s:i, s:s}]}",
			 "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name",
			 "ingress-nginx-controller-portico", "namespace", "ingress-nginx", "labels",
			 "kubernetes.io/service-name", "ingress-nginx-controller", "endpointslice.kubernetes.io/managed-by",
			 "portico", "addressType", "IPv4", "endpoints", "addresses", c->node_ip, "conditions", "ready", 1,
			 "nodeName", c->node_name, "ports", "name", "http", "port", port_of(c->http_address), "protocol",
			 "TCP", "name", "https", "port", port_of(c->https_address), "protocol", "TCP");
}

static const struct {
	struct kube_gvr gvr;
	json_t *(*make)(const struct config *c);
} steps[] = {
	{ { "networking.k8s.io", "v1", "ingressclasses" }, ingress_class },
	{ { "", "v1", "namespaces" }, namespace },
	{ { "", "v1", "services" }, service },
	{ { "discovery.k8s.io", "v1", "endpointslices" }, slice },
};

static void next_step(struct ensure *en);

static void made(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct ensure *en = ctx;

	(void)obj;
	if (e && status != 409) {
		log_warn("create %s: %s, retrying", steps[en->step].gvr.resource, e->message);
		timer_start(en->ctx->loop, &en->retry, RETRY_MS);
		return;
	}
	en->step++;
	next_step(en);
}

static void next_step(struct ensure *en)
{
	if (en->step == ARRAY_LEN(steps)) {
		free(en);
		return;
	}
	json_t *obj = steps[en->step].make(en->ctx->config);
	kube_create(en->ctx->kube, steps[en->step].gvr, obj, made, en);
	json_decref(obj);
}

static void on_retry(struct timer *t)
{
	next_step(t->ctx);
}

void standalone_ensure(struct role_ctx *ctx)
{
	struct ensure *en = xcalloc(1, sizeof(*en));

	*en = (struct ensure){ .ctx = ctx, .retry = { .fire = on_retry, .ctx = en } };
	next_step(en);
}
