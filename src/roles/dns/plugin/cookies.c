/* cookies.c - DNS cookies (RFC 7873, 9018) for every question that has one, also on the direct path. Not in CoreDNS. */
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#include "base/file.h"
#include "codec/dns_cookie.h"
#include "codec/dns_edns.h"

#include <sys/random.h>

#define SECRETS_BYTES_MAX 4096

struct cookies {
	bool require;
	struct dns_cookie_secrets secrets;
};

/* ---- settings ---- */

/* The process' own secret outlives a Corefile. Main thread. */
static int own_secret(struct dns_cookie_secrets *ret, struct err *e)
{
	static struct dns_cookie_secrets own;

	if (!own.n && getrandom(own.keys[0], SIPHASH_KEY_BYTES, 0) != SIPHASH_KEY_BYTES)
		return err_set(e, ERR_INTERNAL, "getrandom gave nothing");
	own.n = 1;
	*ret = own;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_key(struct str text, uint8_t key[SIPHASH_KEY_BYTES])
{
	if (text.len != 2 * SIPHASH_KEY_BYTES)
		return false;
	for (size_t i = 0; i < SIPHASH_KEY_BYTES; i++) {
		int high = nibble(text.ptr[2 * i]), low = nibble(text.ptr[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int read_secrets(struct dns_cookie_secrets *s, struct str text, const char *path, struct err *e)
{
	for (unsigned n = 1; text.ptr; n++) {
		struct str line = str_trim(str_cut(text, '\n', &text));
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (!line.len || line.ptr[0] == '#')
			continue;
		if (s->n == DNS_COOKIE_SECRETS_MAX)
			return err_set(e, ERR_INVALID, "%s has more than %d secrets", path, DNS_COOKIE_SECRETS_MAX);
		if (!read_key(line, s->keys[s->n++]))
			return err_set(e, ERR_INVALID, "%s:%u: a secret is %d hexadecimal digits", path, n, 2 * SIPHASH_KEY_BYTES);
	}
	return s->n ? 0 : err_set(e, ERR_INVALID, "%s has no secret", path);
}

static int load_secrets(struct dns_cookie_secrets *s, const char *path, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, SECRETS_BYTES_MAX);
	rc = file_read(path, &text, e);
	if (rc == 0)
		rc = read_secrets(s, buf_str(&text), path, e);
	buf_done(&text);
	return rc;
}

static int cookies_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct cookies *c = xcalloc(1, sizeof(*c));
	const char *path = NULL;
	struct err why;

	(void)scope;
	*settings = c;
	if (d->head.n > 1)
		return directive_error(e, &d->head, "cookies", "takes no arguments");
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *line = &d->body[i];
		bool secrets = strcmp(line->words[0], "secrets") == 0;
		if (line->n != (secrets ? 2 : 1))
			return directive_error(e, line, "cookies", secrets ? "secrets is followed by a file" : "require takes no value");
		if (secrets)
			path = line->words[1];
		else
			c->require = true;
	}
	if (path ? load_secrets(&c->secrets, path, &why) : own_secret(&c->secrets, &why))
		return directive_error(e, &d->head, "cookies", "%s", why.message);
	return 0;
}

/* ---- questions ---- */

/* RFC 7873, 5.2: who has not shown a good cookie gets one and asks again, or comes by TCP if he knows of none. */
static enum plugin_verdict demand(enum dns_cookie_state state, struct plugin_refusal *ret)
{
	if (state == DNS_COOKIE_NONE)
		*ret = (struct plugin_refusal){ .rcode = DNS_NOERROR, .truncate = true };
	else
		*ret = (struct plugin_refusal){ .rcode = DNS_BADCOOKIE };
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict cookies_guard(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c, struct dns_query *q,
					 struct dns_edns_reply *reply, struct plugin_refusal *ret)
{
	const struct cookies *own = i->settings;
	enum dns_cookie_state state = DNS_COOKIE_NONE;
	uint8_t ip[16], out[DNS_COOKIE_BYTES];

	(void)w;
	if (q->options.len) {
		net_ip(&c->addr, ip);
		bool v4 = net_ip_is_4(ip);
		size_t n = dns_cookie_check(&own->secrets, q->options, v4 ? ip + 12 : ip, v4 ? 4 : 16,
					    (uint32_t)(wall_now_ms() / 1000), out, &state);
		if (n && !dns_edns_put(reply, DNS_OPTION_COOKIE, out, n))
			return PLUGIN_DROP;
	}
	if (state == DNS_COOKIE_MALFORMED) {
		*ret = (struct plugin_refusal){ .rcode = DNS_FORMERR };
		return PLUGIN_ANSWERED;
	}
	q->cookie = state == DNS_COOKIE_GOOD;
	if (own->require && c->proto == DNS_UDP && !q->cookie)
		return demand(state, ret);
	return PLUGIN_NEXT;
}

static const struct plugin_property properties[] = {
	{ "require", "", "over UDP only questions with a good cookie are answered: others get BADCOOKIE and a cookie, or are sent to TCP" },
	{ "secrets", "FILE", "replicas that share clients need the same: a secret of 32 hexadecimal digits a line, the first in use, up to "
			     "three old ones, read when the Corefile is; without it the process makes one up" },
	{ NULL },
};
const struct plugin plugin_cookies = {
	.name = "cookies",
	.doc = "DNS cookies as BIND, Knot, NSD and Unbound make them (RFC 9018): a client that has one is no false address. Not in CoreDNS",
	.properties = properties,
	.once = true,
	.parse = cookies_parse,
	.free_settings = free,
	.guard = cookies_guard,
};
