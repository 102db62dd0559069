#include "roles/dns/observe/log_rule.h"

#include "codec/dns_text.h"

#include <stdio.h>

extern const struct plugin plugin_log;

typedef void put_fn(const struct dns_event *e, struct buf *out);

struct part {
	struct str text; /* of a literal */
	put_fn *put;	 /* NULL: a literal */
};
struct log_format {
	char *text;
	size_t n;
	struct part parts[];
};

/* ---- the placeholders ---- */
static void put_addr(const struct event_addr *a, struct buf *out)
{
	char text[EVENT_ADDR_BYTES];

	event_addr_text(a, text);
	buf_printf(out, a->family == 6 ? "[%s]" : "%s", text[0] ? text : "-");
}

#define PUT(name) static void put_##name(const struct dns_event *e, struct buf *out)

PUT(remote) { put_addr(&e->client, out); }
PUT(port) { buf_put_u64(out, e->client.port); }
PUT(id) { buf_put_u64(out, e->id); }
PUT(opcode) { buf_put_u64(out, (e->question_flags & DNS_FLAGS_OPCODE) >> 11); }
PUT(size) { buf_put_u64(out, e->question_bytes); }
PUT(rsize) { buf_put_u64(out, e->answer_bytes); }
PUT(proto) { buf_puts(out, e->proto == DNS_UDP ? "udp" : "tcp"); }
PUT(do) { buf_puts(out, e->dnssec_ok ? "true" : "false"); }
PUT(kind) { buf_puts(out, event_kind_names[e->kind]); }
PUT(answer_class) { buf_puts(out, event_class_name(e->class)); }

PUT(nothing)
{
	(void)e;
	buf_putc(out, '-');
}

PUT(type)
{
	char text[DNS_TEXT_TYPE_BYTES];

	buf_puts(out, dns_type_text(e->type, text));
}

PUT(class)
{
	char text[DNS_TEXT_TYPE_BYTES];

	buf_puts(out, dns_class_text(e->qclass, text));
}

PUT(rcode)
{
	char text[DNS_TEXT_TYPE_BYTES];

	buf_puts(out, dns_rcode_text(e->rcode, text));
}

PUT(name)
{
	char text[DNS_NAME_TEXT_BYTES + 1];

	buf_puts(out, event_name_text(&e->name, text));
}

PUT(bufsize)
{
	buf_put_u64(out, e->proto != DNS_UDP ? DNS_MESSAGE_BYTES_MAX : e->udp_bytes);
}

PUT(rflags)
{
	static const struct {
		uint16_t flag;
		const char *name;
	} rows[] = { { DNS_FLAG_QR, "qr" }, { DNS_FLAG_AA, "aa" }, { DNS_FLAG_TC, "tc" }, { DNS_FLAG_RD, "rd" },
		     { DNS_FLAG_RA, "ra" }, { 0x0040, "z" },	   { DNS_FLAG_AD, "ad" }, { DNS_FLAG_CD, "cd" } };
	const char *comma = "";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (e->flags & rows[i].flag) {
			buf_printf(out, "%s%s", comma, rows[i].name);
			comma = ",";
		}
}

/* Seconds with as many digits as there are. */
PUT(duration)
{
	char text[32];
	size_t n = (size_t)snprintf(text, sizeof(text), "%llu.%06u", (unsigned long long)(e->duration_us / 1000000),
				    (unsigned)(e->duration_us % 1000000));

	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	buf_put(out, text, n);
	buf_putc(out, 's');
}

static const struct {
	const char *label;
	put_fn *put;
} labels[] = {
	{ "{type}", put_type },	    { "{name}", put_name },	{ "{class}", put_class },	 { "{proto}", put_proto },
	{ "{size}", put_size },	    { "{remote}", put_remote }, { "{port}", put_port },		 { "{local}", put_nothing },
	{ "{>id}", put_id },	    { "{>opcode}", put_opcode }, { "{>do}", put_do },		 { "{>bufsize}", put_bufsize },
	{ "{rcode}", put_rcode },   { "{rsize}", put_rsize },	{ "{duration}", put_duration }, { "{>rflags}", put_rflags },
	{ "{/log/class}", put_answer_class }, { "{/log/type}", put_kind },
};

static put_fn *label_find(struct str s)
{
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (str_eq_c(s, labels[i].label))
			return labels[i].put;
	/* Metadata of plug-ins that are not here. */
	return s.len > 3 && s.ptr[1] == '/' ? put_nothing : NULL;
}

/* ---- reading ---- */
static int expand(const char *text, struct buf *out)
{
	static const struct {
		const char *name, *value;
	} shortcuts[] = { { "{common}", LOG_COMMON }, { "{combined}", LOG_COMBINED } };

	while (*text) {
		size_t i = 0;
		while (i < ARRAY_LEN(shortcuts) && strncmp(text, shortcuts[i].name, strlen(shortcuts[i].name)) != 0)
			i++;
		if (i < ARRAY_LEN(shortcuts)) {
			buf_puts(out, shortcuts[i].value);
			text += strlen(shortcuts[i].name);
		} else {
			buf_putc(out, *text++);
		}
	}
	return out->overflow ? -1 : 0;
}

static void literal(struct log_format *f, const char *from, const char *to)
{
	if (to > from)
		f->parts[f->n++].text = (struct str){ from, (size_t)(to - from) };
}

/* A label is what lies between a '}' and the '{' nearest before it: "{ {name} }" has one. */
static void split(struct log_format *f)
{
	const char *from = f->text;

	for (const char *close = from; (close = strchr(close, '}')); close++) {
		const char *open = memrchr(from, '{', (size_t)(close - from));
		put_fn *put = open ? label_find((struct str){ open, (size_t)(close - open) + 1 }) : NULL;
		if (!put)
			continue;
		literal(f, from, open);
		f->parts[f->n++].put = put;
		from = close + 1;
	}
	literal(f, from, from + strlen(from));
}

struct log_format *log_format_new(const char *text, struct err *e)
{
	struct buf b;

	buf_init(&b, LOG_FORMAT_BYTES_MAX);
	if (strpbrk(text, "\r\n") || expand(text, &b) < 0) {
		buf_done(&b);
		err_set(e, ERR_INVALID, "a format is one line of at most %u bytes", LOG_FORMAT_BYTES_MAX);
		return NULL;
	}
	size_t parts = 1;
	for (const char *p = b.ptr; p && *p; p++)
		parts += *p == '}' ? 2 : 0;
	struct log_format *f = xcalloc(1, sizeof(*f) + parts * sizeof(f->parts[0]));
	f->text = b.ptr ? buf_take(&b) : xstrdup("");
	split(f);
	return f;
}

void log_format_free(struct log_format *f)
{
	if (f)
		free(f->text);
	free(f);
}

void log_format_put(const struct log_format *f, const struct dns_event *ev, struct buf *out)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->parts[i].put)
			f->parts[i].put(ev, out);
		else
			buf_put_str(out, f->parts[i].text);
}

/* ---- which rule ---- */
const struct log_rule *log_rules_find(const struct log_rules *r, const struct dns_event *e)
{
	for (size_t i = 0; i < r->n; i++)
		if (dns_name_under(&e->name, &r->at[i].zone))
			return r->at[i].classes & e->class ? &r->at[i] : NULL;
	return NULL;
}

const struct log_rule *log_rule_of(const struct dns_block *b, const struct dns_event *e)
{
	const struct log_rules *r = dns_block_settings(b, &plugin_log);

	return r ? log_rules_find(r, e) : NULL;
}
