#include "roles/node/event.h"

#include "roles/node/node.h"

#include <stdio.h>

#define EVENT_MESSAGE_BYTES 1024 /* kube-apiserver refuses longer ones */

static void event_write(const struct pod *p, const char *type, const char *reason, const char *fmt,
			va_list ap)
{
	char text[EVENT_MESSAGE_BYTES];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (p->obj && !p->gone)
		kube_event(p->node->kube, p->obj, NODE_COMPONENT, type, reason, "%s", text);
}

void event_pod(const struct pod *p, const char *type, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	event_write(p, type, reason, fmt, ap);
	va_end(ap);
}

void event_ctr(const struct ctr *c, const char *type, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	event_write(c->pod, type, reason, fmt, ap);
	va_end(ap);
}
