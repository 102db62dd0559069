#include "roles/apiserver/body.h"

static int format_of(const struct request *q, enum body_format *ret_format, struct err *e)
{
	if (body_format_of(http_header_get(q->http->headers, "content-type"), ret_format) == 0)
		return 0;
	return err_set(
		e, ERR_UNSUPPORTED_MEDIA,
		"the body of the request was in an unknown format - accepted media types include: "
		"application/json, application/yaml, application/vnd.kubernetes.protobuf");
}

json_t *body_object(struct request *q, const struct resource *r, enum field_validation fv,
		    struct err *e)
{
	enum body_format format;

	if (format_of(q, &format, e) < 0)
		return NULL;
	json_t *warnings = NULL, *obj = object_decode(r, format, q->http->body, fv, &warnings, e);
	request_warn(q, warnings);
	return obj;
}

json_t *body_typed(struct request *q, const char *type_name, struct err *e)
{
	const struct schema_type *t = schema_type_find(type_name);
	enum body_format format;

	if (!t) {
		err_set(e, ERR_INTERNAL, "no schema for %s", type_name);
		return NULL;
	}
	if (!q->http->body.len)
		return json_object();
	if (format_of(q, &format, e) < 0)
		return NULL;
	return object_decode_type(t, format, q->http->body, e);
}
