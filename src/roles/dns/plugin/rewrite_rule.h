/* rewrite_rule.h - one rule of `rewrite`: what it fits, what becomes of a question, of a record's names and TTL. No I/O.
 *
 * Names are text here, lower case with their last dot, as CoreDNS' rules mean them.
 */
#pragma once

#include "codec/dns.h"
#include "roles/dns/plugin/plugin.h"
#include "roles/dns/plugin/name_regex.h"

#define REWRITE_ANSWERS_MAX 16 /* `answer` options of one rule */

enum rewrite_how { REWRITE_EXACT, REWRITE_PREFIX, REWRITE_SUFFIX, REWRITE_SUBSTRING, REWRITE_REGEX };
struct rewrite_pattern {
	enum rewrite_how how;
	char *from;
	struct regex *regex;
};
/* A name of an answer is mapped when it fits. */
struct rewrite_answer {
	bool names, values; /* owners; names in data */
	struct rewrite_pattern pattern;
	char *to;
};
enum rewrite_field { REWRITE_NAME, REWRITE_TYPE, REWRITE_TTL, REWRITE_CNAME, REWRITE_RCODE };
struct rewrite_rule {
	enum rewrite_field field;
	bool go_on; /* `continue` */
	struct rewrite_pattern pattern; /* NAME, TTL, RCODE: of the question's name; CNAME: of the target */
	char *to;			/* NAME, CNAME */
	bool automatic;			/* NAME: what was mapped is mapped back */
	struct rewrite_answer *answers;
	size_t n_answers;
	uint16_t from_number, to_number; /* TYPE, RCODE */
	uint32_t ttl_min, ttl_max;	 /* TTL */
};
/* words[0…n): what follows "rewrite", the lines of its braces one after the other. `ret` is to be cleared also on error. */
int rewrite_rule_read(const char *const *words, size_t n, struct rewrite_rule *ret, struct err *e) must_check;
void rewrite_rule_done(struct rewrite_rule *r);

bool rewrite_fits(const struct rewrite_pattern *p, const char *name);
/* False: does not fit, or the new name is none. */
bool rewrite_name(const struct rewrite_pattern *p, const char *to, const char *name, struct dns_name *ret) must_check;
/* Could a name of this zone fit? */
bool rewrite_pattern_touches(const struct rewrite_pattern *p, const struct dns_name *zone);
