#include "base/file.h"
#include "kube/client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/portico-test-kubeconfig-XXXXXX";

static void put(const char *name, const char *text)
{
	struct err e;
	cleanup(freep) char *path = xasprintf("%s/%s", dir, name);

	if (file_write(path, str_of(text), 0600, &e) < 0)
		fail_msg("%s", e.message);
}

static int load(const char *text, struct kube_config *c, struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/config", dir);

	put("config", text);
	return kube_config_load(path, c, e);
}

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
#define CONTEXTS                                                                                   \
	"contexts:\n- name: other\n  context: {cluster: x, user: y}\n"                             \
	"- name: here\n  context:\n    cluster: c1\n    user: u1\n    namespace: default\n"

static void test_inline_data(void **state)
{
	(void)state;
	struct kube_config c;
	struct err e;
	/* "CA", "CERT" and "KEY!" in base64 */
	int rc = load(HEAD CONTEXTS
		      "clusters:\n- name: c1\n  cluster:\n    server: https://127.0.0.1:6443\n"
		      "    certificate-authority-data: Q0E=\n    tls-server-name: kube\n"
		      "users:\n- name: u1\n  user:\n    client-certificate-data: Q0VSVA==\n"
		      "    client-key-data: S0VZIQ==\n",
		      &c, &e);

	if (rc < 0)
		fail_msg("%s", e.message);
	assert_string_equal(c.server, "https://127.0.0.1:6443");
	assert_string_equal(c.ca_pem, "CA");
	assert_string_equal(c.cert_pem, "CERT");
	assert_string_equal(c.key_pem, "KEY!");
	assert_string_equal(c.tls_server_name, "kube");
	assert_null(c.token);
	kube_config_done(&c);
}

static void test_files_beside_it(void **state)
{
	(void)state;
	struct kube_config c;
	struct err e;

	put("ca.crt", "the CA");
	put("tok", "secret\n");
	int rc = load(
		"{\"current-context\":\"here\","
		"\"contexts\":[{\"name\":\"here\",\"context\":{\"cluster\":\"c1\",\"user\":\"u1\"}}"
		"],"
		"\"clusters\":[{\"name\":\"c1\",\"cluster\":{\"server\":\"https://"
		"k\",\"certificate-authority\":\"ca.crt\"}}],"
		"\"users\":[{\"name\":\"u1\",\"user\":{\"token\":\"t\",\"tokenFile\":\"tok\"}}]}",
		&c, &e);
	if (rc < 0)
		fail_msg("%s", e.message);
	assert_string_equal(c.ca_pem, "the CA");
	assert_string_equal(c.token, "t");
	cleanup(freep) char *path = xasprintf("%s/tok", dir);
	assert_string_equal(c.token_file, path);
	kube_config_done(&c);
}

static void test_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ HEAD, "current-context 'here' is not in contexts" },
		{ "contexts: []\n", "current-context '' is not in contexts" },
		{ HEAD CONTEXTS, "cluster 'c1' is not in clusters" },
		{ HEAD CONTEXTS "clusters: [{name: c1, cluster: {server: 'https://k'}}]\n",
		  "user 'u1' is not in users" },
		{ HEAD CONTEXTS
		  "clusters: [{name: c1, cluster: {}}]\nusers: [{name: u1, user: {}}]\n",
		  "has no server" },
		{ HEAD CONTEXTS "clusters: [{name: c1, cluster: {server: 'https://k', "
				"certificate-authority-data: '!!'}}]\n"
				"users: [{name: u1, user: {}}]\n",
		  "certificate-authority-data is no base64 text" },
		{ HEAD CONTEXTS "clusters: [{name: c1, cluster: {server: 'https://k', "
				"certificate-authority: nowhere}}]\n"
				"users: [{name: u1, user: {}}]\n",
		  "nowhere" },
		{ HEAD CONTEXTS "clusters: [{name: c1, cluster: {server: 'https://k'}}]\n"
				"users: [{name: u1, user: {exec: {command: aws}}}]\n",
		  "credential plugin" },
		{ "a: [", "kubeconfig" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_config c;
		struct err e = { 0 };
		if (load(rows[i].text, &c, &e) == 0)
			fail_msg("accepted: %s", rows[i].text);
		if (!strstr(e.message, rows[i].message))
			fail_msg("expected '%s' in '%s'", rows[i].message, e.message);
	}
}

static void test_missing_file_and_no_pod(void **state)
{
	(void)state;
	struct kube_config c;
	struct err e;

	assert_int_equal(kube_config_load("/nonexistent/config", &c, &e), -1);
	assert_non_null(strstr(e.message, "/nonexistent/config"));
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kube_config_in_cluster(&c, &e), -1);
	assert_non_null(strstr(e.message, "this is no pod"));
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	struct err e;

	(void)state;
	return dir_remove(dir, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inline_data),
		cmocka_unit_test(test_files_beside_it),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_missing_file_and_no_pod),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
