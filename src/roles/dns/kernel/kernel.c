#include "roles/dns/kernel/kernel.h"

#include "base/log.h"
#include "roles/dns/kernel/entries.h"
#include "roles/dns/kernel/helper.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

/* How long the program goes on without the role's main thread: longer than that takes to read a large cluster's lists. */
#define LEASE_MS 3000
#define LEASE_RENEW_MS 1000

struct kernel_answers {
	struct program program;
	struct helper helper;
	struct entries entries;
	struct loop *loop;
	struct io helper_io;
	struct timer lease;
	struct zone *zone;
	bool paused, ended, told; /* ended: without its helper, or the kernel refuses to be written to */
	uint32_t n_interfaces;
};

/* ---- may it answer now? ---- */

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void lease_set(struct kernel_answers *k)
{
	bool serves = k->zone && zone_synced(k->zone) && !k->paused && !k->ended;
	uint64_t until = serves ? monotonic_ns() + LEASE_MS * UINT64_C(1000000) : 0;

	__atomic_store_n(&k->program.control->until_ns, until, __ATOMIC_RELEASE);
}

static void lease_fire(struct timer *t)
{
	struct kernel_answers *k = t->ctx;

	lease_set(k);
	timer_start(k->loop, t, LEASE_RENEW_MS);
}

static void end(struct kernel_answers *k, const char *why)
{
	if (k->ended)
		return;
	k->ended = true;
	lease_set(k);
	log_warn("%s: user space answers all questions from now on", why);
}

/* ---- the zone's changes ---- */

static void on_put(void *ctx, const struct zone_name *n)
{
	entries_put(&((struct kernel_answers *)ctx)->entries, n);
}

static void on_gone(void *ctx, const uint8_t *key, uint8_t key_len)
{
	entries_gone(&((struct kernel_answers *)ctx)->entries, key, key_len);
}

static void look_at_limits(struct kernel_answers *k)
{
	if (k->entries.refused) {
		end(k, "this kernel lets nobody without CAP_BPF change a BPF map");
	} else if (k->entries.incomplete && !k->told) {
		k->told = true;
		log_warn("not all names fit into the kernel's map of %zu: user space answers the others", k->program.names_max);
	}
}

static void on_changed(void *ctx, const struct zone_denial *d)
{
	struct kernel_answers *k = ctx;

	(void)d;
	entries_denial(&k->entries, k->zone);
	look_at_limits(k);
	lease_set(k);
}

static void zone_change(struct kernel_answers *k, struct zone *z)
{
	const struct zone_mirror m = { .put = on_put, .gone = on_gone, .changed = on_changed, .ctx = k };

	if (k->zone)
		zone_set_mirror(k->zone, NULL);
	k->zone = NULL;
	k->told = false;
	lease_set(k);
	if (!z || !entries_start(&k->entries, &k->program, &zone_options(z)->domain))
		return;
	k->zone = z;
	zone_set_mirror(z, &m);
	on_changed(k, NULL);
}

/* ---- from outside ---- */

static bool target_of(const struct addr *a, struct answer_target *ret)
{
	const struct sockaddr_in *v4 = (const void *)&a->ss;
	const struct sockaddr_in6 *v6 = (const void *)&a->ss;

	*ret = (struct answer_target){ .port = a->ss.ss_family == AF_INET ? v4->sin_port : v6->sin6_port };
	ret->addr[2] = htonl(0xffff);
	ret->addr[3] = v4->sin_addr.s_addr;
	if (a->ss.ss_family == AF_INET6)
		memcpy(ret->addr, &v6->sin6_addr, sizeof(ret->addr));
	return a->ss.ss_family == AF_INET || a->ss.ss_family == AF_INET6;
}

static void helper_ready(struct io *io, uint32_t events)
{
	struct kernel_answers *k = io->ctx;
	ssize_t n = recv(io->fd, &k->n_interfaces, sizeof(k->n_interfaces), 0);

	(void)events;
	if (n > 0)
		log_debug("answering in the kernel on %u interfaces", k->n_interfaces);
	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR)))
		return;
	io_stop(io);
	k->n_interfaces = 0;
	end(k, "the process that watches interfaces has ended");
}

static void start(struct kernel_answers *k, struct loop *l)
{
	struct err e;

	k->loop = l;
	k->lease = (struct timer){ .fire = lease_fire, .ctx = k };
	timer_start(l, &k->lease, LEASE_RENEW_MS);
	k->helper_io = (struct io){ .fd = k->helper.fd, .ready = helper_ready, .ctx = k };
	if (io_watch(l, &k->helper_io, EPOLLIN, &e) < 0)
		log_warn("%s", e.message);
}

void kernel_answers_serve(struct kernel_answers *k, struct loop *l, struct zone *z, const struct kernel_target *targets,
			  size_t n)
{
	struct answer_target t[ANSWER_TARGETS_MAX];
	size_t n_t = 0;

	if (!k)
		return;
	if (!k->loop)
		start(k, l);
	if (z != k->zone || !z)
		zone_change(k, z);
	for (size_t i = 0; i < n && n_t < ARRAY_LEN(t); i++)
		n_t += target_of(&targets[i].addr, &t[n_t]);
	if (k->zone)
		entries_targets(&k->entries, t, n_t);
	look_at_limits(k);
	lease_set(k);
}

void kernel_answers_pause(struct kernel_answers *k, bool paused)
{
	if (!k)
		return;
	k->paused = paused;
	lease_set(k);
}

void kernel_answers_counts(struct kernel_answers *k, struct kernel_counts *ret)
{
	int cpus = k ? libbpf_num_possible_cpus() : 0;
	cleanup(freep) uint64_t *each = cpus > 0 ? xcalloc((size_t)cpus, sizeof(*each)) : NULL;
	uint64_t sums[ANSWER_COUNTERS] = { 0 };

	for (uint32_t i = 0; each && i < ANSWER_COUNTERS; i++)
		if (bpf_map_lookup_elem(k->program.counters, &i, each) == 0)
			for (int cpu = 0; cpu < cpus; cpu++)
				sums[i] += each[cpu];
	*ret = (struct kernel_counts){ sums[ANSWER_ANSWERED], sums[ANSWER_DENIED], sums[ANSWER_PASSED] };
}

uint32_t kernel_answers_interfaces(const struct kernel_answers *k)
{
	return k ? k->n_interfaces : 0;
}

struct kernel_answers *kernel_answers_prepare(const struct config *c, struct err *e)
{
	struct kernel_answers *k = xcalloc(1, sizeof(*k));

	(void)c;
	if (program_load(&k->program, e) < 0) {
		free(k);
		return NULL;
	}
	if (helper_start(&k->helper, k->program.fd, e) < 0) {
		program_close(&k->program);
		free(k);
		return NULL;
	}
	program_close_code(&k->program);
	return k;
}

void kernel_answers_free(struct kernel_answers *k)
{
	if (!k)
		return;
	if (k->zone)
		zone_set_mirror(k->zone, NULL);
	k->ended = true;
	lease_set(k);
	timer_stop(&k->lease);
	io_stop(&k->helper_io);
	helper_end(&k->helper);
	program_close(&k->program);
	free(k);
}
