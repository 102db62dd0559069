#include "roles/ingress/route/sync_int.h"

#include "base/log.h"
#include "base/map.h"

#include <netdb.h>

#define FAILING_MAX 1000 /* names that are told once; further ones are not told */
#define ADDRESSES_MAX 64 /* of one name: more than resolvers put into one answer */

struct lookups {
	struct loop *loop;
	void (*found)(void *ctx, const char *name, const struct addr *at, size_t n);
	void *ctx;
	struct list under_way;
	struct map failing; /* names without addresses: told once, as they are looked up again and again */
};
struct lookup {
	struct work work;
	struct list link;
	struct lookups *owner; /* NULL: nobody listens any more */
	size_t n;
	int result; /* EAI_… */
	struct addr at[ADDRESSES_MAX];
	char name[];
};

struct lookups *lookups_new(struct loop *l, void (*found)(void *ctx, const char *name, const struct addr *at, size_t n), void *ctx)
{
	struct lookups *ls = xcalloc(1, sizeof(*ls));

	*ls = (struct lookups){ .loop = l, .found = found, .ctx = ctx };
	list_init(&ls->under_way);
	map_init(&ls->failing);
	return ls;
}

void lookups_free(struct lookups *l)
{
	if (!l)
		return;
	list_for(at, tmp, &l->under_way) {
		struct lookup *one = list_entry(at, struct lookup, link);

		list_del(&one->link);
		one->owner = NULL;
	}
	map_done(&l->failing, NULL);
	free(l);
}

static int addr_cmp(const void *pa, const void *pb)
{
	return memcmp(pa, pb, sizeof(struct addr));
}

/* On a thread of its own. Sorted, so that a resolver that rotates its answers changes nothing. */
static void run(struct work *w)
{
	struct lookup *l = container_of(w, struct lookup, work);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;

	l->result = getaddrinfo(l->name, NULL, &hints, &list);
	if (l->result != 0)
		return;
	for (const struct addrinfo *a = list; a && l->n < ADDRESSES_MAX; a = a->ai_next) {
		struct addr *to = &l->at[l->n];

		if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || a->ai_addrlen > sizeof(to->ss))
			continue;
		memset(to, 0, sizeof(*to));
		memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
		l->n++;
	}
	freeaddrinfo(list);
	qsort(l->at, l->n, sizeof(l->at[0]), addr_cmp);
}

static void tell(struct lookups *ls, const struct lookup *l)
{
	bool known = map_get_c(&ls->failing, l->name) != NULL;

	if (l->n == 0 && !known && ls->failing.count < FAILING_MAX) {
		log_warn("externalName %s: %s; addresses it had before stay", l->name, l->result ? gai_strerror(l->result) : "it has no addresses");
		map_put_c(&ls->failing, l->name, ls);
	} else if (l->n && known) {
		log_info("externalName %s: it has addresses again", l->name);
		map_del_c(&ls->failing, l->name);
	}
}

static void done(struct work *w)
{
	struct lookup *l = container_of(w, struct lookup, work);

	if (l->owner) {
		list_del(&l->link);
		tell(l->owner, l);
		l->owner->found(l->owner->ctx, l->name, l->at, l->n);
	}
	free(l);
}

void lookup_start(struct lookups *l, const char *name)
{
	size_t len = strlen(name) + 1;
	struct lookup *one = xcalloc(1, sizeof(*one) + len);

	list_for(at, tmp, &l->under_way)
		if (strcmp(list_entry(at, struct lookup, link)->name, name) == 0) {
			free(one); /* it is being asked for: a resolver may be slow */
			return;
		}
	memcpy(one->name, name, len);
	one->owner = l;
	one->work = (struct work){ .run = run, .done = done };
	list_append(&l->under_way, &one->link);
	loop_work(l->loop, &one->work);
}
