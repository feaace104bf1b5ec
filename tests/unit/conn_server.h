/* conn_server: starts tests/unit/conn_server.py, an IMAP server that does what its options say, for tests of connections. */
#ifndef GODWIT_CONN_SERVER_H
#define GODWIT_CONN_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
	pid_t pid;
	int in;        /* it ends when this is closed */
	uint16_t port;
};

/* The certificates of this test's servers: a folder, with the authority's in ca.pem. */
static const char *server_certificates(void)
{
	static char folder[64];
	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "/tmp/godwit-unit-%ld", (long)getpid());
		mkdir(folder, 0700);
	}
	return folder;
}

static void server_remove_certificates(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", server_certificates());
	if (system(command) != 0)
		abort();
}

static const char *server_script(void)
{
	static char path[4096];
	const char *srcdir = getenv("srcdir");
	if (srcdir != NULL) {
		snprintf(path, sizeof(path), "%s/tests/unit/conn_server.py", srcdir);
		if (access(path, R_OK) == 0)
			return path;
	}
	const char *slash = strrchr(__FILE__, '/');
	snprintf(path, sizeof(path), "%.*s/conn_server.py", (int)(slash != NULL ? slash - __FILE__ : 1), slash != NULL ? __FILE__ : ".");
	return path;
}

/* `options`: up to 20, NULL at the end. Port 0: it did not start. */
static struct server server_start(const char *const *options)
{
	struct server s = { .pid = -1, .in = -1 };
	const char *argv[32] = { "/usr/bin/python3", server_script(), "--certificates", server_certificates() };
	for (size_t i = 0; options != NULL && options[i] != NULL && i < 20; i++)
		argv[4 + i] = options[i];
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return s;
	s.pid = fork();
	if (s.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s.in = in[1];
	char text[16] = "";
	ssize_t n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	if (n > 0)
		s.port = (uint16_t)strtoul(text, NULL, 10);
	return s;
}

static void server_stop(struct server *s)
{
	if (s->in >= 0)
		close(s->in);
	if (s->pid > 0)
		waitpid(s->pid, NULL, 0);
	s->pid = s->in = -1;
}

#endif
