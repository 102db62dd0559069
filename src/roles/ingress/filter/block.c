/* Who is refused everywhere: block-cidrs, block-user-agents, block-referers.
 *
 * nginx forgets block-cidrs in a location that has an allow or deny list of its own (directives of an inner level replace
 * the outer ones). Here they always count. */
#include "roles/ingress/filter/block.h"

#include "base/map.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/route/pattern.h"

#define FOLDED_MAX 1024 /* a longer header is compared with regular expressions only */

struct block_list {
	struct map texts; /* folded */
	struct regex **patterns;
	size_t n_patterns;
};

struct block_rules {
	struct block_list user_agents, referers;
};

static struct str fold(struct str s, char out[FOLDED_MAX])
{
	for (size_t i = 0; i < s.len; i++)
		out[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] | 0x20 : s.ptr[i]);
	return (struct str){ out, s.len };
}

static struct str unquoted(struct str s)
{
	s = str_trim(s);
	if (s.len >= 2 && (s.ptr[0] == '"' || s.ptr[0] == '\'') && s.ptr[s.len - 1] == s.ptr[0])
		return (struct str){ s.ptr + 1, s.len - 2 };
	return s;
}

static int block_list_add(struct block_list *l, struct str text, struct err *e)
{
	char folded[FOLDED_MAX];
	if (text.len > FOLDED_MAX)
		return err_set(e, ERR_TOO_LARGE, "a text to block has %zu bytes; the most is %u", text.len, FOLDED_MAX);
	if (text.len == 0 || text.ptr[0] != '~') {
		/* "\~" is a text that begins with "~" */
		if (str_starts(text, STR("\\")))
			text = (struct str){ text.ptr + 1, text.len - 1 };
		map_put(&l->texts, fold(text, folded), l);
		return 0;
	}
	bool caseless = str_starts(text, STR("~*"));
	cleanup(freep) char *regex = str_dup((struct str){ text.ptr + 1 + caseless, text.len - 1 - caseless });
	struct regex *p = pattern_new(regex, caseless, false, e);
	if (p == NULL)
		return -1;
	l->patterns = xrealloc(l->patterns, (l->n_patterns + 1) * sizeof(struct regex *));
	l->patterns[l->n_patterns++] = p;
	return 0;
}

static void block_list_init(struct block_list *l, const struct str_list *texts, size_t *bad, struct err *e)
{
	map_init(&l->texts);
	for (size_t i = 0; i < texts->n; i++)
		if (block_list_add(l, unquoted(str_of(texts->at[i])), e) != 0)
			++*bad;
}

static void block_list_done(struct block_list *l)
{
	map_done(&l->texts, NULL);
	for (size_t i = 0; i < l->n_patterns; i++)
		regex_free(l->patterns[i]);
	free(l->patterns);
}

static bool block_list_has(const struct block_list *l, struct str text)
{
	char folded[FOLDED_MAX];
	if (text.ptr == NULL)
		text = STR("");
	if (l->texts.count > 0 && text.len <= FOLDED_MAX && map_get(&l->texts, fold(text, folded)) != NULL)
		return true;
	for (size_t i = 0; i < l->n_patterns; i++)
		if (pattern_try(l->patterns[i], text, NULL) != REGEX_NO)
			return true;
	return false;
}

static bool block_list_empty(const struct block_list *l)
{
	return l->texts.count == 0 && l->n_patterns == 0;
}

struct block_rules *block_rules_new(const struct str_list *user_agents, const struct str_list *referers, size_t *ret_bad,
				    struct err *e)
{
	struct block_rules *r = xcalloc(1, sizeof(*r));
	*ret_bad = 0;
	block_list_init(&r->user_agents, user_agents, ret_bad, e);
	block_list_init(&r->referers, referers, ret_bad, e);
	if (!block_list_empty(&r->user_agents) || !block_list_empty(&r->referers))
		return r;
	block_rules_free(r);
	return NULL;
}

void block_rules_free(struct block_rules *r)
{
	if (r == NULL)
		return;
	block_list_done(&r->user_agents);
	block_list_done(&r->referers);
	free(r);
}

bool block_rules_match(const struct block_rules *r, struct str user_agent, struct str referer)
{
	return (!block_list_empty(&r->user_agents) && block_list_has(&r->user_agents, user_agent)) ||
	       (!block_list_empty(&r->referers) && block_list_has(&r->referers, referer));
}

bool block_refuses(const struct exchange *x)
{
	const struct globals *g = globals_now(x->worker->shared);
	if (cidr_list_has(&g->block_cidrs, &x->req.client))
		return true;
	return g->block_rules != NULL && block_rules_match(g->block_rules, header_get(&x->req.headers, "user-agent"),
							   header_get(&x->req.headers, "referer"));
}

static bool block_wanted(const struct location *loc, const struct globals *g)
{
	(void)loc;
	return g->block_cidrs.n > 0 || g->block_rules != NULL;
}

static enum filter_verdict block_request(struct exchange *x, void **state)
{
	(void)state;
	if (!block_refuses(x))
		return FILTER_NEXT;
	metrics_inc(x->worker->metrics, METRIC_DENIED_BLOCK);
	exchange_answer_error(x, 403);
	return FILTER_ANSWERED;
}

const struct filter filter_block = {
	.name = "block",
	.pure = true,
	.wanted = block_wanted,
	.request = block_request,
};
