/* What texts of settings must look like. The character sets are ingress-nginx's (annotations/parser/validators.go). */
#include "roles/ingress/config/field.h"

#include "roles/ingress/filter/auth_cache.h"

#include <strings.h>

static bool letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, digits, and what is in `more`; at least one. */
static bool only(struct str v, const char *more)
{
	for (size_t i = 0; i < v.len; i++)
		if (!letter_or_digit(v.ptr[i]) && (!v.ptr[i] || !strchr(more, v.ptr[i])))
			return false;
	return v.len > 0;
}

/* Bytes that may stand in a URL: printable, no blanks, quotes or brackets of other languages. */
static bool url_bytes(struct str v)
{
	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];
		if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`|", c))
			return false;
	}
	return v.len > 0;
}

static bool is_path(struct str v)
{
	return v.len && v.ptr[0] == '/' && url_bytes(v);
}

static bool is_http(struct str v)
{
	return (v.len > 7 && strncasecmp(v.ptr, "http://", 7) == 0) || (v.len > 8 && strncasecmp(v.ptr, "https://", 8) == 0);
}

static bool has_host(struct str v)
{
	const char *begin = memmem(v.ptr, v.len, "://", 3);
	struct str rest, host = begin ? str_cut((struct str){ begin + 3, v.len - (size_t)(begin + 3 - v.ptr) }, '/', &rest) : STR_NONE;

	return host.len && !memmem(host.ptr, host.len, "..", 2);
}

static bool is_url(struct str v)
{
	return url_bytes(v) && is_http(v) && has_host(v) && !memchr(v.ptr, '$', v.len);
}

/* "$scheme://..." is common. */
static bool is_url_with_variables(struct str v)
{
	return url_bytes(v) && ((is_http(v) && has_host(v)) || v.ptr[0] == '$');
}

static bool is_redirect(struct str v)
{
	return url_bytes(v) && (is_http(v) || v.ptr[0] == '$' || v.ptr[0] == '/');
}

static bool is_host(struct str v)
{
	return only(v, "-.:[]_");
}

/* ingress-nginx takes regular expressions here ("~^www\d+\.a\.com$"); those are refused by the router with a reason. */
static bool is_server_name(struct str v)
{
	return only(v, "-.*_");
}

/* RFC 9110's token: names of headers and methods. */
static bool is_token(struct str v)
{
	return only(v, "!#$%&'*+-.^_`|~");
}

static bool is_header_name(struct str v)
{
	return only(v, "-_");
}

static bool is_header_names(struct str v)
{
	return only(v, "-_, *");
}

static bool is_method(struct str v)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE" };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eq_c(v, methods[i]))
			return true;
	return false;
}

static bool is_methods(struct str v)
{
	return only(v, "*-_, ");
}

/* RFC 1035's label: names of Services. */
static bool is_service(struct str v)
{
	for (size_t i = 0; i < v.len; i++)
		if (!((v.ptr[i] >= 'a' && v.ptr[i] <= 'z') || (i && v.ptr[i] >= '0' && v.ptr[i] <= '9') || (i && v.ptr[i] == '-')))
			return false;
	return v.len && v.len <= 63 && v.ptr[v.len - 1] != '-';
}

static bool is_reference(struct str v)
{
	struct str name;
	struct str ns = str_cut(v, '/', &name);

	return only(ns, "-.") && (!name.ptr || only(name, "-."));
}

/* "*", "null", "scheme://host[:port]" whose first label may be "*". */
static bool is_origin(struct str v)
{
	const char *rest = v.len ? memmem(v.ptr, v.len, "://", 3) : NULL;

	if (str_eq_c(v, "*") || str_eq_c(v, "null"))
		return true;
	if (!rest || !only((struct str){ v.ptr, (size_t)(rest - v.ptr) }, "+-."))
		return false;
	struct str host = { rest + 3, v.len - (size_t)(rest + 3 - v.ptr) };
	if (str_starts(host, STR("*.")))
		host = (struct str){ host.ptr + 2, host.len - 2 };
	return only(host, "-.:");
}

static bool is_cookie_value(struct str v)
{
	return only(v, "-._~/:,?&=");
}

/* "off", or two words with blanks between them. */
static bool is_pair(struct str v, const char *more)
{
	struct str to, from = str_cut(v, ' ', &to);

	to = str_trim(to);
	return str_eq_c(v, "off") || (only(from, more) && only(to, more));
}

static bool is_cookie_domains(struct str v)
{
	return is_pair(v, "-._~/:");
}

static bool is_cookie_paths(struct str v)
{
	return is_pair(v, "-._~/:,?&=");
}

static bool is_common_name(struct str v)
{
	return v.len > 3 && memcmp(v.ptr, "CN=", 3) == 0;
}

static bool is_ciphers(struct str v)
{
	return only(v, "!:+-_@=., ");
}

/* regexValidSSLCipher. */
static bool is_host_ciphers(struct str v)
{
	static const struct str level = { "@SECLEVEL=", 10 }, strength = { "@STRENGTH", 9 };

	for (; v.len; v.ptr++, v.len--) {
		if (*v.ptr != '@' && !only((struct str){ v.ptr, 1 }, "!:+-_"))
			return false;
		if (*v.ptr != '@')
			continue;
		bool is_level = str_starts(v, level) && v.len > level.len && v.ptr[level.len] >= '0' && v.ptr[level.len] <= '5';
		if (!is_level && !str_starts(v, strength))
			return false;
		size_t skip = is_level ? level.len : strength.len - 1;
		v = (struct str){ v.ptr + skip, v.len - skip };
	}
	return true;
}

static bool is_content_type(struct str v)
{
	return only(v, "/.+-_*");
}

/* Names of a FastCGI index and of parameters: regexValidIndexAnnotationAndKey. */
static bool is_file_name(struct str v)
{
	return only(v, "._-");
}

static bool is_cache_key(struct str v)
{
	return only(v, "-_${} ");
}

static bool is_any(struct str v)
{
	return v.len > 0;
}

const struct field_form form_path = { "a path that begins with '/'", is_path };
const struct field_form form_url = { "an http or https URL", is_url };
const struct field_form form_url_with_variables = { "an http or https URL, in which $variables are replaced", is_url_with_variables };
const struct field_form form_redirect = { "a URL or path, in which $variables are replaced", is_redirect };
const struct field_form form_host = { "a host name, with or without port", is_host };
const struct field_form form_server_name = { "a host name; its first label may be *", is_server_name };
const struct field_form form_token = { "a word without blanks and separators", is_token };
const struct field_form form_header_name = { "the name of a header: letters, digits, - and _", is_header_name };
const struct field_form form_header_names = { "names of headers, separated by commas", is_header_names };
const struct field_form form_method = { "an HTTP method in capitals", is_method };
const struct field_form form_methods = { "HTTP methods, separated by commas", is_methods };
const struct field_form form_service = { "the name of a Service of the same namespace", is_service };
const struct field_form form_reference = { "NAME or NAMESPACE/NAME", is_reference };
const struct field_form form_origin = { "an origin such as https://a.example or https://*.example:8443, null, or *", is_origin };
const struct field_form form_cookie_value = { "letters, digits and -._~/:,?&=", is_cookie_value };
const struct field_form form_cookie_domains = { "off, or two domains with a blank between them", is_cookie_domains };
const struct field_form form_cookie_paths = { "off, or two paths with a blank between them", is_cookie_paths };
const struct field_form form_ticket_key = { "48 or 80 bytes in base64", is_any }; /* looked at elsewhere: nobody may read it in a message */
const struct field_form form_common_name = { "CN= and a regular expression", is_common_name };
const struct field_form form_ciphers = { "ciphers as OpenSSL names them, separated by ':'", is_ciphers };
const struct field_form form_host_ciphers = { "ciphers as OpenSSL names them, separated by ':'", is_host_ciphers };
const struct field_form form_content_type = { "a content type, or *", is_content_type };
const struct field_form form_file_name = { "letters, digits and ._-", is_file_name };
const struct field_form form_cache_key = { "$variables, letters, digits, - and _", is_cache_key };
const struct field_form form_cache_durations = { "statuses and a time, such as 200 202 10m, 401 5m", auth_cache_durations_ok };
const struct field_form form_word = { "letters, digits, - and _", is_header_name };
const struct field_form form_any = { "a text", is_any };
