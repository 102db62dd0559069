#include "roles/node/image.h"

#include "roles/node/event.h"
#include "roles/node/node.h"

struct image_state { /* of one image name, kept while it failed */
	struct backoff backoff;
	int64_t failed_at_ms;
	char *message;
};

struct images {
	struct node *node;
	struct map states; /* name → struct image_state */
};

struct image_wait {
	struct images *images;
	struct ctr *ctr;
	image_done_fn *done;
	void *ctx;
	struct defer begin;
	struct cri_call *call;
	bool pulled;
	uint64_t began_at_ms;
};

static void state_free(void *p)
{
	struct image_state *s = p;

	free(s->message);
	free(s);
}

struct images *images_new(struct node *n)
{
	struct images *i = xcalloc(1, sizeof(*i));

	i->node = n;
	map_init(&i->states);
	return i;
}

void images_free(struct images *i)
{
	if (!i)
		return;
	map_done(&i->states, state_free);
	free(i);
}

void image_wait_cancel(struct image_wait *w)
{
	if (!w)
		return;
	defer_cancel(&w->begin);
	cri_cancel(w->call);
	free(w);
}

static void wait_end(struct image_wait *w, const struct image_result *r)
{
	image_done_fn *done = w->done;
	void *ctx = w->ctx;

	free(w);
	done(ctx, r);
}

static void wait_fail(struct image_wait *w, const char *reason, const char *message)
{
	struct image_result r = { .reason = reason, .message = message };

	event_ctr(w->ctr, "Warning", "Failed", "Error: %s", reason);
	wait_end(w, &r);
}

static const char *pull_policy(const struct ctr *c)
{
	return jx_str_or(c->spec, "imagePullPolicy", "IfNotPresent");
}

static void check_present(struct image_wait *w);

static void on_pulled(void *ctx, const void *response, const struct err *e)
{
	struct image_wait *w = ctx;
	struct images *i = w->images;
	const char *image = ctr_image(w->ctr);

	(void)response;
	w->call = NULL;
	if (!e) {
		struct image_state *old = map_del_c(&i->states, image);
		if (old)
			state_free(old);
		w->pulled = true;
		check_present(w);
		return;
	}
	struct image_state *s = map_get_c(&i->states, image);
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		map_put_c(&i->states, image, s);
	}
	s->failed_at_ms = wall_now_ms();
	backoff_next(&s->backoff, s->failed_at_ms);
	free(s->message);
	s->message = xstrdup(e->message);
	event_ctr(w->ctr, "Warning", "Failed", "Failed to pull image \"%s\": %s", image,
		  e->message);
	cleanup(freep) char *message = xstrdup(e->message);
	wait_fail(w, "ErrImagePull", message);
}

static void pull(struct image_wait *w)
{
	const char *image = ctr_image(w->ctr);
	const struct image_state *s = map_get_c(&w->images->states, image);
	Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
	Cri__PullImageRequest q = CRI__PULL_IMAGE_REQUEST__INIT;

	if (s && backoff_wait_ms(&s->backoff, s->failed_at_ms, wall_now_ms())) {
		cleanup(freep) char *text = xasprintf(
			"Back-off pulling image \"%s\": ErrImagePull: %s", image, s->message);
		event_ctr(w->ctr, "Normal", "BackOff", "Back-off pulling image \"%s\"", image);
		wait_fail(w, "ImagePullBackOff", text);
		return;
	}
	event_ctr(w->ctr, "Normal", "Pulling", "Pulling image \"%s\"", image);
	w->began_at_ms = loop_now_ms(w->images->node->loop);
	spec.image = (char *)image;
	q.image = &spec;
	w->call = cri_send(w->images->node->cri, CRI_PULL_IMAGE, &q, 0, on_pulled, w);
}

static void present(struct image_wait *w, const Cri__Image *image)
{
	struct image_result r = { .ok = true,
				  .id = image->id,
				  .uid = image->uid ? image->uid->value : -1,
				  .username = image->username };
	double seconds = (double)(loop_now_ms(w->images->node->loop) - w->began_at_ms) / 1000;

	if (w->pulled)
		event_ctr(w->ctr, "Normal", "Pulled",
			  "Successfully pulled image \"%s\" in %.3gs (%.3gs including waiting). "
			  "Image size: %llu bytes.",
			  ctr_image(w->ctr), seconds, seconds, (unsigned long long)image->size);
	else
		event_ctr(w->ctr, "Normal", "Pulled",
			  "Container image \"%s\" already present on machine", ctr_image(w->ctr));
	wait_end(w, &r);
}

static void on_status(void *ctx, const void *response, const struct err *e)
{
	struct image_wait *w = ctx;
	const Cri__ImageStatusResponse *r = response;
	const char *image = ctr_image(w->ctr);

	w->call = NULL;
	if (e) {
		cleanup(freep) char *text =
			xasprintf("Failed to inspect image \"%s\": %s", image, e->message);
		event_ctr(w->ctr, "Warning", "InspectFailed", "%s", text);
		wait_fail(w, "ImageInspectError", text);
	} else if (r->image && r->image->id[0]) {
		present(w, r->image);
	} else if (c_eq(pull_policy(w->ctr), "Never")) {
		cleanup(freep) char *text = xasprintf(
			"Container image \"%s\" is not present with pull policy of Never", image);
		event_ctr(w->ctr, "Warning", "ErrImageNeverPull", "%s", text);
		wait_fail(w, "ErrImageNeverPull", text);
	} else if (w->pulled) {
		wait_fail(w, "ImageInspectError", "the image is not there although it was pulled");
	} else {
		pull(w);
	}
}

static void check_present(struct image_wait *w)
{
	Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
	Cri__ImageRequest q = CRI__IMAGE_REQUEST__INIT;

	spec.image = (char *)ctr_image(w->ctr);
	q.image = &spec;
	w->call = cri_send(w->images->node->cri, CRI_IMAGE_STATUS, &q, 0, on_status, w);
}

static void on_begin(struct defer *d)
{
	struct image_wait *w = container_of(d, struct image_wait, begin);

	if (c_eq(pull_policy(w->ctr), "Always"))
		pull(w);
	else
		check_present(w);
}

struct image_wait *image_ensure(struct images *i, struct ctr *c, image_done_fn *done, void *ctx)
{
	struct image_wait *w = xcalloc(1, sizeof(*w));

	*w = (struct image_wait){
		.images = i, .ctr = c, .done = done, .ctx = ctx, .begin.run = on_begin
	};
	loop_defer(i->node->loop, &w->begin);
	return w;
}
