/* pod_tokens.h - service account tokens bound to a pod, renewed before they expire. TokenRequest
 * API. */
#pragma once

#include "roles/node/pod.h"

struct pod_tokens;
struct pod_tokens *pod_tokens_new(struct pod *p);
void pod_tokens_free(struct pod_tokens *t);
/* For a projected serviceAccountToken source; NULL while the first one is on its way (then the pod
 * is woken). A failure is told by an event and tried again. */
const char *pod_token(struct pod_tokens *t, const json_t *source);
