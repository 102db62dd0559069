#include "roles/ingress/http/h2_mem.h"

#include "base/base.h"

#define STEP_BYTES 64
#define SIZES 16       /* up to a kilobyte; larger pieces are per connection */
#define KEPT_OF_SIZE 512 /* sixteen connections with 32 requests each */

/* In front of each piece. */
struct head {
	union {
		struct head *next; /* while it is kept */
		size_t size;	   /* index + 1; 0: malloc's */
	};
	size_t bytes; /* as asked for; keeps what follows aligned */
};

struct h2_mem {
	unsigned refs;
	nghttp2_mem functions;
	struct head *kept[SIZES];
	unsigned n_kept[SIZES];
};

static void *mem_malloc(size_t bytes, void *user)
{
	struct h2_mem *m = user;
	size_t i = bytes ? (bytes - 1) / STEP_BYTES : 0;
	struct head *h;

	if (i < SIZES && m->kept[i]) {
		h = m->kept[i];
		m->kept[i] = h->next;
		m->n_kept[i]--;
	} else {
		h = xmalloc(sizeof(*h) + (i < SIZES ? (i + 1) * STEP_BYTES : bytes));
	}
	h->size = i < SIZES ? i + 1 : 0;
	h->bytes = bytes;
	return h + 1;
}

static void mem_free(void *ptr, void *user)
{
	struct h2_mem *m = user;

	if (!ptr)
		return;
	struct head *h = (struct head *)ptr - 1;
	if (h->size == 0 || m->n_kept[h->size - 1] >= KEPT_OF_SIZE) {
		free(h);
		return;
	}
	size_t i = h->size - 1;
	h->next = m->kept[i];
	m->kept[i] = h;
	m->n_kept[i]++;
}

static void *mem_calloc(size_t n, size_t size, void *user)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return memset(mem_malloc(bytes, user), 0, bytes);
}

static void *mem_realloc(void *ptr, size_t bytes, void *user)
{
	if (!ptr)
		return mem_malloc(bytes, user);
	struct head *h = (struct head *)ptr - 1;
	if (h->size && bytes <= h->size * STEP_BYTES) {
		h->bytes = bytes;
		return ptr;
	}
	void *to = mem_malloc(bytes, user);
	memcpy(to, ptr, MIN(bytes, h->bytes));
	mem_free(ptr, user);
	return to;
}

struct h2_mem *h2_mem_new(void)
{
	struct h2_mem *m = xcalloc(1, sizeof(*m));

	m->refs = 1;
	m->functions = (nghttp2_mem){m, mem_malloc, mem_free, mem_calloc, mem_realloc};
	return m;
}

struct h2_mem *h2_mem_ref(struct h2_mem *m)
{
	m->refs++;
	return m;
}

void h2_mem_unref(struct h2_mem *m)
{
	if (!m || --m->refs)
		return;
	for (size_t i = 0; i < SIZES; i++)
		for (struct head *h = m->kept[i], *next; h; h = next) {
			next = h->next;
			free(h);
		}
	free(m);
}

nghttp2_mem *h2_mem_functions(struct h2_mem *m)
{
	return &m->functions;
}
