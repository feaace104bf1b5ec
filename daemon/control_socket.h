/*
 * control_socket: the operator's socket in the file system, and who is at its other end.
 *
 * Only its owner can connect (mode 0600 from its first moment), and root. A socket that is there already is taken away only when nobody answers behind it; that, and the making of the
 * new one, is done under a lock of the folder, so that of two daemons that start together one is refused.
 */
#ifndef GODWIT_CONTROL_SOCKET_H
#define GODWIT_CONTROL_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

enum control_err {
	CONTROL_OK = 0,
	CONTROL_BUSY = -1,  /* another daemon answers there, or is being started */
	CONTROL_FAILED = -2
};

struct control_failure {
	char text[512]; /* what, which file, and the way out */
};

struct control_socket {
	int fd;             /* listens; -1: none */
	const char *path;   /* borrowed */
	dev_t dev;          /* of the socket's file */
	ino_t ino;
};

/* `path` fits into a sockaddr_un. The folder is made (0700) when its parent exists. An enum control_err. */
int control_socket_open(struct control_socket *s, const char *path, struct control_failure *failure);
/* The file goes, too, if it is still ours. */
void control_socket_close(struct control_socket *s);
/* May the process at the other end of this connection give orders: our own user, or root? And which one is it? */
bool control_socket_peer(int fd, unsigned *uid, long *pid);

#endif
