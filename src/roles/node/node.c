#include "roles/node/node.h"

#include "base/file.h"
#include "base/log.h"
#include "roles/node/cni_conf.h"
#include "roles/node/host_net.h"
#include "roles/node/image.h"
#include "roles/node/kubelet_server.h"
#include "roles/node/log_rotation.h"
#include "roles/node/node_facts.h"
#include "roles/node/object_cache.h"
#include "roles/node/pod_worker.h"
#include "roles/node/pods.h"
#include "roles/node/registration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define RESOLV_CONF_BYTES (64u << 10)
#define NETWORK_RETRY_MS 2000

struct network_job {
	struct work work;
	struct node *node;
	char *cidr;
	bool failed;
	struct err error;
	struct timer retry;
};

/* The runtime runs a plugin "loopback" for every pod before ours: both names lead to this program.
 */
static int link_plugins(const struct config *c, struct err *e)
{
	static const char *const names[] = { "portico-cni", "loopback" };
	cleanup(freep) char *bin = xasprintf("%s/cni/bin", c->run_dir);
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n == -1)
		return err_errno(e, errno, "read /proc/self/exe");
	self[n] = '\0';
	if (dir_make(bin, 0755, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup(freep) char *link = xasprintf("%s/%s", bin, names[i]);
		cleanup(freep) char *fresh = xasprintf("%s/.%s", bin, names[i]);
		unlink(fresh);
		if (symlink(self, fresh) == -1 || rename(fresh, link) == -1)
			return err_errno(e, errno, "link '%s'", link);
	}
	return 0;
}

static int write_conflist(const struct node *n, const char *cidr, struct err *e)
{
	struct cni_conf conf = { .version = "1.0.0", .mtu = host_net_mtu() };
	cleanup(freep) char *dir = xasprintf("%s/cni/net.d", n->config->run_dir);
	cleanup(freep) char *path = xasprintf("%s/10-portico.conflist", dir);
	struct buf text;

	if (cni_cidr_parse(cidr, &conf.range, &conf.prefix_bits, e) < 0 || dir_make(dir, 0755, e) < 0)
		return -1;
	if (inet_pton(AF_INET, n->ip, &conf.node_ip) != 1)
		conf.node_ip.s_addr = 0;
	if (snprintf(conf.ipam_dir, sizeof(conf.ipam_dir), "%s/cni/ipam", n->config->run_dir) >=
	    (int)sizeof(conf.ipam_dir))
		return err_set(e, ERR_INVALID, "run-dir is too long");
	buf_init(&text, CNI_CONF_BYTES);
	int rc = cni_conf_print(&conf, &text);
	if (rc == 0)
		rc = file_write(path, buf_str(&text), 0644, e);
	buf_done(&text);
	return rc;
}

static void on_network_run(struct work *w)
{
	struct network_job *j = container_of(w, struct network_job, work);
	struct host_net h = { j->cidr, j->node->config->cluster_cidr };

	j->failed = host_net_setup(&h, &j->error) < 0 ||
		    write_conflist(j->node, j->cidr, &j->error) < 0;
}

static void on_network_retry(struct timer *t)
{
	struct network_job *j = t->ctx;

	loop_work(j->node->loop, &j->work);
}

static void wake_all(struct node *n)
{
	for (struct map_iter it = { 0 }; map_next(&n->pods, &it);)
		pod_wake(it.value);
}

static void on_network_done(struct work *w)
{
	struct network_job *j = container_of(w, struct network_job, work);
	struct node *n = j->node;

	if (j->failed) {
		role_set_error("pod network: %s", j->error.message);
		j->failed = false;
		timer_start(n->loop, &j->retry, NETWORK_RETRY_MS);
		return;
	}
	log_info("pods get addresses of %s", j->cidr);
	n->network_ready = true;
	registration_network_ready(n->registration);
	wake_all(n);
}

static void on_pod_cidr(struct node *n, const char *cidr)
{
	struct network_job *j = n->network;

	if (j) {
		log_warn("podCIDR changed to %s: it holds from the next start, skipping", cidr);
		return;
	}
	n->network = j = xcalloc(1, sizeof(*j));
	*j = (struct network_job){ .work = { .run = on_network_run, .done = on_network_done },
				   .node = n,
				   .cidr = xstrdup(cidr),
				   .retry = { .fire = on_network_retry, .ctx = j } };
	loop_work(n->loop, &j->work);
}

static void read_host_dns(struct node *n)
{
	struct buf text;
	struct err e;

	buf_init(&text, RESOLV_CONF_BYTES);
	if (file_read("/etc/resolv.conf", &text, &e) < 0)
		log_warn("%s, pods with the host's DNS have none", e.message);
	pod_dns_parse(buf_str(&text), &n->host_dns);
	buf_done(&text);
}

/* Kept: what environment variables are made of. */
static void shrink_service(json_t *obj)
{
	static const char *const root[] = { "metadata", "spec", NULL };
	static const char *const metadata[] = { "name", "namespace", "uid", "resourceVersion", NULL };
	static const char *const spec[] = { "clusterIP", "ports", NULL };
	static const char *const port[] = { "name", "port", "protocol", NULL };
	json_t *p;
	size_t i;

	jx_keep(obj, root);
	jx_keep(json_object_get(obj, "metadata"), metadata);
	jx_keep(json_object_get(obj, "spec"), spec);
	json_array_foreach(jx_at(obj, "spec.ports"), i, p)
		jx_keep(p, port);
}

static void on_services_synced(void *ctx)
{
	wake_all(ctx);
}

static const struct informer_handlers service_handlers = { .synced = on_services_synced,
							   .transform = shrink_service };
static const struct informer_options all_services = { 0 };

static int make_dirs(struct node *n, struct err *e)
{
	n->pods_dir = xasprintf("%s/node/pods", n->config->data_dir);
	n->logs_dir = xasprintf("%s/node/logs", n->config->data_dir);
	return dir_make(n->pods_dir, 0750, e) < 0 || dir_make(n->logs_dir, 0755, e) < 0 ? -1 : 0;
}

static int node_start(struct role_ctx *ctx, struct err *e)
{
	struct node *n = xcalloc(1, sizeof(*n));

	*n = (struct node){ .role = ctx,
			    .loop = ctx->loop,
			    .kube = ctx->kube,
			    .config = ctx->config,
			    .name = ctx->config->node_name,
			    .ip = ctx->config->node_ip,
			    .memory_bytes = machine_memory_bytes(),
			    .milli_cpus = machine_milli_cpus() };
	ctx->state = n;
	map_init(&n->pods);
	if (!n->name || !n->ip)
		return err_set(e, ERR_INVALID, "node-name and node-ip must be set");
	if (make_dirs(n, e) < 0 || link_plugins(n->config, e) < 0)
		return -1;
	read_host_dns(n);
	n->cri = cri_new(n->loop, n->config->run_dir, e);
	if (!n->cri)
		return -1;
	n->images = images_new(n);
	n->objects = objects_new(n->kube);
	n->service_informer =
		informer_new(n->kube, GVR_SERVICES, &all_services, &service_handlers, n);
	n->server = kubelet_server_new(n, e);
	if (!n->server)
		return err_wrap(e, "kubelet endpoints");
	n->registration = registration_new(n, on_pod_cidr);
	log_rotation_start(n);
	pods_start(n);
	return 0;
}

static void network_free(struct network_job *j)
{
	if (!j)
		return;
	timer_stop(&j->retry);
	free(j->cidr);
	free(j);
}

static void node_stop(struct role_ctx *ctx)
{
	struct node *n = ctx->state;

	if (!n)
		return;
	kubelet_server_free(n->server);
	log_rotation_stop(n);
	pods_stop(n);
	registration_free(n->registration);
	informer_free(n->service_informer);
	objects_free(n->objects);
	images_free(n->images);
	cri_free(n->cri);
	network_free(n->network);
	pod_dns_done(&n->host_dns);
	free(n->pods_dir);
	free(n->logs_dir);
	free(n);
	ctx->state = NULL;
}

const struct role role_node = {
	.name = "node",
	.summary = "Runs the pods that are bound to this machine, through containerd.",
	.root = true,
	.start = node_start,
	.stop = node_stop,
};
