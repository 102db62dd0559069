/* pod.h - one pod of this node: what is wanted (the API object) and what the runtime has.
 *
 * Plain data. pod_worker.c moves it, pod_status.c turns it into what the API shows.
 */
#pragma once

#include "loop/loop.h"
#include "roles/node/backoff.h"

#include <jansson.h>

struct cri_call;
struct image_wait;
struct hook;
struct node;
struct probe;
struct volumes;
struct kube_call;

enum ctr_kind { CTR_INIT, CTR_SIDECAR /* an init container that goes on */, CTR_MAIN };
enum ctr_state { CTR_NONE, CTR_RUNNING, CTR_EXITED };
enum ctr_op { CTR_IDLE, CTR_STARTING, CTR_STOPPING };

/* How one run of a container ended. */
struct ctr_exit {
	char *id; /* NULL: there was none */
	char *reason, *message;
	int code;
	int64_t started_at_ms, finished_at_ms;
};
void ctr_exit_done(struct ctr_exit *x);

enum probe_kind { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS, N_PROBE_KINDS };

struct ctr {
	struct pod *pod;
	char *name;
	const json_t *spec; /* inside pod->obj */
	enum ctr_kind kind;
	uint64_t spec_hash; /* of what the running container was made from */

	/* what the runtime has */
	enum ctr_state state;
	char *id, *image_ref;
	unsigned attempt; /* number of runs before this one */
	int64_t started_at_ms;
	struct ctr_exit exit; /* of this run, when state is CTR_EXITED */
	struct ctr_exit last; /* of the run before */
	pid_t pid;
	struct io pid_io;	 /* a pidfd: readable when the process has ended */
	struct timer exit_timer; /* asks again while the runtime has not noticed yet */
	struct cri_call *status_call;

	/* what is being done */
	enum ctr_op op;
	struct cri_call *call;
	struct image_wait *image_wait;
	struct hook *hook;
	struct timer stop_timer; /* a preStop hook may use the grace period, no more */
	uint64_t stop_by_ms;	 /* loop time: when the grace period ends */
	bool stop_sent;
	char *pulled_image_id;
	int64_t image_uid; /* user of the image; -1 = unknown */

	/* what the API is told */
	char *waiting_reason, *waiting_message;
	bool ready, started;
	int64_t failed_at_ms; /* of a start that failed before there was a container */
	struct backoff backoff;
	struct probe *probes[N_PROBE_KINDS];
	bool log_rotating;
};

enum pod_stage {
	POD_ADOPTING, /* the runtime is being asked what it has */
	POD_RUNNING,  /* working towards the spec */
	POD_KILLING,  /* containers are being stopped */
	POD_CLEANING, /* sandbox, volumes, cgroup */
	POD_ENDED,    /* nothing runs; waits for the API object to go */
	POD_REMOVING, /* object gone: the last traces are removed */
};

struct pod {
	struct node *node;
	json_t *obj;		     /* the newest API object; an orphan's has only metadata */
	char *uid, *ns, *name, *key; /* key: "name_ns(uid)", as kubelet writes pods in messages */
	bool gone;		     /* no longer in the API */
	bool terminal;		     /* phase Succeeded or Failed: never run again */
	char *fail_reason, *fail_message; /* of the pod as a whole: DeadlineExceeded */
	enum pod_stage stage;
	int pending; /* calls of adopting, cleaning or removing that are under way */

	struct ctr *ctrs; /* init containers first, in order */
	size_t n_ctrs;

	char *sandbox_id, *sandbox_ip;
	bool sandbox_ready;
	uint64_t sandbox_ready_at_ms; /* loop time */
	unsigned sandbox_attempt;
	struct cri_call *sandbox_call;
	int64_t sandbox_failed_at_ms;

	struct volumes *volumes;
	int64_t start_at_ms; /* status.startTime */

	struct defer sync_defer;
	struct timer sync_timer;

	/* status as last written */
	json_t *pushed;
	struct kube_call *push_call;
	struct timer push_timer;
	bool delete_sent;
};

const char *ctr_image(const struct ctr *c);
bool ctr_wants_restart(const struct ctr *c); /* after the exit it has; by kind and restartPolicy */
void ctr_wait_reason(struct ctr *c, const char *reason, const char *message); /* NULL clears */
