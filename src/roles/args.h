/* args.h - the words of a command: what it knows is taken out of them, and what is wrong with the rest is said alike by all.
 *
 * Exit statuses: 0 done, 1 failed (or the answer is no), 2 wrong usage.
 */
#pragma once

#include "base/err.h"

struct args {
	const char *role;   /* of `portico ROLE COMMAND`; NULL: of `portico COMMAND` */
	const char *usage;  /* "NAME [TYPE]", as in --help */
	int argc;
	char **argv;        /* [0] is the command's name; ends with NULL */
};
/* Says what is wrong, and how it is used. Returns 2. */
int args_usage(const struct args *a, const char *fmt, ...) printf_like(2, 3);
int args_failed(const struct err *e); /* says so; returns 1 */

/* These take all they find out of argv. */
bool args_flag(struct args *a, const char *name);
/* "--name VALUE", "--name=VALUE" and "-n VALUE"; letter may be NULL. *ret is the last one, and stays when there is none. -1
 * after a message. */
int args_value(struct args *a, const char *name, const char *letter, const char **ret) must_check;
/* "--output FORM" or "-o FORM": its number among `forms` (NULL-terminated), 0 without it; -1 after a message. */
int args_output(struct args *a, const char *const *forms) must_check;
int args_json(struct args *a, bool *ret_json) must_check; /* the same for text and json */
/* "-n SECONDS", from 1 to `most`; *ret stays when there is none. -1 after a message. */
int args_seconds(struct args *a, unsigned most, unsigned *ret) must_check;

/* What is left: at most so many words behind argv[0], and none of them an option ("-" alone is a word). -1 after a message. */
int args_words(const struct args *a, int most) must_check;
