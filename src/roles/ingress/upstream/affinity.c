/* Sessions that stay at one endpoint by a cookie, as ingress-nginx keeps them: "<key>|<backend>".
 *
 * balanced:   the key is any text, its owner on the hash ring serves the session; when endpoints come, some sessions move
 * persistent: the key names the endpoint; a name that none has gets a new session
 *
 * The cookie is the client's to invent: whatever it says, one of the backend's own endpoints is chosen.
 */
#include "roles/ingress/upstream/balance_int.h"

#include "roles/ingress/upstream/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define KEY_BYTES_MAX 256    /* ours have 40; longer ones are not ours */
#define NEW_KEYS_MAX 20	     /* ingress-nginx's MAX_UPSTREAM_CHECKS_COUNT */
#define KEY_CHANCE 1000000   /* … and its math.random(999999) */

struct session {
	struct str key, backend; /* key.ptr NULL: none */
};

static struct session session_of(const struct exchange *x, const struct settings *set)
{
	struct str value = request_cookie(x, set->session_cookie_name), rest;
	struct session s = { .key = str_cut(value, '|', &rest) };

	s.backend = rest.ptr ? str_cut(rest, '|', &rest) : STR_NONE;
	if (!s.key.len || s.key.len > KEY_BYTES_MAX)
		s.key = STR_NONE;
	return s;
}

const struct settings *affinity_settings(const struct location *loc, const struct backend *b)
{
	if (b == loc->backend)
		return loc->set->affinity_cookie ? loc->set : NULL;
	const struct canary *c = loc->n_canaries ? canary_of(loc, b) : NULL;
	if (!c)
		return NULL;
	if (loc->set->affinity_cookie && !c->set->affinity_canary_legacy)
		return loc->set;
	return c->set->affinity_cookie ? c->set : NULL;
}

bool affinity_belongs(const struct exchange *x, const struct settings *set, struct backend *b)
{
	struct session s = session_of(x, set);

	if (s.backend.len != HASH_NODE_TEXT)
		return false;
	return str_eq_c(s.backend, hash_backend_name(hash_ring_of(b, backend_endpoints(b))));
}

static bool persistent(const struct pick *p)
{
	return p->sticky->affinity_mode == AFFINITY_PERSISTENT;
}

static size_t endpoint_of(const struct pick *p, const struct hash_ring *r, struct str key)
{
	struct hash_walk w;
	size_t at;

	if (!key.ptr)
		return PICK_NONE;
	if (persistent(p))
		return hash_node_find(r, key, &at) ? at : PICK_NONE;
	hash_walk_begin(&w, r, key);
	return hash_walk_next(&w, &at) ? at : PICK_NONE;
}

/* ---- a new session ---- */

static struct str new_key(struct exchange *x, int i)
{
	int64_t ms = wall_now_ms() + 1000 * (int64_t)i;

	return x_printf(x, "%" PRId64 ".%03d.%d.%u", ms / 1000, (int)(ms % 1000), (int)getpid(), random_below(KEY_CHANCE));
}

static size_t new_persistent(struct pick *p, const struct hash_ring *r, struct str *ret_key)
{
	char name[HASH_NODE_TEXT + 1];
	size_t out[2];

	if (!pick_sample(p, 1, out))
		return PICK_NONE;
	hash_node_name(r, out[0], name);
	*ret_key = x_dup(p->x, str_of(name));
	return out[0];
}

/* Keys are drawn until one belongs to an endpoint that can be used; so the owners' shares of the ring count. When hardly any
 * can, the session goes wherever it can for now, without a cookie. */
static size_t new_balanced(struct pick *p, const struct hash_ring *r, struct str *ret_key)
{
	size_t out[2];

	for (int i = 1; i <= NEW_KEYS_MAX; i++) {
		struct str key = new_key(p->x, i);
		size_t at = endpoint_of(p, r, key);
		if (at == PICK_NONE)
			break;
		if (rank_of(p, at) == RANK_GOOD) {
			*ret_key = key;
			return at;
		}
	}
	return pick_sample(p, 1, out) ? out[0] : PICK_NONE;
}

/* A session's endpoint that does not answer health checks or is full serves nobody now: another one helps out. The cookie
 * changes only with session-cookie-change-on-failure, or when the endpoint is gone. */
size_t affinity_pick(struct pick *p)
{
	struct hash_ring *r = hash_ring_of(p->b, p->es);
	size_t at = endpoint_of(p, r, session_of(p->x, p->sticky).key), helper;
	bool gone = at == PICK_NONE, failed = p->x->n_tried > 0 && p->sticky->session_cookie_change_on_failure;
	struct str key = STR_NONE;

	if (!gone && !failed && !endpoint_full(p, p->es->at[at]) && !endpoint_down(p->es->at[at], p->now_ms))
		return at;
	helper = persistent(p) ? new_persistent(p, r, &key) : new_balanced(p, r, &key);
	if (helper != PICK_NONE && key.ptr && (gone || p->sticky->session_cookie_change_on_failure))
		p->x->sticky = key;
	return helper;
}

/* ---- Set-Cookie ---- */

/* Browsers that refuse cookies with SameSite=None (chromium.org/updates/same-site/incompatible-clients), as ingress-nginx
 * tells them apart. All words of a row must be there, and not the last. */
static const struct {
	const char *all[3], *none;
} refusing_agents[] = {
	{ { "Chrome/4" }, NULL },
	{ { "Chrome/5" }, NULL },
	{ { "Chrome/6" }, NULL },
	{ { "CPU iPhone OS 12" }, NULL },
	{ { "iPad; CPU OS 12" }, NULL },
	{ { "Macintosh", "Intel Mac OS X 10_14", "Safari" }, "Chrome" },
};

static bool has(struct str text, const char *word)
{
	return text.len && memmem(text.ptr, text.len, word, strlen(word));
}

static bool takes_same_site_none(struct str agent)
{
	for (size_t i = 0; i < ARRAY_LEN(refusing_agents); i++) {
		bool all = true;
		for (size_t k = 0; k < ARRAY_LEN(refusing_agents[i].all) && refusing_agents[i].all[k]; k++)
			all = all && has(agent, refusing_agents[i].all[k]);
		if (all && !(refusing_agents[i].none && has(agent, refusing_agents[i].none)))
			return false;
	}
	return true;
}

static const char *same_site_text(const struct exchange *x, const struct settings *set)
{
	static const char *const texts[] = {
		[SAME_SITE_UNSET] = "", [SAME_SITE_NONE] = "; SameSite=None", [SAME_SITE_LAX] = "; SameSite=Lax",
		[SAME_SITE_STRICT] = "; SameSite=Strict",
	};

	if (set->session_cookie_samesite == SAME_SITE_NONE && set->session_cookie_conditional_samesite_none &&
	    !takes_same_site_none(header_get(&x->req.headers, "user-agent")))
		return "";
	return texts[set->session_cookie_samesite];
}

/* nginx's cookie time: two digits of the year up to 2037. */
static void expires_text(int after_s, char out[64])
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t at = (time_t)(wall_now_ms() / 1000) + after_s;
	struct tm t;

	gmtime_r(&at, &t);
	int year = t.tm_year + 1900;
	snprintf(out, 64, "%s, %02d-%s-%02d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
		 year > 2037 ? year : year % 100, t.tm_hour, t.tm_min, t.tm_sec);
}

/* An Ingress' path may hold what would end the attribute. */
static bool attribute_safe(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == ';' || *s == 0x7f)
			return false;
	return true;
}

static struct str attribute(struct exchange *x, const char *name, const char *value)
{
	return value && value[0] && attribute_safe(value) ? x_printf(x, "; %s=%s", name, value) : STR("");
}

void affinity_set_cookie(struct exchange *x)
{
	const struct settings *set = x->backend && x->sticky.len ? affinity_settings(x->loc, x->backend) : NULL;
	struct str expires = STR(""), max_age = STR("");

	if (!set)
		return;
	bool secure = x->req.https || set->session_cookie_secure > 0; /* "false" takes nothing from https */
	if (set->session_cookie_expires_s >= 0) {
		char when[64];
		expires_text(set->session_cookie_expires_s, when);
		expires = attribute(x, "Expires", when);
	}
	if (set->session_cookie_max_age_s >= 0)
		max_age = x_printf(x, "; Max-Age=%d", set->session_cookie_max_age_s);
	struct str domain = attribute(x, "Domain", set->session_cookie_domain);
	struct str path = attribute(x, "Path", set->session_cookie_path ? set->session_cookie_path : x->loc->path);
	struct str v = x_printf(x, "%s=" STR_FMT "|%s" STR_FMT STR_FMT STR_FMT STR_FMT "%s; HttpOnly%s", set->session_cookie_name,
				STR_ARG(x->sticky), hash_backend_name(hash_ring_of(x->backend, backend_endpoints(x->backend))),
				STR_ARG(expires), STR_ARG(max_age), STR_ARG(domain), STR_ARG(path), secure ? "; Secure" : "",
				same_site_text(x, set));
	if (v.ptr)
		header_add(x, &x->ans.headers, "Set-Cookie", v);
}
