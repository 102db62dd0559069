/* Files that are imported. */
#include "roles/dns/config/corefile_int.h"

#include "base/file.h"

#include <glob.h>
#include <sys/stat.h>

/* A device or a pipe would never end, or never begin. */
static int read_regular(const char *path, struct buf *out, struct err *e)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
	return file_read(path, out, e);
}

static int import_file(struct arena *a, const struct corefile_line *at, const char *path, struct token_list *out,
		       struct token_list *files, struct err *e)
{
	struct token name = { .text = arena_strndup(a, path, strlen(path)) };
	struct err why;
	struct buf text;
	int rc;

	if (!name.text || files->n >= COREFILE_FILES_MAX)
		return directive_error(e, at, "import", "more than %u files, or more than %u bytes", COREFILE_FILES_MAX, COREFILE_MEMORY_BYTES_MAX);
	token_list_add(files, &name);
	buf_init(&text, COREFILE_BYTES_MAX);
	if (read_regular(path, &text, &why) < 0)
		rc = directive_file_error(e, at, "import", &why);
	else
		rc = corefile_lex(a, buf_str(&text), name.text, out, e);
	buf_done(&text);
	return rc;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int corefile_import_files(struct arena *a, const struct corefile_line *at, const char *dir, const char *pattern,
			  struct token_list *out, struct token_list *files, struct err *e)
{
	cleanup(freep) char *path = pattern[0] == '/' ? xstrdup(pattern) : xasprintf("%s/%s", dir, pattern);
	glob_t found;
	int rc = 0;

	if (!strpbrk(pattern, "*?["))
		return import_file(a, at, path, out, files, e);
	int how = glob(path, 0, NULL, &found);
	if (how == GLOB_NOMATCH)
		return 0;
	if (how != 0)
		return directive_error(e, at, "import", "'%s' cannot be looked through", path);
	for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
		if (!is_directory(found.gl_pathv[i]))
			rc = import_file(a, at, found.gl_pathv[i], out, files, e);
	globfree(&found);
	return rc;
}
