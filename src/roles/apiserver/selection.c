#include "roles/apiserver/selection.h"

int selection_init(struct selection *s, const struct resource *r, const struct request_info *info,
		   const struct request_options *opt, struct err *e)
{
	*s = (struct selection){ .res = r->storage ? r->storage : r,
				 .ns = r->namespaced ? info->ns : NULL };
	if (opt->label_selector && opt->label_selector[0]) {
		s->labels = selector_parse(str_of(opt->label_selector), e);
		if (!s->labels)
			return -1;
	}
	if (!opt->field_selector || !opt->field_selector[0])
		return 0;
	if (field_selector_parse(str_of(opt->field_selector), &s->fields, e) < 0) {
		s->fields = (struct field_selector){ 0 };
		selection_done(s);
		return -1;
	}
	if (field_selector_check(s->res, &s->fields, e) < 0) {
		selection_done(s);
		return -1;
	}
	return 0;
}

void selection_done(struct selection *s)
{
	selector_free(s->labels);
	s->labels = NULL;
	if (s->fields.text_ || s->fields.at)
		field_selector_done(&s->fields);
	s->fields = (struct field_selector){ 0 };
}

bool selection_has(const struct selection *s, const struct object *o)
{
	if (s->ns && !c_eq(s->ns, o->ns))
		return false;
	return object_matches_fields(s->res, o, &s->fields) && object_matches_labels(o, s->labels);
}

bool selection_is_all(const struct selection *s)
{
	return !s->labels && !s->fields.n;
}
