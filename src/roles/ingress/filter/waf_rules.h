/* waf_rules.h - what a rule of the request filter is. The rules themselves are data: waf_rules.c.
 *
 * A rule matches a value when one of its phrases is in the value's form and then, if it has one, its regular expression
 * matches the same form. All phrases of all rules are found in one pass (Aho-Corasick), so a request without any of them
 * costs no regular expression. Rules without phrases look at facts that no phrase tells (enum waf_fact).
 */
#pragma once

#include "base/base.h"

/* Scores as the OWASP Core Rule Set counts them: five are refused. */
enum waf_severity { WAF_NOTICE = 2, WAF_WARNING = 3, WAF_ERROR = 4, WAF_CRITICAL = 5 };
#define WAF_THRESHOLD 5

/* Where a value was found. */
enum waf_target {
	WAF_QUERY_ARG,	/* values of the query */
	WAF_BODY_ARG,	/* values of a form, of JSON, of multipart fields */
	WAF_ARG_NAME,	/* names of all of them, JSON keys */
	WAF_COOKIE,	/* values and names */
	WAF_URI,	/* the path as it came */
	WAF_AGENT,	/* User-Agent */
	WAF_REFERER,
	WAF_HEADER,	/* other headers; waf_rule.header may name one */
	WAF_BODY,	/* a body that is text, but no list of arguments */
	WAF_FILENAME,	/* of multipart */
	WAF_METHOD,
	WAF_HOST,
	WAF_TARGETS
};
#define WAF_ON(t) (1u << (t))
#define WAF_ARGS (WAF_ON(WAF_QUERY_ARG) | WAF_ON(WAF_BODY_ARG))
#define WAF_INPUT (WAF_ARGS | WAF_ON(WAF_ARG_NAME) | WAF_ON(WAF_COOKIE) | WAF_ON(WAF_BODY))
#define WAF_CLIENT (WAF_ON(WAF_AGENT) | WAF_ON(WAF_REFERER))

/* What a value is turned into before it is compared. All of them: percent-encoding (twice, %uXXXX too), HTML entities, \x and
 * \u escapes, overlong and full-width characters are undone, NULs dropped, letters made small. */
enum waf_form {
	WAF_TEXT,  /* white space compressed to one blank */
	WAF_SQL,   /* and comments a blank */
	WAF_SHELL, /* and without quotes, back-slashes, carets; ${IFS} a blank */
	WAF_LINES, /* white space as it is: for what happens at line ends */
	WAF_FORMS
};

/* Found while the request was taken apart. */
enum waf_fact {
	WAF_NO_FACT,
	WAF_NUL,	      /* %00 in an argument */
	WAF_BAD_PERCENT,      /* a '%' that encodes nothing */
	WAF_TOO_MANY_ARGS,
	WAF_TOO_DEAR,	      /* WAF_BUDGET_NS is used up */
	WAF_BAD_MULTIPART,
	WAF_BAD_JSON,
	WAF_BODY_UNEXPECTED,  /* of GET or HEAD */
	WAF_NO_AGENT,
	WAF_TWO_TYPES,	      /* Content-Types: the application may believe the other one */
	WAF_FACTS
};

struct waf_rule {
	unsigned id;
	uint8_t paranoia; /* 1 to 4: from which level on it counts */
	uint8_t severity;
	uint8_t form;
	uint8_t fact;
	unsigned targets;
	const char *const *phrases; /* small letters; ends with NULL */
	const char *regex;	    /* NULL: a phrase is enough */
	const char *header;	    /* WAF_HEADER: this one alone, small letters; NULL: any */
	const char *what;	    /* for reports */
};
extern const struct waf_rule waf_rules[];
extern const size_t n_waf_rules;
#define WAF_RULES_MAX 192 /* bits of a set of rules */
