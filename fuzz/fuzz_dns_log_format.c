/* A log plug-in's format, and the line of an event made of the same bytes. */
#include "roles/dns/observe/log_rule.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_event e = { 0 };
	size_t n = MIN(size, offsetof(struct dns_event, log));
	struct err err;
	struct buf out;

	memcpy(&e, data, n);
	e.proto %= 3;
	e.kind %= EVENT_OTHERERROR + 1;
	e.source %= FROM_PLUGIN + 1;
	e.edns = true;
	e.dnssec_ok = false;
	e.name.len = 1;
	cleanup(freep) char *text = xstrndup((const char *)data + n, size - n);
	struct log_format *f = log_format_new(text, &err);
	buf_init(&out, 1u << 20);
	if (f)
		log_format_put(f, &e, &out);
	event_put_json(&out, &e, text);
	buf_done(&out);
	log_format_free(f);
	return 0;
}
