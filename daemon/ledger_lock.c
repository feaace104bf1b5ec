/* ledger_lock: the state folder, and the lock that keeps a second godwit out of it. */
#include "ledger_p.h"
#include "ledger_read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int ledger_fail(struct ledger_failure *failure, enum ledger_err err, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	failure->err = err;
	vsnprintf(failure->text, sizeof(failure->text), format, ap);
	va_end(ap);
	return err;
}

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int rc = fsync(fd);
	int err = errno;
	close(fd);
	errno = err;
	return rc;
}

/* The name of a new folder is durable only when its parent is. */
static int make_folder(const char *dir)
{
	if (mkdir(dir, 0700) != 0) {
		if (errno != EEXIST)
			return -1;
		struct stat st;
		if (stat(dir, &st) != 0)
			return -1;
		if (!S_ISDIR(st.st_mode)) {
			errno = ENOTDIR;
			return -1;
		}
		return 0;
	}
	char *parent = NULL;
	if (asprintf(&parent, "%s/..", dir) < 0) {
		errno = ENOMEM;
		return -1;
	}
	int rc = chmod(dir, 0700) != 0 ? -1 : sync_folder(parent);
	free(parent);
	return rc;
}

/* A new file is made 0600 whatever the umask says; the mode of one that is there is its owner's business. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fchmod(fd, 0600) == 0)
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* 0: the lock names nobody. */
static long read_pid(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	long pid = 0;
	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9' && pid < 100000000; i++)
		pid = pid * 10 + (text[i] - '0');
	return pid;
}

static int write_pid(int fd)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0)
		return -1;
	errno = ENOSPC; /* what a short write means */
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

static int take_lock(int fd, const char *dir, const char *lock, bool *unclean, struct ledger_failure *failure)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return ledger_fail(failure, LEDGER_FAILED, "%s cannot be locked: %m", lock);
		long pid = read_pid(fd);
		if (pid == 0)
			return ledger_fail(failure, LEDGER_BUSY, "another godwit is using %s", dir);
		return ledger_fail(failure, LEDGER_BUSY, "another godwit (pid %ld) is using %s", pid, dir);
	}
	*unclean = read_pid(fd) != 0;
	if (write_pid(fd) != 0)
		return ledger_fail(failure, LEDGER_FAILED, "%s cannot be written: %m", lock);
	return LEDGER_OK;
}

/* A file without a name, so that nothing stays behind. */
int ledger_probe_write(const char *path)
{
	static const char page[4096];
	const char *slash = strrchr(path, '/');
	char *dir = slash != NULL ? strndup(path, (size_t)(slash - path)) : strdup(".");
	int fd = dir != NULL ? open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
	int err = 0;

	free(dir);
	if (fd < 0) /* not every file system has such files */
		return errno == EROFS || errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EACCES ? errno : 0;
	errno = ENOSPC; /* what a short write means */
	if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page) || fsync(fd) != 0)
		err = errno;
	close(fd);
	return err;
}

int ledger_probe_read(const char *path)
{
	char piece[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0;
	ssize_t n;
	int err;

	if (fd < 0)
		return errno;
	do {
		n = pread(fd, piece, sizeof(piece), at);
		at += n;
	} while (n > 0);
	err = n < 0 ? errno : 0;
	close(fd);
	return err;
}

int ledger_lock(const char *dir, const char *path, int *fd, bool *unclean, struct ledger_failure *failure)
{
	*fd = -1;
	if (make_folder(dir) != 0)
		return ledger_fail(failure, LEDGER_FAILED, "the state folder %s cannot be used: %m", dir);
	char *lock = NULL;
	if (asprintf(&lock, "%s/lock", dir) < 0)
		return ledger_fail(failure, LEDGER_FAILED, "memory is out");
	int err = LEDGER_OK;
	*fd = open_file(lock);
	if (*fd < 0)
		err = ledger_fail(failure, LEDGER_FAILED, "%s cannot be opened: %m", lock);
	else
		err = take_lock(*fd, dir, lock, unclean, failure);
	free(lock);
	if (err == LEDGER_OK) {
		int file = open_file(path);
		if (file < 0)
			err = ledger_fail(failure, LEDGER_FAILED, "%s cannot be opened: %m", path);
		else if (close(file), sync_folder(dir) != 0)
			err = ledger_fail(failure, LEDGER_FAILED, "%s cannot be synced: %m", dir);
		if (err != LEDGER_OK)
			ledger_unlock(fd, !*unclean);
	} else if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return err;
}

/* The name of a process, as the kernel has it; "" when it cannot be told. */
static void read_name(const char *path, char name[16])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, name, 15) : 0;
	name[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The pid may be that of another program by now, when its godwit was killed. */
long ledger_owner(const char *dir)
{
	char path[64], name[16], own[16];
	char *lock = NULL;
	if (asprintf(&lock, "%s/lock", dir) < 0)
		return 0;
	int fd = open(lock, O_RDONLY | O_CLOEXEC);
	free(lock);
	if (fd < 0)
		return 0;
	long pid = read_pid(fd);
	close(fd);
	if (pid == 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
		return 0;
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	read_name(path, name);
	read_name("/proc/self/comm", own);
	return strcmp(name, own) == 0 ? pid : 0;
}

void ledger_unlock(int *fd, bool clean)
{
	if (*fd < 0)
		return;
	/* A pid that stays behind makes the next run look the file over: harmless when this fails. */
	if (clean && ftruncate(*fd, 0) != 0)
		clean = false;
	close(*fd);
	*fd = -1;
}
