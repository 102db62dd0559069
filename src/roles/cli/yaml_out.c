#include "roles/cli/yaml_out.h"

#include <yaml.h>

#define YAML_OUT_BYTES (8u << 20)

static int sink(void *ctx, unsigned char *data, size_t len)
{
	return buf_put(ctx, data, len) == 0;
}

static void emit(yaml_emitter_t *em, yaml_event_t *ev)
{
	if (!yaml_emitter_emit(em, ev))
		abort(); /* the sink's limit is far above any kubeconfig we accept */
}

/* A string that a YAML reader would take for something else must be quoted. */
static bool needs_quotes(const char *s)
{
	static const char *const words[] = { "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_ieq(str_of(s), str_of(words[i])))
			return true;
	return strspn(s, "0123456789+-._eExXabcdefABCDEFo:") == strlen(s);
}

static void emit_scalar(yaml_emitter_t *em, const char *text, bool quoted)
{
	yaml_event_t ev;

	yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1,
				     quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE);
	emit(em, &ev);
}

static void emit_value(yaml_emitter_t *em, const json_t *v)
{
	yaml_event_t ev;
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_object(v)) {
		yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
		emit(em, &ev);
		json_object_foreach((json_t *)v, key, item) {
			emit_scalar(em, key, needs_quotes(key));
			emit_value(em, item);
		}
		yaml_mapping_end_event_initialize(&ev);
		emit(em, &ev);
	} else if (json_is_array(v)) {
		yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
		emit(em, &ev);
		json_array_foreach(v, i, item)
			emit_value(em, item);
		yaml_sequence_end_event_initialize(&ev);
		emit(em, &ev);
	} else if (json_is_string(v)) {
		emit_scalar(em, json_string_value(v), needs_quotes(json_string_value(v)));
	} else {
		cleanup(freep) char *text = jx_dump_text(v);
		emit_scalar(em, text, false);
	}
}

char *yaml_text(const json_t *root)
{
	yaml_emitter_t em;
	yaml_event_t ev;
	struct buf out;

	buf_init(&out, YAML_OUT_BYTES);
	yaml_emitter_initialize(&em);
	yaml_emitter_set_output(&em, sink, &out);
	yaml_emitter_set_unicode(&em, 1);
	yaml_emitter_set_width(&em, -1);
	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	emit(&em, &ev);
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
	emit(&em, &ev);
	emit_value(&em, root);
	yaml_document_end_event_initialize(&ev, 1);
	emit(&em, &ev);
	yaml_stream_end_event_initialize(&ev);
	emit(&em, &ev);
	yaml_emitter_delete(&em);
	return buf_take(&out);
}
