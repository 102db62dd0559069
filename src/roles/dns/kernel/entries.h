/* entries.h - the zone's names in the BPF program's maps: written by bpf(2) on the maps' descriptors, at once.
 *
 * A name is complete before it can be found, and is replaced as a whole. When a map is full, names that are not in it are no
 * longer denied by the kernel; they and what did not fit are user space's.
 */
#pragma once

#include "roles/dns/kernel/program.h"
#include "roles/dns/zone/zone.h"

struct entries {
	const struct program *program;
	struct dns_name domain;
	uint32_t next_id;
	size_t whole_names; /* how many are not below the domain */
	bool filling;	    /* the maps were empty: nothing can have to be replaced */
	bool incomplete;
	bool refused; /* the kernel does not let us write: answers nothing until it is cleared */
};
/* Empties the maps. `domain` is of the names to come; false: it is too long for the kernel. */
bool entries_start(struct entries *m, const struct program *p, const struct dns_name *domain) must_check;
void entries_put(struct entries *m, const struct zone_name *n);
void entries_gone(struct entries *m, const uint8_t *key, uint8_t key_len);
/* What denials look like now: asked of the zone itself. */
void entries_denial(struct entries *m, const struct zone *z);
/* Packets to these are looked at. At most ANSWER_TARGETS_MAX. */
void entries_targets(struct entries *m, const struct answer_target *t, size_t n);
