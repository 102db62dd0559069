#include "roles/node/backoff.h"

static bool expired(const struct backoff *b, int64_t at_ms)
{
	return at_ms - b->updated_at_ms > 2 * BACKOFF_MAX_MS;
}

uint64_t backoff_wait_ms(const struct backoff *b, int64_t failed_at_ms, int64_t now_ms)
{
	int64_t until = failed_at_ms + (int64_t)b->delay_ms;

	if (!b->delay_ms || expired(b, failed_at_ms) || now_ms >= until)
		return 0;
	return (uint64_t)MIN(until - now_ms, (int64_t)b->delay_ms);
}

void backoff_next(struct backoff *b, int64_t now_ms)
{
	if (!b->delay_ms || expired(b, now_ms))
		b->delay_ms = BACKOFF_FIRST_MS;
	else
		b->delay_ms = MIN(b->delay_ms * 2, (uint64_t)BACKOFF_MAX_MS);
	b->updated_at_ms = now_ms;
}
