/* image.h - makes sure that an image is on the node before a container is made from it.
 *
 * Pulls of one image are shared by everybody who waits for it, and backed off when they fail.
 * The reasons and messages are kubelet's (pkg/kubelet/images).
 */
#pragma once

#include "roles/node/pod.h"

struct image_result {
	bool ok;
	const char *id;		      /* of the runtime: "sha256:…" */
	int64_t uid;		      /* the image's user; -1 when it has none or a name */
	const char *username;	      /* "" when it is a number or not set */
	const char *reason, *message; /* when not ok: "ErrImageNeverPull", … */
};
typedef void image_done_fn(void *ctx, const struct image_result *r);

struct images *images_new(struct node *n);
void images_free(struct images *i);
/* Writes the pod's events by itself. `done` never runs before this returns. */
struct image_wait *image_ensure(struct images *i, struct ctr *c, image_done_fn *done, void *ctx);
void image_wait_cancel(struct image_wait *w); /* NULL is nothing */
