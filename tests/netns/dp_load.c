/* dp_load.c - the data plane without an API server: feeds the objects of a directory's JSON files into it.
 *
 * dp_load --pin DIR --cgroup DIR --node NAME --node-ip IP [--clsact] OBJECTS_DIR
 *     serves until it is killed; SIGHUP reads the directory again; SIGUSR1 prints the counters.
 *     A line on standard output tells: "ready", "applied", "counter NAME N".
 * dp_load --pin DIR --remove
 */
#include "base/file.h"
#include "base/log.h"
#include "roles/proxy/engine.h"

#include <dirent.h>
#include <getopt.h>
#include <stdio.h>

#define FILE_BYTES (16u << 20)

struct load {
	struct loop *loop;
	struct engine *engine;
	const char *dir;
	struct map objects; /* "kind/ns/name" → json_t */
	bool fed;
};

static void die(const struct err *e)
{
	fprintf(stderr, "dp_load: %s\n", e->message);
	exit(1);
}

static void feed(struct load *l, const json_t *obj, bool gone)
{
	struct tables *t = engine_tables(l->engine);
	bool service = c_eq(jx_str(obj, "kind"), "Service");

	if (service)
		(gone ? tables_service_del : tables_service_put)(t, obj);
	else
		(gone ? tables_slice_del : tables_slice_put)(t, obj);
}

static void file_feed(struct load *l, const char *path, struct map *seen)
{
	struct buf text;
	struct err e;
	json_t *obj;

	buf_init(&text, FILE_BYTES);
	if (file_read(path, &text, &e) < 0 || !(obj = jx_parse(buf_str(&text), FILE_BYTES, &e)))
		die(&e);
	buf_done(&text);
	json_t *items = jx_at(obj, "items"), *v;
	json_t *one = items ? json_incref(items) : json_pack("[O]", obj);
	size_t i;
	json_array_foreach(one, i, v) {
		char *key = xasprintf("%s/%s/%s", jx_str(v, "kind"), jx_namespace(v), jx_name(v));

		feed(l, v, false);
		json_decref(map_put_c(seen, key, json_incref(v)));
		free(key);
	}
	json_decref(one);
	json_decref(obj);
}

static void decref(void *v)
{
	json_decref(v);
}

static void read_all(struct load *l)
{
	struct map seen;
	DIR *d = opendir(l->dir);
	struct dirent *de;

	map_init(&seen);
	while (d && (de = readdir(d))) {
		char *path = xasprintf("%s/%s", l->dir, de->d_name);

		if (str_ends(str_of(de->d_name), STR(".json")))
			file_feed(l, path, &seen);
		free(path);
	}
	if (d)
		closedir(d);
	for (struct map_iter it = { 0 }; map_next(&l->objects, &it);)
		if (!map_get(&seen, it.key))
			feed(l, it.value, true);
	map_done(&l->objects, decref);
	l->objects = seen;
}

static void applied(void *ctx)
{
	(void)ctx;
	puts("applied");
	fflush(stdout);
}

static void on_hup(void *ctx, int signo)
{
	struct load *l = ctx;

	(void)signo;
	read_all(l);
	engine_changed(l->engine);
	loop_post(l->loop, applied, NULL); /* runs in a later turn than the flush */
}

static void on_usr1(void *ctx, int signo)
{
	static const char *const names[] = {
#define X(name, label, doc) label,
		DP_COUNTER_MAP(X)
#undef X
	};
	struct load *l = ctx;
	uint64_t n[DP_COUNTERS];
	struct err e;

	(void)signo;
	if (dp_counters_read(engine_dp(l->engine), n, &e) < 0)
		die(&e);
	for (size_t i = 0; i < DP_COUNTERS; i++)
		printf("counter %s %llu\n", names[i], (unsigned long long)n[i]);
	fflush(stdout);
}

static void on_ready(void *ctx)
{
	(void)ctx;
	puts("ready");
	fflush(stdout);
}

static void on_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	die(e);
}

int main(int argc, char **argv)
{
	struct engine_options o = { .cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/12",
				    .node_port_range = "30000-32767", .ready = on_ready, .failed = on_failed };
	static const struct option options[] = {
		{ "pin", 1, NULL, 'p' },  { "cgroup", 1, NULL, 'c' }, { "node", 1, NULL, 'n' },
		{ "node-ip", 1, NULL, 'i' }, { "clsact", 0, NULL, 'k' }, { "remove", 0, NULL, 'r' }, { 0 },
	};
	struct load l = { 0 };
	bool remove_it = false;
	struct err e;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'p': o.dp.pin_dir = optarg; break;
		case 'c': o.dp.cgroup = optarg; break;
		case 'n': o.node_name = optarg; break;
		case 'i': o.node_ip = optarg; break;
		case 'k': o.dp.clsact = true; break;
		case 'r': remove_it = true; break;
		default: return 2;
		}
	}
	log_setup("dp_load", LOG_DEBUG);
	if (remove_it) {
		if (dp_remove(o.dp.pin_dir, &e) < 0)
			die(&e);
		return 0;
	}
	l.loop = loop_new(&e);
	if (!l.loop)
		die(&e);
	l.dir = argv[optind];
	map_init(&l.objects);
	if (loop_on_signal(l.loop, SIGHUP, on_hup, &l, &e) < 0 || loop_on_signal(l.loop, SIGUSR1, on_usr1, &l, &e) < 0)
		die(&e);
	l.engine = engine_new(l.loop, &o, &e);
	if (!l.engine)
		die(&e);
	read_all(&l);
	engine_fed(l.engine);
	loop_run(l.loop);
	return 0;
}
