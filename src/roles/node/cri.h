/* cri.h - calls of the Container Runtime Interface v1, asynchronous, typed by cri.proto. */
#pragma once

#include "cri.pb-c.h"
#include "loop/loop.h"

enum cri_method {
	CRI_VERSION,
	CRI_STATUS,
	CRI_RUN_POD_SANDBOX,
	CRI_STOP_POD_SANDBOX,
	CRI_REMOVE_POD_SANDBOX,
	CRI_POD_SANDBOX_STATUS,
	CRI_LIST_POD_SANDBOX,
	CRI_CREATE_CONTAINER,
	CRI_START_CONTAINER,
	CRI_STOP_CONTAINER,
	CRI_REMOVE_CONTAINER,
	CRI_LIST_CONTAINERS,
	CRI_CONTAINER_STATUS,
	CRI_REOPEN_LOG,
	CRI_EXEC_SYNC,
	CRI_EXEC,
	CRI_ATTACH,
	CRI_PORT_FORWARD,
	CRI_IMAGE_STATUS,
	CRI_LIST_IMAGES,
	CRI_PULL_IMAGE,
};

struct cri;
struct cri *cri_new(struct loop *l, const char *run_dir, struct err *e) must_check;
void cri_free(struct cri *c); /* open calls end without call-backs */

/* `response` is the method's Cri__… message, borrowed; NULL when e is set. */
typedef void cri_done_fn(void *ctx, const void *response, const struct err *e);
struct cri_call;
/* `request` is the method's Cri__… message, borrowed for the call. extra_ms is added to the
 * method's own time limit. `done` may be NULL. The handle is valid until `done` ran. */
struct cri_call *cri_send(struct cri *c, enum cri_method m, const void *request, uint64_t extra_ms,
			  cri_done_fn *done, void *ctx);
void cri_cancel(struct cri_call *call); /* no call-back; NULL is nothing */

const char *cri_entry(Cri__StringEntry *const *entries, size_t n,
		      const char *key); /* NULL if absent */
