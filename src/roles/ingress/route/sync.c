#include "roles/ingress/route/sync.h"

#include "base/log.h"
#include "loop/quiesce.h"
#include "roles/ingress/http/filter.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/route/sync_int.h"
#include "roles/ingress/upstream/health.h"

#define CONFIGMAP "ingress-nginx/ingress-nginx-controller"
#define RESYNC_MS 60000	     /* ingress-nginx's: statuses that others have changed */
#define SWEEP_MS 30000	     /* names are resolved again, what nobody uses is freed */
#define COMPLAIN_MS 5000     /* between lines about lists that cannot be had */
#define FIRST_SYNC_MS 3000   /* after the first look: what is still missing then must not keep the rest from being served */

enum { INF_CLASS, INF_INGRESS, INF_SERVICE, INF_SLICE, INF_SECRET, INF_CONFIGMAP, N_INF };

struct sync {
	struct role_ctx *role;
	struct loop *loop;
	struct kube_client *kube;
	struct shared *shared;
	struct sync_options o;
	struct model *model;
	struct status *status; /* NULL: none is written */
	struct lookups *lookups;
	struct health *health;
	struct informer *inf[N_INF];
	struct list named; /* struct named: outside o.watch_namespace */
	struct wants *wants;
	struct tls *fallback_tls; /* without --default-ssl-certificate */
	struct defer update;
	struct timer resync, sweep, first, complain;
	bool announced, first_look;
	bool no_classes; /* they may not be read */
};

/* ---- what the model asks for ---- */

static void op_want(void *ctx, enum model_kind kind, const char *ns, const char *name)
{
	want_start(((struct sync *)ctx)->wants, kind, ns, name);
}

static void got(void *ctx, enum model_kind kind, const char *ns, const char *name, const json_t *obj)
{
	struct sync *s = ctx;

	if (kind == MODEL_SECRET && obj)
		model_set_secret(s->model, obj);
	else if (obj)
		model_set_configmap(s->model, obj);
	else if (kind == MODEL_SECRET)
		model_del_secret(s->model, ns, name);
	else
		model_del_configmap(s->model, ns, name);
	loop_defer(s->loop, &s->update);
}

static bool refers(void *ctx, enum model_kind kind, const char *ns, const char *name)
{
	return model_refers(((struct sync *)ctx)->model, kind, ns, name);
}

static const struct wants_ops wants_ops = { .got = got, .refers = refers };

static bool writes_events(const struct sync *s)
{
	return !s->o.no_events && !(s->status && status_follows(s->status));
}

static void op_problem(void *ctx, const struct model_object *o, const char *annotation, const char *reason, const char *message)
{
	struct sync *s = ctx;

	log_warn("object=%s/%s/%s %s: %s", o->kind, o->ns, o->name, reason, message);
	(void)annotation;
	if (!writes_events(s))
		return;
	json_t *obj = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "kind", o->kind, "apiVersion", o->api_version, "metadata",
				"namespace", o->ns, "name", o->name, "uid", o->uid ? o->uid : "");
	kube_event(s->kube, obj, INGRESS_COMPONENT, "Warning", reason, "%s", message);
	json_decref(obj);
}

static struct tls *op_server_tls(void *ctx, struct str cert_pem, struct str key_pem, struct err *e)
{
	struct sync *s = ctx;

	return s->o.server_tls(s->o.arg, cert_pem, key_pem, e);
}

static void drop_tls(void *t)
{
	tls_unref(t);
}

static void drop_globals(void *g)
{
	globals_unref(g);
}

static void op_default_tls(void *ctx, struct tls *t)
{
	struct sync *s = ctx;
	struct tls *now = t ? t : tls_ref(s->fallback_tls);
	struct tls *old = __atomic_exchange_n(&s->shared->default_tls, now, __ATOMIC_ACQ_REL);

	quiesce_retire(s->shared->quiesce, drop_tls, old);
}

/* The first replaces what the role began with. */
static void op_globals(void *ctx, struct globals *now, struct globals *old)
{
	struct sync *s = ctx;
	const struct globals *was = __atomic_exchange_n(&s->shared->globals, now, __ATOMIC_ACQ_REL);

	(void)old;
	if (was)
		quiesce_retire(s->shared->quiesce, drop_globals, (struct globals *)was);
	if (s->o.globals_changed)
		s->o.globals_changed(s->o.arg, now);
}

static void op_cert(void *ctx, const char *host, const char *ns, const char *secret, X509 *cert)
{
	metrics_cert_put(((struct sync *)ctx)->shared->metrics, host, ns, secret, cert);
}

static void op_host(void *ctx, const char *name, const struct host *h)
{
	struct sync *s = ctx;

	if (h)
		health_host(s->health, h);
	else
		health_host_gone(s->health, name);
}

static void op_resolve(void *ctx, const char *host_name)
{
	lookup_start(((struct sync *)ctx)->lookups, host_name);
}

static unsigned op_location_ref(void *metrics, const struct location *l)
{
	return metrics_location_ref(metrics, l->ns, l->ingress, l->backend ? l->backend->service : "", l->rule_host, l->path);
}

static void op_location_unref(void *metrics, unsigned id)
{
	metrics_location_unref(metrics, id);
}

static void resolved(void *ctx, const char *name, const struct addr *at, size_t n)
{
	struct sync *s = ctx;

	model_resolved(s->model, name, at, n);
	loop_defer(s->loop, &s->update);
}

/* ---- putting into effect ---- */

static bool all_synced(const struct sync *s)
{
	for (size_t i = 0; i < N_INF; i++)
		if (!s->inf[i] || (!informer_synced(s->inf[i]) && !(i == INF_CLASS && s->no_classes)))
			return false;
	return true;
}

static void announce(struct sync *s)
{
	s->announced = true;
	timer_stop(&s->first);
	timer_stop(&s->complain);
	__atomic_store_n(&s->shared->synced, true, __ATOMIC_RELEASE);
	named_complain(&s->named);
	s->o.first_sync(s->o.arg);
}

static void on_first(struct timer *t)
{
	announce(t->ctx);
}

/* Half a picture would answer 404 for what exists. */
static void on_update(struct defer *d)
{
	struct sync *s = container_of(d, struct sync, update);

	if (!all_synced(s))
		return;
	model_flush(s->model);
	if (s->shared->metrics)
		metrics_config_applied(s->shared->metrics, true);
	if (s->announced)
		return;
	if (s->status && !s->first_look)
		status_check_all(s->status);
	if (!model_waits(s->model) && named_synced(&s->named))
		announce(s);
	else if (!s->first_look)
		timer_start(s->loop, &s->first, FIRST_SYNC_MS);
	s->first_look = true;
}

static void changed(struct sync *s)
{
	loop_defer(s->loop, &s->update);
}

static void on_resync(struct timer *t)
{
	struct sync *s = t->ctx;

	if (s->status && s->announced)
		status_check_all(s->status);
	timer_start(s->loop, &s->resync, RESYNC_MS);
}

static void resolve_again(void *ctx, const char *name)
{
	lookup_start(((struct sync *)ctx)->lookups, name);
}

static void on_sweep(struct timer *t)
{
	struct sync *s = t->ctx;

	if (s->announced) {
		model_sweep(s->model);
		model_each_name(s->model, resolve_again, s);
	}
	timer_start(s->loop, &s->sweep, SWEEP_MS);
}

/* ---- the informers' handlers ---- */

static void class_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_set_class(s->model, obj);
	changed(s);
}

static void class_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_class(s->model, jx_name(obj));
	changed(s);
}

static void ingress_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;
	bool news = model_set_ingress(s->model, (json_t *)obj); /* the informer forgets it after this */
	const char *ns = jx_namespace(obj), *name = jx_name(obj);
	const struct model_ingress *i;

	if (!ns || !name)
		return;
	if (news)
		changed(s);
	if (s->announced && s->status)
		status_check(s->status, ns, name);
	/* Not for those that were there before us. */
	if (!news || !s->announced || !writes_events(s) || !(i = model_get_ingress(s->model, ns, name)) || !i->ours)
		return;
	kube_event(s->kube, obj, INGRESS_COMPONENT, "Normal", "Sync", "Scheduled for sync");
}

static void ingress_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_ingress(s->model, jx_namespace(obj), jx_name(obj));
	changed(s);
}

static bool is_key(const char *key, const json_t *obj)
{
	struct str name, ns = str_cut(str_of(key), '/', &name);

	return key && name.ptr && str_eq_c(ns, jx_namespace(obj)) && str_eq_c(name, jx_name(obj));
}

static void service_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	if (s->status && !s->o.publish_status_address && is_key(s->o.publish_service, obj))
		status_set(s->status, status_of_service(obj));
	model_set_service(s->model, obj);
	changed(s);
}

static void service_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_service(s->model, jx_namespace(obj), jx_name(obj));
	changed(s);
}

static void slice_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_set_slice(s->model, obj);
	changed(s);
}

static void slice_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_slice(s->model, jx_namespace(obj), jx_name(obj));
	changed(s);
}

static void secret_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_set_secret(s->model, obj);
	changed(s);
}

static void secret_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_secret(s->model, jx_namespace(obj), jx_name(obj));
	changed(s);
}

static void configmap_set(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_set_configmap(s->model, obj);
	if (s->o.configmap_changed)
		s->o.configmap_changed(s->o.arg, jx_namespace(obj), jx_name(obj), obj);
	changed(s);
}

static void configmap_deleted(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	model_del_configmap(s->model, jx_namespace(obj), jx_name(obj));
	if (s->o.configmap_changed)
		s->o.configmap_changed(s->o.arg, jx_namespace(obj), jx_name(obj), NULL);
	changed(s);
}

static void start_informer(struct sync *s, size_t i);

/* What Ingresses refer to decides which of the others' content is kept, so those come second. */
static void synced(void *ctx)
{
	struct sync *s = ctx;

	if (informer_synced(s->inf[INF_INGRESS]) && !s->inf[INF_SECRET]) {
		start_informer(s, INF_SECRET);
		start_informer(s, INF_CONFIGMAP);
	}
	changed(s);
}

static const struct {
	struct kube_gvr gvr;
	struct informer_handlers handlers;
} kinds[N_INF] = {
	[INF_CLASS] = { { "networking.k8s.io", "v1", "ingressclasses" }, { .put = class_set, .deleted = class_deleted, .synced = synced } },
	[INF_INGRESS] = { { "networking.k8s.io", "v1", "ingresses" }, { .put = ingress_set, .deleted = ingress_deleted, .synced = synced } },
	[INF_SERVICE] = { { "", "v1", "services" }, { .put = service_set, .deleted = service_deleted, .synced = synced } },
	[INF_SLICE] = { { "discovery.k8s.io", "v1", "endpointslices" }, { .put = slice_set, .deleted = slice_deleted, .synced = synced } },
	[INF_SECRET] = { { "", "v1", "secrets" }, { .put = secret_set, .deleted = secret_deleted, .synced = synced } },
	[INF_CONFIGMAP] = { { "", "v1", "configmaps" }, { .put = configmap_set, .deleted = configmap_deleted, .synced = synced } },
};

/* ingress-nginx does so without its ClusterRole, confined to a namespace: the annotation tells whose an Ingress is. */
static void without_classes(struct sync *s, const char *why)
{
	if (s->no_classes)
		return;
	log_warn("going on without IngressClasses: %s", why);
	s->no_classes = true;
	changed(s);
}

/* Nothing is served until everything is there: says what is missing. */
static void on_complain(struct timer *t)
{
	struct sync *s = t->ctx;

	for (size_t i = 0; i < N_INF; i++) {
		const char *why = s->inf[i] && !informer_synced(s->inf[i]) ? informer_error(s->inf[i]) : NULL;

		if (!why)
			continue;
		if (i == INF_CLASS && informer_forbidden(s->inf[i])) {
			without_classes(s, why);
			continue;
		}
		log_warn("waiting for %s: %s", kinds[i].gvr.resource, why);
		role_set_error("waiting for %s: %s", kinds[i].gvr.resource, why);
	}
	timer_start(s->loop, &s->complain, COMPLAIN_MS);
}

/* Of any of the kinds. What `kubectl apply` keeps is as long as the object. */
static const struct jx_unread unread[] = { INFORMER_UNREAD,
					   { STR("annotations"), STR("kubectl.kubernetes.io/last-applied-configuration") },
					   { STR("metadata"), STR("ownerReferences") },
					   { STR("metadata"), STR("finalizers") },
					   { STR("spec"), STR("selector") },
					   INFORMER_UNREAD_END };

static void start_informer(struct sync *s, size_t i)
{
	struct informer_options o = { .handlers_only = true, .unread = unread, .ns = i == INF_CLASS ? NULL : s->o.watch_namespace };

	s->inf[i] = informer_new(s->kube, kinds[i].gvr, &o, &kinds[i].handlers, s);
}

/* If the informers do not see it. */
static void start_named(struct sync *s, int kind, const char *key)
{
	named_start(&s->named, s->kube,
		    &(struct named_options){ kind, kinds[kind].gvr, key, s->o.watch_namespace, unread, &kinds[kind].handlers, s });
}

/* Asked when something first refers to it. */
static bool op_exists(void *ctx, enum model_kind kind, const char *ns, const char *name)
{
	struct sync *s = ctx;
	int n = kind == MODEL_SECRET ? INF_SECRET : INF_CONFIGMAP;
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);

	start_named(s, n, key);
	return (s->inf[n] && informer_get(s->inf[n], ns, name)) || named_exists(&s->named, n, ns, name) || c_eq(ns, SOURCE_URL_NAMESPACE);
}

static void start_all_named(struct sync *s)
{
	const struct sync_options *o = &s->o;

	start_named(s, INF_CONFIGMAP, o->configmap ? o->configmap : CONFIGMAP);
	for (size_t i = 0; i < o->n_configmaps; i++)
		start_named(s, INF_CONFIGMAP, o->configmaps[i]);
	start_named(s, INF_SECRET, o->default_ssl_certificate);
	start_named(s, INF_SERVICE, o->default_backend_service);
	start_named(s, INF_SLICE, o->default_backend_service);
	start_named(s, INF_SERVICE, o->publish_service);
}

/* ---- life ---- */

static struct model *make_model(struct sync *s)
{
	const struct sync_options *o = &s->o;
	struct model_config c = { o->controller, o->class_name, o->watch_without_class, o->configmap ? o->configmap : CONFIGMAP,
				  o->default_backend_service, o->default_ssl_certificate, o->watch_namespace };
	struct model_ops ops = { .problem = op_problem, .want = op_want, .exists = op_exists,
				 .server_tls = o->server_tls ? op_server_tls : NULL, .globals = op_globals, .host = op_host, .resolve = op_resolve,
				 .filters_for = filters_for };

	if (o->default_ssl_certificate)
		ops.default_tls = op_default_tls;
	if (s->shared->metrics) {
		ops.cert = op_cert;
		ops.location_ref = op_location_ref;
		ops.location_unref = op_location_unref;
		ops.location_ctx = s->shared->metrics;
	}
	return model_new(&c, &ops, s, s->shared->routes, s->shared->backends);
}

/* A replica is a machine and the sockets it listens on: the process that takes over from another one is the same. */
static void make_status(struct sync *s)
{
	const struct sync_options *o = &s->o;
	const struct config *c = s->role->config;
	const char *name = c->node_name ? c->node_name : "";
	cleanup(freep) char *group = xasprintf("%s %s %s", o->controller ? o->controller : "", o->class_name ? o->class_name : "",
					       o->watch_namespace ? o->watch_namespace : "");
	cleanup(freep) char *self = xasprintf("%s %s %s", name, c->http_address ? c->http_address : "", c->https_address ? c->https_address : "");

	s->status = status_new(s->loop, s->kube, s->model, &(struct peers_options){ o->configmap ? o->configmap : CONFIGMAP, group, self, name });
}

/* Without anything else said: this machine's address. */
static void first_status(struct sync *s)
{
	const char *ip = s->role->config->node_ip;

	if (s->o.publish_status_address)
		status_set(s->status, status_addresses(s->o.publish_status_address));
	else if (!s->o.publish_service && ip)
		status_set(s->status, status_addresses(ip));
}

struct sync *sync_new(struct role_ctx *ctx, struct shared *sh, const struct sync_options *o)
{
	struct sync *s = xcalloc(1, sizeof(*s));

	*s = (struct sync){ .role = ctx, .loop = ctx->loop, .kube = ctx->kube, .shared = sh, .o = *o, .update.run = on_update };
	list_init(&s->named);
	s->wants = wants_new(s->loop, s->kube, &wants_ops, s);
	s->resync = (struct timer){ .fire = on_resync, .ctx = s };
	s->sweep = (struct timer){ .fire = on_sweep, .ctx = s };
	s->first = (struct timer){ .fire = on_first, .ctx = s };
	s->complain = (struct timer){ .fire = on_complain, .ctx = s };
	s->fallback_tls = tls_ref(sh->default_tls);
	s->lookups = lookups_new(s->loop, resolved, s);
	s->health = health_new(s->loop, sh->upstream_tls);
	s->model = make_model(s);
	if (!o->no_status) {
		make_status(s);
		first_status(s);
	}
	for (size_t i = 0; i < INF_SECRET; i++)
		start_informer(s, i);
	start_all_named(s);
	timer_start(s->loop, &s->resync, RESYNC_MS);
	timer_start(s->loop, &s->sweep, SWEEP_MS);
	timer_start(s->loop, &s->complain, COMPLAIN_MS);
	return s;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < N_INF; i++)
		informer_free(s->inf[i]);
	named_free(&s->named);
	timer_stop(&s->resync);
	timer_stop(&s->sweep);
	timer_stop(&s->first);
	timer_stop(&s->complain);
	defer_cancel(&s->update);
	wants_free(s->wants);
	status_free(s->status);
	lookups_free(s->lookups);
	health_free(s->health);
	model_free(s->model);
	tls_unref(s->fallback_tls);
	free(s);
}

static void stop_loop(void *loop)
{
	loop_stop(loop);
}

void sync_retire_wait(struct sync *s)
{
	if (!s || !s->status || !s->announced)
		return;
	status_retire(s->status, stop_loop, s->loop);
	loop_run(s->loop);
}

struct backend *sync_backend(struct sync *s, const char *ns, const char *service, const char *port)
{
	return model_backend(s->model, ns, service, port);
}

void sync_each_problem(const struct sync *s, void (*fn)(void *ctx, const char *ingress, const char *reason, const char *message),
		       void *ctx)
{
	model_each_problem(s->model, fn, ctx);
}
