/* containerd.h - the containerd that portico starts for itself: own configuration, root, state and socket. */
#pragma once

#include "roles/config.h"

#define SANDBOX_IMAGE "registry.k8s.io/pause:portico" /* made by the build, never pulled */

/* Where Debian or containerd's own packages put it; NULL and an error that says how to install it. */
const char *containerd_find(struct err *e) must_check;
const char *ctr_find(struct err *e) must_check;
char *containerd_socket(const struct config *c); /* on the heap */
char *containerd_config_path(const struct config *c);
/* Writes the configuration, and the CNI plugin's link to this program. */
int containerd_prepare(const struct config *c, struct err *e) must_check;
bool containerd_answers(const struct config *c); /* its socket accepts */
/* Imports an OCI layout or docker archive (a tar file; "-" is stdin_fd) into the k8s.io namespace with ctr. Blocks.
 * *ret_names gets what ctr printed, on the heap. */
int containerd_import(const struct config *c, const char *path, int stdin_fd, char **ret_names, struct err *e) must_check;
/* "my-app:1" → "docker.io/library/my-app:1", "team/app:1" → "docker.io/team/app:1"; NULL when it names its registry
 * already. On the heap. (distribution/reference, normalised names: what CRI looks images up by.) */
char *image_name_normalised(struct str name);
/* The built-in sandbox image, once per containerd root. Blocks. */
int containerd_load_pause(const struct config *c, struct err *e) must_check;
