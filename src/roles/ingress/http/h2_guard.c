#include "roles/ingress/http/h2_guard.h"

void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_second, uint64_t now_ms)
{
	*b = (struct h2_bucket){burst, burst, per_second, now_ms};
}

static void refill(struct h2_bucket *b, uint64_t now_ms)
{
	uint64_t more = (now_ms - b->filled_ms) * b->per_second / 1000;

	if (more == 0)
		return;
	b->filled_ms = now_ms;
	b->tokens = (uint32_t)MIN(b->tokens + more, (uint64_t)b->burst);
}

bool h2_bucket_take(struct h2_bucket *b, uint64_t now_ms)
{
	/* Most connections never use up their burst: the clock is asked only when they have. */
	if (b->tokens == 0)
		refill(b, now_ms);
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}
