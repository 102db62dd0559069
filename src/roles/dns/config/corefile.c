/* Blocks and directives from words. Whatever is imported is read as if it stood in the import's place. */
#include "roles/dns/config/corefile_int.h"

#include "base/fnv.h"

static struct corefile_line place(const struct token *t)
{
	return (struct corefile_line){ .file = t->file, .line = t->line };
}

static bool at_import(const struct parser *p)
{
	return corefile_is(p, "import");
}

/* ---- lines, directives, blocks ---- */

/* Words up to the line's end or a brace. In a body braces are words when they are inside of the line. */
static int take_line(struct parser *p, struct corefile_line *ret)
{
	struct pile words = { .size = sizeof(char *) };

	*ret = place(&p->next);
	do {
		const char *word = words.n < COREFILE_LINE_WORDS_MAX ? corefile_take_word(p) : NULL;
		if (!word) {
			int rc = words.n < COREFILE_LINE_WORDS_MAX ? -1 : COREFILE_REFUSE(p, &p->next, "more than %u words in a line", COREFILE_LINE_WORDS_MAX);
			free(words.at);
			return rc;
		}
		pile_push(&words, &word);
	} while (!corefile_ends_line(p));
	ret->n = words.n;
	ret->words = pile_take(&words, p->arena);
	return ret->words ? 0 : corefile_no_memory(p);
}

static int unclosed(struct parser *p, const struct token *open)
{
	return COREFILE_REFUSE(p, open, "this { is not closed");
}

/* The lines between braces, which are taken too. A brace within is a line of its own. */
static int take_body(struct parser *p, struct pile *lines)
{
	struct token open = p->next;
	struct corefile_line line;

	corefile_digest(p, "{");
	if (corefile_advance(p) < 0)
		return -1;
	for (size_t nested = 0; p->more; pile_push(lines, &line)) {
		while (at_import(p))
			if (corefile_import(p) < 0)
				return -1;
		if (!p->more)
			break;
		if (corefile_is(p, "}") && nested-- == 0) {
			corefile_digest(p, "}");
			return corefile_advance(p);
		}
		nested += corefile_is(p, "{");
		if (take_line(p, &line) < 0)
			return -1;
	}
	return unclosed(p, &open);
}

static int take_directive(struct parser *p, struct directive *ret)
{
	struct pile lines = { .size = sizeof(struct corefile_line) };

	*ret = (struct directive){ 0 };
	if (corefile_is(p, "{"))
		return COREFILE_REFUSE(p, &p->next, "a { that follows no directive");
	if (take_line(p, &ret->head) < 0)
		return -1;
	if (!corefile_is(p, "{"))
		return 0;
	int rc = take_body(p, &lines);
	ret->n_body = lines.n;
	ret->body = pile_take(&lines, p->arena);
	if (rc == 0 && !corefile_ends_line(p))
		return COREFILE_REFUSE(p, &p->next, "'%s' behind a }: begin a new line", p->next.text);
	return rc < 0 || ret->body ? rc : corefile_no_memory(p);
}

/* Up to the block's closing brace, or without braces up to the end. */
static int take_directives(struct parser *p, const struct token *open, struct pile *directives)
{
	struct directive d;

	for (;;) {
		while (at_import(p))
			if (corefile_import(p) < 0)
				return -1;
		if (!p->more)
			return open ? unclosed(p, open) : 0;
		if (corefile_is(p, "}"))
			return open ? corefile_advance(p) : COREFILE_REFUSE(p, &p->next, "a } that closes nothing");
		if (take_directive(p, &d) < 0)
			return -1;
		pile_push(directives, &d);
	}
}

static int take_block(struct parser *p, const struct corefile_line *keys)
{
	struct pile directives = { .size = sizeof(struct directive) };
	struct corefile_block b = { .keys = *keys };
	bool braces = corefile_is(p, "{");
	struct token open = p->next;

	if (p->blocks.n == COREFILE_BLOCKS_MAX)
		return directive_error(p->e, keys, NULL, "more than %u server blocks", COREFILE_BLOCKS_MAX);
	corefile_digest(p, "{");
	int rc = braces ? corefile_advance(p) : 0;
	if (rc == 0)
		rc = take_directives(p, braces ? &open : NULL, &directives);
	corefile_digest(p, "}");
	b.n = directives.n;
	b.directives = pile_take(&directives, p->arena);
	pile_push(&p->blocks, &b);
	return rc < 0 || b.directives ? rc : corefile_no_memory(p);
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
		return corefile_no_memory(p);
	if (!corefile_is(p, "{"))
		return directive_error(p->e, key, NULL, "the snippet (%s) needs { and }", s.name);
	if (corefile_find_snippet(p, s.name))
		return directive_error(p->e, key, NULL, "there is a snippet (%s) already", s.name);
	for (rc = corefile_advance(p); rc == 0 && p->more && !(depth == 0 && corefile_is(p, "}")); rc = corefile_advance(p)) {
		depth += corefile_is(p, "{");
		depth -= corefile_is(p, "}");
		pile_push(&tokens, &p->next);
	}
	if (rc == 0)
		rc = p->more ? corefile_advance(p) : unclosed(p, &open);
	s.n = tokens.n;
	s.at = pile_take(&tokens, p->arena);
	pile_push(&p->snippets, &s);
	return rc < 0 || s.at ? rc : corefile_no_memory(p);
}

/* One key, without its comma. An empty one ("", an unset variable) counts for nothing. */
static int take_key(struct parser *p, struct pile *keys, bool *ret_comma)
{
	struct token at = p->next;
	const char *word = corefile_take_word(p);
	size_t len = word ? strlen(word) : 0;

	if (len > 1 && word[len - 1] == '{' && !at.quoted)
		return COREFILE_REFUSE(p, &at, "'%s': write a space before the {", word);
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
		if (!p->more || corefile_is(p, "{") || corefile_is(p, "}"))
			rc = COREFILE_REFUSE(p, p->more ? &p->next : &p->last, "%s", comma ? "a comma, but no further name" : corefile_is(p, "}") ?
				    "a } that closes nothing" : "a block begins with the names it serves: \".\" for all");
		else if (keys.n == COREFILE_LINE_WORDS_MAX)
			rc = COREFILE_REFUSE(p, &p->next, "more than %u names for a block", COREFILE_LINE_WORDS_MAX);
		else
			rc = take_key(p, &keys, &comma);
	} while (rc == 0 && (comma || !corefile_ends_line(p)));
	ret->n = keys.n;
	ret->words = pile_take(&keys, p->arena);
	return rc < 0 || ret->words ? rc : corefile_no_memory(p);
}

static bool is_snippet(const struct corefile_line *keys)
{
	return keys->n == 1 && keys->words[0][0] == '(' && str_ends(str_of(keys->words[0]), STR(")"));
}

static int parse_all(struct parser *p)
{
	struct corefile_line keys;

	if (corefile_look(p) < 0)
		return -1;
	while (p->more) {
		if (at_import(p)) {
			if (corefile_import(p) < 0)
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
	return c->files && c->blocks ? 0 : corefile_no_memory(p);
}

static int parse(struct parser *p, struct str text, struct corefile *c)
{
	struct token name = { .text = arena_strndup(p->arena, p->name, strlen(p->name)) };
	struct token_list *out = &p->lexed[p->n_lexed++];

	p->last = (struct token){ .file = name.text, .line = 1 };
	if (text.len > COREFILE_BYTES_MAX)
		return COREFILE_REFUSE(p, &p->last, "larger than %u bytes", COREFILE_BYTES_MAX);
	token_list_add(&p->files, &name);
	if (corefile_lex(p->arena, text, name.text, out, p->e) < 0 ||
	    corefile_push(p, &p->last, p->name, &(struct frame){ .at = out->at, .n = out->n }) < 0)
		return -1;
	return parse_all(p) < 0 ? -1 : finish(p, c);
}

struct corefile *corefile_parse(struct str text, const char *name, const char *dir, struct err *e)
{
	struct corefile *c = xcalloc(1, sizeof(*c));
	struct parser *p = xcalloc(1, sizeof(*p));

	c->memory_ = xcalloc(1, sizeof(*c->memory_));
	arena_init(c->memory_, COREFILE_MEMORY_BYTES_MAX);
	*p = (struct parser){ .arena = c->memory_, .name = name, .dir = dir, .digest = FNV1A_64, .e = e,
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
