/* child.h - one supervised process: start, watch, restart with back-off. */
#pragma once

#include "loop/loop.h"

enum child_state { CHILD_STOPPED, CHILD_STARTING, CHILD_READY, CHILD_WAITING /* for its restart */ };
const char *child_state_name(enum child_state s);

#define CHILD_FDS_MAX 16
#define CHILD_ERROR_BYTES 256
struct child {
	const char *name;
	char *const *argv;	/* argv[0] is the path; NULL-terminated */
	const char *log_path;	/* stdout and stderr are appended to it */
	int fds[CHILD_FDS_MAX]; /* inherited at the same numbers */
	size_t n_fds;
	const char *listen_env; /* PORTICO_LISTEN's value; NULL for none */
	bool notifies;		/* says READY itself; otherwise ready_check decides */
	bool replaces;		/* another process of the role serves until this one is ready */
	bool (*ready_check)(struct child *c);
	void (*changed)(struct child *c); /* after every change of state */
	void *ctx;

	/* the child's own; read only outside child.c */
	struct loop *loop;
	enum child_state state;
	pid_t pid;
	unsigned restarts;
	uint64_t started_ms, ready_ms, backoff_ms;
	char last_error[CHILD_ERROR_BYTES];
	bool stopping;
	struct io notify;
	struct timer timer;
};
void child_init(struct child *c, struct loop *l);
int child_start(struct child *c, struct err *e) must_check;
/* SIGTERM, then it is started anew, as after a crash but without delay. One that is not running is started. */
void child_restart(struct child *c);
/* The processes change places; everything else of `a` and `b` stays where it is. Both notify. */
void child_swap(struct child *a, struct child *b);
/* SIGQUIT: it finishes what is under way and ends; SIGKILL after `grace_ms`. */
void child_retire(struct child *c, uint64_t grace_ms);
/* SIGTERM, SIGKILL after `grace_ms`; `changed` tells when it has ended (CHILD_STOPPED). */
void child_stop(struct child *c, uint64_t grace_ms);
