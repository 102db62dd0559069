/* kubeconfig files (client-go tools/clientcmd/api/v1) and a pod's own credentials. */
#include "kube/client/client.h"

#include "base/file.h"
#include "codec/base64.h"
#include "kube/schema/decode.h"

#include <string.h>

#define KUBECONFIG_BYTES_MAX (4u << 20) /* a few hundred clusters with inline certificates */
#define CREDENTIAL_BYTES_MAX (1u << 20) /* a bundle of all public roots is a quarter of this */
#define SA_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

void kube_config_done(struct kube_config *c)
{
	free(c->server);
	free(c->ca_pem);
	free(c->cert_pem);
	free(c->key_pem);
	free(c->token);
	free(c->token_file);
	free(c->tls_server_name);
	*c = (struct kube_config){ 0 };
}

/* The member called `name` of a kubeconfig list such as {"clusters":[{"name":…,"cluster":{…}}]}. */
static const json_t *entry_named(const json_t *root, const char *list, const char *member,
				 const char *name)
{
	const json_t *entries = json_object_get(root, list), *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
		if (c_eq(jx_str(entry, "name"), name))
			return json_object_get(entry, member);
	return NULL;
}

static int decode_base64(const char *text, const char *field, char **ret_data, struct err *e)
{
	struct buf out;
	size_t bad_at;

	buf_init(&out, CREDENTIAL_BYTES_MAX);
	if (base64_decode(str_of(text), &out, &bad_at) < 0) {
		buf_done(&out);
		return err_set(e, ERR_BAD_REQUEST, "%s is no base64 text", field);
	}
	*ret_data = buf_take(&out);
	return 0;
}

static char *path_beside(const char *config_path, const char *file)
{
	const char *slash = strrchr(config_path, '/');

	if (file[0] == '/' || !slash)
		return xstrdup(file);
	return xasprintf("%.*s/%s", (int)(slash - config_path), config_path, file);
}

static int read_text(const char *path, char **ret_text, struct err *e)
{
	struct buf b;

	buf_init(&b, CREDENTIAL_BYTES_MAX);
	int rc = file_read(path, &b, e);
	if (rc == 0)
		*ret_text = str_dup(buf_str(&b));
	buf_done(&b);
	return rc;
}

/* "client-key-data" if there, else the file that "client-key" names, else nothing. */
static int credential(const json_t *obj, const char *field, const char *config_path, char **ret_pem,
		      struct err *e)
{
	cleanup(freep) char *data_field = xasprintf("%s-data", field);
	const char *data = jx_str(obj, data_field), *file = jx_str(obj, field);

	if (data && data[0])
		return decode_base64(data, data_field, ret_pem, e);
	if (!file || !file[0])
		return 0;
	cleanup(freep) char *path = path_beside(config_path, file);
	return read_text(path, ret_pem, e) < 0 ? err_wrap(e, "%s", field) : 0;
}

static int take_cluster(const json_t *cluster, const char *path, struct kube_config *c,
			struct err *e)
{
	const char *server = jx_str(cluster, "server");

	if (!server)
		return err_set(e, ERR_BAD_REQUEST,
			       "the cluster of the current context has no server");
	if (jx_bool(cluster, "insecure-skip-tls-verify", false))
		return err_set(e, ERR_BAD_REQUEST,
			       "insecure-skip-tls-verify is not supported: give the "
			       "cluster's certificate-authority");
	c->server = xstrdup(server);
	c->tls_server_name = xstrdup(jx_str(cluster, "tls-server-name"));
	return credential(cluster, "certificate-authority", path, &c->ca_pem, e);
}

static int take_user(const json_t *user, const char *path, struct kube_config *c, struct err *e)
{
	const char *token_file = jx_str(user, "tokenFile");

	if (jx_at(user, "exec") || jx_at(user, "auth-provider"))
		return err_set(e, ERR_BAD_REQUEST,
			       "the user needs a credential plugin, which is not supported");
	c->token = xstrdup(jx_str(user, "token"));
	if (token_file && token_file[0])
		c->token_file = path_beside(path, token_file);
	if (credential(user, "client-certificate", path, &c->cert_pem, e) < 0)
		return -1;
	return credential(user, "client-key", path, &c->key_pem, e);
}

static int take_context(const json_t *root, const char *path, struct kube_config *c, struct err *e)
{
	const char *name = jx_str(root, "current-context");
	const json_t *context = name ? entry_named(root, "contexts", "context", name) : NULL;

	if (!context)
		return err_set(e, ERR_BAD_REQUEST, "current-context '%s' is not in contexts",
			       name ? name : "");
	const char *cluster = jx_str(context, "cluster"), *user = jx_str(context, "user");
	const json_t *cluster_obj =
		cluster ? entry_named(root, "clusters", "cluster", cluster) : NULL;
	const json_t *user_obj = user ? entry_named(root, "users", "user", user) : NULL;

	if (!cluster_obj)
		return err_set(e, ERR_BAD_REQUEST, "cluster '%s' is not in clusters",
			       cluster ? cluster : "");
	if (user && user[0] && !user_obj)
		return err_set(e, ERR_BAD_REQUEST, "user '%s' is not in users", user);
	if (take_cluster(cluster_obj, path, c, e) < 0)
		return -1;
	return take_user(user_obj, path, c, e);
}

int kube_config_load(const char *path, struct kube_config *ret_config, struct err *e)
{
	struct kube_config c = { 0 };
	struct buf text;
	int rc;

	buf_init(&text, KUBECONFIG_BYTES_MAX);
	rc = file_read(path, &text, e);
	cleanup(json_decrefp) json_t *root =
		rc == 0 ? yaml_to_json(buf_str(&text), KUBECONFIG_BYTES_MAX, e) : NULL;
	buf_done(&text);
	if (rc < 0)
		return -1; /* file_read named the path */
	if (!root || take_context(root, path, &c, e) < 0) {
		kube_config_done(&c);
		return err_wrap(e, "kubeconfig %s", path);
	}
	*ret_config = c;
	return 0;
}

int kube_config_in_cluster(struct kube_config *ret_config, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct kube_config c = { 0 };

	if (!host || !port)
		return err_set(e, ERR_BAD_REQUEST,
			       "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are "
			       "not set: this is no pod");
	if (read_text(SA_DIR "/ca.crt", &c.ca_pem, e) < 0 ||
	    read_text(SA_DIR "/token", &c.token, e) < 0) {
		kube_config_done(&c);
		return -1;
	}
	c.token[strcspn(c.token, "\r\n")] = '\0';
	c.token_file = xstrdup(SA_DIR "/token");
	c.server = strchr(host, ':') ? xasprintf("https://[%s]:%s", host, port)
				     : xasprintf("https://%s:%s", host, port);
	*ret_config = c;
	return 0;
}
