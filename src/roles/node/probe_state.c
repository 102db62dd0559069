#include "roles/node/probe_state.h"

bool probe_state_feed(struct probe_state *s, bool ok)
{
	enum verdict before = s->verdict;

	s->run = s->run && s->last_ok == ok ? s->run + 1 : 1;
	s->last_ok = ok;
	if (s->run >= (ok ? s->success_threshold : s->failure_threshold))
		s->verdict = ok ? VERDICT_SUCCESS : VERDICT_FAILURE;
	return s->verdict != before;
}
