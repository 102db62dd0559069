#include "roles/ingress/config/fastcgi.h"

#include "roles/ingress/config/field.h"
#include "roles/ingress/http/variable.h"

#include <stdlib.h>

/* nginx's conf/fastcgi_params, in its order. */
static const struct {
	const char *name, *value;
	bool skip_empty;
} common[] = {
	{ "QUERY_STRING", "$query_string" },
	{ "REQUEST_METHOD", "$request_method" },
	{ "CONTENT_TYPE", "$content_type" },
	{ "CONTENT_LENGTH", "$content_length" },
	{ "SCRIPT_NAME", "$fastcgi_script_name" },
	{ "REQUEST_URI", "$request_uri" },
	{ "DOCUMENT_URI", "$document_uri" },
	{ "DOCUMENT_ROOT", "$document_root" },
	{ "SERVER_PROTOCOL", "$server_protocol" },
	{ "REQUEST_SCHEME", "$scheme" },
	{ "HTTPS", "$https", true },
	{ "GATEWAY_INTERFACE", "CGI/1.1" },
	{ "SERVER_SOFTWARE", "nginx/$nginx_version" },
	{ "REMOTE_ADDR", "$remote_addr" },
	{ "REMOTE_PORT", "$remote_port" },
	{ "SERVER_ADDR", "$server_addr" },
	{ "SERVER_PORT", "$server_port" },
	{ "SERVER_NAME", "$server_name" },
	{ "REDIRECT_STATUS", "200" },
};

/* Its characters are ingress-nginx's: validFCGIValue. */
static bool value_ok(const char *value)
{
	for (const char *c = value; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') && !strchr("-_${}/.", *c))
			return false;
	return true;
}

static bool is_header(struct str name)
{
	return name.len > 5 && str_starts(name, STR("HTTP_"));
}

static int add(struct fastcgi *f, const char *name, const char *value, bool skip_empty, struct err *e)
{
	struct str own = { xstrdup(name), strlen(name) };
	struct fastcgi_param *p = &f->at[f->n++];

	*p = (struct fastcgi_param){ .name = own, .skip_empty = skip_empty };
	if (is_header(own) && !*value)
		return 0;
	p->value = variable_text_new(value, e);
	return p->value ? 0 : err_wrap(e, "parameter %.100s", name);
}

static int add_configured(struct fastcgi *f, const char *name, const char *value, struct err *e)
{
	if (!form_file_name.ok(str_of(name)))
		return err_set(e, ERR_INVALID, "invalid name of a parameter in ConfigMap: \"%.100s\"", name);
	if (!value || !value_ok(value))
		return err_set(e, ERR_INVALID, "invalid value of parameter %.100s in ConfigMap: letters, digits and -_${}/. are allowed", name);
	return add(f, name, value, false, e);
}

static int by_name(const void *a, const void *b)
{
	const struct fastcgi_param *p = a, *q = b;

	return strcmp(p->name.ptr, q->name.ptr);
}

static int add_all(struct fastcgi *f, const json_t *data, struct err *e)
{
	const char *name;
	json_t *value;

	for (size_t i = 0; i < ARRAY_LEN(common); i++)
		if (add(f, common[i].name, common[i].value, common[i].skip_empty, e) < 0)
			return -1;
	size_t first = f->n;
	json_object_foreach((json_t *)(uintptr_t)data, name, value)
		if (add_configured(f, name, json_string_value(value), e) < 0)
			return -1;
	/* The order in which Go's templates take a map. */
	qsort(f->at + first, f->n - first, sizeof(f->at[0]), by_name);
	return 0;
}

struct fastcgi *fastcgi_new(const json_t *configmap, struct err *e)
{
	const json_t *data = json_object_get(configmap, "data");
	size_t n = json_object_size(data);

	if (n > FASTCGI_PARAMS_MAX) {
		err_set(e, ERR_INVALID, "more than %d parameters in ConfigMap", FASTCGI_PARAMS_MAX);
		return NULL;
	}
	struct fastcgi *f = xcalloc(1, sizeof(*f) + (ARRAY_LEN(common) + n) * sizeof(f->at[0]));
	if (add_all(f, data, e) == 0)
		return f;
	fastcgi_free(f);
	return NULL;
}

void fastcgi_free(struct fastcgi *f)
{
	for (size_t i = 0; f && i < f->n; i++) {
		free((char *)(uintptr_t)f->at[i].name.ptr);
		variable_text_free(f->at[i].value);
	}
	free(f);
}

bool fastcgi_replaces(const struct fastcgi *f, struct str name)
{
	for (size_t i = 0; i < f->n; i++)
		if (is_header(f->at[i].name) && str_ieq(f->at[i].name, name))
			return true;
	return false;
}
