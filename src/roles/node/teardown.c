#include "roles/node/teardown.h"

#include "base/file.h"
#include "loop/loop.h"
#include "roles/node/cgroup.h"
#include "roles/node/cni_conf.h"
#include "roles/node/cni_link.h"
#include "roles/node/cri.h"
#include "roles/node/host_net.h"
#include "roles/node/volume_task.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* Pods that do not stop by then are killed without the runtime. */
#define RUNTIME_DEADLINE_MS 20000

struct sweep {
	struct loop *loop;
	struct cri *cri;
	struct timer deadline;
	size_t open;
};

static void sweep_one_done(struct sweep *s)
{
	if (--s->open == 0)
		loop_stop(s->loop);
}

static void on_removed(void *ctx, const void *response, const struct err *e)
{
	(void)response;
	(void)e;
	sweep_one_done(ctx);
}

/* Removing a sandbox kills and removes its containers, too. */
static void on_listed(void *ctx, const void *response, const struct err *e)
{
	struct sweep *s = ctx;
	const Cri__ListPodSandboxResponse *r = response;
	Cri__PodSandboxRequest q = CRI__POD_SANDBOX_REQUEST__INIT;

	for (size_t i = 0; !e && i < r->n_items; i++) {
		q.pod_sandbox_id = r->items[i]->id;
		s->open++;
		cri_send(s->cri, CRI_REMOVE_POD_SANDBOX, &q, 0, on_removed, s);
	}
	sweep_one_done(s);
}

static void on_deadline(struct timer *t)
{
	loop_stop(((struct sweep *)t->ctx)->loop);
}

static int runtime_sweep(const struct config *c, struct err *e)
{
	struct sweep s = { .open = 1 };
	Cri__ListPodSandboxRequest q = CRI__LIST_POD_SANDBOX_REQUEST__INIT;

	s.loop = loop_new(e);
	s.cri = s.loop ? cri_new(s.loop, c->run_dir, e) : NULL;
	if (!s.cri) {
		loop_free(s.loop);
		return -1;
	}
	s.deadline = (struct timer){ .fire = on_deadline, .ctx = &s };
	timer_start(s.loop, &s.deadline, RUNTIME_DEADLINE_MS);
	cri_send(s.cri, CRI_LIST_POD_SANDBOX, &q, 0, on_listed, &s);
	loop_run(s.loop);
	timer_stop(&s.deadline);
	cri_free(s.cri);
	loop_free(s.loop);
	return s.open ? err_set(e, ERR_TIMEOUT, "%zu pods did not stop in time", s.open) : 0;
}

/* Calls fn for each entry of a directory; a missing directory has none. */
static int each_entry(const char *dir, int (*fn)(void *ctx, const char *name, struct err *e),
		      void *ctx, struct err *e)
{
	DIR *d = opendir(dir);
	int rc = 0;

	for (const struct dirent *de; d && (de = readdir(d));)
		if (de->d_name[0] != '.' && fn(ctx, de->d_name, e) < 0)
			rc = -1;
	if (d)
		closedir(d);
	return rc;
}

static int forget_cgroup(void *ctx, const char *uid, struct err *e)
{
	(void)ctx;
	(void)e;
	cgroup_remove_pod(uid);
	return 0;
}

static int remove_pods(const struct config *c, struct err *e)
{
	cleanup(freep) char *pods = xasprintf("%s/node/pods", c->data_dir);
	int rc = each_entry(pods, forget_cgroup, NULL, e);

	cgroup_remove_root();
	if (unmount_below(pods, e) < 0)
		return -1;
	return dir_remove(pods, e) < 0 ? -1 : rc;
}

/* An address that is still taken belongs to a pod whose namespace was not given back. */
static int forget_address(void *ctx, const char *name, struct err *e)
{
	const char *dir = ctx;
	cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
	struct buf text;
	struct str netns;

	if (strcmp(name, "lock") == 0)
		return 0;
	buf_init(&text, CNI_CONF_BYTES);
	int rc = file_read(path, &text, e);
	struct str id = rc == 0 ? str_cut(buf_str(&text), '\n', &netns) : STR_NONE;
	if (id.ptr && netns.ptr) {
		cleanup(freep) char *id_text = str_dup(id),
				    *ns = str_dup(str_cut(netns, '\n', &netns));
		rc = pod_link_del(id_text, e);
		if (umount2(ns, MNT_DETACH) == 0)
			unlink(ns);
	}
	buf_done(&text);
	return rc;
}

static int remove_network(const struct config *c, struct err *e)
{
	cleanup(freep) char *cni = xasprintf("%s/cni", c->run_dir),
			    *ipam = xasprintf("%s/ipam", cni);
	int rc = each_entry(ipam, forget_address, ipam, e);

	if (host_net_teardown(e) < 0)
		rc = -1;
	return dir_remove(cni, e) < 0 ? -1 : rc;
}

int node_teardown(const struct config *c, struct err *e)
{
	static int (*const steps[])(const struct config *c,
				    struct err *e) = { runtime_sweep, remove_pods, remove_network };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct err now;
		if (steps[i](c, &now) == 0 || rc < 0)
			continue;
		*e = now;
		rc = -1;
	}
	return rc;
}
