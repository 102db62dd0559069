/* One word after the other, from whatever file or snippet is being read. */
#include "roles/dns/config/corefile_int.h"

#include "base/fnv.h"

void pile_push(struct pile *p, const void *item)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 8;
		p->at = xrealloc(p->at, p->cap * p->size);
	}
	memcpy(p->at + p->n++ * p->size, item, p->size);
}

void *pile_take(struct pile *p, struct arena *a)
{
	void *out = arena_alloc(a, (p->n + 1) * p->size);

	if (out && p->n)
		memcpy(out, p->at, p->n * p->size);
	free(p->at);
	*p = (struct pile){ .size = p->size };
	return out;
}

static struct corefile_line place(const struct token *t)
{
	return (struct corefile_line){ .file = t->file, .line = t->line };
}

int corefile_no_memory(struct parser *p)
{
	return COREFILE_REFUSE(p, &p->last, "more than %u bytes with all that is imported", COREFILE_MEMORY_BYTES_MAX);
}

/* ---- words ---- */

/* Looks at the next word. */
int corefile_look(struct parser *p)
{
	size_t missing = SIZE_MAX;

	while (p->depth && p->frames[p->depth - 1].pos == p->frames[p->depth - 1].n) {
		p->depth--;
		p->moved = true;
	}
	p->more = p->depth > 0;
	if (!p->more)
		return 0;
	const struct frame *f = &p->frames[p->depth - 1];
	p->next = f->at[f->pos];
	p->fresh = p->moved || p->next.file != p->last.file || p->next.line > p->last.end_line;
	if (f->args)
		p->next.text = corefile_expand_args(p->arena, p->next.text, f->args, f->n_args, &missing);
	if (!p->next.text && missing != SIZE_MAX)
		return COREFILE_REFUSE(p, &p->next, "{args[%zu]}, but the import in line %u gives %zu", missing, f->line, f->n_args);
	return p->next.text ? 0 : corefile_no_memory(p);
}

int corefile_advance(struct parser *p)
{
	p->last = p->next;
	p->moved = false;
	p->frames[p->depth - 1].pos++;
	if (++p->words > COREFILE_WORDS_MAX)
		return COREFILE_REFUSE(p, &p->next, "more than %u words with all that is imported: does a snippet import itself?", COREFILE_WORDS_MAX);
	return corefile_look(p);
}

bool corefile_is(const struct parser *p, const char *word)
{
	return p->more && !p->next.quoted && strcmp(p->next.text, word) == 0;
}

bool corefile_ends_line(const struct parser *p)
{
	return !p->more || p->fresh || corefile_is(p, "{") || corefile_is(p, "}");
}

/* The digest is FNV-1a over words and where lines begin. */
void corefile_digest(struct parser *p, const char *text)
{
	p->digest = fnv1a_64(p->digest, text, strlen(text) + 1);
}

/* Takes the word, its variables replaced. */
const char *corefile_take_word(struct parser *p)
{
	const char *text = corefile_expand_env(p->arena, p->next.text);

	if (!text) {
		corefile_no_memory(p);
		return NULL;
	}
	corefile_digest(p, p->fresh ? "\n" : " ");
	corefile_digest(p, text);
	return corefile_advance(p) < 0 ? NULL : text;
}

/* ---- import ---- */

const struct snippet *corefile_find_snippet(const struct parser *p, const char *name)
{
	const struct snippet *s = (const void *)p->snippets.at;

	for (size_t i = 0; i < p->snippets.n; i++)
		if (strcmp(s[i].name, name) == 0)
			return &s[i];
	return NULL;
}

/* Names are relative to the file that the import stands in. */
static char *folder(const struct parser *p, const struct token *at)
{
	const char *slash = at->file == p->files.at[0].text ? NULL : strrchr(at->file, '/');

	return slash ? xstrndup(at->file, (size_t)(slash - at->file)) : xstrdup(p->dir);
}

static int import_files(struct parser *p, const struct token *at, const char *pattern, struct frame *f)
{
	cleanup(freep) char *dir = folder(p, at);
	struct corefile_line line = place(at);
	struct token_list *out = &p->lexed[p->n_lexed];

	if (!p->dir)
		return COREFILE_REFUSE(p, at, "import: there is no snippet '%s' above, and files cannot be imported here", pattern);
	if (p->n_lexed == COREFILE_FILES_MAX)
		return COREFILE_REFUSE(p, at, "import: more than %u times files", COREFILE_FILES_MAX);
	p->n_lexed++;
	if (corefile_import_files(p->arena, &line, dir, pattern, out, &p->files, p->e) < 0)
		return -1;
	f->at = out->at;
	f->n = out->n;
	return 0;
}

int corefile_push(struct parser *p, const struct token *at, const char *what, const struct frame *f)
{
	if (p->depth == COREFILE_IMPORT_DEPTH_MAX)
		return COREFILE_REFUSE(p, at, "import: more than %u deep: '%s' seems to import itself", COREFILE_IMPORT_DEPTH_MAX, what);
	p->frames[p->depth++] = *f;
	p->moved = true;
	return corefile_look(p);
}

/* `import NAME|FILE|PATTERN [ARGUMENT...]`, at the word import. */
int corefile_import(struct parser *p)
{
	struct token at = p->next;
	struct pile args = { .size = sizeof(char *) };
	struct frame f = { .line = at.line };

	if (++p->imports > COREFILE_IMPORTS_MAX)
		return COREFILE_REFUSE(p, &at, "more than %u imports: does one import itself?", COREFILE_IMPORTS_MAX);
	if (corefile_advance(p) < 0)
		return -1;
	if (corefile_ends_line(p))
		return COREFILE_REFUSE(p, &at, "import: of what? Give the name of a snippet, a file or a pattern of files");
	const char *what = corefile_expand_env(p->arena, p->next.text);
	if (!what)
		return corefile_no_memory(p);
	if (corefile_advance(p) < 0)
		return -1;
	for (; !corefile_ends_line(p); f.n_args++) {
		const char *word = corefile_expand_env(p->arena, p->next.text);
		pile_push(&args, &word);
		if (!word || corefile_advance(p) < 0) {
			free(args.at);
			return word ? -1 : corefile_no_memory(p);
		}
	}
	f.args = pile_take(&args, p->arena);
	const struct snippet *s = corefile_find_snippet(p, what);
	if (!f.args)
		return corefile_no_memory(p);
	if (!s && import_files(p, &at, what, &f) < 0)
		return -1;
	if (s) {
		f.at = s->at;
		f.n = s->n;
	}
	return corefile_push(p, &at, what, &f);
}
