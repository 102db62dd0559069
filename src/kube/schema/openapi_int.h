/* openapi_int.h - shared by openapi.c and openapi_pb.c. */
#pragma once

#define OPENAPI_V2_BYTES (8u << 20) /* kube-apiserver's own is 2 MB */
