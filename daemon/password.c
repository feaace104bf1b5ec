#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

void password_wipe(char buf[PASSWORD_SIZE])
{
	explicit_bzero(buf, PASSWORD_SIZE);
}

/* Up to the end of the line, of the file, or a signal. -1 with errno: EINTR a signal, EFBIG the line is too long, EINVAL there is a zero byte in it. */
static int read_line(int fd, char buf[PASSWORD_SIZE])
{
	size_t n = 0;
	char c = '\0';
	for (;;) {
		ssize_t r = read(fd, &c, 1);
		if (r < 0)
			return -1;
		if (r == 0 || c == '\n')
			break;
		if (c == '\0' || n == PASSWORD_SIZE - 1) {
			errno = c == '\0' ? EINVAL : EFBIG;
			return -1;
		}
		buf[n++] = c;
	}
	if (n > 0 && buf[n - 1] == '\r')
		n--;
	buf[n] = '\0';
	explicit_bzero(&c, sizeof(c));
	return 0;
}

static const char *why(int e)
{
	if (e == EFBIG)
		return "the first line is too long for a password";
	if (e == EINVAL)
		return "there is a zero byte in the first line";
	return strerror(e);
}

int password_read_file(const char *file, char buf[PASSWORD_SIZE], struct conf_error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return conf_error_at(err, file, 0, "cannot be read: %s", strerror(errno));
	int rc = read_line(fd, buf), e = errno;
	close(fd);
	if (rc == 0 && buf[0] != '\0')
		return 0;
	password_wipe(buf);
	return conf_error_at(err, file, 0, "%s", rc == 0 ? "the first line is empty; it should be the password" : why(e));
}

int password_read_env(const char *name, char buf[PASSWORD_SIZE], struct conf_error *err)
{
	char *value = getenv(name);
	if (value == NULL)
		return 1;
	size_t n = strlen(value);
	if (n == 0)
		return conf_error_set(err, "%s is empty; it should be the password", name);
	if (n >= PASSWORD_SIZE)
		return conf_error_set(err, "%s is too long for a password", name);
	memcpy(buf, value, n + 1);
	explicit_bzero(value, n);
	unsetenv(name);
	return 0;
}

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define SIGNAL_N (sizeof(signals) / sizeof(signals[0]))

static int ask(int fd, const char *prompt, char buf[PASSWORD_SIZE])
{
	struct termios before, quiet;
	if (tcgetattr(fd, &before) != 0)
		return -1;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL | ICANON;
	struct sigaction act = { .sa_handler = on_signal }, old[SIGNAL_N];
	caught = 0;
	for (size_t i = 0; i < SIGNAL_N; i++)
		sigaction(signals[i], &act, &old[i]);
	int rc = -1, e = EIO;
	if (tcsetattr(fd, TCSAFLUSH, &quiet) == 0 && write(fd, prompt, strlen(prompt)) >= 0)
		rc = read_line(fd, buf);
	e = errno;
	tcsetattr(fd, TCSAFLUSH, &before);
	for (size_t i = 0; i < SIGNAL_N; i++)
		sigaction(signals[i], &old[i], NULL);
	errno = e;
	return rc;
}

int password_prompt(const char *prompt, char buf[PASSWORD_SIZE], struct conf_error *err)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return 1;
	int rc, e;
	for (;;) {
		rc = ask(fd, prompt, buf);
		e = errno;
		if (caught == 0)
			break;
		/* As if it had come now that the terminal is as before; when stopped (SIGTSTP) and continued, ask again. */
		password_wipe(buf);
		raise(caught);
	}
	close(fd);
	if (rc == 0 && buf[0] != '\0')
		return 0;
	password_wipe(buf);
	if (rc != 0 && e == ENOTTY)
		return 1;
	return conf_error_set(err, "no password was entered%s%s", rc != 0 ? ": " : "", rc != 0 ? why(e) : "");
}
