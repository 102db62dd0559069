/* role.h - one binary, many roles; each is a process and meets the others only through the API.
 *
 * The supervisor runs `portico ROLE`; main() opens the loop, the configuration and the client,
 * calls start(), drops what the role's row does not keep, and runs the loop.
 */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "roles/args.h"
#include "roles/config.h"

struct kube_client;
struct role_ctx {
	struct loop *loop;
	const struct config *config;
	struct kube_client *kube; /* NULL for the API server itself */
	void *state;		  /* the role's own */
};
/* `portico ROLE COMMAND`: something a person asks of the role's code, without its process. */
struct role_command {
	const char *name, *args, *summary, *help;
	/* Settings are parsed out already. Returns the exit status. */
	int (*run)(const struct config *c, struct args *a);
};
struct role {
	const char *name;    /* `portico NAME`, log prefix; its user is system:portico:NAME */
	const char *summary; /* one sentence, for --help and the man page */
	uint64_t caps_keep;  /* 1 << CAP_x; everything else is dropped after start() */
	bool root;	     /* keeps uid 0 (it manages mounts, namespaces, cgroups); others get their own uid */
	bool bpf_maps;	     /* reads and writes entries of BPF maps whose descriptors prepare() left it; no CAP_BPF for that */
	bool no_client;	     /* starts without a kube_client */
	/* As whoever started it, before anything is dropped: opens what needs the privilege. No client yet. May be NULL. */
	int (*prepare)(struct role_ctx *ctx, struct err *e);
	int (*start)(struct role_ctx *ctx, struct err *e);
	void (*stop)(struct role_ctx *ctx); /* takes a half-started role */
	/* SIGQUIT came: another process serves on the same sockets; finish what is under way, then loop_stop. NULL: two
	 * processes of this role cannot run at once. */
	void (*drain)(struct role_ctx *ctx);
	/* The first SIGTERM or SIGINT came. True: the role goes on for a while, and stops the loop itself. NULL: it stops. */
	bool (*stopping)(struct role_ctx *ctx);
	const struct role_command *commands; /* name NULL ends; NULL: none */
	/* What another program is started with that this role takes the place of: accepted with a warning, without effect. "name", or
	 * "name=" when a value belongs to it; NULL ends. NULL: none. */
	const char *const *ignored_args;
};
extern const struct role role_apiserver, role_controllers, role_node, role_proxy, role_dns, role_lb, role_ingress;

/* A listening socket that the supervisor holds open across restarts of the role ("https", "http", "api", "dns-udp",
 * "dns-tcp", "kubelet"); -1 when this process was started by hand, and the role listens itself. */
int role_listen_fd(const char *name);
bool role_is_supervised(void); /* then another process of this role may be started before this one ends (drain) */
/* This is that other process: the one before it serves until this one is ready, so there is no hurry. */
bool role_replaces(void);
/* Tells the supervisor (and `portico status`): serving now; or what went wrong last, while going on. */
void role_ready(void);
void role_set_error(const char *fmt, ...) printf_like(1, 2);
