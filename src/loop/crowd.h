/* crowd.h - many clients at once leave memory behind that malloc keeps for the next crowd, which may never come: a thread that
 * serves clients tells how many there are, and when most have gone it is given back.
 */
#pragma once

#include "loop/loop.h"

struct crowd {
	struct loop *loop;
	size_t n, peak;
	struct timer gone;
};
void crowd_init(struct crowd *c, struct loop *l);
void crowd_done(struct crowd *c);
/* So many are there now. */
void crowd_counted(struct crowd *c, size_t n);
