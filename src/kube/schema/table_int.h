/* table_int.h - columns as rows: a header, and the function that makes its cell. Private to table*.c.
 *
 * Every column is made on its own from the object, so that a kind is a list of columns and nothing else.
 */
#pragma once

#include "kube/schema/table.h"

struct cell {
	const json_t *obj;
	int64_t now_ms;
	const char *arg; /* the column's: mostly a path */
};
struct column {
	const char *name;
	const char *type;		       /* "string", "integer", "boolean", "date" */
	json_t *(*cell)(const struct cell *c); /* new reference */
	const char *arg;
	bool wide; /* priority 1: only `-o wide` shows it */
};
struct printer {
	const char *group, *kind;
	const struct column *columns;
	size_t n_columns;
};
extern const struct printer printers[];
extern const size_t n_printers;

#define LIST_SHOWN_MAX 3 /* of hosts, ports and endpoints; then "+ N more..." */

/* At a path: text ("" when absent, or what follows a '|'), a number (0), how many, "True" or "False" or
 * "<unset>", a time as its age ("<unknown>"). */
json_t *cell_text(const struct cell *c);
json_t *cell_int(const struct cell *c);
json_t *cell_count(const struct cell *c);
json_t *cell_bool(const struct cell *c);
json_t *cell_bool_word(const struct cell *c);
json_t *cell_age(const struct cell *c);
json_t *cell_joined(const struct cell *c);    /* an array of strings, with commas */
json_t *cell_selector(const struct cell *c);  /* a LabelSelector, "<none>" when it is empty */
json_t *cell_label_map(const struct cell *c); /* "a=b,c=d" or "<none>" */
json_t *cell_names(const struct cell *c);     /* of containers */
json_t *cell_images(const struct cell *c);
json_t *cell_ready(const struct cell *c); /* status.readyReplicas/spec.replicas */

json_t *pod_ready(const struct cell *c);
json_t *pod_status(const struct cell *c);
json_t *pod_restarts(const struct cell *c);
json_t *pod_gates(const struct cell *c);
json_t *job_status(const struct cell *c);
json_t *job_completions(const struct cell *c);
json_t *job_duration(const struct cell *c);
json_t *deployment_selector(const struct cell *c);
json_t *service_external_ip(const struct cell *c);
json_t *service_ports(const struct cell *c);
json_t *ingress_hosts(const struct cell *c);
json_t *ingress_address(const struct cell *c);
json_t *ingress_ports(const struct cell *c);
json_t *ingressclass_parameters(const struct cell *c);
json_t *endpoints_list(const struct cell *c);
json_t *slice_ports(const struct cell *c);
json_t *slice_endpoints(const struct cell *c);
json_t *ipaddress_parent(const struct cell *c);
json_t *node_status(const struct cell *c);
json_t *node_roles(const struct cell *c);
json_t *node_address(const struct cell *c); /* arg: the address type */
json_t *event_last_seen(const struct cell *c);
json_t *event_first_seen(const struct cell *c);
json_t *event_object(const struct cell *c);
json_t *event_source(const struct cell *c);
json_t *event_message(const struct cell *c);
json_t *event_count(const struct cell *c);
json_t *event_subobject(const struct cell *c);
json_t *configmap_data(const struct cell *c);
json_t *volume_phase(const struct cell *c);
json_t *volume_claim(const struct cell *c);
json_t *volume_class(const struct cell *c);
json_t *access_modes(const struct cell *c);
json_t *claim_access_modes(const struct cell *c);
json_t *claim_capacity(const struct cell *c);
json_t *storageclass_name(const struct cell *c);
json_t *quota_list(const struct cell *c); /* arg: "requests" or "limits" */
json_t *hpa_reference(const struct cell *c);
json_t *hpa_targets(const struct cell *c);
json_t *binding_role(const struct cell *c);
json_t *binding_subjects(const struct cell *c); /* arg: the kind */
json_t *csr_condition(const struct cell *c);
json_t *csr_duration(const struct cell *c);
json_t *apiservice_service(const struct cell *c);
json_t *apiservice_available(const struct cell *c);
json_t *revision_controller(const struct cell *c);
json_t *flowschema_missing(const struct cell *c);
json_t *component_status(const struct cell *c); /* arg: "status", "message" or "error" */
json_t *policy_param(const struct cell *c);
json_t *cell_int_or_text(const struct cell *c); /* an IntOrString as text, or what follows the bar */

json_t *text_cell(const char *s);    /* NULL is "" */
json_t *text_cell_of(struct buf *b); /* ends the buffer; "" when nothing was written */
const char *age_since(const char *time, int64_t now_ms,
		      char out[AGE_TEXT_BYTES]); /* "<unknown>" when absent */
/* Adds an element and counts it; shows no more than LIST_SHOWN_MAX, and then list_end says how many are
 * hidden. */
struct shown_list {
	struct buf text;
	size_t n;
};
void list_start(struct shown_list *l);
void list_add(struct shown_list *l, const char *s);
json_t *list_end(struct shown_list *l, const char *if_empty);
