/* Any bytes as JSON: what our own decoder takes is what jansson makes of it, and what jansson refuses is refused. */
#include "base/limits.h"
#include "codec/jx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct jx_unread unread[] = { { STR("metadata"), STR("x") }, { STR(""), STR("a") }, { STR_NONE, STR_NONE } };
	struct str text = { (const char *)data, size };
	struct err e;
	json_t *ours = jx_parse(text, LIMIT_OBJECT_BYTES, &e);
	cleanup(freep) char *why = xstrdup(ours ? "" : e.message);
	json_t *theirs = json_loadb(size ? text.ptr : "", size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	json_t *most = jx_parse_read(text, LIMIT_OBJECT_BYTES, unread, &e);
	if (ours && !most)
		abort();
	json_decref(most);
	if (ours && !theirs)
		abort();
	if (!ours && theirs && !strstr(why, "nested deeper") && size <= LIMIT_OBJECT_BYTES)
		abort();
	if (ours) { /* as texts: the order of members counts too */
		char *a = jx_dump_text(ours), *b = jx_dump_text(theirs);
		if (strcmp(a, b) != 0)
			abort();
		free(a);
		free(b);
	}
	json_decref(ours);
	json_decref(theirs);
	return 0;
}
