#include "base/file.h"
#include "codec/jx.h"
#include "roles/node/cni_conf.h"
#include "roles/node/cni_ipam.h"
#include "roles/node/cni_link.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CONF(members)                                                                              \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"portico\",\"type\":\"portico-cni\"," members "}"
static const struct {
	const char *text;
	enum err_reason reason; /* ERR_NONE: accepted */
} confs[] = {
	{ CONF("\"podCIDR\":\"10.244.0.0/24\",\"ipamDir\":\"/x\""), ERR_NONE },
	{ CONF("\"podCIDR\":\"10.244.0.0/24\",\"ipamDir\":\"/"
	       "x\",\"mtu\":1400,\"nodeIP\":\"192.0.2.1\""),
	  ERR_NONE },
	{ "{\"cniVersion\":\"0.3.1\",\"name\":\"cni-loopback\",\"type\":\"loopback\"}", ERR_NONE },
	{ "{\"cniVersion\":\"0.2.0\",\"type\":\"loopback\"}", ERR_NOT_ACCEPTABLE },
	{ "{\"type\":\"loopback\"}", ERR_NOT_ACCEPTABLE },
	{ "{", ERR_BAD_REQUEST },
	{ CONF("\"ipamDir\":\"/x\""), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0.0/33\",\"ipamDir\":\"/x\""), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0.0/31\",\"ipamDir\":\"/x\""), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0/24\",\"ipamDir\":\"/x\""), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0.0/24\",\"ipamDir\":\"x\""), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0.0/24\",\"ipamDir\":\"/x\",\"mtu\":70000"), ERR_INVALID },
	{ CONF("\"podCIDR\":\"10.244.0.0/24\",\"ipamDir\":\"/x\",\"nodeIP\":\"::1\""),
	  ERR_INVALID },
};

static void test_conf(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
		struct cni_conf c;
		struct err e = { 0 };
		int rc = cni_conf_parse(str_of(confs[i].text), &c, &e);
		assert_int_equal(rc, confs[i].reason == ERR_NONE ? 0 : -1);
		if (rc < 0)
			assert_int_equal(e.reason, confs[i].reason);
	}
}

/* What the node role writes, the runtime's plugin reads. */
static void test_conf_round(void **state)
{
	struct cni_conf c = { .version = "1.0.0",
			      .prefix_bits = 26,
			      .mtu = 1450,
			      .ipam_dir = "/run/x/ipam" },
			back;
	struct buf text;
	struct err e;

	(void)state;
	inet_pton(AF_INET, "10.1.2.64", &c.range);
	inet_pton(AF_INET, "192.0.2.7", &c.node_ip);
	buf_init(&text, CNI_CONF_BYTES);
	assert_int_equal(cni_conf_print(&c, &text), 0);
	cleanup(json_decrefp) json_t *list = jx_parse(buf_str(&text), CNI_CONF_BYTES, &e);
	json_t *plugin = json_array_get(json_object_get(list, "plugins"), 0);
	json_object_set(plugin, "cniVersion", json_object_get(list, "cniVersion"));
	cleanup(freep) char *one = jx_dump_text(plugin);
	assert_int_equal(cni_conf_parse(str_of(one), &back, &e), 0);
	assert_memory_equal(&c, &back, sizeof(c));
	buf_done(&text);
}

static void setup_range(struct cni_conf *c, char dir[64], const char *cidr)
{
	struct err e;

	*c = (struct cni_conf){ .version = "1.0.0", .mtu = 1500 };
	snprintf(dir, 64, "/tmp/test_node_cni.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(c->ipam_dir, sizeof(c->ipam_dir), "%s/ipam", dir);
	assert_int_equal(cni_cidr_parse(cidr, &c->range, &c->prefix_bits, &e), 0);
}

static void assert_taken(const struct cni_conf *c, const char *id, const char *netns,
			 const char *wanted)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr ip;
	struct err e;

	assert_int_equal(ipam_take(c, id, netns, &ip, &e), 0);
	inet_ntop(AF_INET, &ip, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static void test_ipam(void **state)
{
	struct cni_conf c;
	char dir[64];
	struct in_addr ip;
	struct err e;

	(void)state;
	setup_range(&c, dir, "10.5.0.9/29"); /* .8 to .15: .10 to .14 can be given */
	assert_taken(&c, "a", "/", "10.5.0.10");
	assert_taken(&c, "a", "/", "10.5.0.10");
	assert_taken(&c, "b", "/", "10.5.0.11");
	assert_int_equal(ipam_release(&c, "a", &e), 0);
	assert_int_equal(ipam_release(&c, "a", &e), 0);
	assert_taken(&c, "c", "/", "10.5.0.12"); /* a freed one rests as long as possible */
	assert_taken(&c, "d", "/gone/netns", "10.5.0.13");
	assert_taken(&c, "e", "/", "10.5.0.14");
	assert_taken(&c, "f", "/", "10.5.0.10");
	assert_taken(&c, "g", "/",
		     "10.5.0.13"); /* d's namespace does not exist: its entry is stale */
	assert_int_equal(ipam_take(&c, "h", "/", &ip, &e), -1);
	assert_int_equal(e.reason, ERR_UNAVAILABLE);
	assert_int_equal(ipam_find(&c, "e", &ip, &e), 0);
	assert_int_equal(ipam_find(&c, "a", &ip, &e), -1);
	assert_int_equal(e.reason, ERR_NOT_FOUND);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static void test_link_names(void **state)
{
	char a[IFNAMSIZ], b[IFNAMSIZ];

	(void)state;
	pod_link_name("1", a);
	pod_link_name("2", b);
	assert_int_equal(strlen(a), 15);
	assert_string_not_equal(a, b);
	assert_string_equal(pod_link_name("1", b), a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf),
		cmocka_unit_test(test_conf_round),
		cmocka_unit_test(test_ipam),
		cmocka_unit_test(test_link_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
