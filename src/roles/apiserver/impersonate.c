#include "roles/apiserver/impersonate.h"

/* What the asker must be allowed to impersonate: one question per name. */
static int ask(struct rbac *rbac, const struct user *u, const char *resource, const char *ns,
	       const char *name, struct err *e)
{
	const struct authz_question q = { .is_resource = true,
					  .verb = "impersonate",
					  .group = "",
					  .resource = resource,
					  .ns = ns,
					  .name = name };

	if (rbac_allows(rbac, u, &q, NULL))
		return 0;
	authz_denied(u, &q, e);
	return -1;
}

static int ask_for_name(struct rbac *rbac, const struct user *u, const char *name, struct arena *a,
			struct err *e)
{
	static const struct str prefix = STR("system:serviceaccount:");
	struct str s = str_of(name), account;

	if (!str_starts(s, prefix))
		return ask(rbac, u, "users", NULL, name, e);
	struct str ns =
		str_cut((struct str){ s.ptr + prefix.len, s.len - prefix.len }, ':', &account);
	if (!account.ptr)
		return err_set(e, ERR_BAD_REQUEST, "\"%s\" is not the name of a service account",
			       name);
	return ask(rbac, u, "serviceaccounts", arena_strndup(a, ns.ptr, ns.len), account.ptr, e);
}

static void add_group(struct user *u, const char *group)
{
	if (u->n_groups < USER_GROUPS_MAX && !user_in_group(u, group))
		u->groups[u->n_groups++] = group;
}

/* The groups that a user of that name would have had without asking. */
static void add_own_groups(struct user *u, bool groups_given, struct arena *a)
{
	struct str account, s = str_of(u->name), prefix = STR("system:serviceaccount:");

	if (str_starts(s, prefix) && !groups_given) {
		struct str ns = str_cut((struct str){ s.ptr + prefix.len, s.len - prefix.len }, ':',
					&account);
		const char *group = arena_printf(a, "system:serviceaccounts:" STR_FMT, STR_ARG(ns));
		add_group(u, "system:serviceaccounts");
		if (group)
			add_group(u, group);
	}
	if (c_eq(u->name, "system:anonymous"))
		add_group(u, "system:unauthenticated");
	else
		add_group(u, "system:authenticated");
}

int impersonate(struct rbac *rbac, struct http_headers headers, struct arena *a, struct user *user,
		struct err *e)
{
	struct str name = str_trim(http_header_get(headers, "impersonate-user"));
	struct user as = { 0 };
	bool wanted = false;

	for (size_t i = 0; i < headers.n; i++) {
		struct str h = headers.at[i].name, value = headers.at[i].value;

		if (!str_starts(h, STR("impersonate-")))
			continue;
		wanted = true;
		if (str_starts(h, STR("impersonate-extra-")))
			return err_set(e, ERR_BAD_REQUEST,
				       "impersonation of extra attributes is not supported by this "
				       "server");
		const char *text = arena_strndup(a, value.ptr, value.len);
		if (!text)
			return err_set(e, ERR_BAD_REQUEST, "the request is too large");
		if (str_eq_c(h, "impersonate-uid")) {
			as.uid = text;
			if (ask(rbac, user, "uids", NULL, text, e) < 0)
				return -1;
		} else if (str_eq_c(h, "impersonate-group")) {
			add_group(&as, text);
			if (ask(rbac, user, "groups", NULL, text, e) < 0)
				return -1;
		}
	}
	if (!wanted)
		return 0;
	if (!name.len)
		return err_set(e, ERR_INTERNAL,
			       "requested user and group impersonation without a user name");
	as.name = arena_strndup(a, name.ptr, name.len);
	if (!as.name || ask_for_name(rbac, user, as.name, a, e) < 0)
		return -1;
	add_own_groups(&as, as.n_groups > 0, a);
	*user = as;
	return 0;
}
