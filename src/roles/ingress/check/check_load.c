/* Objects for the check: from manifest files, or from a cluster. */
#include "roles/ingress/check/check.h"

#include "base/file.h"
#include "kube/client/client.h"
#include "kube/client/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

struct reading {
	struct check *c;
	const char *path;
};

static void on_object(void *ctx, const struct resource *storage, json_t *obj, unsigned line)
{
	const struct reading *r = ctx;
	cleanup(freep) char *from = xasprintf("%s:%u", r->path, line);

	check_add(r->c, storage, obj, from);
}

static void on_problem(void *ctx, unsigned line, bool lost, const char *text)
{
	const struct reading *r = ctx;
	cleanup(freep) char *from = xasprintf("%s:%u", r->path, line);

	if (lost)
		check_unreadable(r->c, from, text);
	else
		check_remark(r->c, from, text);
}

static int read_stdin(struct buf *out, struct err *e)
{
	char piece[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		if (buf_put(out, piece, (size_t)n) < 0)
			return err_set(e, ERR_TOO_LARGE, "more than %u bytes", MANIFEST_BYTES_MAX);
	return n < 0 ? err_errno(e, errno, "read") : 0;
}

static int read_one(struct check *c, const char *path)
{
	static const struct manifest_sink sink = { on_object, on_problem };
	bool standard = strcmp(path, "-") == 0;
	struct err e;
	struct buf text;

	buf_init(&text, MANIFEST_BYTES_MAX);
	int rc = standard ? read_stdin(&text, &e) : file_read(path, &text, &e);
	if (rc < 0)
		check_unreadable(c, path, e.message);
	else
		manifest_read(buf_str(&text), str_ends(str_of(path), STR(".json")), &sink, &(struct reading){ c, path });
	buf_done(&text);
	return rc;
}

static int is_manifest(const struct dirent *d)
{
	struct str name = str_of(d->d_name);

	return name.ptr[0] != '.' && (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) || str_ends(name, STR(".json")));
}

int check_files(struct check *c, const char *path)
{
	struct stat st;
	struct dirent **names;
	int rc = 0;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return read_one(c, path);
	int n = scandir(path, &names, is_manifest, alphasort);
	if (n < 0) {
		check_unreadable(c, path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		cleanup(freep) char *file = xasprintf("%s/%s", path, names[i]->d_name);
		if (read_one(c, file) < 0)
			rc = -1;
		free(names[i]);
	}
	free(names);
	return rc;
}

/* ---- a cluster ---- */

static const struct {
	const char *group, *kind;
	bool needed; /* without it there is nothing to say */
} wanted[] = {
	{ "networking.k8s.io", "Ingress", true }, { "networking.k8s.io", "IngressClass", false }, { "", "Service", false },
	{ "", "Secret", false }, { "", "ConfigMap", false },
};

struct listing {
	struct check *c;
	struct loop *loop;
	size_t pending;
	struct err *e;
	bool failed;
};
struct one_list {
	struct listing *all;
	const struct resource *r;
	bool needed;
};

static void take_items(const struct one_list *l, const json_t *list)
{
	json_t *item;
	size_t i;

	check_complete(l->all->c, l->r->kind);
	json_array_foreach(json_object_get(list, "items"), i, item)
		check_add(l->all->c, l->r, item, "the cluster");
}

static void on_list(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct one_list *l = ctx;
	struct listing *all = l->all;

	(void)status;
	if (!e)
		take_items(l, obj);
	else if (l->needed && !all->failed)
		all->failed = err_set(all->e, e->reason, "%s: %s", l->r->plural, e->message) < 0;
	else if (!l->needed)
		check_remark(all->c, l->r->plural, e->message);
	free(l);
	if (--all->pending == 0)
		loop_stop(all->loop);
}

static void list_all(struct listing *all, struct kube_client *k)
{
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct one_list *l = xcalloc(1, sizeof(*l));
		*l = (struct one_list){ all, resource_find_kind(str_of(wanted[i].group), STR("v1"), str_of(wanted[i].kind)), wanted[i].needed };
		cleanup(freep) char *path = kube_path((struct kube_gvr){ l->r->group, "v1", l->r->plural }, NULL, NULL, NULL);
		all->pending++;
		kube_request(k, "GET", path, NULL, NULL, on_list, l);
	}
}

int check_cluster(struct check *c, const char *kubeconfig, struct err *e)
{
	struct kube_config kc;
	struct listing all = { .c = c, .e = e };
	int rc = -1;

	if (kube_config_load(kubeconfig, &kc, e) < 0)
		return -1;
	all.loop = loop_new(e);
	struct kube_client *k = all.loop ? kube_client_new(all.loop, &kc, "portico-ingress-check", e) : NULL;
	if (k) {
		list_all(&all, k);
		loop_run(all.loop);
		rc = all.failed ? -1 : 0;
	}
	kube_client_free(k);
	if (all.loop)
		loop_free(all.loop);
	kube_config_done(&kc);
	return rc;
}
