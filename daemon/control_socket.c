#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static int fail(struct control_failure *failure, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct control_failure *failure, int err, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(failure->text, sizeof(failure->text), format, ap);
	va_end(ap);
	return err;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

/* Takes away what a daemon left behind that could not clean up. */
static int clear(const char *path, struct control_failure *failure)
{
	struct sockaddr_un a = address_of(path);
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? CONTROL_OK : fail(failure, CONTROL_FAILED, "the socket %s cannot be made: %m", path);
	if (!S_ISSOCK(st.st_mode))
		return fail(failure, CONTROL_FAILED, "%s is there already and is no socket; give control another path, or move it away", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(failure, CONTROL_FAILED, "the socket %s cannot be made: %m", path);
	/* Where nobody accepts just now (EAGAIN), there is somebody all the same. */
	int err = connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 ? 0 : errno;
	close(fd);
	if (err != ECONNREFUSED && err != ENOENT)
		return fail(failure, CONTROL_BUSY, "another godwit answers on %s; stop it, or give control another path", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return fail(failure, CONTROL_FAILED, "the socket %s, which nobody answers on, cannot be taken away: %m", path);
	return CONTROL_OK;
}

static int make(struct control_socket *s, struct control_failure *failure)
{
	struct sockaddr_un a = address_of(s->path);
	struct stat st;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return fail(failure, CONTROL_FAILED, "the socket %s cannot be made: %m", s->path);
	/* The mask is the process's: what another thread makes meanwhile is no more open for it. */
	mode_t mask = umask(0177);
	int rc = bind(s->fd, (const struct sockaddr *)&a, sizeof(a)), err = errno;
	umask(mask);
	if (rc != 0)
		return fail(failure, CONTROL_FAILED, "the socket %s cannot be made: %s", s->path, strerror(err));
	if (lstat(s->path, &st) != 0 || listen(s->fd, BACKLOG) != 0) {
		err = errno;
		unlink(s->path);
		return fail(failure, CONTROL_FAILED, "the socket %s cannot be used: %s", s->path, strerror(err));
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return CONTROL_OK;
}

/* A descriptor of the folder, with its lock; or an enum control_err. */
static int lock_folder(const char *path, struct control_failure *failure)
{
	char *copy = strdup(path);
	if (copy == NULL)
		abort();
	const char *folder = dirname(copy);
	int err = 0, fd = -1;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		err = errno;
	if (err == 0 && (fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		err = errno;
	if (err != 0) {
		fail(failure, CONTROL_FAILED, "the folder of the socket %s cannot be used: %s; make it, or give control another path", path,
			strerror(err));
		fd = CONTROL_FAILED;
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		fail(failure, CONTROL_BUSY, "another godwit is just making a socket in the folder of %s", path);
		close(fd);
		fd = CONTROL_BUSY;
	}
	free(copy);
	return fd;
}

int control_socket_open(struct control_socket *s, const char *path, struct control_failure *failure)
{
	*s = (struct control_socket){ .fd = -1, .path = path };
	int lock = lock_folder(path, failure);
	if (lock < 0)
		return lock;
	int err = clear(path, failure);
	if (err == CONTROL_OK)
		err = make(s, failure);
	close(lock);
	if (err != CONTROL_OK && s->fd >= 0) {
		close(s->fd);
		s->fd = -1;
	}
	return err;
}

void control_socket_close(struct control_socket *s)
{
	struct stat st;
	if (s->fd < 0)
		return;
	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	close(s->fd);
	s->fd = -1;
}

bool control_socket_peer(int fd, unsigned *uid, long *pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	*uid = (unsigned)peer.uid;
	*pid = (long)peer.pid;
	return peer.uid == 0 || peer.uid == geteuid();
}
