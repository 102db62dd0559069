#include "kube/object/pod_dns.h"

void string_list_add(struct string_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (c_eq(l->at[i], s))
			return;
	if (l->n < POD_DNS_LIST_MAX)
		l->at[l->n++] = xstrdup(s);
}

void string_list_done(struct string_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	l->n = 0;
}

void pod_dns_done(struct pod_dns *d)
{
	string_list_done(&d->servers);
	string_list_done(&d->searches);
	string_list_done(&d->options);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next blank-separated word of *rest, or an empty one. */
static struct str next_word(struct str *rest)
{
	while (rest->len && is_blank(*rest->ptr))
		rest->ptr++, rest->len--;
	struct str word = { rest->ptr, 0 };
	while (word.len < rest->len && !is_blank(word.ptr[word.len]))
		word.len++;
	rest->ptr += word.len;
	rest->len -= word.len;
	return word;
}

static void list_add_words(struct string_list *l, struct str words)
{
	for (struct str w = next_word(&words); w.len; w = next_word(&words)) {
		cleanup(freep) char *text = str_dup(w);
		string_list_add(l, text);
	}
}

void pod_dns_parse(struct str resolv_conf, struct pod_dns *ret)
{
	*ret = (struct pod_dns){ 0 };
	while (resolv_conf.ptr) {
		struct str line = str_cut(resolv_conf, '\n', &resolv_conf);
		struct str key = next_word(&line);
		if (str_eq_c(key, "nameserver"))
			list_add_words(&ret->servers, line);
		else if (str_eq_c(key, "options"))
			list_add_words(&ret->options, line);
		else if (str_eq_c(key, "search")) {
			/* The last one counts. */
			string_list_done(&ret->searches);
			list_add_words(&ret->searches, line);
		}
	}
}

static void list_add_list(struct string_list *l, const struct string_list *from)
{
	for (size_t i = 0; i < from->n; i++)
		string_list_add(l, from->at[i]);
}

static void add_cluster(const json_t *pod, const struct pod_dns_cluster *c, struct pod_dns *d)
{
	cleanup(freep) char *ns = xasprintf("%s.svc.%s", jx_namespace(pod), c->domain);
	cleanup(freep) char *svc = xasprintf("svc.%s", c->domain);

	string_list_add(&d->servers, c->server);
	string_list_add(&d->searches, ns);
	string_list_add(&d->searches, svc);
	string_list_add(&d->searches, c->domain);
	list_add_list(&d->searches, &c->host->searches);
	string_list_add(&d->options, "ndots:5");
}

static void add_host(const struct pod_dns *host, struct pod_dns *d)
{
	list_add_list(&d->servers, &host->servers);
	list_add_list(&d->searches, &host->searches);
	list_add_list(&d->options, &host->options);
}

/* An option of the pod replaces the one of the same name ("ndots:2" replaces "ndots:5"). */
static void option_set(struct string_list *l, const char *name, const char *value)
{
	char *text = value ? xasprintf("%s:%s", name, value) : xstrdup(name);

	for (size_t i = 0; i < l->n; i++) {
		struct str rest, known = str_cut(str_of(l->at[i]), ':', &rest);
		if (!str_eq_c(known, name))
			continue;
		free(l->at[i]);
		l->at[i] = text;
		return;
	}
	string_list_add(l, text);
	free(text);
}

static void add_strings(struct string_list *l, const json_t *array)
{
	size_t i;
	const json_t *s;

	json_array_foreach(array, i, s) if (json_is_string(s))
		string_list_add(l, json_string_value(s));
}

void pod_dns_of(const json_t *pod, const struct pod_dns_cluster *c,
		       struct pod_dns *ret)
{
	const char *policy = jx_str_or(pod, "spec.dnsPolicy", "ClusterFirst");
	bool host_network = jx_bool(pod, "spec.hostNetwork", false);
	const json_t *own = jx_at(pod, "spec.dnsConfig"), *option;
	struct pod_dns d = { 0 };
	size_t i;

	if (c_eq(policy, "ClusterFirstWithHostNet") ||
	    (c_eq(policy, "ClusterFirst") && !host_network))
		add_cluster(pod, c, &d);
	else if (!c_eq(policy, "None"))
		add_host(c->host, &d);
	add_strings(&d.servers, json_object_get(own, "nameservers"));
	add_strings(&d.searches, json_object_get(own, "searches"));
	json_array_foreach(json_object_get(own, "options"), i, option) if (jx_str(option, "name"))
		option_set(&d.options, jx_str(option, "name"), jx_str(option, "value"));
	*ret = d;
}
