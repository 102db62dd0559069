/* check.h - what the proxy will do with objects, told before it gets them.
 *
 * Objects go through the same model that the running proxy builds its routes with; nothing is guessed. The report is JSON,
 * printed as it is or as text.
 */
#pragma once

#include "codec/jx.h"
#include "kube/schema/schema.h"

#define CHECK_CONFIGMAP "ingress-nginx/ingress-nginx-controller"

/* How bad a finding is, best first; an Ingress is as bad as its worst. */
enum verdict { WORKS, NOTED, IGNORED, DIFFERS, WRONG, N_VERDICTS };

struct check;
struct check *check_new(const char *configmap); /* "ns/name" of the global settings */
void check_free(struct check *c);
/* `from` says where it was read ("front.yaml:3"); `obj` is borrowed. Kinds that routing does not need are left alone. */
void check_add(struct check *c, const struct resource *storage, const json_t *obj, const char *from);
/* All objects of this kind are known, be they none: references to missing ones are wrong. */
void check_complete(struct check *c, const char *kind);
void check_unreadable(struct check *c, const char *from, const char *message); /* could not be read: an error */
void check_remark(struct check *c, const char *from, const char *message);     /* something was left out of it */
/* After the last object; a new reference. *ret_worst is that of all Ingresses. */
json_t *check_report(struct check *c, enum verdict *ret_worst);
const char *verdict_name(enum verdict v);

/* check_load.c: -1 after adding what went wrong. */
int check_files(struct check *c, const char *path); /* a file, or a folder's *.yaml, *.yml, *.json; "-": standard input */
int check_cluster(struct check *c, const char *kubeconfig, struct err *e) must_check;
/* check_print.c */
void check_print(const json_t *report, bool colours);
