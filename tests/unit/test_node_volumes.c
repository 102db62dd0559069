#include "base/file.h"
#include "codec/jx.h"
#include "kube/object/pod_field.h"
#include "roles/node/volume_payload.h"
#include "roles/node/volume_task.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static json_t *parse(const char *text)
{
	struct err e;
	json_t *v = jx_parse(str_of(text), 65536, &e);

	assert_non_null(v);
	return v;
}

static const char objects_text[] =
	"{\"configmaps/"
	"cm\":{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"1\",\"b\":\"2\"},\"binaryData\":{\"bin\":"
	"\"AAEC\"}},"
	"\"secrets/s\":{\"kind\":\"Secret\",\"data\":{\"pw\":\"c2VjcmV0\"}}}";
static const char pod_text[] = "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\","
			       "\"labels\":{\"z\":\"1\",\"a\":\"x\\\"y\"},\"annotations\":{"
			       "\"k\":\"v\"}},\"spec\":{\"nodeName\":\"n1\",\"serviceAccountName\":"
			       "\"sa\"},\"status\":{\"podIP\":\"10.0.0.1\"}}";

static const json_t *find_object(void *ctx, const char *resource, const char *name, bool *ret_known)
{
	cleanup(freep) char *key = xasprintf("%s/%s", resource, name);

	*ret_known = !c_eq(name, "later");
	return json_object_get(ctx, key);
}

static const char *find_token(void *ctx, const json_t *source)
{
	(void)ctx;
	return c_eq(jx_str(source, "audience"), "none") ? NULL : "tok";
}

static char *find_resource(void *ctx, const json_t *ref)
{
	(void)ctx;
	return c_eq(jx_str(ref, "resource"), "limits.cpu") ? xstrdup("2") : NULL;
}

static const struct {
	const char *volume;
	const char *files; /* "path=data@mode;…", NULL: fails with reason */
	enum err_reason reason;
} payloads[] = {
	{ "{\"configMap\":{\"name\":\"cm\"}}", "a=1@644;b=2@644;bin=...@644;", 0 },
	{ "{\"configMap\":{\"name\":\"cm\",\"defaultMode\":256,\"items\":[{\"key\":\"b\",\"path\":"
	  "\"x/y\",\"mode\":511}]}}",
	  "x/y=2@777;", 0 },
	{ "{\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"q\",\"path\":\"x\"}]}}", NULL,
	  ERR_NOT_FOUND },
	{ "{\"configMap\":{\"name\":\"cm\",\"optional\":true,\"items\":[{\"key\":\"q\",\"path\":"
	  "\"x\"}]}}",
	  "", 0 },
	{ "{\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"a\",\"path\":\"../x\"}]}}", NULL,
	  ERR_INVALID },
	{ "{\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"a\",\"path\":\"/x\"}]}}", NULL,
	  ERR_INVALID },
	{ "{\"configMap\":{\"name\":\"none\"}}", NULL, ERR_NOT_FOUND },
	{ "{\"configMap\":{\"name\":\"none\",\"optional\":true}}", "", 0 },
	{ "{\"configMap\":{\"name\":\"later\"}}", NULL, ERR_UNAVAILABLE },
	{ "{\"secret\":{\"secretName\":\"s\",\"defaultMode\":256}}", "pw=secret@400;", 0 },
	{ "{\"downwardAPI\":{\"items\":[{\"path\":\"l\",\"fieldRef\":{\"fieldPath\":\"metadata."
	  "labels\"}},{\"path\":\"c\","
	  "\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}]}}",
	  "l=a=\"x\\\"y\"\nz=\"1\"@644;c=2@644;", 0 },
	{ "{\"downwardAPI\":{\"items\":[{\"path\":\"l\",\"fieldRef\":{\"fieldPath\":\"status."
	  "phase\"}}]}}",
	  NULL, ERR_INVALID },
	{ "{\"projected\":{\"defaultMode\":420,\"sources\":[{\"serviceAccountToken\":{\"path\":"
	  "\"token\"}},{\"configMap\":{\"name\":\"cm\","
	  "\"items\":[{\"key\":\"a\",\"path\":\"ca\"}]}},{\"secret\":{\"name\":\"s\"}}]}}",
	  "token=tok@644;ca=1@644;pw=secret@644;", 0 },
	{ "{\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"audience\":\"none\"}}]}}", NULL,
	  ERR_UNAVAILABLE },
	{ "{\"projected\":{\"sources\":[{\"clusterTrustBundle\":{}}]}}", NULL, ERR_INVALID },
};

static char *describe(const struct payload *p)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_puts(&b, "");
	for (size_t i = 0; i < p->n; i++) {
		bool binary = memchr(p->at[i].data, 0, p->at[i].len);
		buf_printf(&b, "%s=", p->at[i].path);
		buf_put_str(&b, binary ? STR("...") : (struct str){ p->at[i].data, p->at[i].len });
		buf_printf(&b, "@%o;", p->at[i].mode);
	}
	return b.ptr ? buf_take(&b) : xstrdup("");
}

static void test_payloads(void **state)
{
	cleanup(json_decrefp) json_t *objects = parse(objects_text), *pod = parse(pod_text);
	struct payload_sources s = { pod, objects, find_object, find_token, find_resource };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		cleanup(json_decrefp) json_t *volume = parse(payloads[i].volume);
		struct payload p;
		struct err e = { 0 };
		int rc = payload_build(volume, &s, &p, &e);
		assert_int_equal(rc, payloads[i].files ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(e.reason, payloads[i].reason);
			continue;
		}
		cleanup(freep) char *text = describe(&p);
		assert_string_equal(text, payloads[i].files);
		assert_true(payload_equal(&p, &p));
		payload_done(&p);
	}
}

static const struct {
	const char *path, *value;
} fields[] = {
	{ "metadata.name", "p" },
	{ "metadata.uid", "u" },
	{ "spec.nodeName", "n1" },
	{ "status.podIP", "10.0.0.1" },
	{ "metadata.labels['a']", "x\"y" },
	{ "metadata.labels['none']", "" },
	{ "metadata.annotations['k']", "v" },
	{ "metadata.labels['a", NULL },
	{ "spec.containers", NULL },
	{ "metadata.labels['']", "" },
};

static void test_fields(void **state)
{
	cleanup(json_decrefp) json_t *pod = parse(pod_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		cleanup(freep) char *value = pod_field_value(pod, fields[i].path);
		if (fields[i].value)
			assert_string_equal(value, fields[i].value);
		else
			assert_null(value);
	}
}

static void assert_file(const char *dir, const char *name, const char *data)
{
	cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
	struct buf b;
	struct err e;

	buf_init(&b, 4096);
	int rc = file_read(path, &b, &e);
	assert_int_equal(rc, data ? 0 : -1);
	if (data)
		assert_true(str_eq_c(buf_str(&b), data));
	buf_done(&b);
}

/* Two writes: what is new comes, what is old goes, and everything is seen through ..data. */
static void test_writer(void **state)
{
	const struct volume_owner keep = { -1, -1 };
	struct payload first = { 0 }, second = { 0 };
	char dir[64], link[64];
	struct err e;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_node_volumes.XXXXXX");
	assert_non_null(mkdtemp(dir));
	payload_add(&first, "a", "1", 1, 0644);
	payload_add(&first, "sub/b", "2", 1, 0600);
	payload_add(&first, "sub/c", "3", 1, 0600);
	payload_add(&second, "a", "new", 3, 0400);
	payload_add(&second, "d", "4", 1, 0644);
	assert_int_equal(payload_write(dir, &first, keep, &e), 0);
	assert_file(dir, "a", "1");
	assert_file(dir, "sub/c", "3");
	assert_int_equal(payload_write(dir, &second, keep, &e), 0);
	assert_file(dir, "a", "new");
	assert_file(dir, "d", "4");
	assert_file(dir, "sub/b", NULL);
	cleanup(freep) char *a = xasprintf("%s/a", dir);
	ssize_t n = readlink(a, link, sizeof(link) - 1);
	assert_true(n > 0);
	link[n] = '\0';
	assert_string_equal(link, "..data/a");
	struct stat st;
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_false(payload_equal(&first, &second));
	payload_done(&first);
	payload_done(&second);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static const struct {
	const char *type, *path;
	bool ok;
} host_paths[] = {
	{ "", "/nonexistent/x", true },		{ "Directory", "/tmp", true },
	{ "Directory", "/nonexistent", false }, { "File", "/tmp", false },
	{ "File", "/proc/self/status", true },	{ "CharDevice", "/dev/null", true },
	{ "Socket", "/dev/null", false },	{ "BlockDevice", "/dev/null", false },
};

static void test_host_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(host_paths); i++) {
		struct volume_task t = { .kind = TASK_HOST_PATH,
					 .path = (char *)host_paths[i].path,
					 .host_type = host_path_type_find(host_paths[i].type) };
		struct err e;
		assert_non_null(t.host_type);
		assert_int_equal(volume_task_run(&t, &e), host_paths[i].ok ? 0 : -1);
	}
	assert_null(host_path_type_find("Pipe"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payloads),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_host_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
