#include "roles/node/registration.h"

#include "base/log.h"
#include "codec/jx.h"
#include "roles/node/node_facts.h"

#define STATUS_PERIOD_MS 10000 /* a look at the runtime; kubelet's nodeStatusUpdateFrequency */
#define STATUS_REPORT_MS 60000 /* written at least this often, even unchanged */
#define NETWORK_POLL_MS 25     /* until the runtime has seen the CNI configuration */
#define LEASE_PERIOD_MS 10000
#define LEASE_DURATION_S 40
#define RETRY_MS 500
#define KUBELET_PORT 10250

struct registration {
	struct node *node;
	void (*pod_cidr)(struct node *n, const char *cidr);
	char *selector, *known_cidr;
	struct informer_options options;
	struct informer *informer;
	struct timer status_timer, lease_timer, create_timer;
	struct cri_call *call;
	struct kube_call *create_call, *status_call, *lease_call;
	char *runtime_version;
	bool runtime_ready, network_ready;
	json_t *sent; /* the conditions as last written, without their heartbeat */
	uint64_t sent_at_ms;
	bool ready_once;
};

static const json_t *own_node(const struct registration *r)
{
	return informer_get(r->informer, NULL, r->node->name);
}

static json_t *condition(const struct registration *r, const char *type, bool on,
			 const char *reason, const char *message)
{
	const json_t *known = jx_at(own_node(r), "status.conditions"), *c;
	const char *status = on ? "True" : "False", *since = NULL;
	char now[TIME_TEXT_BYTES];
	size_t i;

	json_array_foreach(known, i, c) if (c_eq(jx_str(c, "type"), type) &&
					    c_eq(jx_str(c, "status"), status)) since =
		jx_str(c, "lastTransitionTime");
	time_text(wall_now_ms(), now);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", type, "status", status,
			 "lastHeartbeatTime", now, "lastTransitionTime", since ? since : now,
			 "reason", reason, "message", message);
}

static bool is_ready(const struct registration *r)
{
	return r->runtime_ready && r->network_ready && r->node->network_ready;
}

static json_t *ready_condition(const struct registration *r)
{
	if (is_ready(r))
		return condition(r, "Ready", true, "KubeletReady",
				 "kubelet is posting ready status");
	return condition(r, "Ready", false, "KubeletNotReady",
			 r->runtime_ready
				 ? "container runtime network not ready: NetworkReady=false "
				   "reason:NetworkPluginNotReady message:cni plugin not initialized"
				 : "container runtime is down");
}

static json_t *conditions(const struct registration *r)
{
	json_t *out = json_array();

	json_array_append_new(out,
			      condition(r, "MemoryPressure", false, "KubeletHasSufficientMemory",
					"kubelet has sufficient memory available"));
	json_array_append_new(out, condition(r, "DiskPressure", false, "KubeletHasNoDiskPressure",
					     "kubelet has no disk pressure"));
	json_array_append_new(out, condition(r, "PIDPressure", false, "KubeletHasSufficientPID",
					     "kubelet has sufficient PID available"));
	json_array_append_new(out, ready_condition(r));
	return out;
}

static json_t *node_status(const struct registration *r)
{
	const struct node *n = r->node;
	json_t *capacity = node_capacity(n);
	json_t *s = json_pack(
		"{s:[{s:s, s:s}, {s:s, s:s}], s:o, s:O, s:{s:{s:i}}, s:o}", "addresses", "type",
		"InternalIP", "address", n->ip, "type", "Hostname", "address", n->name,
		"allocatable", capacity, "capacity", capacity, "daemonEndpoints", "kubeletEndpoint",
		"Port", KUBELET_PORT, "nodeInfo",
		node_info(r->runtime_version ? r->runtime_version : "containerd://unknown"));

	json_object_set_new(s, "conditions", conditions(r));
	return s;
}

static void on_status_written(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct registration *r = ctx;

	(void)obj;
	r->status_call = NULL;
	if (!e) {
		if (is_ready(r) && !r->ready_once) {
			r->ready_once = true;
			role_ready();
		}
		return;
	}
	log_warn("write node status: %s (%d), trying again", e->message, status);
	json_decref(r->sent);
	r->sent = NULL;
	timer_start(r->node->loop, &r->status_timer, RETRY_MS);
}

/* What makes a status worth writing: everything but the time. */
static json_t *essence(const struct registration *r)
{
	return json_pack("[b, b, b, s]", r->runtime_ready, r->network_ready, r->node->network_ready,
			 r->runtime_version ? r->runtime_version : "");
}

static void write_status(struct registration *r)
{
	json_t *now = essence(r);
	uint64_t age_ms = loop_now_ms(r->node->loop) - r->sent_at_ms;
	cleanup(freep) char *path = kube_path(GVR_NODES, NULL, r->node->name, "status");

	if (r->status_call || !own_node(r) ||
	    (json_equal(now, r->sent) && age_ms < STATUS_REPORT_MS)) {
		json_decref(now);
		return;
	}
	json_decref(r->sent);
	r->sent = now;
	r->sent_at_ms = loop_now_ms(r->node->loop);
	cleanup(json_decrefp) json_t *patch = json_pack("{s:o}", "status", node_status(r));
	r->status_call = kube_request(r->node->kube, "PATCH", path, KUBE_STRATEGIC_PATCH, patch,
				      on_status_written, r);
}

static void on_runtime_status(void *ctx, const void *response, const struct err *e)
{
	struct registration *r = ctx;
	const Cri__StatusResponse *s = response;
	bool network_due = false;

	r->call = NULL;
	r->runtime_ready = r->network_ready = false;
	for (size_t i = 0; !e && s->status && i < s->status->n_conditions; i++) {
		const Cri__RuntimeCondition *c = s->status->conditions[i];
		if (c_eq(c->type, "RuntimeReady"))
			r->runtime_ready = c->status;
		else if (c_eq(c->type, "NetworkReady"))
			r->network_ready = c->status;
	}
	network_due = e || (r->node->network_ready && !r->network_ready);
	write_status(r);
	if (!timer_active(&r->status_timer))
		timer_start(r->node->loop, &r->status_timer,
			    network_due ? NETWORK_POLL_MS : STATUS_PERIOD_MS);
}

static void ask_status(struct registration *r)
{
	Cri__StatusRequest q = CRI__STATUS_REQUEST__INIT;

	if (!r->call)
		r->call = cri_send(r->node->cri, CRI_STATUS, &q, 0, on_runtime_status, r);
}

static void on_version(void *ctx, const void *response, const struct err *e)
{
	struct registration *r = ctx;
	const Cri__VersionResponse *v = response;

	r->call = NULL;
	if (!e) {
		free(r->runtime_version);
		r->runtime_version = xasprintf("%s://%s", v->runtime_name, v->runtime_version);
		ask_status(r);
		return;
	}
	write_status(r);
	timer_start(r->node->loop, &r->status_timer, RETRY_MS);
}

static void on_status_timer(struct timer *t)
{
	struct registration *r = t->ctx;
	Cri__VersionRequest q = CRI__VERSION_REQUEST__INIT;

	if (r->runtime_version)
		ask_status(r);
	else if (!r->call)
		r->call = cri_send(r->node->cri, CRI_VERSION, &q, 0, on_version, r);
}

void registration_network_ready(struct registration *r)
{
	timer_start(r->node->loop, &r->status_timer, 0);
}

static void on_lease_created(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct registration *r = ctx;

	(void)status;
	(void)obj;
	r->lease_call = NULL;
	timer_start(r->node->loop, &r->lease_timer, e ? RETRY_MS : LEASE_PERIOD_MS);
}

static json_t *lease_object(const struct registration *r)
{
	const json_t *node = own_node(r);
	char now[TIME_TEXT_BYTES];

	time_text_micro(wall_now_ms() * 1000, now);
	json_t *lease = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s}}", "apiVersion",
				  "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name",
				  r->node->name, "namespace", "kube-node-lease", "spec",
				  "holderIdentity", r->node->name, "leaseDurationSeconds",
				  LEASE_DURATION_S, "renewTime", now);
	if (jx_uid(node))
		json_object_set_new(json_object_get(lease, "metadata"), "ownerReferences",
				    json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind",
					      "Node", "name", r->node->name, "uid", jx_uid(node)));
	return lease;
}

static void on_lease_renewed(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct registration *r = ctx;
	cleanup(freep) char *path = kube_path(GVR_LEASES, "kube-node-lease", NULL, NULL);

	if (status != 404) {
		on_lease_created(ctx, status, obj, e);
		return;
	}
	cleanup(json_decrefp) json_t *lease = lease_object(r);
	r->lease_call =
		kube_request(r->node->kube, "POST", path, KUBE_JSON, lease, on_lease_created, r);
}

static void on_lease_timer(struct timer *t)
{
	struct registration *r = t->ctx;
	cleanup(freep) char *path = kube_path(GVR_LEASES, "kube-node-lease", r->node->name, NULL);
	cleanup(json_decrefp) json_t *lease = lease_object(r);
	cleanup(json_decrefp) json_t *patch =
		json_pack("{s:O}", "spec", json_object_get(lease, "spec"));

	r->lease_call = kube_request(r->node->kube, "PATCH", path, KUBE_MERGE_PATCH, patch,
				     on_lease_renewed, r);
}

static void on_created(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct registration *r = ctx;

	(void)obj;
	r->create_call = NULL;
	if (!e || status == 409)
		return; /* the informer tells the rest */
	role_set_error("register node: %s", e->message);
	timer_start(r->node->loop, &r->create_timer, RETRY_MS);
}

static void on_create_timer(struct timer *t)
{
	struct registration *r = t->ctx;
	cleanup(freep) char *path = kube_path(GVR_NODES, NULL, NULL, NULL);
	cleanup(json_decrefp) json_t *node =
		json_pack("{s:s, s:s, s:{s:s, s:o}, s:{}, s:o}", "apiVersion", "v1", "kind", "Node",
			  "metadata", "name", r->node->name, "labels", node_labels(r->node->name),
			  "spec", "status", node_status(r));

	if (!own_node(r) && !r->create_call)
		r->create_call =
			kube_request(r->node->kube, "POST", path, KUBE_JSON, node, on_created, r);
}

static void on_seen(void *ctx, const json_t *obj)
{
	struct registration *r = ctx;
	const char *cidr = jx_str_or(obj, "spec.podCIDR", "");

	if (!timer_active(&r->status_timer) && !r->call)
		on_status_timer(&r->status_timer);
	if (!r->lease_call && !timer_active(&r->lease_timer))
		on_lease_timer(&r->lease_timer);
	if (!cidr[0] || c_eq(cidr, r->known_cidr))
		return;
	free(r->known_cidr);
	r->known_cidr = xstrdup(cidr);
	r->pod_cidr(r->node, cidr);
}

/* Somebody else's verdict stands in the API (the controllers' after a pause of ours): it is put
 * right at once. */
static bool is_misjudged(const struct registration *r, const json_t *obj)
{
	const json_t *c;
	size_t i;

	json_array_foreach(jx_at(obj, "status.conditions"), i,
			   c) if (c_eq(jx_str(c, "type"),
				       "Ready")) return !c_eq(jx_str(c, "status"),
							      is_ready(r) ? "True" : "False");
	return false;
}

static void on_updated(void *ctx, const json_t *old_obj, const json_t *obj)
{
	struct registration *r = ctx;

	(void)old_obj;
	on_seen(ctx, obj);
	if (!r->sent || r->status_call || !is_misjudged(r, obj))
		return;
	json_decref(r->sent);
	r->sent = NULL;
	write_status(r);
}

static void on_deleted(void *ctx, const json_t *obj)
{
	struct registration *r = ctx;

	(void)obj;
	timer_start(r->node->loop, &r->create_timer, RETRY_MS);
}

static void on_synced(void *ctx)
{
	struct registration *r = ctx;

	if (!own_node(r))
		on_create_timer(&r->create_timer);
}

static const struct informer_handlers handlers = {
	.added = on_seen, .updated = on_updated, .deleted = on_deleted, .synced = on_synced,
};

struct registration *registration_new(struct node *n,
				      void (*pod_cidr)(struct node *n, const char *cidr))
{
	struct registration *r = xcalloc(1, sizeof(*r));

	*r = (struct registration){ .node = n, .pod_cidr = pod_cidr };
	r->status_timer = (struct timer){ .fire = on_status_timer, .ctx = r };
	r->lease_timer = (struct timer){ .fire = on_lease_timer, .ctx = r };
	r->create_timer = (struct timer){ .fire = on_create_timer, .ctx = r };
	r->selector = xasprintf("metadata.name=%s", n->name);
	r->options.field_selector = r->selector;
	r->informer = informer_new(n->kube, GVR_NODES, &r->options, &handlers, r);
	return r;
}

void registration_free(struct registration *r)
{
	if (!r)
		return;
	informer_free(r->informer);
	kube_cancel(r->create_call);
	kube_cancel(r->status_call);
	kube_cancel(r->lease_call);
	cri_cancel(r->call);
	timer_stop(&r->status_timer);
	timer_stop(&r->lease_timer);
	timer_stop(&r->create_timer);
	json_decref(r->sent);
	free(r->selector);
	free(r->known_cidr);
	free(r->runtime_version);
	free(r);
}
