/* pods.h - which pod has an address: for people who watch, and only as long as they do. Main thread.
 */
#pragma once

#include "roles/dns/observe/event.h"

/* Pods are watched until as many have released as have held, and for some seconds more. Without an API server, or the right to list pods, none is known. */
void watch_pods_hold(struct dns_shared *s);
void watch_pods_release(void);
void watch_pods_end(void); /* at once: when nobody holds any more, before the loop and the API server's client end */
const char *watch_pods_find(const struct event_addr *a); /* "ns/name"; NULL: not known */
