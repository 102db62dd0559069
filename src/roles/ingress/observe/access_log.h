/* access_log.h - a line for each request: nginx's format or a user's, to standard output or a file.
 *
 * Workers format into a buffer of their own, written when it is full or a second old. Nothing here waits for the reader
 * of the log: what a full pipe does not take is dropped, whole lines at a time, and counted (METRIC_LOG_DROPPED).
 * Regular files are written on a thread, as a disk may be slow.
 *
 * Standard output is the default everywhere, as with ingress-nginx: in a container it is what `kubectl logs` shows; under
 * `portico up` it is <data-dir>/logs/ingress.log, which the supervisor keeps within its bound. Another place is given with
 * access-log-path; `disable-access-log: "true"` turns it off.
 */
#pragma once

#include "base/err.h"
#include "roles/ingress/worker.h"

#define ACCESS_LOG_BUFFER_BYTES (256u << 10) /* of one worker: four seconds of a full one's lines */
#define ACCESS_LOG_FLUSH_BYTES (32u << 10)   /* written at once when this much is there */
#define ACCESS_LOG_FLUSH_MS 1000
#define ACCESS_LOG_LINE_BYTES (16u << 10)    /* longer lines are dropped: a head has less than this by default */
#define ACCESS_LOG_FILE_BYTES (1u << 30)     /* a file of its own moves to PATH.1 when it has grown past this */
/* ingress-nginx's log-format-upstream. */
#define ACCESS_LOG_FORMAT \
	"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" " \
	"\"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] " \
	"$upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"

struct access_log;
/* Main thread. `path`: "" or "/dev/stdout" or "stdout" is standard output; "/dev/stderr" or "stderr" the other. */
struct access_log *access_log_new(struct loop *main, struct quiesce *q, unsigned n_workers, const char *path, struct err *e) must_check;
void access_log_free(struct access_log *l); /* the workers have ended; writes what is left */
/* Format, escaping, whether at all, where to: from the ConfigMap, again when it changes. On an error the log goes on as
 * it was. */
int access_log_configure(struct access_log *l, const struct globals *g, struct err *e) must_check;
/* SIGUSR1: the file was moved away by logrotate. */
void access_log_reopen(struct access_log *l);
/* On the worker's thread, before its first and after its last request; the latter writes what is left. NULL: nothing. */
void access_log_worker_start(struct access_log *l, struct worker *w);
void access_log_worker_stop(struct access_log *l, struct worker *w);

/* Once, when an exchange ends, while all of it is still there. */
void access_log_exchange(struct exchange *x);

/* ---- tries: $upstream_addr and its relatives ---- */
/* One attempt at an endpoint; of the exchange's arena. */
struct access_try {
	struct list link; /* in x->tries_log */
	char addr[64];
	int status; /* of its answer; 0: none came */
	uint64_t started_us, connected_us, head_us, ended_us; /* 0: did not get there */
	uint64_t bytes; /* of the answer's body */
};
/* x->endpoint is chosen: a record is begun. Retries separate with ", ", as nginx does. */
void access_log_try(struct exchange *x);
/* The attempt ended, one way or the other: times and status are taken from x (connected_us, head_us, ans.status when an
 * answer came, up_answer_bytes). Without an open record: nothing. */
void access_log_try_done(struct exchange *x, int status);

enum access_try_field { TRY_ADDR, TRY_STATUS, TRY_CONNECT_TIME, TRY_HEADER_TIME, TRY_RESPONSE_TIME, TRY_RESPONSE_LENGTH };
/* The value of such a variable, for http/variable.c: "10.0.0.1:80, 10.0.0.2:80"; "-" for what a try did not get. Nothing
 * is appended when there was no try. -1: `out` is full. */
int access_log_tries_write(const struct exchange *x, enum access_try_field f, struct buf *out) must_check;
