/* pods.h - which pods this node has: the API's wishes joined with what the runtime already runs. */
#pragma once

#include "roles/node/node.h"
#include "roles/node/pod.h"

/* Asks the runtime what it has, then begins to watch the API. */
void pods_start(struct node *n);
void pods_stop(struct node *n); /* containers go on */
struct pod *pods_find(const struct node *n, const char *ns,
		      const char *name); /* NULL if there is none */
