/* event.h - events about pods and their containers, in kubelet's words. */
#pragma once

#include "roles/node/pod.h"

/* The object that the event names is the pod; containers are told by fieldPath. */
void event_pod(const struct pod *p, const char *type, const char *reason, const char *fmt, ...)
	printf_like(4, 5);
void event_ctr(const struct ctr *c, const char *type, const char *reason, const char *fmt, ...)
	printf_like(4, 5);
