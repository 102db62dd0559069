/* configuration-snippet and server-snippet: runs the statements that config/snippet.h parsed.
 *
 * set, return, rewrite, break, if and allow/deny run when the request comes; headers are changed when the upstream is asked
 * and when the answer comes, those inside an `if` only when its condition was true.
 */
#include "roles/ingress/config/snippet_int.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/http/variable.h"

#include <strings.h>

/* One snippet of one exchange. */
struct run {
	const struct snippet *s;
	struct str *set;	      /* values of `set`, in the arena */
	bool *active;		      /* `if`s whose condition was true, by number */
	struct pattern_match groups;
	struct variable_locals locals;
	bool undecided; /* a regular expression reached its limit: nobody knows what the snippet wants */
};
enum { RUN_SERVER, RUN_LOCATION, RUNS };
struct snippet_state {
	struct run run[RUNS];
	bool rewritten, stopped; /* stopped: `break` also keeps rewrite-target from running */
};

static bool snippet_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->configuration_snippet || loc->set->server_snippet;
}

static const struct snippet *snippet_at(const struct exchange *x, int which)
{
	return which == RUN_SERVER ? x->loc->set->server_snippet : x->loc->set->configuration_snippet;
}

static int run_init(struct exchange *x, struct run *r, const struct snippet *s)
{
	r->s = s;
	r->set = arena_alloc(&x->arena, (s->n_sets + 1) * sizeof(*r->set));
	r->active = arena_alloc(&x->arena, s->n_ifs + 1);
	if (!r->set || !r->active)
		return -1;
	r->active[0] = true;
	r->locals = (struct variable_locals){ .set = r->set };
	return 0;
}

static struct str value_of(struct exchange *x, const struct run *r, const struct variable_text *t)
{
	return variable_text_value_local(t, x, r ? &r->locals : NULL);
}

/* ---- rewriting ---- */

static char *put_encoded(char *at, struct str text, const char *more)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c > ' ' && c < 0x7f && !strchr(more, c)) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	return at;
}

/* What may not stand in a request's target is encoded anew. */
static struct str encoded(struct exchange *x, struct str path, struct str query)
{
	char *out = arena_alloc(&x->arena, 3 * (path.len + query.len) + 3);

	if (!out)
		return STR_NONE;
	char *at = out;
	if (path.len == 0 || path.ptr[0] != '/')
		*at++ = '/';
	at = put_encoded(at, path, "%?#");
	if (query.len) {
		*at++ = '?';
		at = put_encoded(at, query, "#"); /* what a variable brings is text, too: a blank would end the target */
	}
	return (struct str){ out, (size_t)(at - out) };
}

/* Arguments of the replacement, then those of the request unless the replacement ended with '?'. */
static struct str joined_args(struct exchange *x, const struct statement *st, struct str own)
{
	struct str old = st->drop_args ? STR_NONE : x->req.query;

	if (own.len == 0 || old.len == 0)
		return own.len ? own : old;
	return x_printf(x, STR_FMT "&" STR_FMT, STR_ARG(own), STR_ARG(old));
}

/* A Location has no blanks; a path is completed with scheme and host, as nginx does. */
static enum filter_verdict redirect(struct exchange *x, int status, struct str to)
{
	struct buf b;

	buf_init(&b, EXCHANGE_ARENA_BYTES / 4);
	if (to.len && to.ptr[0] == '/')
		buf_printf(&b, STR_FMT "://" STR_FMT, STR_ARG(x->req.scheme), STR_ARG(x->req.authority));
	for (size_t i = 0; i < to.len; i++)
		if ((unsigned char)to.ptr[i] <= ' ' || to.ptr[i] == 0x7f)
			buf_printf(&b, "%%%02X", (unsigned char)to.ptr[i]);
		else
			buf_putc(&b, to.ptr[i]);
	struct str location = b.overflow ? STR_NONE : x_dup(x, buf_str(&b));
	buf_done(&b);
	if (location.ptr)
		exchange_redirect(x, status, location);
	else
		exchange_answer_error(x, 500);
	return FILTER_ANSWERED;
}

static bool matches(struct run *r, const struct regex *p, struct str subject)
{
	enum regex_result result = pattern_try(p, subject.ptr ? subject : STR(""), &r->groups);

	r->undecided |= result == REGEX_LIMIT;
	return result == REGEX_YES;
}

/* FILTER_NEXT: go on with the next statement, unless state->stopped. */
static enum filter_verdict rewrite(struct exchange *x, struct snippet_state *state, struct run *r, const struct statement *st)
{
	struct str args;

	if (!matches(r, st->pattern, x->req.uri))
		return FILTER_NEXT;
	r->locals.groups = &r->groups;
	struct str to = value_of(x, r, st->value);
	struct str path = str_cut(to, '?', &args);
	args = joined_args(x, st, args);
	if (st->flag == REWRITE_REDIRECT || st->flag == REWRITE_PERMANENT)
		return redirect(x, st->flag == REWRITE_PERMANENT ? 301 : 302,
				args.len ? x_printf(x, STR_FMT "?" STR_FMT, STR_ARG(path), STR_ARG(args)) : path);
	x->req.uri = path.len ? path : STR("/");
	x->req.query = args;
	state->rewritten = true;
	state->stopped = st->flag == REWRITE_BREAK;
	return FILTER_NEXT;
}

static enum filter_verdict answer(struct exchange *x, const struct run *r, const struct statement *st)
{
	struct str text = st->value ? value_of(x, r, st->value) : STR_NONE;
	bool moved = st->status == 301 || st->status == 302 || st->status == 303 || st->status == 307 || st->status == 308;

	if (moved && text.len)
		return redirect(x, st->status, text);
	if (text.ptr || st->status < 300)
		exchange_answer(x, st->status, STR("text/html"), text);
	else
		exchange_answer_error(x, st->status);
	return FILTER_ANSWERED;
}

/* ---- conditions ---- */

static bool holds(struct exchange *x, struct run *r, const struct statement *st)
{
	struct str subject = value_of(x, r, st->subject);
	bool yes;

	switch (st->condition) {
	case IF_EQUAL:
		yes = str_eq(subject, value_of(x, r, st->value));
		break;
	case IF_MATCH:
		yes = matches(r, st->pattern, subject);
		if (yes)
			r->locals.groups = &r->groups;
		break;
	default:
		yes = subject.len && !str_eq_c(subject, "0");
	}
	return yes != st->negate;
}

/* nginx's access phase: the first rule that fits decides. */
static bool refused(const struct exchange *x, const struct snippet *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct statement *st = &s->at[i];
		struct cidr one = st->cidr;
		if (st->kind == ST_ACCESS && (st->all || cidr_list_has(&(struct cidr_list){ &one, 1 }, &x->req.client)))
			return !st->allow;
	}
	return false;
}

static enum filter_verdict execute(struct exchange *x, struct snippet_state *state, struct run *r)
{
	enum filter_verdict verdict = FILTER_NEXT;

	state->stopped = false; /* `break` ends the snippet it stands in */
	for (size_t i = 0; i < r->s->n && verdict == FILTER_NEXT && !state->stopped;) {
		const struct statement *st = &r->s->at[i++];
		switch (st->kind) {
		case ST_SET:
			r->set[st->index] = value_of(x, r, st->value);
			break;
		case ST_IF:
			r->active[st->number] = holds(x, r, st);
			if (!r->active[st->number])
				i = st->next;
			break;
		case ST_RETURN:
			verdict = answer(x, r, st);
			break;
		case ST_REWRITE:
			verdict = rewrite(x, state, r, st);
			break;
		case ST_BREAK:
			state->stopped = true;
			break;
		default:
			break;
		}
		if (r->undecided && verdict == FILTER_NEXT) { /* as nginx */
			exchange_answer_error(x, 500);
			verdict = FILTER_ANSWERED;
		}
	}
	return verdict;
}

static enum filter_verdict snippet_request(struct exchange *x, void **state)
{
	struct snippet_state *ss = arena_alloc(&x->arena, sizeof(*ss));

	*state = ss;
	for (int i = 0; ss && i < RUNS; i++) {
		const struct snippet *s = snippet_at(x, i);
		if (!s)
			continue;
		if (run_init(x, &ss->run[i], s) < 0) {
			ss = NULL;
			break;
		}
		if (s->runs && execute(x, ss, &ss->run[i]) == FILTER_ANSWERED)
			return FILTER_ANSWERED;
	}
	if (!ss) {
		exchange_answer_error(x, 500);
		return FILTER_ANSWERED;
	}
	for (int i = 0; i < RUNS; i++)
		if (ss->run[i].s && refused(x, ss->run[i].s)) {
			exchange_answer_error(x, 403);
			return FILTER_ANSWERED;
		}
	return FILTER_NEXT;
}

/* ---- headers ---- */

/* Of one hop, or counted by the codecs: not a snippet's to change. `proxy_set_header Upgrade $http_upgrade` is pasted
 * everywhere, and needs nothing done. */
static bool is_ours(struct str name)
{
	enum header_id id = header_id(name);

	return id == H_HOP || id == H_LENGTH || id == H_TE || id == H_UPGRADE || id == H_CONNECTION;
}

/* A name that ends with '*' removes all that begin so. */
static void remove_headers(struct header_list *l, struct str name)
{
	bool star = name.len && name.ptr[name.len - 1] == '*';
	size_t len = name.len - star, kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct str have = l->at[i].name;
		bool same = (star ? have.len >= len : have.len == len) && strncasecmp(have.ptr, name.ptr, len) == 0;
		if (!same)
			l->at[kept++] = l->at[i];
	}
	l->n = kept;
}

static void proxy_header(struct exchange *x, const struct run *r, const struct statement *st)
{
	struct str value = st->value ? value_of(x, r, st->value) : STR_NONE;

	if (header_id(st->name_str) == H_HOST) {
		if (value.len)
			x->up_host = value;
		return;
	}
	if (is_ours(st->name_str))
		return;
	remove_headers(&x->up_headers, st->name_str);
	if (value.len)
		header_add_str(x, &x->up_headers, st->name_str, value);
}

static bool is_active(const struct run *r, const struct statement *st)
{
	return st->parent == 0 || (r->active && r->active[st->parent]);
}

/* A run of its own when the request never came to this filter. */
static const struct run *run_at(const struct exchange *x, void *const *state, int i, struct run *bare)
{
	const struct snippet_state *ss = *state;

	if (ss && ss->run[i].s)
		return &ss->run[i];
	*bare = (struct run){ .s = snippet_at(x, i) };
	return bare->s ? bare : NULL;
}

static void snippet_upstream(struct exchange *x, void **state)
{
	const struct snippet_state *ss = *state;
	struct run bare;

	/* rewrite-target has seen to the rewritten path already, unless `break` forbids it */
	if (ss && (ss->stopped ? ss->rewritten || x->loc->rewrite : ss->rewritten && !x->loc->rewrite))
		x->up_target = encoded(x, x->req.uri, x->req.query);
	for (int i = 0; i < RUNS; i++) {
		const struct run *r = run_at(x, state, i, &bare);
		for (size_t k = 0; r && r->s->requests && k < r->s->n; k++)
			if (r->s->at[k].kind == ST_PROXY_HEADER && is_active(r, &r->s->at[k]))
				proxy_header(x, r, &r->s->at[k]);
	}
}

static bool is_status_of(const struct statement *st, int status)
{
	for (size_t i = 0; i < st->n_codes; i++)
		if (st->codes[i] == status)
			return true;
	return st->n_codes == 0;
}

/* ngx_http_headers_module's list: others get add_header's only with `always`. */
static bool is_added_to(const struct statement *st, int status)
{
	static const int statuses[] = { 200, 201, 204, 206, 301, 302, 303, 304, 307, 308 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i] == status)
			return true;
	return st->always;
}

static void answer_header(struct exchange *x, const struct run *r, const struct statement *st)
{
	struct header_list *l = &x->ans.headers;
	struct str value = st->value ? value_of(x, r, st->value) : STR_NONE;

	if (is_ours(st->name_str) || !is_status_of(st, x->ans.status))
		return;
	if (st->kind == ST_ADD_HEADER && !is_added_to(st, x->ans.status))
		return;
	if (st->kind != ST_ADD_HEADER)
		remove_headers(l, st->name_str);
	if (value.len)
		header_add_str(x, l, st->name_str, value);
}

static enum filter_verdict snippet_answer(struct exchange *x, void **state)
{
	struct run bare;

	for (int i = 0; i < RUNS; i++) {
		const struct run *r = run_at(x, state, i, &bare);
		for (size_t k = 0; r && r->s->answers && k < r->s->n; k++) {
			const struct statement *st = &r->s->at[k];
			bool concerns = st->kind == ST_ADD_HEADER || st->kind == ST_SET_HEADER || st->kind == ST_CLEAR_HEADER ||
					(st->kind == ST_HIDE_HEADER && x->up);
			if (concerns && is_active(r, st))
				answer_header(x, r, st);
		}
	}
	return FILTER_NEXT;
}

const struct filter filter_snippet = {
	.name = "snippet",
	.wanted = snippet_wanted,
	.request = snippet_request,
	.upstream = snippet_upstream,
	.answer = snippet_answer,
};
