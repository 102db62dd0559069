/* Settings: defaults, command line, file, and what is refused. */
#include "roles/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

static void test_args(void **state)
{
	char *argv[] = { "up", "--node-name=n1", "extra", "--node-ip", "10.0.0.1", "--other", NULL };
	int argc = 6;
	struct config c;
	struct err e;

	(void)state;
	config_defaults(&c);
	assert_int_equal(config_parse_args(&c, &argc, argv, &e), 0);
	assert_string_equal(c.node_name, "n1");
	assert_string_equal(c.node_ip, "10.0.0.1");
	assert_string_equal(c.data_dir, "/var/lib/portico");
	assert_int_equal(argc, 3);
	assert_string_equal(argv[1], "extra");
	assert_string_equal(argv[2], "--other");
	assert_true(c.standalone);
	config_done(&c);
}

static void test_from(void **state)
{
	char *argv[] = { "ingress", "--from", "/m", "--http", "1.2.3.4:80", "--https=:443", "--workers=3", NULL };
	int argc = 7;
	struct config c;
	struct err e;

	(void)state;
	config_defaults(&c);
	assert_string_equal(c.ingress_admin_address, "127.0.0.1:10254");
	assert_in_range(config_workers(&c), 1, CONFIG_WORKERS_AUTO_MAX);
	assert_int_equal(config_parse_args(&c, &argc, argv, &e), 0);
	assert_int_equal(argc, 1);
	assert_string_equal(c.from, "/m");
	assert_string_equal(c.http_address, "1.2.3.4:80");
	assert_string_equal(c.https_address, ":443");
	assert_int_equal(config_workers(&c), 3);
	assert_false(c.standalone);
	config_done(&c);
}

static void test_missing_value(void **state)
{
	char *argv[] = { "up", "--node-ip", NULL };
	int argc = 2;
	struct config c;
	struct err e;

	(void)state;
	config_defaults(&c);
	assert_int_equal(config_parse_args(&c, &argc, argv, &e), -1);
	assert_non_null(strstr(e.message, "--node-ip needs a value"));
	config_done(&c);
}

static void test_switch(void **state)
{
	static const struct {
		char *args[3];
		const char *want, *left;
	} rows[] = {
		{ { "--watch-ingress-without-class", "--workers=2" }, "true", NULL },
		{ { "--workers=2", "--watch-ingress-without-class" }, "true", NULL },
		{ { "--watch-ingress-without-class", "false" }, "false", NULL },
		{ { "--watch-ingress-without-class=false", "x" }, "false", "x" },
		{ { "--watch-ingress-without-class", "x" }, "true", "x" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *argv[] = { "ingress", rows[i].args[0], rows[i].args[1], NULL };
		int argc = 3;
		struct config c;
		struct err e;

		config_defaults(&c);
		assert_int_equal(config_parse_args(&c, &argc, argv, &e), 0);
		assert_string_equal(c.watch_ingress_without_class, rows[i].want);
		assert_int_equal(argc, rows[i].left ? 2 : 1);
		if (rows[i].left)
			assert_string_equal(argv[1], rows[i].left);
		config_done(&c);
	}
}

static void test_file(void **state)
{
	char path[] = "/tmp/portico-config-XXXXXX";
	struct config c, back;
	struct err e;

	(void)state;
	close(mkstemp(path));
	config_defaults(&c);
	c.kubeconfig = xstrdup("/k");
	assert_int_equal(config_save(&c, path, &e), 0);
	config_defaults(&back);
	assert_int_equal(config_load(&back, path, &e), 0);
	assert_string_equal(back.kubeconfig, "/k");
	assert_string_equal(back.service_cidr, "10.96.0.0/12");
	assert_false(back.standalone);
	config_done(&c);
	config_done(&back);
	unlink(path);
	config_defaults(&back);
	assert_int_equal(config_load(&back, path, &e), -1);
	config_done(&back);
}

static void test_check(void **state)
{
	static const struct {
		char *arg;
		const char *want; /* part of the error; NULL: accepted */
	} rows[] = {
		{ "--service-cidr=10.0.0.0/16", NULL },
		{ "--service-cidr=10.0.0.0", "--service-cidr" },
		{ "--service-cidr=10.0.0.1/16", "--service-cidr" },
		{ "--cluster-cidr=10.0.0.0/33", "--cluster-cidr" },
		{ "--workers=129", "--workers" },
		{ "--workers=two", "--workers" },
		{ "--dns-ip=ten", "--dns-ip" },
		{ "--node-ip=1.2.3", "--node-ip" },
		{ "--relaxed-service-names=true", NULL },
		{ "--relaxed-service-names=yes", "--relaxed-service-names" },
		{ "--node-port-range=30000-32767", NULL },
		{ "--node-port-range=32767-30000", "--node-port-range" },
		{ "--node-port-range=1-70000", "--node-port-range" },
		{ "--node-port-range=1-2x", "--node-port-range" },
		{ "--log-level=loud", "--log-level" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *argv[] = { "up", rows[i].arg, NULL };
		int argc = 2;
		struct config c;
		struct err e = { 0 };
		config_defaults(&c);
		assert_int_equal(config_parse_args(&c, &argc, argv, &e), 0);
		int rc = config_check(&c, &e);
		if ((rc < 0) != (rows[i].want != NULL) || (rows[i].want && !strstr(e.message, rows[i].want)))
			fail_msg("%s: %d %s", rows[i].arg, rc, e.message);
		config_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args), cmocka_unit_test(test_from), cmocka_unit_test(test_missing_value),
		cmocka_unit_test(test_switch), cmocka_unit_test(test_file), cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
