/* log_rule.h - what a log plug-in writes about which questions, in CoreDNS' words.
 *
 * coredns plugin/log, plugin/pkg/replacer: "{remote}:{port} - {>id} …". What is no placeholder stands for itself.
 */
#pragma once

#include "roles/dns/observe/event.h"

#define LOG_RULES_MAX 256	/* names of one block's log directives */
#define LOG_FORMAT_BYTES_MAX 4096
#define LOG_COMMON \
	"{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} {rsize} {duration}"
#define LOG_COMBINED LOG_COMMON " \"{>opcode}\""

struct log_format;
/* "{common}" and "{combined}" among it are replaced. NULL: too long, or with a line's end in it. */
struct log_format *log_format_new(const char *text, struct err *e) must_check;
void log_format_free(struct log_format *f); /* NULL is nothing */
void log_format_put(const struct log_format *f, const struct dns_event *ev, struct buf *out); /* without a line's end */

struct log_rule {
	struct dns_name zone;
	unsigned classes; /* of enum event_class */
	const struct log_format *format;
};
/* A log plug-in's settings: the first rule for a name decides. */
struct log_rules {
	size_t n, n_formats;
	struct log_rule at[LOG_RULES_MAX];
	struct log_format *formats[LOG_RULES_MAX];
};
/* The rule by which this question of that block is logged; NULL: it is not. Any thread. */
const struct log_rule *log_rule_of(const struct dns_block *b, const struct dns_event *e);
const struct log_rule *log_rules_find(const struct log_rules *r, const struct dns_event *e);
