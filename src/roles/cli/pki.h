/* pki.h - the cluster's certificates: one CA, P-256 keys, made at the first `portico up`.
 *
 * Names follow kubeadm's pki folder and Kubernetes' "PKI certificates and requirements". Existing files are
 * kept; a certificate that ends within 30 days, or does not name what it must, is made anew.
 */
#pragma once

#include "roles/config.h"

/* Fills <data-dir>/pki and writes a kubeconfig per role into <run-dir>, and <data-dir>/admin.kubeconfig. */
int pki_ensure(const struct config *c, struct err *e) must_check;
/* The uid a role runs as: from the range that systemd leaves to dynamic users. 0 for root roles. */
uid_t role_uid(const char *role);
