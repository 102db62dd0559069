/* access_log.h - a line for each request: nginx's format or a user's, to standard output or a file.
 *
 * Workers format into a buffer of their own, written when it is full or a second old. Nothing here waits for the reader
 * of the log: what a full pipe does not take stays in the buffer, and when that is full too, lines are dropped and counted
 * (METRIC_LOG_DROPPED). Regular files are written on a thread, as a disk may be slow.
 *
 * Standard output is the default everywhere, as with ingress-nginx: in a container it is what `kubectl logs` shows; under
 * `portico up` it is <data-dir>/logs/ingress.log, which the supervisor keeps within its bound. Another place is given with
 * access-log-path; `disable-access-log: "true"` turns it off, as does enable-access-log: "false" on an Ingress.
 */
#pragma once

#include "base/err.h"
#include "roles/ingress/worker.h"

#define ACCESS_LOG_BUFFER_BYTES (512u << 10) /* of one worker: a second of 2,000 requests, or a reader's hiccup at 50,000 */
#define ACCESS_LOG_FLUSH_BYTES (32u << 10)   /* written at once when this much is there */
#define ACCESS_LOG_FLUSH_MS 1000
#define ACCESS_LOG_RETRY_MS 50		     /* after a pipe was full */
#define ACCESS_LOG_FILE_BYTES (1ull << 30)   /* access-log-path's file moves to PATH.1 when it has grown past this */
#define ACCESS_LOG_CHECK_MS 10000
/* ingress-nginx's log-format-upstream. */
#define ACCESS_LOG_FORMAT \
	"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" " \
	"\"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] " \
	"$upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"

struct access_log;
/* Main thread, before the role gives up its user (standard output is opened anew). Logs nothing before access_log_configure. `q` may be NULL when no worker runs yet. */
struct access_log *access_log_new(struct loop *main, struct quiesce *q, unsigned n_workers);
void access_log_free(struct access_log *l); /* the workers have ended */
/* Format, escaping, whether at all, where to: from the ConfigMap, again when it changes. On an error the log goes on as
 * it was. access_log_path "", "stdout", "/dev/stdout" or ingress-nginx's default (a link to it) is standard output. */
int access_log_configure(struct access_log *l, const struct globals *g, struct err *e) must_check;
bool access_log_active(const struct access_log *l); /* main thread */
/* SIGUSR1: the file was moved away by logrotate. */
int access_log_reopen(struct access_log *l, struct err *e);
/* On the worker's thread, before its first and after its last request; the latter writes what is left. l NULL: nothing. */
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
/* The attempt ended, one way or the other: its times and bytes are taken from x (connected_us, head_us, up_answer_bytes);
 * `status`: its answer's, or as nginx logs attempts without one, 502 or 504; 0: "-". Without an open record: nothing. */
void access_log_try_done(struct exchange *x, int status);

enum access_try_field { TRY_ADDR, TRY_STATUS, TRY_CONNECT_TIME, TRY_HEADER_TIME, TRY_RESPONSE_TIME, TRY_RESPONSE_LENGTH };
/* The value of such a variable, for http/variable.c: "10.0.0.1:80, 10.0.0.2:80"; "-" for what a try did not get. Nothing
 * is appended when there was no try. -1: `out` is full. */
int access_log_tries_write(const struct exchange *x, enum access_try_field f, struct buf *out) must_check;
