/* Blocks and directives from words. Whatever is imported is read as if it stood in the import's place. */
#include "roles/dns/config/corefile_int.h"

#include <stdio.h>

/* A growing list whose end lies in the arena. */
struct pile {
	char *at;
	size_t n, cap, size;
};

/* A file or a snippet that is being read. */
struct frame {
	const struct token *at;
	size_t n, pos;
	const char *const *args;
	size_t n_args;
	unsigned line; /* of the import */
};

struct snippet {
	const char *name;
	const struct token *at;
	size_t n;
};

struct parser {
	struct arena *arena;
	const char *name, *dir;
	struct frame frames[COREFILE_IMPORT_DEPTH_MAX];
	size_t depth;
	struct token next; /* the word that is looked at */
	bool more;	   /* there is one */
	bool fresh;	   /* it begins a line */
	bool moved;	   /* the file or snippet has changed since the last word */
	struct token last; /* the word before it */
	size_t words, imports;
	uint64_t digest;
	struct pile snippets, blocks;
	struct token_list files;
	struct token_list lexed[COREFILE_FILES_MAX + 1]; /* kept until the end: frames point into them */
	size_t n_lexed;
	struct err *e;
};

static void pile_push(struct pile *p, const void *item)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 8;
		p->at = xrealloc(p->at, p->cap * p->size);
	}
	memcpy(p->at + p->n++ * p->size, item, p->size);
}

/* Its items in the arena, with a zeroed one behind them; NULL: no memory. Empties the pile. */
static void *pile_take(struct pile *p, struct arena *a)
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

#define REFUSE(p, t, ...) directive_error((p)->e, &(struct corefile_line){ .file = (t)->file, .line = (t)->line }, NULL, __VA_ARGS__)

static int no_memory(struct parser *p)
{
	return REFUSE(p, &p->last, "more than %u bytes with all that is imported", COREFILE_MEMORY_BYTES_MAX);
}

/* ---- one word after the other ---- */

/* Looks at the next word. */
static int look(struct parser *p)
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
		return REFUSE(p, &p->next, "{args[%zu]}, but the import in line %u gives %zu", missing, f->line, f->n_args);
	return p->next.text ? 0 : no_memory(p);
}

static int advance(struct parser *p)
{
	p->last = p->next;
	p->moved = false;
	p->frames[p->depth - 1].pos++;
	if (++p->words > COREFILE_WORDS_MAX)
		return REFUSE(p, &p->next, "more than %u words with all that is imported: does a snippet import itself?", COREFILE_WORDS_MAX);
	return look(p);
}

static bool is(const struct parser *p, const char *word)
{
	return p->more && !p->next.quoted && strcmp(p->next.text, word) == 0;
}

static bool ends_line(const struct parser *p)
{
	return !p->more || p->fresh || is(p, "{") || is(p, "}");
}

/* The digest is FNV-1a over words and where lines begin. */
static void digest(struct parser *p, const char *text)
{
	do
		p->digest = (p->digest ^ (uint8_t)*text) * 0x100000001b3ULL;
	while (*text++);
}

/* Takes the word, its variables replaced. */
static const char *take_word(struct parser *p)
{
	const char *text = corefile_expand_env(p->arena, p->next.text);

	if (!text) {
		no_memory(p);
		return NULL;
	}
	digest(p, p->fresh ? "\n" : " ");
	digest(p, text);
	return advance(p) < 0 ? NULL : text;
}

/* ---- import ---- */

static const struct snippet *find_snippet(const struct parser *p, const char *name)
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
		return REFUSE(p, at, "import: there is no snippet '%s' above, and files cannot be imported here", pattern);
	if (p->n_lexed == COREFILE_FILES_MAX)
		return REFUSE(p, at, "import: more than %u times files", COREFILE_FILES_MAX);
	p->n_lexed++;
	if (corefile_import_files(p->arena, &line, dir, pattern, out, &p->files, p->e) < 0)
		return -1;
	f->at = out->at;
	f->n = out->n;
	return 0;
}

static int push(struct parser *p, const struct token *at, const char *what, const struct frame *f)
{
	if (p->depth == COREFILE_IMPORT_DEPTH_MAX)
		return REFUSE(p, at, "import: more than %u deep: '%s' seems to import itself", COREFILE_IMPORT_DEPTH_MAX, what);
	p->frames[p->depth++] = *f;
	p->moved = true;
	return look(p);
}

/* `import NAME|FILE|PATTERN [ARGUMENT...]`, at the word import. */
static int import(struct parser *p)
{
	struct token at = p->next;
	struct pile args = { .size = sizeof(char *) };
	struct frame f = { .line = at.line };

	if (++p->imports > COREFILE_IMPORTS_MAX)
		return REFUSE(p, &at, "more than %u imports: does one import itself?", COREFILE_IMPORTS_MAX);
	if (advance(p) < 0)
		return -1;
	if (ends_line(p))
		return REFUSE(p, &at, "import: of what? Give the name of a snippet, a file or a pattern of files");
	const char *what = corefile_expand_env(p->arena, p->next.text);
	if (!what)
		return no_memory(p);
	if (advance(p) < 0)
		return -1;
	for (; !ends_line(p); f.n_args++) {
		const char *word = corefile_expand_env(p->arena, p->next.text);
		pile_push(&args, &word);
		if (!word || advance(p) < 0) {
			free(args.at);
			return word ? -1 : no_memory(p);
		}
	}
	f.args = pile_take(&args, p->arena);
	const struct snippet *s = find_snippet(p, what);
	if (!f.args)
		return no_memory(p);
	if (!s && import_files(p, &at, what, &f) < 0)
		return -1;
	if (s) {
		f.at = s->at;
		f.n = s->n;
	}
	return push(p, &at, what, &f);
}

static bool at_import(const struct parser *p)
{
	return is(p, "import");
}

/* ---- lines, directives, blocks ---- */

/* Words up to the line's end or a brace. In a body braces are words when they are inside of the line. */
static int take_line(struct parser *p, struct corefile_line *ret)
{
	struct pile words = { .size = sizeof(char *) };

	*ret = place(&p->next);
	do {
		const char *word = words.n < COREFILE_LINE_WORDS_MAX ? take_word(p) : NULL;
		if (!word) {
			int rc = words.n < COREFILE_LINE_WORDS_MAX ? -1 : REFUSE(p, &p->next, "more than %u words in a line", COREFILE_LINE_WORDS_MAX);
			free(words.at);
			return rc;
		}
		pile_push(&words, &word);
	} while (!ends_line(p));
	ret->n = words.n;
	ret->words = pile_take(&words, p->arena);
	return ret->words ? 0 : no_memory(p);
}

static int unclosed(struct parser *p, const struct token *open)
{
	return REFUSE(p, open, "this { is not closed");
}

/* The lines between braces, which are taken too. A brace within is a line of its own. */
static int take_body(struct parser *p, struct pile *lines)
{
	struct token open = p->next;
	struct corefile_line line;

	digest(p, "{");
	if (advance(p) < 0)
		return -1;
	for (size_t nested = 0; p->more; pile_push(lines, &line)) {
		while (at_import(p))
			if (import(p) < 0)
				return -1;
		if (!p->more)
			break;
		if (is(p, "}") && nested-- == 0) {
			digest(p, "}");
			return advance(p);
		}
		nested += is(p, "{");
		if (take_line(p, &line) < 0)
			return -1;
	}
	return unclosed(p, &open);
}

static int take_directive(struct parser *p, struct directive *ret)
{
	struct pile lines = { .size = sizeof(struct corefile_line) };

	*ret = (struct directive){ 0 };
	if (is(p, "{"))
		return REFUSE(p, &p->next, "a { that follows no directive");
	if (take_line(p, &ret->head) < 0)
		return -1;
	if (!is(p, "{"))
		return 0;
	int rc = take_body(p, &lines);
	ret->n_body = lines.n;
	ret->body = pile_take(&lines, p->arena);
	if (rc == 0 && !ends_line(p))
		return REFUSE(p, &p->next, "'%s' behind a }: begin a new line", p->next.text);
	return rc < 0 || ret->body ? rc : no_memory(p);
}

/* Up to the block's closing brace, or without braces up to the end. */
static int take_directives(struct parser *p, const struct token *open, struct pile *directives)
{
	struct directive d;

	for (;;) {
		while (at_import(p))
			if (import(p) < 0)
				return -1;
		if (!p->more)
			return open ? unclosed(p, open) : 0;
		if (is(p, "}"))
			return open ? advance(p) : REFUSE(p, &p->next, "a } that closes nothing");
		if (take_directive(p, &d) < 0)
			return -1;
		pile_push(directives, &d);
	}
}

static int take_block(struct parser *p, const struct corefile_line *keys)
{
	struct pile directives = { .size = sizeof(struct directive) };
	struct corefile_block b = { .keys = *keys };
	bool braces = is(p, "{");
	struct token open = p->next;

	if (p->blocks.n == COREFILE_BLOCKS_MAX)
		return directive_error(p->e, keys, NULL, "more than %u server blocks", COREFILE_BLOCKS_MAX);
	digest(p, "{");
	int rc = braces ? advance(p) : 0;
	if (rc == 0)
		rc = take_directives(p, braces ? &open : NULL, &directives);
	digest(p, "}");
	b.n = directives.n;
	b.directives = pile_take(&directives, p->arena);
	pile_push(&p->blocks, &b);
	return rc < 0 || b.directives ? rc : no_memory(p);
}

/* `(name) { words }`: kept as they are, to be read where they are imported. */
static int take_snippet(struct parser *p, const struct corefile_line *key)
{
	struct pile tokens = { .size = sizeof(struct token) };
	struct snippet s = { .name = arena_strndup(p->arena, key->words[0] + 1, strlen(key->words[0]) - 2) };
	struct token open = p->next;
	size_t depth = 0;
	int rc = 0;

	if (!s.name)
		return no_memory(p);
	if (!is(p, "{"))
		return directive_error(p->e, key, NULL, "the snippet (%s) needs { and }", s.name);
	if (find_snippet(p, s.name))
		return directive_error(p->e, key, NULL, "there is a snippet (%s) already", s.name);
	for (rc = advance(p); rc == 0 && p->more && !(depth == 0 && is(p, "}")); rc = advance(p)) {
		depth += is(p, "{");
		depth -= is(p, "}");
		pile_push(&tokens, &p->next);
	}
	if (rc == 0)
		rc = p->more ? advance(p) : unclosed(p, &open);
	s.n = tokens.n;
	s.at = pile_take(&tokens, p->arena);
	pile_push(&p->snippets, &s);
	return rc < 0 || s.at ? rc : no_memory(p);
}

/* One key, without its comma. An empty one ("", an unset variable) counts for nothing. */
static int take_key(struct parser *p, struct pile *keys, bool *ret_comma)
{
	struct token at = p->next;
	const char *word = take_word(p);
	size_t len = word ? strlen(word) : 0;

	if (len > 1 && word[len - 1] == '{' && !at.quoted)
		return REFUSE(p, &at, "'%s': write a space before the {", word);
	*ret_comma = len && word[len - 1] == ',';
	if (len > *ret_comma) {
		word = arena_strndup(p->arena, word, len - *ret_comma);
		pile_push(keys, &word);
	}
	return word ? 0 : -1;
}

/* "a.org, b.org:53" up to the brace; a comma at a line's end lets the next line go on. */
static int take_keys(struct parser *p, struct corefile_line *ret)
{
	struct pile keys = { .size = sizeof(char *) };
	bool comma = false;
	int rc = 0;

	*ret = place(&p->next);
	do {
		if (!p->more || is(p, "{") || is(p, "}"))
			rc = REFUSE(p, p->more ? &p->next : &p->last, "%s", comma ? "a comma, but no further name" : is(p, "}") ?
				    "a } that closes nothing" : "a block begins with the names it serves: \".\" for all");
		else if (keys.n == COREFILE_LINE_WORDS_MAX)
			rc = REFUSE(p, &p->next, "more than %u names for a block", COREFILE_LINE_WORDS_MAX);
		else
			rc = take_key(p, &keys, &comma);
	} while (rc == 0 && (comma || !ends_line(p)));
	ret->n = keys.n;
	ret->words = pile_take(&keys, p->arena);
	return rc < 0 || ret->words ? rc : no_memory(p);
}

static bool is_snippet(const struct corefile_line *keys)
{
	return keys->n == 1 && keys->words[0][0] == '(' && str_ends(str_of(keys->words[0]), STR(")"));
}

static int parse_all(struct parser *p)
{
	struct corefile_line keys;

	if (look(p) < 0)
		return -1;
	while (p->more) {
		if (at_import(p)) {
			if (import(p) < 0)
				return -1;
			continue;
		}
		uint64_t before = p->digest;
		if (take_keys(p, &keys) < 0)
			return -1;
		if (keys.n == 0)
			return directive_error(p->e, &keys, NULL, "a block whose names are all empty: is a variable not set?");
		if ((is_snippet(&keys) ? take_snippet(p, &keys) : take_block(p, &keys)) < 0)
			return -1;
		if (is_snippet(&keys)) /* it counts where it is imported */
			p->digest = before;
	}
	return 0;
}

/* ---- the whole ---- */

static int finish(struct parser *p, struct corefile *c)
{
	struct pile names = { .size = sizeof(char *) };

	for (size_t i = 0; i < p->files.n; i++)
		pile_push(&names, &p->files.at[i].text);
	c->files = pile_take(&names, p->arena);
	c->n_blocks = p->blocks.n;
	c->blocks = pile_take(&p->blocks, p->arena);
	c->digest = p->digest;
	return c->files && c->blocks ? 0 : no_memory(p);
}

static int parse(struct parser *p, struct str text, struct corefile *c)
{
	struct token name = { .text = arena_strndup(p->arena, p->name, strlen(p->name)) };
	struct token_list *out = &p->lexed[p->n_lexed++];

	p->last = (struct token){ .file = name.text, .line = 1 };
	if (text.len > COREFILE_BYTES_MAX)
		return REFUSE(p, &p->last, "larger than %u bytes", COREFILE_BYTES_MAX);
	token_list_add(&p->files, &name);
	if (corefile_lex(p->arena, text, name.text, out, p->e) < 0 ||
	    push(p, &p->last, p->name, &(struct frame){ .at = out->at, .n = out->n }) < 0)
		return -1;
	return parse_all(p) < 0 ? -1 : finish(p, c);
}

struct corefile *corefile_parse(struct str text, const char *name, const char *dir, struct err *e)
{
	struct corefile *c = xcalloc(1, sizeof(*c));
	struct parser *p = xcalloc(1, sizeof(*p));

	c->memory_ = xcalloc(1, sizeof(*c->memory_));
	arena_init(c->memory_, COREFILE_MEMORY_BYTES_MAX);
	*p = (struct parser){ .arena = c->memory_, .name = name, .dir = dir, .digest = 0xcbf29ce484222325ULL, .e = e,
			      .snippets.size = sizeof(struct snippet), .blocks.size = sizeof(struct corefile_block) };
	int rc = parse(p, text, c);
	for (size_t i = 0; i < p->n_lexed; i++)
		free(p->lexed[i].at);
	free(p->files.at);
	free(p->snippets.at);
	free(p->blocks.at);
	free(p);
	if (rc == 0)
		return c;
	corefile_free(c);
	return NULL;
}

void corefile_free(struct corefile *c)
{
	if (!c)
		return;
	arena_done(c->memory_);
	free(c->memory_);
	free(c);
}
