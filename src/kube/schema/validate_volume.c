#include "kube/schema/validate_int.h"

#define TOKEN_EXPIRATION_S_MIN 600

static bool has_backstep(const char *path)
{
	for (struct str rest = str_of(path); rest.ptr;)
		if (str_eq_c(str_cut(rest, '/', &rest), ".."))
			return true;
	return false;
}

static void check_no_backsteps(struct field_errors *fe, const struct place *p, const char *path)
{
	if (has_backstep(path))
		bad_string(fe, p, path, "must not contain '..'");
}

static void check_descending_path(struct field_errors *fe, const struct place *p, const char *path)
{
	if (path[0] == '/')
		bad_string(fe, p, path, "must be a relative path");
	check_no_backsteps(fe, p, path);
}

/* Inside a volume of ours: names that begin with ".." belong to the atomic swap of its content. */
static void check_local_path(struct field_errors *fe, const struct place *p, const char *path)
{
	check_descending_path(fe, p, path);
	if (strncmp(path, "..", 2) == 0 && !has_backstep(path))
		bad_string(fe, p, path, "must not start with '..'");
}

static void check_mode(struct field_errors *fe, const struct place *p, const json_t *mode)
{
	if (mode && (json_integer_value(mode) < 0 || json_integer_value(mode) > 0777))
		bad_int(fe, p, json_integer_value(mode),
			"must be a number between 0 and 0777 (octal), both inclusive");
}

static void check_items(struct field_errors *fe, const struct place *p, const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)items, i, item) {
		const struct place *at = AT_INDEX(p, i);
		const char *path = text_of(item, "path");

		if (!text_of(item, "key")[0])
			missing(fe, AT(at, "key"), "");
		if (!path[0])
			missing(fe, AT(at, "path"), "");
		check_local_path(fe, AT(at, "path"), path);
		check_mode(fe, AT(at, "mode"), json_object_get(item, "mode"));
	}
}

static void check_needed(struct field_errors *fe, const struct place *p, const json_t *source,
			 const char *member)
{
	if (!text_of(source, member)[0])
		missing(fe, AT(p, member), "");
}

static void check_secret(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_needed(fe, p, s, "secretName");
	check_mode(fe, AT(p, "defaultMode"), json_object_get(s, "defaultMode"));
	check_items(fe, AT(p, "items"), json_object_get(s, "items"));
}

static void check_configmap(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_needed(fe, p, s, "name");
	check_mode(fe, AT(p, "defaultMode"), json_object_get(s, "defaultMode"));
	check_items(fe, AT(p, "items"), json_object_get(s, "items"));
}

static void check_host_path(struct field_errors *fe, const struct place *p, const json_t *s)
{
	static const char *const types[] = {
		"",	"BlockDevice",	"CharDevice", "Directory", "DirectoryOrCreate",
		"File", "FileOrCreate", "Socket",     NULL
	};
	const char *path = text_of(s, "path"), *type = jx_str(s, "type");

	if (!path[0]) {
		missing(fe, AT(p, "path"), "");
		return;
	}
	check_no_backsteps(fe, AT(p, "path"), path);
	if (type && !one_of(type, types))
		unsupported(fe, AT(p, "type"), type, types);
}

static void check_nfs(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_needed(fe, p, s, "server");
	check_needed(fe, p, s, "path");
	if (text_of(s, "path")[0] != '/')
		bad_string(fe, AT(p, "path"), text_of(s, "path"), "must be an absolute path");
}

static void check_claim(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_needed(fe, p, s, "claimName");
}

static void check_csi(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_needed(fe, p, s, "driver");
}

static void check_downward_files(struct field_errors *fe, const struct place *p, const json_t *items)
{
	json_t *file;
	size_t i;

	json_array_foreach((json_t *)items, i, file) {
		check_needed(fe, p, file, "path");
		check_local_path(fe, AT(p, "path"), text_of(file, "path"));
		if (json_object_get(file, "fieldRef") && json_object_get(file, "resourceFieldRef"))
			bad_string(fe, p, "resource",
				   "fieldRef and resourceFieldRef can not be specified simultaneously");
		else if (!json_object_get(file, "fieldRef") && !json_object_get(file, "resourceFieldRef"))
			missing(fe, p, "one of fieldRef and resourceFieldRef is required");
		check_mode(fe, AT(p, "mode"), json_object_get(file, "mode"));
	}
}

static void check_downward(struct field_errors *fe, const struct place *p, const json_t *s)
{
	check_mode(fe, AT(p, "defaultMode"), json_object_get(s, "defaultMode"));
	check_downward_files(fe, p, json_object_get(s, "items"));
}

static void check_token(struct field_errors *fe, const struct place *p, const struct place *at,
			const json_t *token)
{
	int64_t seconds = jx_int(token, "expirationSeconds", 0);
	const char *path = text_of(token, "path");

	if (seconds < TOKEN_EXPIRATION_S_MIN)
		bad_int(fe, AT(at, "expirationSeconds"), seconds,
			"may not specify a duration less than 10 minutes");
	if (seconds > 1LL << 32)
		bad_int(fe, AT(at, "expirationSeconds"), seconds,
			"may not specify a duration larger than 2^32 seconds");
	if (!path[0])
		missing(fe, AT(p, "path"), "");
	else
		check_local_path(fe, AT(p, "path"), path);
}

/* A path that a file of an earlier source has; `seen` is a set of paths. */
static void check_paths(struct field_errors *fe, const struct place *p, const json_t *source, json_t *seen)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(source, "items"), i, item) {
		const char *path = text_of(item, "path");

		if (path[0] && json_object_get(seen, path))
			bad_string(fe, p, text_of(source, "name")[0] ? text_of(source, "name") : path,
				   "conflicting duplicate paths");
		else if (path[0])
			json_object_set_new(seen, path, json_true());
	}
}

static void check_projection(struct field_errors *fe, const struct place *p, const struct place *at,
			     const json_t *source, json_t *seen)
{
	static const char *const kinds[] = {
		"secret",	 "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle",
		"podCertificate"
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct place *here = AT(at, kinds[i]);
		const json_t *s = json_object_get(source, kinds[i]);

		if (!s)
			continue;
		n++;
		if (i < 2) {
			check_needed(fe, here, s, "name");
			check_items(fe, AT(here, "items"), json_object_get(s, "items"));
		} else if (i == 2) {
			check_downward_files(fe, here, json_object_get(s, "items"));
		} else if (i == 3) {
			check_token(fe, p, here, s);
		}
		check_paths(fe, p, s, seen);
	}
	if (n > 1)
		forbidden(fe, at, "may not specify more than 1 volume type per source");
}

static void check_projected(struct field_errors *fe, const struct place *p, const json_t *s)
{
	cleanup(json_decrefp) json_t *seen = json_object();
	json_t *source;
	size_t i;

	check_mode(fe, AT(p, "defaultMode"), json_object_get(s, "defaultMode"));
	json_array_foreach(json_object_get(s, "sources"), i, source)
		check_projection(fe, p, AT_INDEX(AT(p, "sources"), i), source, seen);
}

static void check_empty_dir(struct field_errors *fe, const struct place *p, const json_t *s)
{
	if (text_of(s, "sizeLimit")[0] == '-')
		forbidden(fe, AT(p, "sizeLimit"), "SizeLimit field must be a valid resource quantity");
}

/* In upstream's order; the check may be NULL: such a volume is kept and not looked into. */
static const struct {
	const char *name;
	void (*check)(struct field_errors *fe, const struct place *p, const json_t *source);
} sources[] = {
	{ "emptyDir", check_empty_dir },
	{ "hostPath", check_host_path },
	{ "gitRepo", NULL },
	{ "gcePersistentDisk", NULL },
	{ "awsElasticBlockStore", NULL },
	{ "secret", check_secret },
	{ "nfs", check_nfs },
	{ "iscsi", NULL },
	{ "glusterfs", NULL },
	{ "flocker", NULL },
	{ "persistentVolumeClaim", check_claim },
	{ "rbd", NULL },
	{ "cephfs", NULL },
	{ "cinder", NULL },
	{ "downwardAPI", check_downward },
	{ "fc", NULL },
	{ "configMap", check_configmap },
	{ "azureFile", NULL },
	{ "flexVolume", NULL },
	{ "vsphereVolume", NULL },
	{ "quobyte", NULL },
	{ "azureDisk", NULL },
	{ "photonPersistentDisk", NULL },
	{ "portworxVolume", NULL },
	{ "storageos", NULL },
	{ "projected", check_projected },
	{ "scaleIO", NULL },
	{ "csi", check_csi },
	{ "ephemeral", NULL },
	{ "image", NULL },
};

static void check_source(struct field_errors *fe, const struct place *p, const json_t *volume)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const json_t *source = json_object_get(volume, sources[i].name);

		if (!source)
			continue;
		if (n++)
			forbidden(fe, AT(p, sources[i].name), "may not specify more than 1 volume type");
		else if (sources[i].check)
			sources[i].check(fe, AT(p, sources[i].name), source);
	}
	if (n == 0)
		missing(fe, p, "must specify a volume type");
}

json_t *validate_volumes(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	json_t *good = json_object(), *volume;
	size_t i;

	json_array_foreach(json_object_get(spec, "volumes"), i, volume) {
		const struct place *at = AT_INDEX(AT(p, "volumes"), i);
		const char *name = text_of(volume, "name");
		size_t before = fe->n;

		check_source(fe, at, volume);
		if (name[0])
			check_format(fe, AT(at, "name"), FORMAT_DNS1123_LABEL, name);
		else
			missing(fe, AT(at, "name"), "");
		if (json_object_get(good, name))
			duplicate(fe, AT(at, "name"), name);
		if (fe->n == before)
			json_object_set(good, name, volume);
	}
	return good;
}

static void check_propagation(struct field_errors *fe, const struct place *p, const char *mode,
			      const json_t *container)
{
	static const char *const modes[] = { "Bidirectional", "HostToContainer", "None", NULL };

	if (!one_of(mode, modes))
		unsupported(fe, p, mode, modes);
	if (strcmp(mode, "Bidirectional") == 0 && !jx_bool(container, "securityContext.privileged", false))
		forbidden(fe, p,
			  "Bidirectional mount propagation is available only to privileged containers");
}

static void check_mount(struct field_errors *fe, const struct place *list_place, const struct place *p,
			const json_t *mount, const json_t *container)
{
	const char *sub = text_of(mount, "subPath"), *expr = text_of(mount, "subPathExpr");
	const char *propagation = jx_str(mount, "mountPropagation");

	if (sub[0])
		check_descending_path(fe, AT(list_place, "subPath"), sub);
	if (expr[0] && sub[0])
		bad_string(fe, AT(p, "subPathExpr"), expr, "subPathExpr and subPath are mutually exclusive");
	if (expr[0])
		check_descending_path(fe, AT(list_place, "subPathExpr"), expr);
	if (propagation)
		check_propagation(fe, AT(list_place, "mountPropagation"), propagation, container);
}

void validate_mounts(struct field_errors *fe, const struct place *p, const json_t *container,
		     const json_t *volumes)
{
	cleanup(json_decrefp) json_t *seen = json_object();
	json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(container, "volumeMounts"), i, mount) {
		const struct place *at = AT_INDEX(p, i);
		const char *name = text_of(mount, "name"), *path = text_of(mount, "mountPath");

		if (!name[0])
			missing(fe, AT(at, "name"), "");
		if (!json_object_get(volumes, name))
			not_found(fe, AT(at, "name"), name);
		if (!path[0])
			missing(fe, AT(at, "mountPath"), "");
		if (json_object_get(seen, path))
			bad_string(fe, AT(at, "mountPath"), path, "must be unique");
		json_object_set_new(seen, path, json_true());
		check_mount(fe, p, at, mount, container);
	}
}
