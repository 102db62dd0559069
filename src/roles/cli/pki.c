#include "roles/cli/pki.h"

#include "base/file.h"
#include "base/log.h"
#include "roles/cli/kubeconfig.h"
#include "net/x509.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CA_DAYS 3650
#define CERT_DAYS 365
#define RENEW_BEFORE_SECONDS (30 * 86400)
#define FIRST_ROLE_UID 61184 /* systemd.io/UIDS-GIDS: 61184-65519 are for dynamic service users */
#define SANS_BYTES 1024

/* One certificate of the folder. `role` also gets a kubeconfig; "%s" in names is the node's name. */
static const struct pki_row {
	const char *file;	  /* pki/FILE.crt and .key */
	const char *common_name, *organization;
	const char *owner;	  /* the role whose uid may read the key */
	const char *role;	  /* gets <run-dir>/ROLE.kubeconfig; NULL if none */
	bool server;
} rows[] = {
	{ "apiserver", "kube-apiserver", NULL, "apiserver", NULL, true },
	{ "apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters", "apiserver", NULL, false },
	{ "kubelet", "system:node:%s", "system:nodes", "node", NULL, true },
	{ "admin", "kubernetes-admin", "system:masters", NULL, "admin", false },
	{ "node", "system:node:%s", "system:nodes", "node", "node", false },
	{ "controllers", "system:portico:controllers", NULL, "controllers", "controllers", false },
	{ "proxy", "system:portico:proxy", NULL, "proxy", "proxy", false },
	{ "dns", "system:portico:dns", NULL, "dns", "dns", false },
	{ "lb", "system:portico:lb", NULL, "lb", "lb", false },
	{ "ingress", "system:portico:ingress", NULL, "ingress", "ingress", false },
};

/* Order is part of the installation: a role keeps its uid, so new ones go to the end. */
static const char *const uid_order[] = { "apiserver", "controllers", "dns", "ingress", "proxy", "lb" };

uid_t role_uid(const char *role)
{
	for (size_t i = 0; role && i < ARRAY_LEN(uid_order); i++)
		if (c_eq(role, uid_order[i]))
			return FIRST_ROLE_UID + (uid_t)i;
	return 0;
}

struct ca {
	X509 *cert;
	EVP_PKEY *key;
	char *pem;
};

static char *pki_path(const struct config *c, const char *file, const char *suffix)
{
	return xasprintf("%s/pki/%s%s", c->data_dir, file, suffix);
}

static int write_owned(const char *path, const char *text, mode_t mode, uid_t uid, struct err *e)
{
	if (file_write(path, str_of(text), mode, e) < 0)
		return -1;
	if (chown(path, uid, uid) == -1)
		return err_errno(e, errno, "give '%s' to uid %u", path, uid);
	return 0;
}

static int ca_ensure(const struct config *c, struct ca *ca, struct err *e)
{
	cleanup(freep) char *crt = pki_path(c, "ca", ".crt");
	cleanup(freep) char *key = pki_path(c, "ca", ".key");
	struct x509_request r = { .common_name = "portico-ca", .ca = true, .days = CA_DAYS };

	if (access(key, F_OK) == 0) {
		ca->key = x509_load_key(key, e);
		ca->cert = ca->key ? x509_load(crt, e) : NULL;
	} else {
		ca->key = x509_new_key(e);
		ca->cert = ca->key ? x509_issue(&r, ca->key, NULL, NULL, e) : NULL;
		cleanup(freep) char *key_pem = ca->cert ? x509_key_pem(ca->key) : NULL;
		cleanup(freep) char *pem = ca->cert ? x509_pem(ca->cert) : NULL;
		if (!ca->cert || write_owned(crt, pem, 0644, 0, e) < 0 || write_owned(key, key_pem, 0600, 0, e) < 0)
			return err_wrap(e, "certificate authority");
	}
	if (!ca->cert)
		return err_wrap(e, "certificate authority");
	ca->pem = x509_pem(ca->cert);
	return 0;
}

static void ca_done(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca->pem);
}

/* The first address of a CIDR such as "10.96.0.0/12": the kubernetes Service's ClusterIP. */
static void first_address(const char *cidr, char out[64])
{
	unsigned a, b, c, d;

	out[0] = '\0';
	if (sscanf(cidr, "%3u.%3u.%3u.%3u", &a, &b, &c, &d) == 4)
		snprintf(out, 64, "%u.%u.%u.%u", a, b, c, d + 1);
}

static void server_sans(const struct config *c, char out[SANS_BYTES])
{
	char service_ip[64];

	first_address(c->service_cidr, service_ip);
	snprintf(out, SANS_BYTES,
		 "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.%s,"
		 "DNS:localhost,DNS:%s,IP:127.0.0.1,IP:::1,IP:%s,IP:%s",
		 c->cluster_domain, c->node_name, c->node_ip, service_ip);
}

/* Still good: signed by this CA, not about to end, and (servers) naming today's node address. */
static bool still_good(const char *path, const struct ca *ca, const struct config *c, bool server)
{
	struct err ignored;
	X509 *cert = access(path, F_OK) == 0 ? x509_load(path, &ignored) : NULL;
	time_t limit = time(NULL) + RENEW_BEFORE_SECONDS;
	bool good = cert && X509_verify(cert, ca->key) == 1 && X509_cmp_time(X509_get0_notAfter(cert), &limit) > 0 &&
		    (!server || X509_check_ip_asc(cert, c->node_ip, 0) == 1);

	X509_free(cert);
	return good;
}

static int row_ensure(const struct config *c, const struct pki_row *row, const struct ca *ca, struct err *e)
{
	cleanup(freep) char *crt = pki_path(c, row->file, ".crt");
	cleanup(freep) char *key_path = pki_path(c, row->file, ".key");
	char name[256], sans[SANS_BYTES];

	if (access(key_path, F_OK) == 0 && still_good(crt, ca, c, row->server))
		return 0;
	if (strchr(row->common_name, '%'))
		snprintf(name, sizeof(name), "system:node:%s", c->node_name);
	else
		snprintf(name, sizeof(name), "%s", row->common_name);
	server_sans(c, sans);
	struct x509_request r = { .common_name = name, .organization = row->organization,
				  .sans = row->server ? sans : NULL, .server = row->server,
				  .client = !row->server, .days = CERT_DAYS };
	EVP_PKEY *key = x509_new_key(e);
	X509 *cert = key ? x509_issue(&r, key, ca->cert, ca->key, e) : NULL;
	int rc = -1;
	if (cert) {
		cleanup(freep) char *pem = x509_pem(cert);
		cleanup(freep) char *key_pem = x509_key_pem(key);
		if (write_owned(crt, pem, 0644, 0, e) == 0)
			rc = write_owned(key_path, key_pem, 0600, role_uid(row->owner), e);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

static int sa_key_ensure(const struct config *c, struct err *e)
{
	cleanup(freep) char *path = pki_path(c, "sa", ".key");

	if (access(path, F_OK) == 0)
		return 0;
	EVP_PKEY *key = x509_new_key(e);
	if (!key)
		return -1;
	cleanup(freep) char *pem = x509_key_pem(key);
	EVP_PKEY_free(key);
	return write_owned(path, pem, 0600, role_uid("apiserver"), e);
}

static int kubeconfig_ensure(const struct config *c, const struct pki_row *row, struct err *e)
{
	cleanup(freep) char *crt = pki_path(c, row->file, ".crt");
	cleanup(freep) char *key = pki_path(c, row->file, ".key");
	cleanup(freep) char *ca = pki_path(c, "ca", ".crt");
	bool admin = c_eq(row->role, "admin");
	cleanup(freep) char *path = admin ? xasprintf("%s/admin.kubeconfig", c->data_dir) :
					    xasprintf("%s/%s.kubeconfig", c->run_dir, row->role);
	cleanup(freep) char *server = kubeconfig_server(c);
	cleanup(freep) char *text = kubeconfig_text(server, ca, crt, key, e);

	return text ? write_owned(path, text, 0600, role_uid(row->role), e) : -1;
}

int pki_ensure(const struct config *c, struct err *e)
{
	cleanup(freep) char *dir = xasprintf("%s/pki", c->data_dir);
	struct ca ca = { 0 };

	int rc = dir_make(dir, 0755, e) < 0 || ca_ensure(c, &ca, e) < 0 || sa_key_ensure(c, e) < 0 ? -1 : 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
		rc = row_ensure(c, &rows[i], &ca, e);
		if (rc == 0 && rows[i].role)
			rc = kubeconfig_ensure(c, &rows[i], e);
	}
	ca_done(&ca);
	return rc;
}
