/* endpoints.h - where a Service's traffic may go: EndpointSlices (discovery.k8s.io/v1, KEP-752, KEP-1672)
 * and the older Endpoints. Both are pure functions of the Service and its pods. */
#pragma once

#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

#define SLICE_ENDPOINTS_MAX 100	 /* upstream's --max-endpoints-per-slice */
#define ENDPOINTS_ADDRESSES_MAX 1000 /* of one Endpoints; upstream's maxCapacity */
#define SERVICE_NAME_LABEL "kubernetes.io/service-name"
#define SLICE_MANAGED_BY_LABEL "endpointslice.kubernetes.io/managed-by"
#define SLICE_MANAGED_BY "endpointslice-controller.k8s.io"
#define ENDPOINTS_MANAGED_BY_LABEL "endpoints.kubernetes.io/managed-by"
#define ENDPOINTS_MANAGED_BY "endpoint-controller"
#define HEADLESS_LABEL "service.kubernetes.io/headless"
#define TRIGGER_TIME "endpoints.kubernetes.io/last-change-trigger-time"

struct endpoints_view { /* borrowed for one call */
	const json_t *service;
	struct objects pods;   /* chosen by its selector */
	struct objects slices; /* that carry its name */
	const json_t *endpoints; /* the Endpoints of its name, or NULL */
	const char *(*zone_of)(void *ctx, const char *node); /* NULL if unknown */
	void *ctx;
};
void endpointslice_reconcile(const struct endpoints_view *v, struct actions *out);
void endpoints_reconcile(const struct endpoints_view *v, struct actions *out);

/* ---- shared by both ---- */

/* Has a selector, and is no ExternalName. */
bool service_selects(const json_t *service);
bool service_is_headless(const json_t *service);
/* The Service's ports as this pod serves them: [{name,port,protocol,appProtocol}]; a named targetPort that the
 * pod lacks is left out. New reference. */
json_t *service_ports_of(const json_t *service, const json_t *pod);
/* The Service's labels (but for those that mean something here) and `extra`: name, value pairs up to NULL. */
json_t *service_labels(const json_t *service, const char *const *extra);
/* {kind,namespace,name,uid}; new reference. */
json_t *pod_target_ref(const json_t *pod);
/* The pod's name in DNS below a headless Service, or NULL. */
const char *pod_hostname_in(const json_t *pod, const json_t *service);
/* The time at which a pod last changed in a way that endpoints show; RFC 3339 or NULL. */
const char *pod_trigger_time(const json_t *pod);
/* Sets or removes (NULL) the trigger-time annotation. */
void set_trigger_time(json_t *obj, const char *time);
