/* answer_rewrites.h - what proxy-cookie-domain, proxy-cookie-path and proxy-redirect-from/-to change in the upstream's answers:
 * nginx's proxy_cookie_domain, proxy_cookie_path and proxy_redirect (ngx_http_proxy_module), parsed once.
 *
 * Annotations have few characters to say it with; the ConfigMap's texts are nginx's words, with quotes and $variables.
 */
#pragma once

#include "roles/ingress/config/settings.h"

enum answer_rewrite { ANSWER_COOKIE_DOMAIN, ANSWER_COOKIE_PATH, ANSWER_REDIRECT, ANSWER_REWRITES };

struct rewrite_rule {
	struct regex *pattern;	     /* "~from": the whole value is replaced; NULL: `from` is a text */
	struct variable_text *from;  /* what the value begins with; of a domain, all of it but a first dot */
	struct variable_text *to;
};
struct answer_rewrites {
	struct rewrite_rule *rule[ANSWER_REWRITES]; /* NULL: off */
};

/* Makes s->answer_rewrites of the texts in `s`, and leaves it NULL when all are off. What cannot be used is told to `bad`, by the
 * name of its annotation, and `instead`'s texts (known to be good) are taken; NULL: "off". */
void answer_rewrites_make(struct settings *s, const struct settings *instead,
			  void (*bad)(void *ctx, const char *name, const char *instead, const struct err *e), void *ctx);
void answer_rewrites_free(struct answer_rewrites *a); /* NULL is nothing */
