/* kubeconfig.h - writing kubeconfigs: one per role, and the user's, merged.
 *
 * The user's file keeps every other cluster, user and context; only the entries called "portico"
 * are ours. current-context is set only where there is none.
 */
#pragma once

#include "codec/jx.h"
#include "roles/config.h"

/* "https://127.0.0.1:PORT" of config->api_address; on the heap. */
char *kubeconfig_server(const struct config *c);
/* A kubeconfig with embedded PEM data, as YAML (a JSON subset); on the heap. */
char *kubeconfig_text(const char *server, const char *ca_path, const char *cert_path, const char *key_path,
		      struct err *e) must_check;
/* Merges <data-dir>/admin.kubeconfig into the calling user's file ($KUBECONFIG, else ~/.kube/config of $SUDO_USER or
 * of this user). *ret_path is that file, on the heap; *ret_current says whether "portico" is the current context. */
int kubeconfig_merge_user(const struct config *c, char **ret_path, bool *ret_current, struct err *e) must_check;
/* Where kubectl would look ($KUBECONFIG, ~/.kube/config), after --kubeconfig; <data-dir>/admin.kubeconfig when there is
 * none of these. On the heap. */
char *kubeconfig_find(const struct config *c);
/* The merge itself: adds or replaces the entries called "portico" of `ours` in `theirs`. Exposed for tests. */
void kubeconfig_merge(json_t *theirs, const json_t *ours);
