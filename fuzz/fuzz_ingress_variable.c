/* Texts with nginx's variables, and writing them in every escape. */
#include "roles/ingress/http/exchange.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = xstrndup((const char *)data, size);
	struct str raw = { (const char *)data, size };
	struct http_header headers[] = { { STR("cookie"), raw }, { STR("x-a"), raw } };
	struct globals globals = { 0 };
	struct shared shared = { .globals = &globals };
	struct worker worker = { .shared = &shared };
	struct exchange x = { .worker = &worker,
			      .req = { .method = STR("GET"), .target = raw, .query = raw, .uri = raw, .host = raw,
				       .headers = { headers, 2, 2 } } };
	struct variable_text *t;
	struct err e;
	struct buf b;

	list_init(&x.tries_log);
	t = variable_text_new(text, &e);
	if (!t)
		return 0;
	buf_init(&b, 1 << 16);
	for (int how = ESCAPE_NONE; how <= ESCAPE_URI; how++) {
		buf_clear(&b);
		(void)!variable_text_write(t, &x, (enum variable_escape)how, &b);
	}
	buf_done(&b);
	variable_text_free(t);
	return 0;
}
