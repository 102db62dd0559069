#include "roles/cli/kubeconfig.h"

#include "base/file.h"
#include "codec/base64.h"
#include "kube/schema/decode.h"
#include "roles/cli/yaml_out.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KUBECONFIG_BYTES (4u << 20) /* users with hundreds of clusters have 1 MiB */
#define ENTRY "portico"

static const char *const sections[] = { "clusters", "users", "contexts" };

char *kubeconfig_server(const struct config *c)
{
	const char *colon = strrchr(c->api_address, ':');

	return xasprintf("https://127.0.0.1:%s", colon ? colon + 1 : "6443");
}

static json_t *file_base64(const char *path, struct err *e)
{
	struct buf text, b64;
	json_t *out = NULL;

	buf_init(&text, KUBECONFIG_BYTES);
	buf_init(&b64, KUBECONFIG_BYTES * 2);
	if (file_read(path, &text, e) == 0 && base64_put(&b64, buf_str(&text)) == 0)
		out = json_stringn(b64.ptr, b64.len);
	buf_done(&text);
	buf_done(&b64);
	return out;
}

char *kubeconfig_text(const char *server, const char *ca_path, const char *cert_path, const char *key_path,
		      struct err *e)
{
	json_t *ca = file_base64(ca_path, e);
	json_t *cert = ca ? file_base64(cert_path, e) : NULL;
	json_t *key = cert ? file_base64(key_path, e) : NULL;

	if (!key) {
		json_decref(ca);
		json_decref(cert);
		return NULL;
	}
	json_t *root = json_pack("{s:s, s:s, s:[{s:s, s:{s:s, s:o}}], s:[{s:s, s:{s:o, s:o}}],"
				 " s:[{s:s, s:{s:s, s:s}}], s:s}",
				 "apiVersion", "v1", "kind", "Config",
				 "clusters", "name", ENTRY, "cluster", "server", server, "certificate-authority-data", ca,
				 "users", "name", ENTRY, "user", "client-certificate-data", cert, "client-key-data", key,
				 "contexts", "name", ENTRY, "context", "cluster", ENTRY, "user", ENTRY,
				 "current-context", ENTRY);
	char *text = yaml_text(root);
	json_decref(root);
	return text;
}

static size_t entry_index(const json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
		if (c_eq(jx_str(item, "name"), ENTRY))
			return i;
	return json_array_size(list);
}

void kubeconfig_merge(json_t *theirs, const json_t *ours)
{
	for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
		const json_t *from = json_object_get(ours, sections[s]);
		json_t *to = json_object_get(theirs, sections[s]);
		json_t *item = json_array_get(from, entry_index(from));

		if (!json_is_array(to)) {
			to = json_array();
			json_object_set_new(theirs, sections[s], to);
		}
		size_t at = entry_index(to);
		if (at < json_array_size(to))
			json_array_set(to, at, item);
		else
			json_array_append(to, item);
	}
	const char *current = jx_str(theirs, "current-context");
	if (!current || !current[0])
		json_object_set_new(theirs, "current-context", json_string(ENTRY));
}

/* Where kubectl of the person at the keyboard looks; under sudo that is not root. */
static char *user_path(uid_t *ret_uid, gid_t *ret_gid)
{
	const char *env = getenv("KUBECONFIG"), *sudo_user = getenv("SUDO_USER"), *home = getenv("HOME");
	struct passwd *pw = sudo_user && geteuid() == 0 ? getpwnam(sudo_user) : NULL;
	struct str rest;

	*ret_uid = pw ? pw->pw_uid : geteuid();
	*ret_gid = pw ? pw->pw_gid : getegid();
	if (env && env[0])
		return str_dup(str_cut(str_of(env), ':', &rest));
	if (pw)
		return xasprintf("%s/.kube/config", pw->pw_dir);
	return xasprintf("%s/.kube/config", home && home[0] ? home : "/root");
}

char *kubeconfig_find(const struct config *c)
{
	uid_t uid;
	gid_t gid;
	cleanup(freep) char *path = c->kubeconfig ? xstrdup(c->kubeconfig) : user_path(&uid, &gid);
	cleanup(freep) char *admin = xasprintf("%s/admin.kubeconfig", c->data_dir);

	if (!c->kubeconfig && access(path, F_OK) == -1 && access(admin, R_OK) == 0)
		return TAKE_PTR(admin);
	return TAKE_PTR(path);
}

static json_t *load_yaml(const char *path, struct err *e)
{
	struct buf text;

	buf_init(&text, KUBECONFIG_BYTES);
	json_t *root = file_read(path, &text, e) < 0 ? NULL : yaml_to_json(buf_str(&text), KUBECONFIG_BYTES, e);
	buf_done(&text);
	if (root && !json_is_object(root)) {
		json_decref(root);
		root = json_object(); /* an empty file is an empty kubeconfig */
	}
	if (!root)
		err_wrap(e, "kubeconfig '%s'", path);
	return root;
}

static int make_parent(const char *path, uid_t uid, gid_t gid, struct err *e)
{
	cleanup(freep) char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');

	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (access(dir, F_OK) == 0)
		return 0;
	if (dir_make(dir, 0750, e) < 0)
		return -1;
	return chown(dir, uid, gid) == -1 ? err_errno(e, errno, "give '%s' to uid %u", dir, uid) : 0;
}

static int store_yaml(const char *path, const json_t *root, uid_t uid, gid_t gid, struct err *e)
{
	cleanup(freep) char *text = yaml_text(root);

	if (make_parent(path, uid, gid, e) < 0 || file_write(path, str_of(text), 0600, e) < 0)
		return -1;
	return chown(path, uid, gid) == -1 ? err_errno(e, errno, "give '%s' to uid %u", path, uid) : 0;
}

int kubeconfig_merge_user(const struct config *c, char **ret_path, bool *ret_current, struct err *e)
{
	uid_t uid;
	gid_t gid;
	cleanup(freep) char *path = user_path(&uid, &gid);
	cleanup(freep) char *admin = xasprintf("%s/admin.kubeconfig", c->data_dir);
	cleanup(json_decrefp) json_t *ours = load_yaml(admin, e);
	cleanup(json_decrefp) json_t *theirs = !ours ? NULL : access(path, F_OK) == 0 ? load_yaml(path, e) : json_object();

	if (!theirs)
		return -1;
	if (json_object_size(theirs) == 0) {
		json_object_set_new(theirs, "apiVersion", json_string("v1"));
		json_object_set_new(theirs, "kind", json_string("Config"));
	}
	kubeconfig_merge(theirs, ours);
	if (store_yaml(path, theirs, uid, gid, e) < 0)
		return -1;
	*ret_current = c_eq(jx_str(theirs, "current-context"), ENTRY);
	*ret_path = TAKE_PTR(path);
	return 0;
}
