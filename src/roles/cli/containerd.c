#include "roles/cli/containerd.h"

#include "base/file.h"
#include "roles/cli/run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONFIG_BYTES 8192
#define CTR_OUTPUT_BYTES (64u << 10)

/* The sandbox image as an OCI archive, linked in by the build (see the Makefile: images/pause.tar). */
extern const char pause_image_start[], pause_image_end[];

static const char *find_program(const char *name, struct err *e)
{
	static const char *const dirs[] = { "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin" };
	static char found[2][64];
	char *out = found[c_eq(name, "ctr")];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(out, sizeof(found[0]), "%s/%s", dirs[i], name);
		if (access(out, X_OK) == 0)
			return out;
	}
	err_set(e, ERR_NOT_FOUND, "%s is not installed: apt-get install containerd runc", name);
	return NULL;
}

const char *containerd_find(struct err *e)
{
	return find_program("containerd", e);
}

const char *ctr_find(struct err *e)
{
	return find_program("ctr", e);
}

char *containerd_socket(const struct config *c)
{
	return xasprintf("%s/containerd/containerd.sock", c->run_dir);
}

char *containerd_config_path(const struct config *c)
{
	return xasprintf("%s/containerd/config.toml", c->run_dir);
}

/* Without CAP_SYS_RESOURCE nobody may lower oom_score_adj, and every sandbox would fail. */
static bool may_lower_oom_score(void)
{
	cap_flag_value_t on = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, CAP_SYS_RESOURCE, CAP_EFFECTIVE, &on);
	cap_free(caps);
	return on == CAP_SET;
}

static void config_text(const struct config *c, struct buf *out)
{
	buf_printf(out, "version = 2\nroot = \"%s/containerd\"\nstate = \"%s/containerd/state\"\n", c->data_dir,
		   c->run_dir);
	/* Only what CRI needs is loaded: less memory, and a faster start. */
	buf_puts(out, "disabled_plugins = [\"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.zfs\", "
		      "\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.devmapper\", "
		      "\"io.containerd.internal.v1.tracing\", \"io.containerd.tracing.processor.v1.otlp\"]\n");
	buf_printf(out, "[grpc]\n  address = \"%s/containerd/containerd.sock\"\n", c->run_dir);
	buf_puts(out, "[ttrpc]\n  address = \"\"\n");
	buf_printf(out, "[plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"%s/containerd/opt\"\n", c->data_dir);
	buf_printf(out,
		   "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"%s\"\n  disable_apparmor = %s\n"
		   "  restrict_oom_score_adj = %s\n  stream_server_address = \"127.0.0.1\"\n"
		   "  stream_server_port = \"0\"\n  tolerate_missing_hugetlb_controller = true\n",
		   SANDBOX_IMAGE, access("/sys/kernel/security/apparmor", F_OK) == 0 ? "false" : "true",
		   may_lower_oom_score() ? "false" : "true");
	buf_puts(out, "  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    snapshotter = \"overlayfs\"\n"
		      "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
		      "      runtime_type = \"io.containerd.runc.v2\"\n");
	buf_printf(out,
		   "  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"%s/cni/bin\"\n"
		   "    conf_dir = \"%s/cni/net.d\"\n    max_conf_num = 1\n",
		   c->run_dir, c->run_dir);
}

static int link_cni(const struct config *c, struct err *e)
{
	cleanup(freep) char *bin = xasprintf("%s/cni/bin", c->run_dir);
	cleanup(freep) char *conf = xasprintf("%s/cni/net.d", c->run_dir);
	cleanup(freep) char *link = xasprintf("%s/portico-cni", bin);
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n == -1)
		return err_errno(e, errno, "read /proc/self/exe");
	self[n] = '\0';
	if (dir_make(bin, 0755, e) < 0 || dir_make(conf, 0755, e) < 0)
		return -1;
	unlink(link);
	return symlink(self, link) == -1 ? err_errno(e, errno, "link '%s'", link) : 0;
}

int containerd_prepare(const struct config *c, struct err *e)
{
	cleanup(freep) char *path = containerd_config_path(c);
	cleanup(freep) char *dir = xasprintf("%s/containerd", c->run_dir);
	cleanup(freep) char *root = xasprintf("%s/containerd", c->data_dir);
	struct buf text;

	if (dir_make(dir, 0711, e) < 0 || dir_make(root, 0711, e) < 0 || link_cni(c, e) < 0)
		return -1;
	buf_init(&text, CONFIG_BYTES);
	config_text(c, &text);
	int rc = text.overflow ? err_set(e, ERR_INTERNAL, "containerd's configuration is too long") :
				 file_write(path, buf_str(&text), 0644, e);
	buf_done(&text);
	return rc;
}

bool containerd_answers(const struct config *c)
{
	cleanup(freep) char *path = containerd_socket(c);
	cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (fd == -1 || strlen(path) >= sizeof(sun.sun_path))
		return false;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
}

char *image_name_normalised(struct str name)
{
	struct str rest, first = str_cut(name, '/', &rest);

	if (!rest.ptr)
		return xasprintf("docker.io/library/" STR_FMT, STR_ARG(name));
	if (memchr(first.ptr, '.', first.len) || memchr(first.ptr, ':', first.len) || str_eq(first, STR("localhost")))
		return NULL;
	return xasprintf("docker.io/" STR_FMT, STR_ARG(name));
}

/* ctr says "unpacking NAME (sha256:…)...done" for each image. CRI finds only names that have their registry. */
static int tag_normalised(const char *ctr, const char *socket_path, struct str said, struct err *e)
{
	while (said.ptr) {
		struct str line = str_cut(said, '\n', &said), rest;
		if (!str_starts(line, STR("unpacking ")))
			continue;
		line = (struct str){ line.ptr + 10, line.len - 10 };
		cleanup(freep) char *from = str_dup(str_cut(line, ' ', &rest));
		cleanup(freep) char *to = image_name_normalised(str_of(from));
		char *argv[] = { (char *)ctr,	 "-a",	  (char *)socket_path, "-n", "k8s.io",
				 "images", "tag", "--force",	       from, to, NULL };
		if (to && run_command(argv, -1, NULL, e) < 0)
			return err_wrap(e, "name the image '%s'", to);
	}
	return 0;
}

int containerd_import(const struct config *c, const char *path, int stdin_fd, char **ret_names, struct err *e)
{
	cleanup(freep) char *socket_path = containerd_socket(c);
	const char *ctr = ctr_find(e);
	struct buf out;

	if (!ctr)
		return -1;
	char *argv[] = { (char *)ctr, "-a", socket_path, "-n", "k8s.io", "images", "import", (char *)path, NULL };
	buf_init(&out, CTR_OUTPUT_BYTES);
	int rc = run_command(argv, stdin_fd, &out, e);
	if (rc == 0)
		rc = tag_normalised(ctr, socket_path, buf_str(&out), e);
	if (rc == 0 && ret_names)
		*ret_names = buf_take(&out);
	buf_done(&out);
	return rc;
}

int containerd_load_pause(const struct config *c, struct err *e)
{
	cleanup(freep) char *marker = xasprintf("%s/containerd/pause.loaded", c->data_dir);
	cleanup(freep) char *tar = xasprintf("%s/containerd/pause.tar", c->run_dir);
	size_t len = (size_t)(pause_image_end - pause_image_start);
	char key[32];
	struct buf seen;

	/* The image's length and first bytes change with every build that changes it. */
	snprintf(key, sizeof(key), "%zu\n", len);
	buf_init(&seen, sizeof(key));
	struct err ignored;
	bool loaded = access(marker, F_OK) == 0 && file_read(marker, &seen, &ignored) == 0 &&
		      str_eq_c(buf_str(&seen), key);
	buf_done(&seen);
	if (loaded)
		return 0;
	if (file_write(tar, (struct str){ pause_image_start, len }, 0644, e) < 0 ||
	    containerd_import(c, tar, -1, NULL, e) < 0)
		return err_wrap(e, "load the sandbox image");
	return file_write(marker, str_of(key), 0644, e);
}
