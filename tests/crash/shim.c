/*
 * Loaded into a program by LD_PRELOAD: counts what it does to the files of one folder, ends it at the n-th step, or makes the
 * steps from the n-th on fail, and keeps a journal of them, out of which shim.py makes the disks that a power loss may leave behind.
 *
 *   SHIM_DIR      the folder; only files in it count
 *   SHIM_JOURNAL  file for the journal, outside of the folder
 *   SHIM_AT       the step, from 1; 0: none
 *   SHIM_HOW      "before": ends before the step; "torn": when half of a write is done (another step than a write: nothing happens);
 *                 an errno's number: the step fails with it
 *   SHIM_TIMES    how many steps fail; 0: all from SHIM_AT on
 *   SHIM_END      "kill", "abort", "exit": how it ends
 *   SHIM_READS    set: reads are the steps, and nothing else is
 *   SHIM_SLOW     milliseconds that each sync takes longer
 *
 * Steps: creating, writing, truncating, syncing, renaming, unlinking; of the folder itself: syncing. What is written through mmap() is not seen: that is
 * SQLite's -shm, which is void after a break.
 *
 * A record of the journal: step u32, kind u8, fd's file or old name u16 + text, new name u16 + text, offset u64, length u32 + bytes. Native order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FD_MAX 1024
#define EXPORT __attribute__((visibility("default")))

enum kind { READ = 'p', CREATE = 'c', WRITE = 'w', TRUNCATE = 't', SYNC = 's', SYNC_FOLDER = 'd', RENAME = 'r', UNLINK = 'u' };

static struct {
	pthread_mutex_t mutex;
	bool ready;
	char dir[PATH_MAX];
	size_t dir_n;
	int journal;
	long at, times, step, slow;
	int error;
	bool torn, reads;
	char end[8];
	char *file[FD_MAX]; /* name within the folder; "" is the folder itself */
} g = { .mutex = PTHREAD_MUTEX_INITIALIZER, .journal = -1 };

#define REAL(type, name, ...)                                                                                          \
	static type (*real_##name)(__VA_ARGS__);                                                                       \
	if (real_##name == NULL)                                                                                       \
		*(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

static bool ready(void)
{
	REAL(int, open, const char *, int, ...);

	if (g.ready)
		return g.dir_n != 0;
	g.ready = true;
	if (setting("SHIM_DIR")[0] == '\0' || realpath(setting("SHIM_DIR"), g.dir) == NULL)
		return false;
	g.dir_n = strlen(g.dir);
	g.at = atol(setting("SHIM_AT"));
	g.times = atol(setting("SHIM_TIMES"));
	g.slow = atol(setting("SHIM_SLOW"));
	g.torn = strcmp(setting("SHIM_HOW"), "torn") == 0;
	g.error = atoi(setting("SHIM_HOW"));
	g.reads = setting("SHIM_READS")[0] != '\0';
	snprintf(g.end, sizeof(g.end), "%s", setting("SHIM_END"));
	g.journal = real_open(setting("SHIM_JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return true;
}

/* The name within the folder; NULL: not in it. */
static const char *name_of(const char *path, char *full)
{
	char parent[PATH_MAX];
	const char *base = strrchr(path, '/');
	size_t n = base != NULL ? (size_t)(base - path) : 0;

	if (!ready() || n >= sizeof(parent))
		return NULL;
	if (realpath(path, full) == NULL) { /* it is not there yet, or no more */
		memcpy(parent, n != 0 ? path : ".", n != 0 ? n : 1);
		parent[n != 0 ? n : 1] = '\0';
		if (realpath(parent, full) == NULL)
			return NULL;
		n = strlen(full);
		snprintf(full + n, PATH_MAX - n, "/%s", base != NULL ? base + 1 : path);
	}
	if (strncmp(full, g.dir, g.dir_n) != 0 || (full[g.dir_n] != '/' && full[g.dir_n] != '\0'))
		return NULL;
	return full[g.dir_n] == '\0' ? "" : full + g.dir_n + 1;
}

static size_t put_text(char *at, const char *text)
{
	uint16_t n = (uint16_t)strlen(text);

	memcpy(at, &n, sizeof(n));
	memcpy(at + sizeof(n), text, n);
	return sizeof(n) + n;
}

/* In one piece: whoever kills from outside leaves no torn record but at the very end. Changes are noted before they are made, syncs when they are
 * through: so what the journal says of a kill in between may be so. */
static void note(enum kind kind, const char *file, const char *to, uint64_t offset, const void *data, size_t n)
{
	REAL(ssize_t, writev, int, const struct iovec *, int);
	char head[2 * PATH_MAX + 64];
	uint32_t step = (uint32_t)g.step, length = (uint32_t)n;
	size_t at = 0;

	memcpy(head, &step, sizeof(step));
	at += sizeof(step);
	head[at++] = (char)kind;
	at += put_text(head + at, file);
	at += put_text(head + at, to);
	memcpy(head + at, &offset, sizeof(offset));
	at += sizeof(offset);
	memcpy(head + at, &length, sizeof(length));
	at += sizeof(length);
	struct iovec piece[] = { { head, at }, { (void *)data, n } };
	if (real_writev(g.journal, piece, n != 0 ? 2 : 1) != (ssize_t)(at + n))
		_exit(99);
}

static void end(void)
{
	if (strcmp(g.end, "exit") == 0)
		_exit(98);
	if (strcmp(g.end, "abort") == 0)
		abort();
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* One step begins, with the mutex taken. True: it is to fail, errno says how. */
static bool fails_at(bool is_write, bool is_read)
{
	if (is_read != g.reads)
		return false;
	g.step++;
	if (g.at == 0 || g.step < g.at)
		return false;
	if (g.error != 0) {
		if (g.times != 0 && g.step >= g.at + g.times)
			return false;
		errno = g.error;
		return true;
	}
	if (g.step == g.at && !(g.torn && is_write))
		end();
	return false;
}

static bool fails(bool is_write)
{
	return fails_at(is_write, false);
}

static void opened(int fd, const char *name)
{
	if (fd < 0 || fd >= FD_MAX)
		return;
	free(g.file[fd]);
	g.file[fd] = strdup(name);
}

static const char *file_of(int fd)
{
	return fd >= 0 && fd < FD_MAX ? g.file[fd] : NULL;
}

typedef int open_fn(const char *, int, ...);

static int open_with(open_fn *real, const char *path, int flags, mode_t mode)
{
	char full[PATH_MAX];
	const char *name = name_of(path, full);
	struct stat st;
	int fd;

	if (name == NULL)
		return real(path, flags, mode);
	pthread_mutex_lock(&g.mutex);
	if ((flags & O_CREAT) != 0 && stat(path, &st) != 0) {
		if (fails(false)) {
			pthread_mutex_unlock(&g.mutex);
			return -1;
		}
		note(CREATE, name, "", 0, NULL, 0);
	}
	fd = real(path, flags, mode);
	opened(fd, name);
	pthread_mutex_unlock(&g.mutex);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                                                                     \
	EXPORT int name(const char *path, int flags, ...)                                                              \
	{                                                                                                              \
		REAL(int, name, const char *, int, ...);                                                               \
		va_list ap;                                                                                            \
		va_start(ap, flags);                                                                                   \
		mode_t mode = mode_of(flags, ap);                                                                      \
		va_end(ap);                                                                                            \
		return open_with(real_##name, path, flags, mode);                                                      \
	}
OPEN(open)
OPEN(open64)

EXPORT int close(int fd)
{
	REAL(int, close, int);

	if (fd >= 0 && fd < FD_MAX && g.file[fd] != NULL) {
		pthread_mutex_lock(&g.mutex);
		free(g.file[fd]);
		g.file[fd] = NULL;
		pthread_mutex_unlock(&g.mutex);
	}
	return real_close(fd);
}

typedef ssize_t pwrite_fn(int, const void *, size_t, off64_t);

static ssize_t write_with(pwrite_fn *real, int fd, const void *data, size_t n, off64_t offset)
{
	const char *name = file_of(fd);
	ssize_t done;

	if (name == NULL)
		return real(fd, data, n, offset);
	pthread_mutex_lock(&g.mutex);
	if (fails(true)) {
		pthread_mutex_unlock(&g.mutex);
		return -1;
	}
	bool last = g.torn && !g.reads && g.error == 0 && g.step == g.at;
	note(WRITE, name, "", (uint64_t)offset, data, last ? n / 2 : n);
	done = real(fd, data, last ? n / 2 : n, offset);
	if (last)
		end();
	pthread_mutex_unlock(&g.mutex);
	return done;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
	REAL(ssize_t, pwrite, int, const void *, size_t, off64_t);
	return write_with(real_pwrite, fd, data, n, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
	REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
	return write_with(real_pwrite64, fd, data, n, offset);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
	REAL(ssize_t, write, int, const void *, size_t);
	REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
	ssize_t done;
	off64_t at;

	if (file_of(fd) == NULL)
		return real_write(fd, data, n);
	at = lseek64(fd, 0, SEEK_CUR);
	done = write_with(real_pwrite64, fd, data, n, at);
	if (done > 0)
		lseek64(fd, at + done, SEEK_SET);
	return done;
}

typedef int truncate_fn(int, off64_t);

static int truncate_with(truncate_fn *real, int fd, off64_t size)
{
	const char *name = file_of(fd);
	int rc = -1;

	if (name == NULL)
		return real(fd, size);
	pthread_mutex_lock(&g.mutex);
	if (!fails(false)) {
		note(TRUNCATE, name, "", (uint64_t)size, NULL, 0);
		rc = real(fd, size);
	}
	pthread_mutex_unlock(&g.mutex);
	return rc;
}

EXPORT int ftruncate(int fd, off_t size)
{
	REAL(int, ftruncate, int, off64_t);
	return truncate_with(real_ftruncate, fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
	REAL(int, ftruncate64, int, off64_t);
	return truncate_with(real_ftruncate64, fd, size);
}

static int sync_with(int (*real)(int), int fd)
{
	const char *name = file_of(fd);
	int rc = -1;

	if (name == NULL)
		return real(fd);
	pthread_mutex_lock(&g.mutex);
	if (!fails(false)) {
		nanosleep(&(struct timespec){ .tv_sec = g.slow / 1000, .tv_nsec = g.slow % 1000 * 1000000 }, NULL);
		rc = real(fd);
		if (rc == 0)
			note(name[0] == '\0' ? SYNC_FOLDER : SYNC, name, "", 0, NULL, 0);
	}
	pthread_mutex_unlock(&g.mutex);
	return rc;
}

EXPORT int fsync(int fd)
{
	REAL(int, fsync, int);
	return sync_with(real_fsync, fd);
}

EXPORT int fdatasync(int fd)
{
	REAL(int, fdatasync, int);
	return sync_with(real_fdatasync, fd);
}

EXPORT int unlink(const char *path)
{
	REAL(int, unlink, const char *);
	char full[PATH_MAX];
	const char *name = name_of(path, full);
	int rc = -1;

	if (name == NULL)
		return real_unlink(path);
	pthread_mutex_lock(&g.mutex);
	if (!fails(false)) {
		note(UNLINK, name, "", 0, NULL, 0);
		rc = real_unlink(path);
	}
	pthread_mutex_unlock(&g.mutex);
	return rc;
}

EXPORT int rename(const char *from, const char *to)
{
	REAL(int, rename, const char *, const char *);
	char full[PATH_MAX], full_to[PATH_MAX];
	const char *name = name_of(from, full), *name_to = name_of(to, full_to);
	int rc = -1;

	if (name == NULL || name_to == NULL)
		return real_rename(from, to);
	pthread_mutex_lock(&g.mutex);
	if (!fails(false)) {
		note(RENAME, name, name_to, 0, NULL, 0);
		rc = real_rename(from, to);
	}
	pthread_mutex_unlock(&g.mutex);
	return rc;
}

typedef ssize_t pread_fn(int, void *, size_t, off64_t);

static ssize_t read_with(pread_fn *real, int fd, void *data, size_t n, off64_t offset)
{
	if (file_of(fd) == NULL)
		return real(fd, data, n, offset);
	pthread_mutex_lock(&g.mutex);
	bool failed = fails_at(false, true);
	if (g.reads)
		note(READ, file_of(fd), "", (uint64_t)offset, NULL, 0);
	pthread_mutex_unlock(&g.mutex);
	return failed ? -1 : real(fd, data, n, offset);
}

EXPORT ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
	REAL(ssize_t, pread, int, void *, size_t, off64_t);
	return read_with(real_pread, fd, data, n, offset);
}

EXPORT ssize_t pread64(int fd, void *data, size_t n, off64_t offset)
{
	REAL(ssize_t, pread64, int, void *, size_t, off64_t);
	return read_with(real_pread64, fd, data, n, offset);
}
