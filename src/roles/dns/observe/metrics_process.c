/* What Prometheus' client libraries tell about their process. */
#include "roles/dns/observe/metrics_int.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void put(struct buf *out, const char *name, const char *type, const char *help, double value)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

static double open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	double n = -3; /* . and .. and this one */

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Fields 22 to 24 of /proc/self/stat: start in ticks since boot, bytes of address space, resident pages. */
static void put_stat(struct buf *out)
{
	unsigned long long start = 0, size = 0, pages = 0;
	char line[2048];
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
	struct timespec real, boot;

	if (f)
		fclose(f);
	line[n] = '\0';
	const char *behind = strrchr(line, ')'); /* the name may contain anything */
	if (!behind || sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %llu %llu",
			      &start, &size, &pages) != 3)
		return;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	put(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
	    (double)(real.tv_sec - boot.tv_sec) + (double)start / (double)sysconf(_SC_CLK_TCK));
	put(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (double)size);
	put(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
	    (double)pages * (double)sysconf(_SC_PAGESIZE));
}

void metrics_put_process(struct buf *out)
{
	struct rlimit files = { 0 };
	struct timespec cpu = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	getrlimit(RLIMIT_NOFILE, &files);
	put(out, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
	    (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	put(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (double)files.rlim_cur);
	put(out, "process_open_fds", "gauge", "Number of open file descriptors.", open_fds());
	put_stat(out);
}
