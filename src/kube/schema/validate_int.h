/* validate_int.h - the words that validation is written in: places, mistakes and formats.
 *
 * k8s.io/apimachinery pkg/util/validation and pkg/util/validation/field. Private to validate*.c.
 */
#pragma once

#include "kube/schema/validate.h"

/* Where in the object we are: a chain on the stack, made into text only when something is wrong. */
struct place {
	const struct place *up;
	const char *member; /* ".member", or NULL: "[index]" */
	const char *key;    /* "[key]" instead of the index */
	size_t index;
};
#define AT(up_, member_) (&(const struct place){ .up = (up_), .member = (member_) })
#define AT_INDEX(up_, index_) (&(const struct place){ .up = (up_), .index = (index_) })
#define AT_KEY(up_, key_) (&(const struct place){ .up = (up_), .key = (key_) })
char *place_text(const struct place *p); /* on the heap */

/* One mistake each, worded as field.Error does; details may be "". A mistake that is known already (same
 * place, same words) is not told twice. */
void bad_value(struct field_errors *fe, const struct place *p, const json_t *value, const char *fmt, ...)
	printf_like(4, 5);
void bad_string(struct field_errors *fe, const struct place *p, const char *value, const char *fmt, ...)
	printf_like(4, 5);
void bad_int(struct field_errors *fe, const struct place *p, int64_t value, const char *fmt, ...)
	printf_like(4, 5);
void missing(struct field_errors *fe, const struct place *p, const char *detail);
void forbidden(struct field_errors *fe, const struct place *p, const char *fmt, ...) printf_like(3, 4);
void unsupported(struct field_errors *fe, const struct place *p, const char *value,
		 const char *const *options);
void duplicate(struct field_errors *fe, const struct place *p, const char *value);
void duplicate_json(struct field_errors *fe, const struct place *p, const char *json_text);
void not_found(struct field_errors *fe, const struct place *p, const char *value);
void too_long(struct field_errors *fe, const struct place *p, size_t max_bytes);
void too_many(struct field_errors *fe, const struct place *p, size_t n, size_t max);

/* String formats: name, what it looks like, and what is said of a string that does not. */
enum format {
	FORMAT_DNS1123_LABEL,
	FORMAT_DNS1123_SUBDOMAIN,
	FORMAT_DNS1035_LABEL,
	FORMAT_WILDCARD_SUBDOMAIN,
	FORMAT_QUALIFIED_NAME,
	FORMAT_LABEL_VALUE,
	FORMAT_CONFIG_KEY,
	FORMAT_ENV_NAME,
	FORMAT_PORT_NAME,
	FORMAT_HTTP_HEADER,
	FORMAT_PERCENT,
	FORMAT_PATH_SEGMENT, /* names of kinds with no rule but that they go into a URL */
};
enum format validate_service_name_format(void);
#define FORMAT_MESSAGES_MAX 5
struct format_messages {
	char at[FORMAT_MESSAGES_MAX][400];
	size_t n;
};
void format_check(enum format f, const char *value, struct format_messages *ret_messages);
bool format_ok(enum format f, const char *value);
void check_format(struct field_errors *fe, const struct place *p, enum format f, const char *value);

void check_port(struct field_errors *fe, const struct place *p, int64_t port);
/* An IntOrString that names a port. */
void check_port_or_name(struct field_errors *fe, const struct place *p, const json_t *v);
void check_not_negative(struct field_errors *fe, const struct place *p, int64_t value);
void check_range(struct field_errors *fe, const struct place *p, int64_t value, int64_t min, int64_t max);
/* Present and one of the options (sorted, as upstream lists them). */
void check_enum(struct field_errors *fe, const struct place *p, const char *value,
		const char *const *options);
void check_immutable(struct field_errors *fe, const struct place *p, const json_t *now, const json_t *before);
bool one_of(const char *value, const char *const *options);
/* Absent, null, false, 0, "", [] and {} are the same to Go's zero values. */
bool is_zero(const json_t *v);
bool same(const json_t *a, const json_t *b);		    /* deep, zero values equal absent ones */
const char *text_of(const json_t *obj, const char *member); /* "" when absent */

bool ip_parse(const char *text, unsigned char out[16], bool *ret_v6) must_check;
bool cidr_ok(const char *text);
void check_ip(struct field_errors *fe, const struct place *p, const char *value);
/* Addresses that no other host can be reached at: loopback, link-local, unspecified, multicast. */
void check_endpoint_ip(struct field_errors *fe, const struct place *p, const char *value);

void check_labels(struct field_errors *fe, const struct place *p, const json_t *labels);
void check_label_selector(struct field_errors *fe, const struct place *p, const json_t *selector);
void check_metadata(struct field_errors *fe, const struct place *p, const json_t *obj, bool namespaced,
		    enum format name);
void check_metadata_update(struct field_errors *fe, const struct place *p, const json_t *obj,
			   const json_t *old);
void check_annotations(struct field_errors *fe, const struct place *p, const json_t *annotations);
/* Quantities: not negative, well-formed; whole numbers for what cannot be split. */
void check_quantity(struct field_errors *fe, const struct place *p, const char *resource, const char *text);

/* The kinds' rules; `old` is NULL on create. */
void validate_service(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_service_status(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_cluster_ips(struct field_errors *fe, const json_t *spec);
void validate_load_balancer_status(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_pod(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_pod_part(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_pod_status(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_pod_spec(struct field_errors *fe, const struct place *p, const json_t *spec);
void validate_pod_spec_update(struct field_errors *fe, const struct place *p, const json_t *spec,
			      const json_t *old);
void validate_containers(struct field_errors *fe, const struct place *spec_place, const json_t *spec,
			 const json_t *volumes);
json_t *validate_volumes(struct field_errors *fe, const struct place *p,
			 const json_t *spec); /* the good ones by name */
void validate_mounts(struct field_errors *fe, const struct place *p, const json_t *container,
		     const json_t *volumes);
void validate_security_ids(struct field_errors *fe, const struct place *p, const json_t *security_context);
void validate_pod_template(struct field_errors *fe, const struct place *p, const json_t *template);
void validate_deployment(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_replicaset(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_daemonset(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_statefulset(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_replicas_status(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_ingress(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_ingress_status(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_ingressclass(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_networkpolicy(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_endpointslice(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_endpoints(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_configmap(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_secret(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_namespace(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_node(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_event(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_lease(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_role(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_clusterrole(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_rolebinding(struct field_errors *fe, const json_t *obj, const json_t *old);
void validate_clusterrolebinding(struct field_errors *fe, const json_t *obj, const json_t *old);
/* What the tables alone can say: required fields and enumerations, everywhere below. */
void validate_by_table(struct field_errors *fe, const struct place *p, const struct schema_type *t,
		       const json_t *obj);
