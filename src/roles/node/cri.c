#include "roles/node/cri.h"

#include "roles/node/grpc.h"

#define CONNECT_TIMEOUT_MS 2000
#define SHORT_MS 10000
/* Creating and stopping wait for processes and mounts; kubelet allows 4 minutes. */
#define LONG_MS 240000
#define PULL_MS 1800000

struct cri {
	struct loop *loop;
	struct http_client *client;
};

struct cri_call {
	struct grpc_call *grpc;
	const struct method *method;
	cri_done_fn *done;
	void *ctx;
};

#define RUNTIME(name) "/runtime.v1.RuntimeService/" name
#define IMAGES(name) "/runtime.v1.ImageService/" name
static const struct method {
	const char *path;
	const ProtobufCMessageDescriptor *response;
	uint64_t timeout_ms;
} methods[] = {
	[CRI_VERSION] = { RUNTIME("Version"), &cri__version_response__descriptor, SHORT_MS },
	[CRI_STATUS] = { RUNTIME("Status"), &cri__status_response__descriptor, SHORT_MS },
	[CRI_RUN_POD_SANDBOX] = { RUNTIME("RunPodSandbox"),
				  &cri__run_pod_sandbox_response__descriptor, LONG_MS },
	[CRI_STOP_POD_SANDBOX] = { RUNTIME("StopPodSandbox"), &cri__empty__descriptor, LONG_MS },
	[CRI_REMOVE_POD_SANDBOX] = { RUNTIME("RemovePodSandbox"), &cri__empty__descriptor,
				     LONG_MS },
	[CRI_POD_SANDBOX_STATUS] = { RUNTIME("PodSandboxStatus"),
				     &cri__pod_sandbox_status_response__descriptor, SHORT_MS },
	[CRI_LIST_POD_SANDBOX] = { RUNTIME("ListPodSandbox"),
				   &cri__list_pod_sandbox_response__descriptor, SHORT_MS },
	[CRI_CREATE_CONTAINER] = { RUNTIME("CreateContainer"),
				   &cri__create_container_response__descriptor, LONG_MS },
	[CRI_START_CONTAINER] = { RUNTIME("StartContainer"), &cri__empty__descriptor, LONG_MS },
	[CRI_STOP_CONTAINER] = { RUNTIME("StopContainer"), &cri__empty__descriptor, LONG_MS },
	[CRI_REMOVE_CONTAINER] = { RUNTIME("RemoveContainer"), &cri__empty__descriptor, LONG_MS },
	[CRI_LIST_CONTAINERS] = { RUNTIME("ListContainers"),
				  &cri__list_containers_response__descriptor, SHORT_MS },
	[CRI_CONTAINER_STATUS] = { RUNTIME("ContainerStatus"),
				   &cri__container_status_response__descriptor, SHORT_MS },
	[CRI_REOPEN_LOG] = { RUNTIME("ReopenContainerLog"), &cri__empty__descriptor, SHORT_MS },
	[CRI_EXEC_SYNC] = { RUNTIME("ExecSync"), &cri__exec_sync_response__descriptor, SHORT_MS },
	[CRI_EXEC] = { RUNTIME("Exec"), &cri__stream_response__descriptor, SHORT_MS },
	[CRI_ATTACH] = { RUNTIME("Attach"), &cri__stream_response__descriptor, SHORT_MS },
	[CRI_PORT_FORWARD] = { RUNTIME("PortForward"), &cri__stream_response__descriptor,
			       SHORT_MS },
	[CRI_IMAGE_STATUS] = { IMAGES("ImageStatus"), &cri__image_status_response__descriptor,
			       SHORT_MS },
	[CRI_LIST_IMAGES] = { IMAGES("ListImages"), &cri__list_images_response__descriptor,
			      SHORT_MS },
	[CRI_PULL_IMAGE] = { IMAGES("PullImage"), &cri__pull_image_response__descriptor, PULL_MS },
};

struct cri *cri_new(struct loop *l, const char *run_dir, struct err *e)
{
	cleanup(freep) char *to = xasprintf("unix:%s/containerd/containerd.sock", run_dir);
	struct http_client_config config = { .authority = "localhost",
					     .h2 = true,
					     .connect_timeout_ms = CONNECT_TIMEOUT_MS };

	if (addr_parse(to, &config.to, e) < 0)
		return NULL;
	struct cri *c = xcalloc(1, sizeof(*c));
	*c = (struct cri){ .loop = l, .client = http_client_new(l, &config) };
	return c;
}

void cri_free(struct cri *c)
{
	if (!c)
		return;
	http_client_free(c->client);
	free(c);
}

static void on_done(void *ctx, struct str message, const struct err *e)
{
	struct cri_call *call = ctx;
	struct err own;
	ProtobufCMessage *response = NULL;

	if (!e) {
		response = protobuf_c_message_unpack(call->method->response, NULL, message.len,
						     (const uint8_t *)message.ptr);
		if (!response) {
			err_set(&own, ERR_INTERNAL, "%s: the runtime's answer cannot be decoded",
				call->method->path);
			e = &own;
		}
	}
	if (call->done)
		call->done(call->ctx, response, e);
	if (response)
		protobuf_c_message_free_unpacked(response, NULL);
	free(call);
}

struct cri_call *cri_send(struct cri *c, enum cri_method m, const void *request, uint64_t extra_ms,
			  cri_done_fn *done, void *ctx)
{
	struct cri_call *call = xcalloc(1, sizeof(*call));
	size_t len = protobuf_c_message_get_packed_size(request);
	cleanup(freep) uint8_t *bytes = xmalloc(len + 1);

	protobuf_c_message_pack(request, bytes);
	*call = (struct cri_call){ .method = &methods[m], .done = done, .ctx = ctx };
	call->grpc = grpc_unary(c->client, methods[m].path, (struct str){ (char *)bytes, len },
				methods[m].timeout_ms + extra_ms, on_done, call);
	return call;
}

void cri_cancel(struct cri_call *call)
{
	if (!call)
		return;
	grpc_cancel(call->grpc);
	free(call);
}

const char *cri_entry(Cri__StringEntry *const *entries, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (c_eq(entries[i]->key, key))
			return entries[i]->value;
	return NULL;
}
