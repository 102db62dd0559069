#include "roles/node/ctr_mounts.h"

#include "base/file.h"
#include "codec/jx.h"
#include "cri.pb-c.h"
#include "roles/node/node.h"
#include "roles/node/volume_payload.h"
#include "roles/node/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SUBPATH_DIR_MODE 0750 /* as kubelet makes them */
#define HOSTS_FILE_BYTES (1u << 20)

void ctr_mounts_done(struct ctr_mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->at[i].host_path);
		free(m->at[i].container_path);
	}
	free(m->at);
	*m = (struct ctr_mounts){ 0 };
}

/* Takes host_path. */
static void mounts_add(struct ctr_mounts *m, char *host_path, const char *container_path,
		       bool readonly, int propagation)
{
	m->at = xrealloc(m->at, (m->n + 1) * sizeof(*m->at));
	m->at[m->n++] =
		(struct ctr_mount){ host_path, xstrdup(container_path), readonly, propagation };
}

static int open_beneath(int root_fd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

/* Makes the missing directories of `path` below root, never through a link that leads out of it. */
static int make_beneath(int root_fd, const char *path, struct err *e)
{
	for (size_t at = 0; path[at];) {
		at += strspn(path + at, "/");
		size_t end = at + strcspn(path + at, "/");
		cleanup(freep) char *upto = xstrndup(path, end),
				    *parent = xstrndup(path, at ? at : 0);
		cleanup(closep) int have = open_beneath(root_fd, upto);
		cleanup(closep) int dir =
			have == -1 ? open_beneath(root_fd, parent[0] ? parent : ".") : -1;
		cleanup(freep) char *name = xstrndup(path + at, end - at);
		if (have == -1 &&
		    (dir == -1 || (mkdirat(dir, name, SUBPATH_DIR_MODE) == -1 && errno != EEXIST)))
			return err_errno(e, errno, "create subPath '%s'", path);
		at = end;
	}
	return 0;
}

/* Binds root/path to a place of our own: a link that the pod changes later cannot redirect it. */
static char *subpath_bind(struct ctr *c, const char *root, const char *path, size_t nth,
			  bool may_create, struct err *e)
{
	cleanup(closep) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(freep) char *dir = pod_dir(c->pod);
	cleanup(freep) char *place_dir = xasprintf("%s/subpaths/%s", dir, c->name);
	cleanup(freep) char *place = xasprintf("%s/%zu", place_dir, nth);
	struct stat st;
	char fd_path[64];

	if (root_fd == -1)
		return err_errno(e, errno, "open volume '%s'", root), NULL;
	if (may_create && make_beneath(root_fd, path, e) < 0)
		return NULL;
	cleanup(closep) int fd = open_beneath(root_fd, path);
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_errno(e, errno, "open subPath '%s'", path), NULL;
	if (dir_make(place_dir, 0750, e) < 0)
		return NULL;
	umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW); /* of an earlier run */
	if (S_ISDIR(st.st_mode) ? mkdir(place, 0750) == -1 && errno != EEXIST
				: mknod(place, S_IFREG | 0640, 0) == -1 && errno != EEXIST)
		return err_errno(e, errno, "create '%s'", place), NULL;
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
	if (mount(fd_path, place, NULL, MS_BIND | MS_REC, NULL) == -1)
		return err_errno(e, errno, "bind subPath '%s'", path), NULL;
	return TAKE_PTR(place);
}

static int propagation_of(const json_t *mount)
{
	const char *p = jx_str_or(mount, "mountPropagation", "None");

	if (c_eq(p, "HostToContainer"))
		return CRI__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
	return c_eq(p, "Bidirectional") ? CRI__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL
					: CRI__MOUNT_PROPAGATION__PROPAGATION_PRIVATE;
}

static int add_volume_mount(struct ctr *c, const struct env *env, const json_t *m, size_t nth,
			    struct ctr_mounts *out, struct err *e)
{
	const char *name = jx_str_or(m, "name", ""), *target = jx_str_or(m, "mountPath", "");
	const char *expr = jx_str(m, "subPathExpr");
	const char *root = volume_path(c->pod->volumes, name);
	cleanup(freep) char *sub =
		expr ? env_expand(expr, env, NULL) : xstrdup(jx_str_or(m, "subPath", ""));
	cleanup(freep) char *absolute =
		target[0] == '/' ? xstrdup(target) : xasprintf("/%s", target);

	if (!root)
		return err_set(e, ERR_INVALID, "volume \"%s\" of a mount does not exist", name);
	char *host = xstrdup(root);
	if (sub && sub[0]) {
		free(host);
		if (!path_is_inside(sub))
			return err_set(e, ERR_INVALID,
				       "subPath '%s' must be relative and without '..'", sub);
		host = subpath_bind(c, root, sub, nth,
				    volume_allows_creation(c->pod->volumes, name), e);
		if (!host)
			return -1;
	}
	mounts_add(out, host, absolute, jx_bool(m, "readOnly", false), propagation_of(m));
	return 0;
}

static bool mounts_have(const struct ctr_mounts *m, const char *container_path)
{
	for (size_t i = 0; i < m->n; i++)
		if (c_eq(m->at[i].container_path, container_path))
			return true;
	return false;
}

static int add_hosts_file(struct ctr *c, struct ctr_mounts *out, struct err *e)
{
	const struct pod *p = c->pod;
	cleanup(freep) char *dir = pod_dir(p), *path = xasprintf("%s/etc-hosts", dir);
	bool host_network = jx_bool(p->obj, "spec.hostNetwork", false);
	struct buf text, base;
	int rc = 0;

	if (mounts_have(out, "/etc/hosts"))
		return 0;
	buf_init(&text, HOSTS_FILE_BYTES);
	buf_init(&base, HOSTS_FILE_BYTES / 2);
	if (host_network)
		rc = file_read("/etc/hosts", &base, e);
	if (rc == 0) {
		hosts_file_print(p->obj, p->sandbox_ip, p->node->config->cluster_domain,
				 host_network ? base.ptr : NULL, &text);
		rc = dir_make(dir, 0755, e);
	}
	/* Written in place: containers that run already have this very file mounted. */
	cleanup(closep) int fd =
		rc < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (rc == 0 && (fd == -1 || write(fd, text.ptr, text.len) != (ssize_t)text.len))
		rc = err_errno(e, errno, "write '%s'", path);
	buf_done(&text);
	buf_done(&base);
	if (rc == 0)
		mounts_add(out, TAKE_PTR(path), "/etc/hosts", false, 0);
	return rc;
}

char *ctr_termination_log(const struct ctr *c, unsigned attempt)
{
	cleanup(freep) char *dir = pod_dir(c->pod);

	return xasprintf("%s/containers/%s/%u.termination-log", dir, c->name, attempt);
}

static int add_termination_log(struct ctr *c, unsigned attempt, struct ctr_mounts *out,
			       struct err *e)
{
	const char *target = jx_str_or(c->spec, "terminationMessagePath", "/dev/termination-log");
	cleanup(freep) char *dir = pod_dir(c->pod),
			    *sub = xasprintf("%s/containers/%s", dir, c->name);
	cleanup(freep) char *path = ctr_termination_log(c, attempt);

	if (!target[0])
		return 0;
	if (dir_make(sub, 0755, e) < 0)
		return -1;
	cleanup(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	/* Any user of the container may write it. */
	if (fd == -1 || fchmod(fd, 0666) == -1)
		return err_errno(e, errno, "create '%s'", path);
	mounts_add(out, TAKE_PTR(path), target, false, 0);
	return 0;
}

int ctr_mounts_build(struct ctr *c, const struct env *env, struct ctr_mounts *ret_mounts,
		     struct err *e)
{
	struct ctr_mounts out = { 0 };
	const json_t *m;
	size_t i;
	int rc = 0;

	json_array_foreach(json_object_get(c->spec, "volumeMounts"), i, m) if (rc == 0) rc =
		add_volume_mount(c, env, m, i, &out, e);
	if (rc == 0)
		rc = add_hosts_file(c, &out, e);
	if (rc == 0)
		rc = add_termination_log(c, c->attempt, &out, e);
	if (rc == 0)
		*ret_mounts = out;
	else
		ctr_mounts_done(&out);
	return rc;
}
