/* Manifest files: however a text is cut into documents, an object has a name, and it is one that a path can hold. */
#include "kube/client/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_object(void *ctx, const struct resource *storage, json_t *obj, unsigned line)
{
	const char *name = jx_name(obj), *ns = jx_namespace(obj);

	(void)ctx;
	if (!name || !name[0] || strchr(name, '/') || !line || (ns && strchr(ns, '/')) || (storage->namespaced && !ns))
		abort();
	free(jx_dump_text(obj));
}

static void on_problem(void *ctx, unsigned line, bool lost, const char *text)
{
	(void)ctx;
	(void)lost;
	if (!line || !text[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct manifest_sink sink = { .object = on_object, .problem = on_problem };

	if (size)
		manifest_read((struct str){ (const char *)data + 1, size - 1 }, data[0] & 1, &sink, NULL);
	return 0;
}
