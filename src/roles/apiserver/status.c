#include "roles/apiserver/status.h"

static json_t *status_base(const char *result)
{
	return json_pack("{s:s,s:s,s:{},s:s}", "kind", "Status", "apiVersion", "v1", "metadata",
			 "status", result);
}

/* Names and values come from requests, and messages are cut to their length: what is not UTF-8 becomes
 * U+FFFD, as Go writes it. */
static json_t *text_json(const char *text)
{
	json_t *whole = json_string(text);
	struct buf b;

	if (whole)
		return whole;
	buf_init(&b, SIZE_MAX);
	for (size_t n; *text; text += n) {
		json_t *c = NULL;
		for (n = 0; !c && n < 4 && text[n];)
			c = json_stringn(text, ++n);
		if (c) {
			buf_put(&b, text, n);
		} else {
			buf_puts(&b, "\xef\xbf\xbd");
			n = 1;
		}
		json_decref(c);
	}
	whole = json_stringn(b.ptr, b.len);
	buf_done(&b);
	return whole;
}

static json_t *failure(enum err_reason reason, const char *message, json_t *details)
{
	json_t *s = status_base("Failure");

	json_object_set_new(s, "message", text_json(message));
	json_object_set_new(s, "reason", json_string(err_reason_name(reason)));
	if (details)
		json_object_set_new(s, "details", details);
	json_object_set_new(s, "code", json_integer(err_http(reason)));
	return s;
}

json_t *status_failure(enum err_reason reason, const char *message)
{
	return failure(reason, message, NULL);
}

/* `kind` is the plural in most details and the Kind in those of Invalid. */
static json_t *details_of(const struct resource *r, const char *name, const char *kind)
{
	json_t *d = json_object();

	if (name && name[0])
		json_object_set_new(d, "name", text_json(name));
	if (r && r->group[0])
		json_object_set_new(d, "group", json_string(r->group));
	if (kind)
		json_object_set_new(d, "kind", json_string(kind));
	return d;
}

static json_t *retry_details(void)
{
	return json_pack("{s:[{s:s,s:s}],s:i}", "causes", "reason", "ResourceVersionTooLarge",
			 "message", "Too large resource version", "retryAfterSeconds", 1);
}

json_t *status_of_err(const struct err *e, const struct resource *r, const char *name)
{
	switch (e->reason) {
	case ERR_NOT_FOUND:
	case ERR_ALREADY_EXISTS:
	case ERR_CONFLICT:
	case ERR_FORBIDDEN:
		return failure(e->reason, e->message, details_of(r, name, r ? r->plural : NULL));
	case ERR_INTERNAL:
		return failure(e->reason, e->message,
			       json_pack("{s:[{s:s}]}", "causes", "message", e->message));
	case ERR_TIMEOUT:
		if (strstr(e->message, "Too large resource version"))
			return failure(e->reason, e->message, retry_details());
		return failure(e->reason, e->message, NULL);
	default:
		return failure(e->reason, e->message, NULL);
	}
}

json_t *status_invalid(const struct resource *r, const char *name, const struct field_errors *fe)
{
	cleanup(freep) char *errors = field_errors_text(fe);
	cleanup(freep) char *message =
		xasprintf("%s%s%s \"%s\" is invalid: %s", r->kind, r->group[0] ? "." : "", r->group,
			  name ? name : "", errors);
	json_t *causes = json_array(), *details = details_of(r, name, r->kind);

	for (size_t i = 0; i < fe->n; i++)
		json_array_append_new(causes, json_pack("{s:s,s:s,s:s}", "reason", fe->at[i].type,
							"message", fe->at[i].message, "field",
							fe->at[i].field));
	json_object_set_new(details, "causes", causes);
	return failure(ERR_INVALID, message, details);
}

json_t *status_deleted(const struct resource *r, const char *name, const char *uid)
{
	json_t *s = status_base("Success"), *d = details_of(r, name, r->plural);

	if (uid && uid[0])
		json_object_set_new(d, "uid", json_string(uid));
	json_object_set_new(s, "details", d);
	return s;
}

int status_code(const json_t *status)
{
	return (int)jx_int(status, "code", 200);
}

char *resource_qualified(const struct resource *r)
{
	return xasprintf("%s%s%s", r->plural, r->group[0] ? "." : "", r->group);
}

int err_not_found(struct err *e, const struct resource *r, const char *name)
{
	cleanup(freep) char *what = resource_qualified(r);

	return err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found", what, name);
}

int err_already_exists(struct err *e, const struct resource *r, const char *name)
{
	cleanup(freep) char *what = resource_qualified(r);

	return err_set(e, ERR_ALREADY_EXISTS, "%s \"%s\" already exists", what, name);
}

int err_conflict(struct err *e, const struct resource *r, const char *name, const char *why)
{
	cleanup(freep) char *what = resource_qualified(r);

	return err_set(e, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s", what,
		       name, why);
}

int err_forbidden(struct err *e, const struct resource *r, const char *name, const char *why)
{
	cleanup(freep) char *what = resource_qualified(r);

	return err_set(e, ERR_FORBIDDEN, "%s%s%s%s is forbidden: %s", what,
		       name && name[0] ? " \"" : "", name ? name : "", name && name[0] ? "\"" : "",
		       why);
}
