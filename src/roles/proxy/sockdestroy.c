#include "roles/proxy/sockdestroy.h"

#include "roles/proxy/netns.h"
#include "udpdestroy.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <semaphore.h>
#include <unistd.h>

struct request {
	struct svc_backend gone[DP_GONE_MAX];
	size_t n;
	int32_t nsids[NETNS_SEARCH_MAX];
	size_t n_nsids;
};

struct sockdestroy {
	struct loop *loop;
	int origins_fd, link_fd, gone_fd; /* link and gone: -1 until loaded */
	struct work work;
	struct request running, waiting;
	bool busy, hopeless, freed;
	int rc;
	struct err e;
	sem_t ran;
	void (*told)(void *ctx, const struct err *e);
	void *ctx;
};

/* --- on the thread --- */

/* Only the link and the map outlive the loading: the object with all its type information does not. */
static int iterator_load(struct sockdestroy *s, struct err *e)
{
	struct udpdestroy *skel = udpdestroy__open();
	int rc = skel ? bpf_map__reuse_fd(skel->maps.sock_origins, s->origins_fd) : -errno;

	if (rc == 0)
		rc = udpdestroy__load(skel);
	if (rc == 0) {
		s->link_fd = bpf_link_create(bpf_program__fd(skel->progs.destroy_udp), 0, BPF_TRACE_ITER, NULL);
		s->gone_fd = dup(bpf_map__fd(skel->maps.gone_backends));
		rc = s->link_fd < 0 || s->gone_fd < 0 ? -errno : 0;
	}
	udpdestroy__destroy(skel);
	return rc < 0 ? err_errno(e, -rc, "load the iterator over UDP sockets") : 0;
}

static int iterate(void *ctx, size_t i, struct err *e)
{
	struct sockdestroy *s = ctx;
	cleanup(closep) int fd = bpf_iter_create(s->link_fd);
	char ignored[64];
	ssize_t n;

	(void)i;
	if (fd < 0)
		return err_errno(e, errno, "iterate over UDP sockets");
	while ((n = read(fd, ignored, sizeof(ignored))) > 0 || (n == -1 && errno == EAGAIN))
		;
	return n == -1 ? err_errno(e, errno, "iterate over UDP sockets") : 0;
}

static int destroy(struct sockdestroy *s, struct err *e)
{
	const struct request *r = &s->running;
	__u8 here = 1;
	int rc;

	if (s->link_fd < 0 && iterator_load(s, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		if (bpf_map_update_elem(s->gone_fd, &r->gone[i], &here, BPF_ANY) < 0)
			return err_errno(e, errno, "write backends that are gone");
	rc = iterate(s, 0, e);
	if (rc == 0)
		rc = netns_visit(r->nsids, r->n_nsids, iterate, s, e);
	for (size_t i = 0; i < r->n; i++)
		bpf_map_delete_elem(s->gone_fd, &r->gone[i]);
	return rc;
}

static void work_run(struct work *w)
{
	struct sockdestroy *s = container_of(w, struct sockdestroy, work);

	s->rc = destroy(s, &s->e);
	sem_post(&s->ran);
}

/* --- on the loop --- */

static void start(struct sockdestroy *s)
{
	s->running = s->waiting;
	s->waiting.n = 0;
	s->busy = true;
	loop_work(s->loop, &s->work);
}

static void release(struct sockdestroy *s)
{
	if (s->link_fd >= 0)
		close(s->link_fd);
	if (s->gone_fd >= 0)
		close(s->gone_fd);
	free(s);
}

static void work_done(struct work *w)
{
	struct sockdestroy *s = container_of(w, struct sockdestroy, work);

	if (s->freed) {
		release(s);
		return;
	}
	sem_wait(&s->ran);
	s->busy = false;
	if (s->rc < 0) {
		s->hopeless = s->link_fd < 0;
		s->told(s->ctx, &s->e);
	}
	if (s->waiting.n > 0 && !s->hopeless)
		start(s);
}

struct sockdestroy *sockdestroy_new(struct loop *l, int origins_fd, void (*told)(void *ctx, const struct err *e),
				    void *ctx)
{
	struct sockdestroy *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->origins_fd = origins_fd;
	s->link_fd = s->gone_fd = -1;
	s->told = told;
	s->ctx = ctx;
	s->work = (struct work){ .run = work_run, .done = work_done };
	sem_init(&s->ran, 0, 0);
	return s;
}

void sockdestroy_free(struct sockdestroy *s)
{
	if (!s)
		return;
	if (!s->busy) {
		release(s);
		return;
	}
	while (sem_wait(&s->ran) == -1)
		; /* interrupted */
	s->freed = true; /* the loop still has it in its hands */
}

void sockdestroy_request(struct sockdestroy *s, const struct svc_backend *gone, size_t n, const int32_t *nsids,
			 size_t n_nsids)
{
	struct request *r = &s->waiting;

	if (s->hopeless)
		return;
	n = MIN(n, DP_GONE_MAX - r->n);
	for (size_t i = 0; i < n; i++) /* flags are no part of what the kernel looks for */
		r->gone[r->n++] = (struct svc_backend){ .addr = gone[i].addr, .port = gone[i].port };
	r->n_nsids = MIN(n_nsids, NETNS_SEARCH_MAX);
	memcpy(r->nsids, nsids, r->n_nsids * sizeof(*nsids));
	if (!s->busy)
		start(s);
}
