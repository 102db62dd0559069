#include "roles/dns/observe/pods.h"

#include "base/map.h"
#include "kube/client/informer.h"

#define LINGER_MS 10000 /* whoever comes and goes has not all pods listed each time */

static struct {
	unsigned users;
	struct loop *loop;
	struct timer linger;
	struct informer *informer;
	struct map by_ip; /* -> "ns/name" */
} pods;

static void forget(const json_t *pod)
{
	cleanup(freep) char *key = xasprintf("%s/%s", jx_namespace(pod), jx_name(pod));
	char *ips[16];
	size_t n = 0;

	for (struct map_iter it = { 0 }; n < ARRAY_LEN(ips) && map_next(&pods.by_ip, &it);)
		if (c_eq(it.value, key))
			ips[n++] = str_dup(it.key);
	while (n--) {
		free(map_del_c(&pods.by_ip, ips[n]));
		free(ips[n]);
	}
}

static void added(void *ctx, const json_t *pod)
{
	const char *phase = jx_str_or(pod, "status.phase", "");
	json_t *ip;
	size_t i;

	(void)ctx;
	if (jx_bool(pod, "spec.hostNetwork", false) || c_eq(phase, "Succeeded") || c_eq(phase, "Failed"))
		return;
	json_array_foreach(jx_at(pod, "status.podIPs"), i, ip) {
		const char *text = jx_str(ip, "ip");
		if (text)
			free(map_put_c(&pods.by_ip, text, xasprintf("%s/%s", jx_namespace(pod), jx_name(pod))));
	}
}

static void updated(void *ctx, const json_t *old, const json_t *pod)
{
	(void)old;
	forget(pod);
	added(ctx, pod);
}

static void deleted(void *ctx, const json_t *pod)
{
	(void)ctx;
	forget(pod);
}

static void transform(json_t *pod)
{
	static const char *const keep[] = { "hostNetwork", NULL };

	jx_keep(jx_at(pod, "spec"), keep);
}

static void synced(void *ctx)
{
	(void)ctx;
}

void watch_pods_hold(struct dns_shared *s)
{
	static const struct kube_gvr gvr = { "", "v1", "pods" };
	static const struct informer_options options = { .handlers_only = true };
	static const struct informer_handlers handlers = { .added = added, .updated = updated, .deleted = deleted, .synced = synced,
							   .transform = transform };

	pods.users++;
	timer_stop(&pods.linger);
	if (pods.informer || !s->kube)
		return;
	map_init(&pods.by_ip);
	pods.loop = s->main_loop;
	pods.informer = informer_new(s->kube, gvr, &options, &handlers, NULL);
}

void watch_pods_end(void)
{
	timer_stop(&pods.linger);
	if (!pods.informer)
		return;
	informer_free(TAKE_PTR(pods.informer));
	map_done(&pods.by_ip, free);
}

static void on_linger(struct timer *t)
{
	(void)t;
	watch_pods_end();
}

void watch_pods_release(void)
{
	if (--pods.users || !pods.informer)
		return;
	pods.linger.fire = on_linger;
	timer_start(pods.loop, &pods.linger, LINGER_MS);
}

const char *watch_pods_find(const struct event_addr *a)
{
	char text[EVENT_ADDR_BYTES];

	return pods.informer ? map_get_c(&pods.by_ip, event_addr_text(a, text)) : NULL;
}
