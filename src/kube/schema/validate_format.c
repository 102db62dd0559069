#include "kube/schema/validate_int.h"

#include <ctype.h>
#include <stdio.h>

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* first [any of the middle] last, for the shapes "x([-x]*x)?" */
static bool is_wrapped(const char *s, size_t n, bool (*end)(char), const char *middle)
{
	if (n == 0 || !end(s[0]) || !end(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!end(s[i]) && !strchr(middle, s[i]))
			return false;
	return true;
}

static bool match_label(const char *s)
{
	return is_wrapped(s, strlen(s), is_lower_alnum, "-");
}

static bool match_subdomain(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_wrapped(s, n, is_lower_alnum, "-"))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool match_1035(const char *s)
{
	return match_label(s) && s[0] >= 'a';
}

static bool match_wildcard(const char *s)
{
	return s[0] == '*' && s[1] == '.' && match_subdomain(s + 2);
}

static bool match_qualified_part(const char *s)
{
	return is_wrapped(s, strlen(s), is_alnum, "-_.");
}

static bool match_label_value(const char *s)
{
	return !*s || match_qualified_part(s);
}

static bool all_of(const char *s, const char *others)
{
	for (; *s; s++)
		if (!is_alnum(*s) && !strchr(others, *s))
			return false;
	return true;
}

static bool match_config_key(const char *s)
{
	return *s && all_of(s, "-._");
}

static bool match_header(const char *s)
{
	return *s && all_of(s, "-");
}

static bool match_percent(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && s[n] == '%' && !s[n + 1];
}

#define LABEL_RE "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN_RE LABEL_RE "(\\." LABEL_RE ")*"
#define QUALIFIED_RE "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define QUALIFIED_TEXT                                                                              \
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "      \
	"validation is '" QUALIFIED_RE "')"
#define LABEL_TEXT                                                                                   \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " \
	"must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "   \
	"used for validation is '" LABEL_RE "')"
#define SUBDOMAIN_TEXT                                                                                \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "  \
	"'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used " \
	"for validation is '" SUBDOMAIN_RE "')"
#define DNS1035_TEXT                                                                                 \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an " \
	"alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "         \
	"'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define WILDCARD_TEXT                                                                             \
	"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, " \
	"which must consist of lower case alphanumeric characters, '-' or '.' and end with an "   \
	"alphanumeric character (e.g. '*.example.com', regex used for validation is "             \
	"'\\*\\." SUBDOMAIN_RE "')"
#define LABEL_VALUE_TEXT                                                                            \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or " \
	"'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "          \
	"'my_value',  or '12345', regex used for validation is '(" QUALIFIED_RE ")?')"
#define CONFIG_KEY_TEXT                                                                      \
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. " \
	"'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "          \
	"'[-._a-zA-Z0-9]+')"
#define HEADER_TEXT                                                                                  \
	"a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', " \
	"regex used for validation is '[-A-Za-z0-9]+')"
#define PERCENT_TEXT                                                                                 \
	"a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or " \
	"'93%', regex used for validation is '[0-9]+%')"

static const struct {
	bool (*match)(const char *s);
	size_t max;	   /* 0: none */
	bool dir_prefixes; /* also not ".", ".." or "..x" */
	const char *text;
} formats[] = {
	[FORMAT_DNS1123_LABEL] = { match_label, 63, false, LABEL_TEXT },
	[FORMAT_DNS1123_SUBDOMAIN] = { match_subdomain, 253, false, SUBDOMAIN_TEXT },
	[FORMAT_DNS1035_LABEL] = { match_1035, 63, false, DNS1035_TEXT },
	[FORMAT_WILDCARD_SUBDOMAIN] = { match_wildcard, 253, false, WILDCARD_TEXT },
	[FORMAT_QUALIFIED_NAME] = { match_qualified_part, 63, false, QUALIFIED_TEXT },
	[FORMAT_LABEL_VALUE] = { match_label_value, 63, false, LABEL_VALUE_TEXT },
	[FORMAT_CONFIG_KEY] = { match_config_key, 253, true, CONFIG_KEY_TEXT },
	[FORMAT_HTTP_HEADER] = { match_header, 0, false, HEADER_TEXT },
	[FORMAT_PERCENT] = { match_percent, 0, false, PERCENT_TEXT },
};

static void printf_like(2, 3) say(struct format_messages *m, const char *fmt, ...)
{
	va_list ap;

	if (m->n == FORMAT_MESSAGES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(m->at[m->n++], sizeof(m->at[0]), fmt, ap);
	va_end(ap);
}

/* A subdomain that fits where a label is wanted has only its dots against it. */
static const char *mismatch_text(enum format f, const char *value)
{
	if (f == FORMAT_DNS1123_LABEL && match_subdomain(value))
		return "must not contain dots";
	return formats[f].text;
}

static void check_row(enum format f, const char *value, const char *prefix, struct format_messages *m)
{
	if (formats[f].max && strlen(value) > formats[f].max)
		say(m, "%smust be no more than %zu characters", prefix, formats[f].max);
	if (!formats[f].match(value))
		say(m, "%s%s", prefix, mismatch_text(f, value));
	if (!formats[f].dir_prefixes)
		return;
	if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		say(m, "must not be '%s'", value);
	else if (strncmp(value, "..", 2) == 0)
		say(m, "must not start with '..'");
}

static void check_qualified(const char *value, struct format_messages *m)
{
	const char *slash = strchr(value, '/'), *name = slash ? slash + 1 : value;

	if (slash && strchr(name, '/')) {
		say(m, "a qualified name " QUALIFIED_TEXT
		       " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
		return;
	}
	if (slash) {
		cleanup(freep) char *prefix = xstrndup(value, (size_t)(slash - value));
		if (prefix[0])
			check_row(FORMAT_DNS1123_SUBDOMAIN, prefix, "prefix part ", m);
		else
			say(m, "prefix part must be non-empty");
	}
	if (!name[0])
		say(m, "name part must be non-empty");
	check_row(FORMAT_QUALIFIED_NAME, name, "name part ", m);
}

static void check_env_name(const char *value, struct format_messages *m)
{
	if (!*value)
		say(m, "environment variable name must be non-empty");
	for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
		if (*c >= ' ' && *c < 127 && *c != '=')
			continue;
		say(m,
		    "a valid environment variable name must consist only of printable ASCII characters other than '='");
		return;
	}
}

static void check_port_name(const char *value, struct format_messages *m)
{
	size_t n = strlen(value);
	bool letter = false, charset = n > 0;

	for (const char *c = value; *c; c++) {
		letter |= *c >= 'a' && *c <= 'z';
		charset &= is_lower_alnum(*c) || *c == '-';
	}
	if (n > 15)
		say(m, "must be no more than 15 characters");
	if (!charset)
		say(m, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
	if (!letter)
		say(m, "must contain at least one letter (a-z)");
	if (strstr(value, "--"))
		say(m, "must not contain consecutive hyphens");
	if (n && (value[0] == '-' || value[n - 1] == '-'))
		say(m, "must not begin or end with a hyphen");
}

static void check_path_segment(const char *value, struct format_messages *m)
{
	if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		say(m, "may not be '%s'", value);
	else if (strchr(value, '/'))
		say(m, "may not contain '/'");
	else if (strchr(value, '%'))
		say(m, "may not contain '%%'");
}

void format_check(enum format f, const char *value, struct format_messages *ret_messages)
{
	ret_messages->n = 0;
	switch (f) {
	case FORMAT_QUALIFIED_NAME:
		check_qualified(value, ret_messages);
		break;
	case FORMAT_ENV_NAME:
		check_env_name(value, ret_messages);
		break;
	case FORMAT_PORT_NAME:
		check_port_name(value, ret_messages);
		break;
	case FORMAT_PATH_SEGMENT:
		check_path_segment(value, ret_messages);
		break;
	default:
		check_row(f, value, "", ret_messages);
	}
}

bool format_ok(enum format f, const char *value)
{
	struct format_messages m;

	format_check(f, value, &m);
	return m.n == 0;
}

void check_format(struct field_errors *fe, const struct place *p, enum format f, const char *value)
{
	struct format_messages m;

	format_check(f, value, &m);
	for (size_t i = 0; i < m.n; i++)
		bad_string(fe, p, value, "%s", m.at[i]);
}

bool is_dns1123_label(const char *s)
{
	return s && format_ok(FORMAT_DNS1123_LABEL, s);
}

bool is_dns1123_subdomain(const char *s)
{
	return s && format_ok(FORMAT_DNS1123_SUBDOMAIN, s);
}

bool is_dns1035_label(const char *s)
{
	return s && format_ok(FORMAT_DNS1035_LABEL, s);
}

bool is_qualified_name(const char *s)
{
	return s && format_ok(FORMAT_QUALIFIED_NAME, s);
}

bool is_label_value(const char *s)
{
	return s && format_ok(FORMAT_LABEL_VALUE, s);
}
