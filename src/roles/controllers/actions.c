#include "roles/controllers/actions.h"

#include <stdio.h>

void actions_init(struct actions *as)
{
	*as = (struct actions){ 0 };
}

static void action_done(struct action *a)
{
	free(a->ns);
	free(a->name);
	free(a->uid);
	free(a->done.text);
	free(a->failed.text);
	json_decref(a->body);
	json_decref(a->about);
}

void actions_done(struct actions *as)
{
	for (size_t i = 0; i < as->n; i++)
		action_done(&as->at[i]);
	free(as->at);
	*as = (struct actions){ 0 };
}

void actions_requeue(struct actions *as, uint64_t after_ms)
{
	after_ms = MAX(after_ms, 1);
	if (!as->requeue_after_ms || after_ms < as->requeue_after_ms)
		as->requeue_after_ms = after_ms;
}

static struct action *action_add(struct actions *as, enum action_verb verb, enum kit_kind kind,
				 const json_t *target, json_t *body)
{
	if (as->n == as->cap) {
		as->cap = as->cap ? as->cap * 2 : 8;
		as->at = xrealloc(as->at, as->cap * sizeof(*as->at));
	}
	struct action *a = &as->at[as->n++];
	*a = (struct action){ .verb = verb, .kind = kind, .stage = as->stage, .body = body };
	if (target) {
		a->ns = xstrdup(jx_namespace(target));
		a->name = xstrdup(jx_name(target));
	}
	return a;
}

struct action *act_create(struct actions *as, enum kit_kind kind, json_t *obj)
{
	struct action *a = action_add(as, ACT_CREATE, kind, obj, obj);

	free(TAKE_PTR(a->name));
	return a;
}

struct action *act_create_sub(struct actions *as, enum kit_kind kind, const json_t *parent,
			      const char *sub, json_t *obj)
{
	struct action *a = action_add(as, ACT_CREATE, kind, parent, obj);

	a->sub = sub;
	return a;
}

struct action *act_update(struct actions *as, enum kit_kind kind, const char *sub, json_t *obj)
{
	struct action *a = action_add(as, ACT_UPDATE, kind, obj, obj);

	a->sub = sub;
	return a;
}

struct action *act_patch(struct actions *as, enum kit_kind kind, const json_t *target,
			 const char *sub, const char *patch_type, json_t *patch)
{
	struct action *a = action_add(as, ACT_PATCH, kind, target, patch);

	a->sub = sub;
	a->patch_type = patch_type;
	return a;
}

struct action *act_delete(struct actions *as, enum kit_kind kind, const json_t *target,
			  int64_t grace_s)
{
	json_t *options = json_object();
	struct action *a = action_add(as, ACT_DELETE, kind, target, options);

	a->uid = xstrdup(jx_uid(target));
	jx_set_str(options, "preconditions.uid", a->uid);
	if (grace_s >= 0)
		jx_set_int(options, "gracePeriodSeconds", grace_s);
	return a;
}

static char *format(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	return text;
}

static void note_set(struct action *a, struct action_note *note, const json_t *about,
		     const char *reason, char *text)
{
	if (!a->about)
		a->about = json_incref((json_t *)about);
	note->reason = reason;
	note->text = text;
}

void act_event(struct actions *as, const json_t *about, const char *type, const char *reason,
	       const char *fmt, ...)
{
	struct action *a = action_add(as, ACT_EVENT, KK_COUNT, NULL, NULL);
	va_list ap;

	a->type = type;
	va_start(ap, fmt);
	note_set(a, &a->done, about, reason, format(fmt, ap));
	va_end(ap);
}

void act_note_done(struct action *a, const json_t *about, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_set(a, &a->done, about, reason, format(fmt, ap));
	va_end(ap);
}

void act_note_failed(struct action *a, const json_t *about, const char *reason, const char *fmt,
		     ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_set(a, &a->failed, about, reason, format(fmt, ap));
	va_end(ap);
}

const struct action *actions_find(const struct actions *as, enum action_verb verb,
				  enum kit_kind kind, size_t i)
{
	for (size_t k = 0; k < as->n; k++)
		if (as->at[k].verb == verb && as->at[k].kind == kind && i-- == 0)
			return &as->at[k];
	return NULL;
}
