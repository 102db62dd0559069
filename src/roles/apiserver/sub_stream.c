/* pods/exec, attach and portforward: the checks; the streams themselves are stream.c's. */
#include "roles/apiserver/handlers.h"

#include "roles/apiserver/kubelet.h"
#include "roles/apiserver/stream.h"

static enum stream_kind kind_of(const char *subresource)
{
	if (c_eq(subresource, "portforward"))
		return STREAM_PORTFORWARD;
	return c_eq(subresource, "attach") ? STREAM_ATTACH : STREAM_EXEC;
}

void handle_stream(struct request *q)
{
	enum stream_kind kind = kind_of(q->info.subresource);
	struct kubelet_target t;
	struct err e;

	if (kubelet_find(q, kind != STREAM_PORTFORWARD, &t, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	if (!t.to.len) {
		err_set(&e, ERR_BAD_REQUEST, "pod %s does not have a host assigned", q->info.name);
		reply_error(q, &e);
		return;
	}
	const struct stream_target target = { .kind = kind,
					      .kubelet = t.to,
					      .tls = q->api->kubelet_tls,
					      .server_name = t.host,
					      .ns = q->info.ns,
					      .pod = q->info.name,
					      .container = kind == STREAM_PORTFORWARD
								   ? NULL
								   : t.container };
	request_detach(q);
	http_on_closed(q->x, NULL, NULL);
	stream_proxy(q->api->loop, q->x, &target);
}
