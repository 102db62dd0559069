/* kernel.h - cluster names answered by a BPF program where a pod's packets enter the host (tcx or clsact at its veth), from a
 * map of prepared answers that mirrors the zone. What it does not know for certain goes on to user space.
 *
 * Least privilege, in three parts. A helper process (helper.h), forked before the role drops its privileges, keeps CAP_BPF and
 * CAP_NET_ADMIN and attaches the program to pods' veths; it takes no orders. The role has only the maps' descriptors and
 * `bpf_maps` in its row (role.h): of bpf(2) it may use what reads and writes entries, which Linux has allowed without CAP_BPF
 * since 5.19, so that a change is in the map when the call-back that brought it returns. On older kernels, where the first
 * write is refused, and without root, user space answers everything. Whoever took the role over could lie to pods through
 * the map: as he could with the role's own sockets.
 * What ends ends together: links are plain descriptors of the helper, which goes when the role's end of their socket does;
 * and the program answers nothing more than three seconds after the role last said so.
 *
 * The program acts before those of CNI plugins: a network policy that forbids a pod to ask the DNS service is not heard.
 */
#pragma once

#include "net/addr.h"
#include "roles/dns/worker.h"

struct zone;
struct kernel_answers;
/* Before the role drops its privileges. NULL, with the reason in `e`, when the kernel or the rights do not allow it: then user
 * space answers everything. */
struct kernel_answers *kernel_answers_prepare(const struct config *c, struct err *e);
/* Main thread. Mirrors `z` (NULL: none; before it is freed) for packets to these addresses (the Service's and where it
 * leads). May be called again at any time. `k` NULL is nothing. */
struct kernel_target {
	struct addr addr;
};
void kernel_answers_serve(struct kernel_answers *k, struct loop *l, struct zone *z, const struct kernel_target *targets,
			  size_t n);
/* Off while somebody wants to see every question (query log, statistics, rate limits). */
void kernel_answers_pause(struct kernel_answers *k, bool paused);
void kernel_answers_free(struct kernel_answers *k); /* NULL is nothing */
struct kernel_counts {
	uint64_t answered, denied, passed; /* denied: no such name; passed: to user space, of what came to the targets */
};
void kernel_answers_counts(struct kernel_answers *k, struct kernel_counts *ret); /* NULL: zeros */
uint32_t kernel_answers_interfaces(const struct kernel_answers *k); /* that have the program; NULL: 0 */
