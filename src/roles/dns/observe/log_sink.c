#include "roles/dns/observe/log_sink.h"

#include "base/log_out.h"
#include "roles/dns/observe/log_rule.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/observe/watch.h"

#define RETRY_MS 50 /* after a pipe was full */

/* One for the process, as there is one standard output. */
struct log_sink {
	struct dns_shared *shared;
	unsigned users;
	struct log_out *out;
	struct watch_tap tap;
	struct buf lines;
	uint64_t dropped, told_lost;
	struct metric *dropped_total;
	struct timer retry;
};
static struct log_sink sink;

static void drop(uint64_t n)
{
	sink.dropped += n;
	metric_add(sink.dropped_total, METRIC_MAIN, (int64_t)n);
}

static void write_out(void)
{
	uint64_t lost = dns_watch_lost(sink.shared->watch) - sink.told_lost;
	size_t broken = 0;

	sink.told_lost += lost;
	if (lost)
		drop(lost);
	if (sink.dropped && sink.lines.len < LOG_SINK_BYTES_MAX / 2) {
		buf_printf(&sink.lines, "[WARNING] plugin/log: %llu lines were dropped: standard output is read too slowly\n",
			   (unsigned long long)sink.dropped);
		sink.dropped = 0;
	}
	if (log_out_write(sink.out, &sink.lines, &broken) == 1)
		timer_start(sink.shared->main_loop, &sink.retry, RETRY_MS);
	if (broken)
		metric_add(sink.dropped_total, METRIC_MAIN, (int64_t)broken);
}

static void on_event(void *ctx, const struct dns_event *e)
{
	size_t before = sink.lines.len;

	(void)ctx;
	if (!e->log)
		return;
	sink.lines.overflow = false;
	buf_puts(&sink.lines, "[INFO] ");
	log_format_put(e->log->format, e, &sink.lines);
	buf_putc(&sink.lines, '\n');
	if (!sink.lines.overflow)
		return;
	sink.lines.len = before;
	drop(1);
}

static void on_drained(void *ctx)
{
	(void)ctx;
	if (!timer_active(&sink.retry))
		write_out();
}

static void on_retry(struct timer *t)
{
	(void)t;
	write_out();
}

int log_sink_use(struct dns_shared *s, struct err *e)
{
	if (sink.users == 0) {
		struct log_out *out = log_out_open(NULL, e);
		if (!out)
			return -1;
		sink = (struct log_sink){ .shared = s, .out = out, .retry = { .fire = on_retry },
					  .tap = { .event = on_event, .drained = on_drained },
					  .told_lost = dns_watch_lost(s->watch) };
		sink.dropped_total = dns_metric(s->metrics, "portico_dns_log_dropped_total", METRIC_COUNTER,
						"Lines of the query log that were dropped, as nobody read them in time.", "");
		buf_init(&sink.lines, LOG_SINK_BYTES_MAX);
		dns_watch_add(s->watch, &sink.tap);
	}
	sink.users++;
	return 0;
}

void log_sink_leave(struct dns_shared *s)
{
	/* Events point to the rules of the plug-in that ends. */
	dns_watch_drain(s->watch);
	if (--sink.users > 0)
		return;
	dns_watch_remove(s->watch, &sink.tap);
	write_out();
	timer_stop(&sink.retry);
	log_out_unref(sink.out);
	buf_done(&sink.lines);
}
