/* The floor: the least that a watch of this kind can cost. Each ten seconds it reads CPU, memory and root disk, posts them
 * and sends a HEAD on one kept plain HTTP connection, and adds a row to SQLite (WAL, synchronous NORMAL).
 *
 * floor PORT DATABASE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_S = 10 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int connected(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
		fail("connect");
	return fd;
}

/* Send a request and take the whole answer in; `body` says whether one follows its Content-Length. */
static void ask(int fd, const char *request, int body)
{
	char answer[4096];
	size_t got = 0, whole = sizeof answer;
	if (write(fd, request, strlen(request)) < 0)
		fail("write");
	while (got < whole) {
		ssize_t more = read(fd, answer + got, sizeof answer - 1 - got);
		if (more <= 0)
			fail("read");
		got += more;
		answer[got] = 0;
		char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "content-length:");
		if (end)
			whole = end + 4 - answer + (body && length ? strtoul(length + 15, NULL, 10) : 0);
	}
}

static double cpu_percent(void)
{
	static unsigned long long idle_before, all_before;
	unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
	FILE *file = fopen("/proc/stat", "re");
	if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
			    &softirq, &steal) != 8)
		fail("/proc/stat");
	fclose(file);
	unsigned long long all = user + nice + system + idle + iowait + irq + softirq + steal, rest = idle + iowait;
	double busy = all > all_before ? 100.0 - 100.0 * (rest - idle_before) / (all - all_before) : 0;
	idle_before = rest;
	all_before = all;
	return busy;
}

static double memory_percent(void)
{
	double total, free, available;
	FILE *file = fopen("/proc/meminfo", "re");
	if (!file || fscanf(file, "MemTotal: %lf kB MemFree: %lf kB MemAvailable: %lf", &total, &free, &available) != 3)
		fail("/proc/meminfo");
	fclose(file);
	return 100 - 100 * available / total;
}

static double disk_percent(void)
{
	struct statvfs root;
	if (statvfs("/", &root) < 0)
		fail("/");
	return 100 - 100.0 * root.f_bfree / root.f_blocks;
}

static sqlite3_stmt *prepared(const char *path)
{
	sqlite3 *database;
	sqlite3_stmt *insert;
	if (sqlite3_open(path, &database) ||
	    sqlite3_exec(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			 "CREATE TABLE IF NOT EXISTS metrics (at INTEGER, cpu REAL, memory REAL, disk REAL)", 0, 0, 0) ||
	    sqlite3_prepare_v2(database, "INSERT INTO metrics VALUES (?, ?, ?, ?)", -1, &insert, 0)) {
		fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(database));
		exit(1);
	}
	return insert;
}

int main(int count, char **words)
{
	if (count != 3)
		return 2;
	int fd = connected(atoi(words[1]));
	sqlite3_stmt *insert = prepared(words[2]);
	for (;;) {
		struct timespec slot = {.tv_sec = (time(NULL) / INTERVAL_S + 1) * INTERVAL_S};
		while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &slot, NULL))
			;
		double cpu = cpu_percent(), memory = memory_percent(), disk = disk_percent();
		char body[128], request[512];
		snprintf(body, sizeof body, "{\"cpu\":%.1f,\"memory\":%.1f,\"disk\":%.1f}", cpu, memory, disk);
		snprintf(request, sizeof request, "POST /floor HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
		ask(fd, request, 1);
		ask(fd, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 0);
		sqlite3_bind_int64(insert, 1, slot.tv_sec);
		sqlite3_bind_double(insert, 2, cpu);
		sqlite3_bind_double(insert, 3, memory);
		sqlite3_bind_double(insert, 4, disk);
		if (sqlite3_step(insert) != SQLITE_DONE)
			fail("INSERT");
		sqlite3_reset(insert);
	}
}
