/* negotiate.h - which form of answer a request's Accept header asks for. RFC 9110, section 12.5.1.
 *
 * The first acceptable clause wins, as in k8s.io/apiserver; quality values are not weighed.
 */
#pragma once

#include "base/base.h"

enum form {
	FORM_NONE, /* nothing that we make: 406 */
	FORM_JSON,
	FORM_TABLE,
	FORM_TABLE_V1BETA1,
	FORM_PARTIAL,	   /* PartialObjectMetadata */
	FORM_PARTIAL_LIST, /* PartialObjectMetadataList; for watches and gets the same as
			      FORM_PARTIAL */
	FORM_DISCOVERY_V2, /* APIGroupDiscoveryList */
	FORM_DISCOVERY_V2BETA1,
};
enum {			       /* what an endpoint can make besides FORM_JSON: bits of `allowed` */
       ALLOW_OBJECT_FORMS = 1, /* Table and PartialObjectMetadata */
       ALLOW_DISCOVERY = 2,
};
/* `accept` may be empty: anything. */
enum form negotiate(struct str accept, unsigned allowed);
/* The Content-Type of a form. */
const char *form_media_type(enum form f);
/* Is `type` ("application/json") asked for by name or wildcard? For endpoints with one fixed form.
 */
bool accept_allows(struct str accept, const char *type);
