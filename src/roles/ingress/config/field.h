/* field.h - a setting as a row: name, type, default, where its value is kept, where it acts, a sentence of documentation.
 *
 * annotations.c and globals.c are tables of these. Parsing, validation, copying, freeing, documentation and `portico ingress
 * annotations` are loops over rows.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum field_type {
	FIELD_NONE,	 /* known, without effect */
	FIELD_BOOL,	 /* bool; Go's strconv.ParseBool */
	FIELD_TRISTATE,	 /* int: -1 unset, 0, 1 */
	FIELD_INT,	 /* int or unsigned, from min to max */
	FIELD_PERCENT,	 /* unsigned, of 10,000: "0.01" is 100 */
	FIELD_SIZE,	 /* uint64_t bytes: "8k", "1m" */
	FIELD_SECONDS,	 /* unsigned or int: "60", "60s", "1h30m" */
	FIELD_TEXT,	 /* char * */
	FIELD_LIST,	 /* struct str_list, separated by commas; blanks too unless `form` allows them */
	FIELD_CIDRS,	 /* struct cidr_list */
	FIELD_CODES,	 /* unsigned * and, at offset2, size_t: HTTP statuses from min to max */
	FIELD_WORD,	 /* one of `words`: bool or an enum */
	FIELD_WORDS,	 /* a set of `words`: unsigned bits */
	FIELD_VARIABLES, /* struct variable_text * */
	FIELD_PATTERN,	 /* struct regex * */
};
struct field_word {
	const char *word;
	int value;
};
/* What a text, or each element of a list, must look like. */
struct field_form {
	const char *expects; /* "a path that begins with '/'" */
	bool (*ok)(struct str value);
};
/* The record that `offset` counts in. */
enum field_home { HOME_SETTINGS, HOME_SETTINGS_REFS, HOME_GLOBALS, HOME_GLOBALS_REFS };

/* ingress.md: A must, B should, C accepted without effect; OURS has no counterpart in nginx */
enum field_tier { TIER_A, TIER_B, TIER_C, TIER_OURS };
enum field_flag {
	FIELD_GUARDS = 1 << 0,	  /* guards access: with a bad value every request is refused, rather than let in */
	FIELD_MULTILINE = 1 << 1, /* line ends are part of the text */
	FIELD_SILENT = 1 << 2,	  /* nothing to warn about although it has no effect: portico does it by itself */
	FIELD_EACH = 1 << 4,	  /* of a list: an element that does not fit is passed over, and the others count */
	FIELD_FOOTNOTE = 1 << 3,  /* what `differs` says is for the documentation: a value that works shows nothing of it */
};
struct field {
	const char *name;
	const char *alias; /* another name; the first wins when both are there */
	enum field_type type;
	enum field_home home;
	uint16_t offset, offset2;
	uint8_t size;	      /* of a word's or number's place */
	uint8_t flags;	      /* enum field_flag */
	enum field_tier tier;
	int64_t min, max;
	const struct field_word *words; /* ends with NULL */
	const struct field_form *form;
	const char *fallback; /* the default, as it would be written; NULL: none */
	const char *scope;    /* "location", "host", "canary", "global": what one value concerns */
	const char *acts;     /* the part of the proxy that reads it */
	const char *doc;
	const char *differs;  /* from ingress-nginx; NULL: as there */
	const char *same_with; /* with this value nothing differs */
};

/* Replaces what is at the row's place in `home`; on failure leaves it and says what is expected. 1: it was replaced, but an element
 * was passed over (FIELD_EACH), and `e` says which. */
int field_parse(const struct field *f, const char *text, void *home, struct err *e) must_check;
/* What a value must look like: "a number from 0 to 100". Returns `out`. */
#define FIELD_EXPECTS_BYTES 256
const char *field_expects(const struct field *f, char out[FIELD_EXPECTS_BYTES]);
/* Frees what the row owns in `home`, leaves zero. */
void field_clear(const struct field *f, void *home);
/* A copy of its own for `to`, which was copied as a whole before. */
void field_own(const struct field *f, void *to);
/* The value as it would be written; an absent one is empty. */
void field_print(const struct field *f, const void *home, struct buf *out);
/* By name or alias; NULL: unknown. The table ends with a row without a name. */
const struct field *field_find(const struct field *table, struct str name);
/* The known name that is nearest to a mistyped one; NULL: nothing is near. */
const char *field_nearest(const struct field *table, struct str name);

extern const struct field_form form_path, form_url, form_url_with_variables, form_host, form_server_name, form_header_name,
	form_header_names, form_token, form_service, form_method, form_methods, form_reference, form_origin, form_cookie_value,
	form_common_name, form_ciphers, form_host_ciphers, form_cookie_domains, form_cookie_paths, form_ticket_key, form_any, form_word, form_redirect,
	form_content_type, form_file_name,
	form_cache_key, form_cache_durations;
