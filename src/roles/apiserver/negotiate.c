#include "roles/apiserver/negotiate.h"

static struct str unquote(struct str s)
{
	s = str_trim(s);
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		return (struct str){ s.ptr + 1, s.len - 2 };
	return s;
}

static bool type_matches(struct str range, const char *type)
{
	struct str want = str_of(type), sub, want_sub;
	struct str main = str_cut(range, '/', &sub), want_main = str_cut(want, '/', &want_sub);

	if (str_eq_c(main, "*"))
		return str_eq_c(sub, "*");
	return str_ieq(main, want_main) && (str_eq_c(sub, "*") || str_ieq(sub, want_sub));
}

struct clause {
	struct str type, as, version, group;
};

static struct clause clause_parse(struct str text)
{
	struct str rest;
	struct clause c = { .type = str_trim(str_cut(text, ';', &rest)) };

	while (rest.ptr) {
		struct str value, param = str_cut(rest, ';', &rest);
		struct str name = str_trim(str_cut(param, '=', &value));

		value = unquote(value);
		if (str_eq_c(name, "as"))
			c.as = value;
		else if (str_eq_c(name, "v"))
			c.version = value;
		else if (str_eq_c(name, "g"))
			c.group = value;
	}
	return c;
}

static const struct {
	const char *as, *group, *version;
	enum form form;
	unsigned needs;
} forms[] = {
	{ "Table", "meta.k8s.io", "v1", FORM_TABLE, ALLOW_OBJECT_FORMS },
	{ "Table", "meta.k8s.io", "v1beta1", FORM_TABLE_V1BETA1, ALLOW_OBJECT_FORMS },
	{ "PartialObjectMetadata", "meta.k8s.io", "v1", FORM_PARTIAL, ALLOW_OBJECT_FORMS },
	{ "PartialObjectMetadataList", "meta.k8s.io", "v1", FORM_PARTIAL_LIST, ALLOW_OBJECT_FORMS },
	{ "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2", FORM_DISCOVERY_V2,
	  ALLOW_DISCOVERY },
	{ "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1", FORM_DISCOVERY_V2BETA1,
	  ALLOW_DISCOVERY },
};

static enum form clause_form(const struct clause *c, unsigned allowed)
{
	if (!type_matches(c->type, "application/json"))
		return FORM_NONE;
	if (!c->as.len)
		return FORM_JSON;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (str_eq_c(c->as, forms[i].as) && str_eq_c(c->group, forms[i].group) &&
		    str_eq_c(c->version, forms[i].version) && (forms[i].needs & allowed))
			return forms[i].form;
	return FORM_NONE;
}

enum form negotiate(struct str accept, unsigned allowed)
{
	struct str rest = accept;

	if (!str_trim(accept).len)
		return FORM_JSON;
	while (rest.ptr) {
		struct clause c = clause_parse(str_cut(rest, ',', &rest));
		enum form f = clause_form(&c, allowed);

		if (f != FORM_NONE)
			return f;
	}
	return FORM_NONE;
}

const char *form_media_type(enum form f)
{
	switch (f) {
	case FORM_DISCOVERY_V2:
		return "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
	case FORM_DISCOVERY_V2BETA1:
		return "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
	default:
		return "application/json";
	}
}

bool accept_allows(struct str accept, const char *type)
{
	struct str rest = accept;

	if (!str_trim(accept).len)
		return true;
	while (rest.ptr) {
		struct clause c = clause_parse(str_cut(rest, ',', &rest));
		if (type_matches(c.type, type))
			return true;
	}
	return false;
}
