#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/jx.h"
#include "roles/node/ctr.h"
#include "roles/node/ctr_mounts.h"
#include "roles/node/log_tail.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"
#include "roles/node/probe.h"
#include "roles/node/cri_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECHECK_MS 20 /* the process has ended, the runtime is about to notice */
#define RETRY_MS 1000
#define INFO_BYTES (1u << 20) /* a container's verbose status holds its whole runtime spec */
#define FALLBACK_LOG_LINES 80 /* kubelet's limits for FallbackToLogsOnError */
#define FALLBACK_LOG_BYTES 2048

void ctr_unwatch(struct ctr *c)
{
	io_stop(&c->pid_io);
	if (c->pid_io.fd >= 0)
		close(c->pid_io.fd);
	c->pid_io.fd = -1;
	c->pid = 0;
}

static void on_process_end(struct io *io, uint32_t events)
{
	struct ctr *c = io->ctx;

	(void)events;
	io_stop(io);
	ctr_check(c);
}

/* Without a pidfd the regular look at the runtime still finds the end, a second or two later. */
static void watch_pid(struct ctr *c, pid_t pid)
{
	struct err e;
	int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd == -1)
		return;
	c->pid = pid;
	c->pid_io = (struct io){ .fd = fd, .ready = on_process_end, .ctx = c };
	if (io_watch(c->pod->node->loop, &c->pid_io, EPOLLIN, &e) < 0)
		log_warn("container=%s watch: %s, skipping", c->name, e.message);
}

static pid_t pid_of(const Cri__ContainerStatusResponse *r)
{
	const char *text = cri_entry(r->info, r->n_info, "info");
	struct err e;
	cleanup(json_decrefp) json_t *info = text ? jx_parse(str_of(text), INFO_BYTES, &e) : NULL;

	return (pid_t)jx_int(info, "pid", 0);
}

static void on_recheck(struct timer *t)
{
	ctr_check(t->ctx);
}

static void recheck_after(struct ctr *c, uint64_t ms)
{
	c->exit_timer = (struct timer){ .fire = on_recheck, .ctx = c };
	timer_start(c->pod->node->loop, &c->exit_timer, ms);
}

static void on_status(void *ctx, const void *response, const struct err *e)
{
	struct ctr *c = ctx;

	c->status_call = NULL;
	if (!e)
		ctr_apply_status(c, response);
	else if (e->reason == ERR_NOT_FOUND)
		ctr_vanished(c);
	else
		recheck_after(c, RETRY_MS);
}

void ctr_check(struct ctr *c)
{
	Cri__ContainerStatusRequest q = CRI__CONTAINER_STATUS_REQUEST__INIT;

	if (c->status_call || !c->id)
		return;
	timer_stop(&c->exit_timer);
	q.container_id = c->id;
	q.verbose = c->pid == 0;
	c->status_call = cri_send(c->pod->node->cri, CRI_CONTAINER_STATUS, &q, 0, on_status, c);
}

/* What the container left in its termination log, or with FallbackToLogsOnError the end of its log.
 */
static char *termination_message(const struct ctr *c, int exit_code)
{
	cleanup(freep) char *path = ctr_termination_log(c, c->attempt),
			    *log = ctr_log_path(c, c->attempt);
	struct buf text;
	struct err e;

	buf_init(&text, TERMINATION_LOG_BYTES);
	if (file_read(path, &text, &e) < 0)
		buf_clear(&text);
	bool fallback = exit_code != 0 &&
			c_eq(jx_str(c->spec, "terminationMessagePolicy"), "FallbackToLogsOnError");
	if (!text.len && fallback)
		log_tail(log, FALLBACK_LOG_LINES, FALLBACK_LOG_BYTES, &text);
	return text.len ? buf_take(&text) : (buf_done(&text), NULL);
}

static void exited(struct ctr *c, struct ctr_exit x)
{
	if (c->state == CTR_EXITED)
		ctr_exit_done(&c->exit);
	probes_stop(c);
	ctr_unwatch(c);
	c->exit = x;
	c->state = CTR_EXITED;
	c->ready = c->started = false;
	if (c->op == CTR_STOPPING && !c->call && !c->hook) {
		timer_stop(&c->stop_timer);
		c->op = CTR_IDLE;
	}
	if (!c->waiting_reason || !c_eq(c->waiting_reason, "RunContainerError"))
		ctr_wait_reason(c, NULL, NULL);
	pod_wake(c->pod);
}

static void apply_exit(struct ctr *c, const Cri__ContainerStatus *s)
{
	const char *reason = s->reason[0] ? s->reason : s->exit_code ? "Error" : "Completed";
	char *message = termination_message(c, s->exit_code);

	exited(c, (struct ctr_exit){
			  .id = xstrdup(c->id),
			  .code = s->exit_code,
			  .reason = xstrdup(reason),
			  .message = message	     ? message
				     : s->message[0] ? xstrdup(s->message)
						     : NULL,
			  .started_at_ms = s->started_at / 1000000,
			  .finished_at_ms = s->finished_at / 1000000,
		  });
}

void ctr_vanished(struct ctr *c)
{
	if (c->state != CTR_RUNNING)
		return;
	exited(c, (struct ctr_exit){
			  .id = xstrdup(c->id),
			  .code = 137,
			  .reason = xstrdup("ContainerStatusUnknown"),
			  .message = xstrdup(
				  "The container could not be located when the pod was terminated"),
			  .started_at_ms = c->started_at_ms,
			  .finished_at_ms = wall_now_ms(),
		  });
}

void ctr_apply_status(struct ctr *c, const Cri__ContainerStatusResponse *r)
{
	const Cri__ContainerStatus *s = r->status;

	if (!s)
		return;
	free(c->image_ref);
	c->image_ref = xstrdup(s->image_ref);
	if (s->state == CRI__CONTAINER_STATE__CONTAINER_EXITED) {
		if (c->state != CTR_EXITED)
			apply_exit(c, s);
		return;
	}
	if (s->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING)
		return;
	c->state = CTR_RUNNING;
	c->started_at_ms = s->started_at / 1000000;
	if (!c->pid)
		watch_pid(c, pid_of(r));
	else if (!c->pid_io.events)
		recheck_after(c, RECHECK_MS);
	pod_wake(c->pod);
}

void ctr_remove(struct ctr *c, const char *id)
{
	Cri__ContainerRequest q = CRI__CONTAINER_REQUEST__INIT;

	q.container_id = (char *)id;
	cri_send(c->pod->node->cri, CRI_REMOVE_CONTAINER, &q, 0, NULL, NULL);
}
