/* handlers.h - what the routes of dispatch.c lead to. Each answers its request exactly once. */
#pragma once

#include "roles/apiserver/request.h"

void handle_get(struct request *q);
void handle_list(struct request *q);
void handle_watch(struct request *q);
void handle_create(struct request *q);
void handle_update(struct request *q);
void handle_patch(struct request *q);
void handle_delete(struct request *q);
void handle_delete_collection(struct request *q);

void handle_scale_get(struct request *q);
void handle_scale_update(struct request *q);
void handle_scale_patch(struct request *q);
void handle_binding(struct request *q);
void handle_eviction(struct request *q);
void handle_token(struct request *q);
void handle_log(struct request *q);
void handle_stream(struct request *q); /* exec, attach, portforward */
void handle_proxy(struct request *q);  /* of pods and services */

void handle_token_review(struct request *q);
void handle_access_review(
	struct request *q); /* Subject-, LocalSubject- and SelfSubjectAccessReview */
void handle_rules_review(struct request *q);
void handle_self_review(struct request *q);

/* Paths that are no resource's: discovery, OpenAPI, health, version, metrics. */
void handle_path(struct request *q);

/* Watches get their events from the store through this. */
void watch_dispatch(struct apiserver *api, const struct event *ev);
