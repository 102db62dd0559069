#include "loop/crowd.h"

#include <malloc.h>

#define CROWD 128	/* below it, what they leave behind is little */
#define GONE_PART 8	/* of the most that there were, so many have stayed */
#define GONE_MS 1000	/* a next wave comes sooner */

static void on_gone(struct timer *t)
{
	struct crowd *c = t->ctx;

	c->peak = c->n;
	malloc_trim(0);
}

void crowd_init(struct crowd *c, struct loop *l)
{
	*c = (struct crowd){ .loop = l, .gone = { .fire = on_gone, .ctx = c } };
}

void crowd_done(struct crowd *c)
{
	timer_stop(&c->gone);
}

void crowd_counted(struct crowd *c, size_t n)
{
	c->n = n;
	if (n > c->peak)
		c->peak = n;
	else if (c->peak >= CROWD && n <= c->peak / GONE_PART && !timer_active(&c->gone))
		timer_start(c->loop, &c->gone, GONE_MS);
}
