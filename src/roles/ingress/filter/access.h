/* access.h - nginx's access phase: filters that let a request pass or refuse it, and `satisfy`.
 *
 * satisfy all (the default): a refusal answers at once. satisfy any: one grant is enough, those behind it are not asked;
 * filter_access_end, behind the last of them, answers with what was refused when nobody granted anything (401 before 403,
 * as a password might help).
 * The filters are: access (addresses), basic_auth, digest_auth, jwt, auth_url. Each begins with `if (access_settled(x)) return
 * FILTER_NEXT;` and ends with access_grant() or access_refuse(); one that had waited hands their verdict to access_resume().
 */
#pragma once

#include "roles/ingress/http/filter.h"

/* Somebody has granted access already, and that is enough. */
bool access_settled(const struct exchange *x);
enum filter_verdict access_grant(struct exchange *x);
/* Headers that belong to a refusal (WWW-Authenticate) are added by the filter's answer(): errors begin without any. */
enum filter_verdict access_refuse(struct exchange *x, int status);
void access_resume(struct exchange *x, enum filter_verdict v);

/* no-auth-locations, no-tls-redirect-locations: does the location's path (not the request's) begin with one of these? By
 * default ACME's http-01 answers are reachable without password and TLS. */
bool location_is_listed(const struct location *loc, const struct str_list *prefixes);
