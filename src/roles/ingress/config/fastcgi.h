/* fastcgi.h - the parameters of FastCGI programs, as ingress-nginx sets them: nginx's fastcgi_params, then a ConfigMap's.
 *
 * Sources: ingress-nginx internal/ingress/annotations/fastcgi, rootfs/etc/nginx/template/nginx.tmpl; nginx 1.27 conf/fastcgi_params,
 * ngx_http_fastcgi_module (fastcgi_param).
 */
#pragma once

#include "base/err.h"
#include "codec/jx.h"

struct variable_text;
struct fastcgi_param {
	struct str name;	     /* owned */
	struct variable_text *value; /* NULL: a header of the client that does not go on (HTTP_X: "") */
	bool skip_empty;	     /* nginx's if_not_empty */
};
struct fastcgi {
	size_t n;
	struct fastcgi_param at[]; /* in nginx's order: a name may be there twice, and most programs take the last */
};
#define FASTCGI_PARAMS_MAX 256 /* of a ConfigMap: applications name a dozen */

/* `configmap` NULL: nginx's parameters only. */
struct fastcgi *fastcgi_new(const json_t *configmap, struct err *e) must_check;
void fastcgi_free(struct fastcgi *f);
/* Is there one of this name that stands for the client's header? `name` "HTTP_HOST". */
bool fastcgi_replaces(const struct fastcgi *f, struct str name);
