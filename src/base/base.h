/* base.h - the few words every portico file speaks: strings, arenas, ownership.
 *
 * Depends on libc only. Nothing here logs, blocks, or reads the clock.
 */
#pragma once

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define cleanup(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* A borrowed run of bytes: never freed through this type, never NUL-terminated by promise. */
struct str {
	const char *ptr;
	size_t len;
};
#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

struct str str_of(const char *nul_terminated); /* NULL gives STR_NONE */
bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
bool str_ieq(struct str a, struct str b); /* ASCII case-insensitive */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); /* spaces and tabs at both ends */
/* Cuts `s` at the first `sep`: returns what is before, leaves what is after in *rest
 * (rest->ptr is NULL when there was no separator). */
struct str str_cut(struct str s, char sep, struct str *rest);
/* Decimal digits only, no sign, no blanks; false when malformed or above `max`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value) must_check;
bool c_eq(const char *a, const char *b); /* NULL equals only NULL */

/* A small allocation that fails is a bug in a limit, not an event: these abort.
 * Sizes that a peer chose go through a struct buf or an arena, which have limits. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);          /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *str_dup(struct str s);           /* NUL-terminated copy on the heap */
char *xasprintf(const char *fmt, ...) printf_like(1, 2);

/* An arena owns everything made from it; one arena per request, per parse, per reconcile.
 * `limit` is the most it may ever hold: reaching it is the caller's 413, not an abort. */
struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used;
	size_t limit;
};
void arena_init(struct arena *a, size_t limit_bytes);
void arena_done(struct arena *a);
void arena_clear(struct arena *a); /* keeps one block, for the next request */
void *arena_alloc(struct arena *a, size_t size) must_check; /* zeroed, 16-aligned; NULL at the limit */
char *arena_strndup(struct arena *a, const char *s, size_t n) must_check;
char *arena_printf(struct arena *a, const char *fmt, ...) printf_like(2, 3) must_check;

/* Hand the pointer on and leave NULL behind, so cleanup() finds nothing to free. */
#define TAKE_PTR(p)                        \
	({                                 \
		__typeof__(p) take_ = (p); \
		(p) = NULL;                \
		take_;                     \
	})
void freep(void *pp);  /* for cleanup(freep) */
void closep(int *fd);  /* for cleanup(closep); -1 is nothing */
