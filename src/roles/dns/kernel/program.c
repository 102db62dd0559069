#include "roles/dns/kernel/program.h"

#include "base/bpf_log.h"
#include "dns.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* What the empty tables take of the machine's memory: one part in so many. Each has 16 bytes for every entry it may get. */
#define MEMORY_SHARE 3000
#define BUCKET_BYTES 16
#define MEDIUM_PART 4 /* of the names: those with several SRV records */
#define LARGE_PART 8  /* headless Services with several endpoints */

static size_t names_max(void)
{
	struct sysinfo info;
	size_t n = ANSWER_NAMES_MIN;

	if (sysinfo(&info) == -1)
		return n;
	uint64_t bytes = (uint64_t)info.totalram * info.mem_unit / MEMORY_SHARE;
	while (n < ANSWER_NAMES_MAX && 2 * (n + n / MEDIUM_PART + n / LARGE_PART) * BUCKET_BYTES <= bytes)
		n *= 2;
	return n;
}

static int take_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int take_all(struct program *p, struct dns *s, struct err *e)
{
	void *at = mmap(NULL, sizeof(*p->control), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(s->maps.bss), 0);

	if (at == MAP_FAILED)
		return err_errno(e, errno, "map the program's settings");
	p->control = at;
	p->fd = take_fd(bpf_program__fd(s->progs.dns_answer));
	p->names = take_fd(bpf_map__fd(s->maps.answer_names));
	p->medium = take_fd(bpf_map__fd(s->maps.answer_medium));
	p->large = take_fd(bpf_map__fd(s->maps.answer_large));
	p->targets = take_fd(bpf_map__fd(s->maps.answer_targets));
	p->counters = take_fd(bpf_map__fd(s->maps.answer_counters));
	if (p->fd == -1 || p->names == -1 || p->medium == -1 || p->large == -1 || p->targets == -1 || p->counters == -1)
		return err_errno(e, errno, "copy a descriptor");
	return 0;
}

static int load(struct program *p, struct dns *s, struct err *e)
{
	p->names_max = names_max();
	bpf_map__set_max_entries(s->maps.answer_names, (uint32_t)p->names_max);
	bpf_map__set_max_entries(s->maps.answer_medium, (uint32_t)p->names_max / MEDIUM_PART);
	bpf_map__set_max_entries(s->maps.answer_large, (uint32_t)p->names_max / LARGE_PART);
	int rc = dns__load(s);
	if (rc < 0)
		return bpf_log_error(e, -rc, "load the BPF program");
	return take_all(p, s, e);
}

int program_load(struct program *p, struct err *e)
{
	libbpf_print_fn_t print = bpf_log_keep();
	int rc = -1;

	*p = (struct program){ .fd = -1, .names = -1, .medium = -1, .large = -1, .targets = -1, .counters = -1 };
	struct dns *s = dns__open();
	if (s)
		rc = load(p, s, e);
	else
		bpf_log_error(e, errno, "open the BPF program");
	dns__destroy(s);
	bpf_log_end(print);
	if (rc < 0)
		program_close(p);
	return rc;
}

void program_close_code(struct program *p)
{
	closep(&p->fd);
	p->fd = -1;
}

void program_close(struct program *p)
{
	int *const fds[] = { &p->fd, &p->names, &p->medium, &p->large, &p->targets, &p->counters };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		closep(fds[i]);
		*fds[i] = -1;
	}
	if (p->control)
		munmap(p->control, sizeof(*p->control));
	p->control = NULL;
}
