#include "base/log.h"
#include "base/memory.h"
#include "kube/client/client.h"
#include "roles/cli/cli.h"
#include "roles/cli/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTIFY_TEXT_BYTES 256
#define IN_CLUSTER "in-cluster" /* in place of a kubeconfig: the pod's own ServiceAccount */

/* PORTICO_NOTIFY_FD: a datagram socket to the supervisor; -1 when started by hand. */
static int notify_fd(void)
{
	const char *text = getenv("PORTICO_NOTIFY_FD");
	uint64_t fd;

	return text && str_to_u64(str_of(text), 1 << 16, &fd) ? (int)fd : -1;
}

bool role_is_supervised(void)
{
	return notify_fd() >= 0;
}

/* PORTICO_REPLACES: set, whatever to. */
bool role_replaces(void)
{
	return getenv("PORTICO_REPLACES") != NULL;
}

static void notify(const char *text)
{
	int fd = notify_fd();

	if (fd >= 0 && send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) == -1 && errno != EAGAIN)
		log_debug("notify: %s", strerror(errno));
}

void role_ready(void)
{
	notify("READY");
	log_info("ready");
	memory_settle(); /* lists are many times what is kept of them; and every library's beginnings */
}

void role_set_error(const char *fmt, ...)
{
	char text[NOTIFY_TEXT_BYTES] = "ERROR ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 6, sizeof(text) - 6, fmt, ap);
	va_end(ap);
	notify(text);
	log_error("%s", text + 6);
}

/* PORTICO_LISTEN: "api:4,kubelet:5" */
int role_listen_fd(const char *name)
{
	struct str rest = str_of(getenv("PORTICO_LISTEN"));

	while (rest.ptr) {
		struct str value, row = str_cut(rest, ',', &rest);
		struct str key = str_cut(row, ':', &value);
		uint64_t fd;

		if (str_eq_c(key, name) && str_to_u64(value, 1 << 16, &fd))
			return (int)fd;
	}
	return -1;
}

struct ending {
	const struct role *role;
	struct role_ctx *ctx;
	bool stopping;
};

static void on_stop_signal(void *arg, int signo)
{
	struct ending *d = arg;
	bool first = !d->stopping;

	log_info("stopping on %s", strsignal(signo));
	d->stopping = true;
	if (!first || !d->role->stopping || !d->role->stopping(d->ctx))
		loop_stop(d->ctx->loop);
}

static void on_drain_signal(void *arg, int signo)
{
	const struct ending *d = arg;

	log_info("another process has taken over (%s): finishing what is under way", strsignal(signo));
	d->role->drain(d->ctx);
}

/* Statuses are many when a folder is first read, and all alike. */
#define STATUSES_LOGGED_MAX 20

static void on_files_note(void *ctx, enum kube_files_note what, const char *text)
{
	unsigned *statuses = ctx;

	switch (what) {
	case KUBE_FILES_PROBLEM:
		log_error("%s", text);
		break;
	case KUBE_FILES_WARNING:
		log_warn("%s", text);
		break;
	case KUBE_FILES_EVENT:
		log_info("event: %s", text);
		break;
	case KUBE_FILES_STATUS:
		if (*statuses < STATUSES_LOGGED_MAX)
			log_info("status: %s", text);
		else
			log_debug("status: %s", text);
		if (++*statuses == STATUSES_LOGGED_MAX)
			log_info("further statuses are logged with --log-level debug");
		break;
	}
}

static int open_files(struct role_ctx *ctx, struct err *e)
{
	static unsigned statuses;

	ctx->kube = kube_client_from_files(ctx->loop, ctx->config->from, e);
	if (!ctx->kube)
		return e->sys_errno == EACCES ? err_wrap(e, "as uid %u", (unsigned)geteuid()) : -1;
	kube_client_on_files_note(ctx->kube, on_files_note, &statuses);
	return 0;
}

static int open_client(struct role_ctx *ctx, const struct role *r, struct err *e)
{
	struct kube_config kc;
	cleanup(freep) char *own = xasprintf("%s/%s.kubeconfig", ctx->config->run_dir, r->name);
	cleanup(freep) char *agent = xasprintf("portico-%s/v1.33.0", r->name);

	if (r->no_client)
		return 0;
	if (ctx->config->from)
		return open_files(ctx, e);
	if (!ctx->config->kubeconfig && access(own, F_OK) == -1)
		return err_set(e, ERR_INVALID, "which cluster? Give --kubeconfig FILE (in a pod: --kubeconfig " IN_CLUSTER "), or --from DIR with "
			       "manifests to do without one; `portico up` starts one on this machine");
	int rc = c_eq(ctx->config->kubeconfig, IN_CLUSTER) ? kube_config_in_cluster(&kc, e) :
			 kube_config_load(ctx->config->kubeconfig ? ctx->config->kubeconfig : own, &kc, e);
	if (rc < 0)
		return -1;
	ctx->kube = kube_client_new(ctx->loop, &kc, agent, e);
	kube_config_done(&kc);
	return ctx->kube ? 0 : -1;
}

static int role_start(struct role_ctx *ctx, const struct role *r, struct err *e)
{
	cleanup(freep) char *writable = xasprintf("%s/%s", ctx->config->data_dir, r->name);

	static struct ending ending;

	ending = (struct ending){ r, ctx, false };
	if (loop_on_signal(ctx->loop, SIGTERM, on_stop_signal, &ending, e) < 0 ||
	    loop_on_signal(ctx->loop, SIGINT, on_stop_signal, &ending, e) < 0)
		return -1;
	if (r->drain && loop_on_signal(ctx->loop, SIGQUIT, on_drain_signal, &ending, e) < 0)
		return -1;
	if (r->prepare && r->prepare(ctx, e) < 0)
		return -1;
	if (sandbox_identity(r, e) < 0 || open_client(ctx, r, e) < 0)
		return -1;
	/* Without its supervisor a role is unreachable for `portico down`: it goes too. Changing the uid cleared
	 * this, so it is set here. */
	if (notify_fd() >= 0 && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == -1)
		return err_errno(e, errno, "set the parent-death signal");
	if (r->start(ctx, e) < 0)
		return -1;
	return sandbox_lock(r, access(writable, W_OK) == 0 ? writable : NULL, e);
}

int role_process(const struct role *r, const struct config *config)
{
	struct role_ctx ctx = { .config = config };
	struct err e;
	enum log_level level = LOG_INFO;

	if (config->log_level && !log_level_parse(config->log_level, &level))
		level = LOG_INFO;
	log_setup(r->name, level);
	signal(SIGPIPE, SIG_IGN);
	ctx.loop = loop_new(&e);
	int rc = ctx.loop ? role_start(&ctx, r, &e) : -1;
	if (rc < 0)
		role_set_error("cannot start: %s", e.message);
	else
		loop_run(ctx.loop);
	r->stop(&ctx);
	kube_client_free(ctx.kube);
	loop_free(ctx.loop);
	return rc < 0 ? 1 : 0;
}
