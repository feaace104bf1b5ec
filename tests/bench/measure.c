/*
 * Runs a program and tells what it cost, as one line of JSON in a file:
 *
 *   measure RESULT_FILE TIMEOUT_SECONDS SAMPLE_MS STAMP PROGRAM ARGUMENT...
 *
 * A small program of its own, because the kernel counts the memory of whoever forks as the child's peak. User and system time are those of the
 * program and of all children it waited for. `max_rss_kb` is the largest single process; with SAMPLE_MS > 0, `sum_rss_kb` is the largest sum over all
 * of its processes (proportional shares), looked at so often: it costs time, so it is for programs that run many processes. With STAMP 1 each line that
 * the program says is passed on to stdout behind the seconds since its start; with 0 it writes there itself.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The proportional set size of a process in KB, when it is of this process group; else 0. */
static long share_of(const char *pid, pid_t group)
{
	char path[300], line[300];
	FILE *file;
	long kb = 0;

	if (getpgid((pid_t)strtol(pid, NULL, 10)) != group)
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Pss:", 4) == 0) {
			kb = strtol(line + 4, NULL, 10);
			break;
		}
	}
	fclose(file);
	return kb;
}

static long group_rss(pid_t group)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	long sum = 0;

	if (!proc)
		return 0;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			sum += share_of(entry->d_name, group);
	}
	closedir(proc);
	return sum;
}

/* Passes on what is there, each line behind the seconds since `begin`. Returns 0 when nothing more will come. */
static int pass_on(int fd, double begin)
{
	static char line[16384];
	static size_t n;
	char *stop;
	ssize_t got;

	while ((got = read(fd, line + n, sizeof(line) - n)) > 0) {
		n += (size_t)got;
		while ((stop = memchr(line, '\n', n)) || n == sizeof(line)) {
			size_t take = stop ? (size_t)(stop - line) + 1 : n;

			printf("%.4f %.*s", seconds() - begin, (int)take, line);
			memmove(line, line + take, n - take);
			n -= take;
		}
	}
	fflush(stdout);
	return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Waits for the child's end without a busy loop. Returns whether the time was up. `said`: what the child says, or -1. */
static int await(pid_t child, double begin, double limit, int sample_ms, int said, long *sum)
{
	struct pollfd wait[2] = {{.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN}, {.fd = said, .events = POLLIN}};
	int timed_out = 0;

	if (wait[0].fd < 0) {
		perror("measure: pidfd_open");
		exit(70);
	}
	for (;;) {
		double left = begin + limit - seconds();
		int ms = left > 3600 ? 3600000 : (int)(left * 1000) + 1;
		int n;

		if (left <= 0) {
			kill(-child, SIGKILL);
			timed_out = 1;
			break;
		}
		if (sample_ms > 0 && ms > sample_ms)
			ms = sample_ms;
		n = poll(wait, 2, ms);
		if (n > 0 && wait[1].revents && !pass_on(said, begin))
			wait[1].fd = -1;
		if (n > 0 && wait[0].revents)
			break;
		if (n == 0 && sample_ms > 0) {
			long now = group_rss(child);

			if (now > *sum)
				*sum = now;
		}
	}
	close(wait[0].fd);
	if (wait[1].fd >= 0)
		pass_on(said, begin);
	return timed_out;
}

int main(int argc, char **argv)
{
	struct rusage used;
	int status, sample_ms, timed_out, said[2] = {-1, -1};
	double begin, wall, limit;
	long sum = 0;
	pid_t child;
	FILE *out;

	if (argc < 6) {
		fprintf(stderr, "usage: measure RESULT_FILE TIMEOUT_SECONDS SAMPLE_MS STAMP PROGRAM ARGUMENT...\n");
		return 64;
	}
	limit = strtod(argv[2], NULL);
	sample_ms = (int)strtol(argv[3], NULL, 10);
	if (strcmp(argv[4], "1") == 0 && (pipe2(said, O_CLOEXEC) != 0 || fcntl(said[0], F_SETFL, O_NONBLOCK) != 0)) {
		perror("measure: pipe");
		return 70;
	}
	begin = seconds();
	child = fork();
	if (child < 0) {
		perror("measure: fork");
		return 70;
	}
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (said[1] >= 0 && (dup2(said[1], STDOUT_FILENO) < 0 || dup2(said[1], STDERR_FILENO) < 0))
			_exit(126);
		execvp(argv[5], argv + 5);
		fprintf(stderr, "measure: %s: %s\n", argv[5], strerror(errno));
		_exit(127);
	}
	setpgid(child, child);
	if (said[1] >= 0)
		close(said[1]);
	timed_out = await(child, begin, limit, sample_ms, said[0], &sum);
	while (wait4(child, &status, 0, &used) < 0 && errno == EINTR)
		;
	wall = seconds() - begin;
	out = fopen(argv[1], "w");
	if (!out) {
		perror(argv[1]);
		return 73;
	}
	fprintf(out, "{\"wall\": %.6f, \"user\": %ld.%06ld, \"sys\": %ld.%06ld, \"max_rss_kb\": %ld, \"sum_rss_kb\": %ld, ", wall,
		(long)used.ru_utime.tv_sec, (long)used.ru_utime.tv_usec, (long)used.ru_stime.tv_sec, (long)used.ru_stime.tv_usec,
		used.ru_maxrss, sum);
	fprintf(out, "\"exit\": %d, \"signal\": %d, \"timed_out\": %s}\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0, timed_out ? "true" : "false");
	return fclose(out) == 0 ? 0 : 74;
}
