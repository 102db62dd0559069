/* limits.h - every bound on what comes from outside, with its reason.
 *
 * A limit that only one file can meet lives in that file; these are shared.
 */
#pragma once

#define LIMIT_REQUEST_BODY_BYTES (3u << 20) /* kube-apiserver's MaxRequestBodyBytes: clients meet no new limit */
#define LIMIT_REQUEST_HEAD_BYTES (64u << 10) /* a client certificate user with many groups fits; net/http allows 1 MiB */
#define LIMIT_REQUEST_HEADERS 128	     /* more than any browser or client-go sends */
#define LIMIT_RESPONSE_BODY_BYTES (256u << 20) /* a list of 100,000 Services; a client of ours stops there */
#define LIMIT_JSON_DEPTH 128		     /* CRD schemas nest to about 60; jansson itself stops at 2,048 */
#define LIMIT_OBJECT_BYTES (2u << 20)	     /* etcd's 1.5 MiB request limit, rounded up */
#define LIMIT_WATCH_HISTORY_EVENTS 8192	     /* about a minute of a busy node; older watches get 410 and relist */
#define LIMIT_LIST_PAGE_MAX 10000	     /* the largest `limit` honoured in one page */
#define LIMIT_CONNECTIONS 4096		     /* a fifth of the 20,000 descriptors that small machines allow */
#define LIMIT_STREAMS_PER_CONNECTION 1000    /* net/http2's 250 is too few for one informer per kind and namespace */
#define LIMIT_PATCH_OPERATIONS 10000	     /* kube-apiserver's MaxJSONPatchOperations */
