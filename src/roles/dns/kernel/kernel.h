/* kernel.h - cluster names answered by a BPF program where a pod's packets enter the host (tcx or clsact at its veth), from a
 * map of prepared answers that mirrors the zone. What it does not know for certain goes on to user space.
 *
 * The program is attached by a helper process that keeps the privileges; the role has only the maps' descriptors.
 */
#pragma once

#include "net/addr.h"
#include "roles/dns/worker.h"

struct zone;
struct kernel_answers;
/* Before the role drops its privileges. NULL, with the reason in `e`, when the kernel or the rights do not allow it: then user
 * space answers everything. */
struct kernel_answers *kernel_answers_prepare(const struct config *c, struct err *e);
/* Main thread. Mirrors `z` (NULL: none) for packets to these addresses (the Service's and where it leads). */
struct kernel_target { struct addr addr; };
void kernel_answers_serve(struct kernel_answers *k, struct loop *l, struct zone *z, const struct kernel_target *targets, size_t n);
/* Off while somebody wants to see every question (query log, statistics, rate limits). */
void kernel_answers_pause(struct kernel_answers *k, bool paused);
void kernel_answers_free(struct kernel_answers *k); /* NULL is nothing */
struct kernel_counts { uint64_t answered, denied, passed; };
void kernel_answers_counts(struct kernel_answers *k, struct kernel_counts *ret);
