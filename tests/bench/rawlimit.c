/*
 * The raw limit: what the two servers can do at best when nobody thinks in between. Sessions log in as every client must (greeting, LOGIN,
 * answer), and then send bytes that were prepared before, as fast as the server takes them. Nothing is parsed but the ends of the commands.
 *
 *   rawlimit [--ca FILE | --plain] --sessions N JOBS_FILE
 *
 * A line of JOBS_FILE is: append|fetch HOST PORT USER PASSWORD SCRIPT. All fetch jobs are one process, all append jobs another one, both at once, with up
 * to N sessions each at any time. A SCRIPT begins with lines "LENGTH TAG", one per command, and an empty line; then the
 * commands' bytes. An append session reads its answers line by line; a fetch session throws its bytes away and counts what begins a line with
 * the letters of its tags, which no mail contains: the answers may come in any order.
 *
 * Prints one line of JSON per process. Exit status 0: everything was answered OK (or by ALREADYEXISTS).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define TAG_LETTERS 6 /* a fetch script's tags are so many letters and a number */
#define LINE_SIZE 4096

struct job {
	bool append;
	char host[64], user[256], password[256], script[4096];
	uint16_t port;
};

enum phase { IDLE, CONNECTING, SECURING, GREETING, LOGIN, RUNNING };

struct session {
	enum phase phase;
	const struct job *job;
	int fd;
	SSL *ssl;
	short wants;               /* what TLS waits for, besides reading */
	unsigned char *map;        /* the script */
	size_t map_size;
	const unsigned char *out;  /* what is to be sent next */
	size_t out_left;
	const unsigned char *script; /* its commands */
	size_t script_left;
	size_t commands, answered;
	char last_tag[32], login[600];
	char line[LINE_SIZE];      /* the line that is arriving; of a fetch, the last bytes */
	size_t line_n;
};

static struct {
	SSL_CTX *tls;
	struct job *job;
	size_t jobs;
	unsigned sessions;
	uint64_t bytes_in, bytes_out, commands;
} g;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "rawlimit: %s: %s\n", what, why);
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* --- scripts ---------------------------------------------------------------------------------------------------------- */

static void open_script(struct session *s)
{
	struct stat info;
	size_t at = 0;
	int fd = open(s->job->script, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &info) != 0 || info.st_size == 0)
		die(s->job->script, strerror(errno));
	s->map_size = (size_t)info.st_size;
	s->map = mmap(NULL, s->map_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (s->map == MAP_FAILED)
		die(s->job->script, strerror(errno));
	close(fd);
	s->commands = 0;
	while (at < s->map_size && s->map[at] != '\n') {
		const unsigned char *end = memchr(s->map + at, '\n', s->map_size - at);
		const unsigned char *tag = end ? memchr(s->map + at, ' ', (size_t)(end - s->map) - at) : NULL;

		if (!tag || (size_t)(end - tag) > sizeof(s->last_tag))
			die(s->job->script, "not a script");
		snprintf(s->last_tag, sizeof(s->last_tag), "%.*s", (int)(end - tag - 1), tag + 1);
		s->commands++;
		at = (size_t)(end - s->map) + 1;
	}
	s->script = s->map + at + 1;
	s->script_left = s->map_size - at - 1;
}

/* --- sessions --------------------------------------------------------------------------------------------------------- */

static void begin(struct session *s, const struct job *job)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(job->port)};
	int one = 1;

	*s = (struct session){.job = job, .phase = CONNECTING};
	open_script(s);
	if (inet_pton(AF_INET, job->host, &address.sin_addr) != 1)
		die(job->host, "not an IPv4 address");
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket", strerror(errno));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(s->fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS)
		die("connect", strerror(errno));
	snprintf(s->login, sizeof(s->login), "L LOGIN \"%s\" \"%s\"\r\n", job->user, job->password);
}

static void end(struct session *s)
{
	if (s->ssl)
		SSL_free(s->ssl);
	close(s->fd);
	if (s->map)
		munmap(s->map, s->map_size);
	s->phase = IDLE;
}

static void connected(struct session *s)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error)
		die("connect", strerror(error));
	s->phase = GREETING;
	if (!g.tls)
		return;
	s->ssl = SSL_new(g.tls);
	if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1 || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->job->host) != 1)
		die("TLS", "out of memory");
	SSL_set_connect_state(s->ssl);
	s->phase = SECURING;
}

/* What to do about a TLS call that returned n <= 0. True: wait for the socket. False: the peer has closed. */
static bool tls_waits(struct session *s, int n)
{
	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		s->wants = POLLIN;
		return true;
	case SSL_ERROR_WANT_WRITE:
		s->wants = POLLOUT;
		return true;
	case SSL_ERROR_ZERO_RETURN:
		return false;
	default:
		die("TLS", strerror(errno));
		return false;
	}
}

static void secure(struct session *s)
{
	int n = SSL_do_handshake(s->ssl);

	s->wants = 0;
	if (n == 1)
		s->phase = GREETING;
	else if (!tls_waits(s, n))
		die("TLS", "the server closed the connection");
}

static bool answer_is_ok(const char *line, const char *tag)
{
	size_t n = strlen(tag);

	return strncmp(line, tag, n) == 0 && strncmp(line + n, " OK", 3) == 0;
}

/* One line of an answer, without its end. */
static void on_line(struct session *s)
{
	s->line[s->line_n] = '\0';
	if (s->phase == GREETING) {
		if (!answer_is_ok(s->line, "*"))
			die("greeting", s->line);
		s->out = (const unsigned char *)s->login;
		s->out_left = strlen(s->login);
		s->phase = LOGIN;
	} else if (s->line[0] == '*') {
		if (strncmp(s->line, "* BYE", 5) == 0)
			die("server", s->line);
	} else if (s->phase == LOGIN) {
		if (!answer_is_ok(s->line, "L"))
			die("login", s->line);
		s->out = s->script;
		s->out_left = s->script_left;
		s->phase = RUNNING;
	} else {
		const char *space = strchr(s->line, ' ');

		/* Sessions that share a mailbox all create its folders: one of them is the first. */
		if (!space || (strncmp(space, " OK", 3) != 0 && strncmp(space, " NO [ALREADYEXISTS]", 19) != 0))
			die("answer", s->line);
		s->answered++;
	}
	s->line_n = 0;
}

static void on_lines(struct session *s, const char *bytes, size_t n)
{
	while (n > 0) {
		const char *stop = memchr(bytes, '\n', n);
		size_t take = stop ? (size_t)(stop - bytes) + 1 : n;
		size_t room = sizeof(s->line) - 1 - s->line_n;

		/* Long lines, such as capabilities, are not looked at to their end. */
		memcpy(s->line + s->line_n, bytes, take < room ? take : room);
		s->line_n += take < room ? take : room;
		bytes += take;
		n -= take;
		if (stop)
			on_line(s);
	}
}

/* Counts the tagged answers in what is thrown away. `line` keeps a line end and letters that may be continued by the next piece. */
static void on_thrown_away(struct session *s, char *bytes, size_t n)
{
	char mark[TAG_LETTERS + 2];
	const size_t mark_n = TAG_LETTERS + 1;
	const char *at, *end;

	snprintf(mark, sizeof(mark), "\n%.*s", TAG_LETTERS, s->last_tag);
	/* The caller has left room in front of `bytes` for what was kept. */
	bytes -= s->line_n;
	n += s->line_n;
	memcpy(bytes, s->line, s->line_n);
	end = bytes + n;
	for (at = bytes; (at = memmem(at, (size_t)(end - at), mark, mark_n)); at += mark_n)
		s->answered++;
	s->line_n = n < mark_n - 1 ? n : mark_n - 1;
	memcpy(s->line, end - s->line_n, s->line_n);
}

/* Returns bytes read, 0: nothing now, -1: closed. */
static ssize_t receive(struct session *s, char *bytes, size_t size)
{
	size_t got = 0;
	ssize_t n;

	if (s->ssl) {
		/* A record at a time; several make one piece of work. */
		while (got < size) {
			int one = SSL_read(s->ssl, bytes + got, (int)(size - got));

			if (one > 0)
				got += (size_t)one;
			else if (tls_waits(s, one))
				break;
			else
				return got ? (ssize_t)got : -1;
		}
		return (ssize_t)got;
	}
	n = recv(s->fd, bytes, size, 0);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return -1;
}

static void read_all(struct session *s)
{
	static char room[TAG_LETTERS + READ_SIZE];
	char *bytes = room + TAG_LETTERS;
	ssize_t n;

	do {
		n = receive(s, bytes, READ_SIZE);
		if (n < 0)
			die("server", "closed the connection");
		g.bytes_in += (uint64_t)n;
		if (n > 0 && s->phase == RUNNING && !s->job->append)
			on_thrown_away(s, bytes, (size_t)n);
		else if (n > 0)
			on_lines(s, bytes, (size_t)n);
	} while (n == READ_SIZE); /* TLS may hold more, of which poll() does not know */
}

static void write_all(struct session *s)
{
	while (s->out_left > 0) {
		size_t piece = s->out_left < READ_SIZE ? s->out_left : READ_SIZE;
		ssize_t n;

		if (s->ssl) {
			n = SSL_write(s->ssl, s->out, (int)piece);
			if (n <= 0) {
				tls_waits(s, (int)n);
				return;
			}
		} else {
			n = send(s->fd, s->out, piece, MSG_NOSIGNAL);
			if (n < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			if (n < 0)
				die("send", strerror(errno));
		}
		s->out += n;
		s->out_left -= (size_t)n;
		g.bytes_out += (uint64_t)n;
	}
}

/* Everything that can be done now. Returns whether the session is over. */
static bool work(struct session *s)
{
	if (s->phase == CONNECTING)
		connected(s);
	if (s->phase == SECURING)
		secure(s);
	if (s->phase >= GREETING) {
		s->wants = 0;
		read_all(s);
		write_all(s);
	}
	if (s->phase != RUNNING || s->out_left > 0 || s->answered < s->commands)
		return false;
	g.commands += s->commands;
	return true;
}

static short wanted(const struct session *s)
{
	if (s->phase == CONNECTING)
		return POLLOUT;
	if (s->phase == SECURING)
		return s->wants;
	return (short)(POLLIN | (s->out_left > 0 ? POLLOUT : 0));
}

/* --- a process for each side ------------------------------------------------------------------------------------------ */

static void run_side(bool append)
{
	struct session *session = calloc(g.sessions, sizeof(*session));
	struct pollfd *fds = calloc(g.sessions, sizeof(*fds));
	size_t next = 0, active = 0, done = 0;

	if (!session || !fds)
		die("sessions", "out of memory");
	for (;;) {
		for (unsigned i = 0; i < g.sessions; i++) {
			while (session[i].phase == IDLE && next < g.jobs) {
				if (g.job[next].append == append) {
					begin(&session[i], &g.job[next]);
					active++;
				}
				next++;
			}
			fds[i].fd = session[i].phase == IDLE ? -1 : session[i].fd;
			fds[i].events = session[i].phase == IDLE ? 0 : wanted(&session[i]);
		}
		if (active == 0)
			break;
		if (poll(fds, g.sessions, -1) < 0 && errno != EINTR)
			die("poll", strerror(errno));
		for (unsigned i = 0; i < g.sessions; i++) {
			if (fds[i].fd >= 0 && fds[i].revents && work(&session[i])) {
				end(&session[i]);
				active--;
				done++;
			}
		}
	}
	printf("{\"side\": \"%s\", \"sessions\": %zu, \"commands\": %llu, \"in\": %llu, \"out\": %llu}\n", append ? "append" : "fetch", done,
	       (unsigned long long)g.commands, (unsigned long long)g.bytes_in, (unsigned long long)g.bytes_out);
	fflush(stdout);
	free(session);
	free(fds);
}

static void read_jobs(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[8192], side[16];

	if (!file)
		die(path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		struct job *job = reallocarray(g.job, g.jobs + 1, sizeof(*job));
		unsigned port;

		if (!job)
			die(path, "out of memory");
		g.job = job;
		job += g.jobs++;
		if (sscanf(line, "%15s %63s %u %255s %255s %4095s", side, job->host, &port, job->user, job->password, job->script) != 6)
			die(path, "a line is not: append|fetch HOST PORT USER PASSWORD SCRIPT");
		job->append = strcmp(side, "append") == 0;
		job->port = (uint16_t)port;
	}
	fclose(file);
}

static void prepare_tls(const char *ca)
{
	g.tls = SSL_CTX_new(TLS_client_method());
	if (!g.tls || SSL_CTX_load_verify_locations(g.tls, ca, NULL) != 1)
		die(ca, "cannot be used");
	SSL_CTX_set_verify(g.tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(g.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(g.tls, 1);
}

static bool has_side(bool append)
{
	for (size_t i = 0; i < g.jobs; i++) {
		if (g.job[i].append == append)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const char *ca = NULL, *jobs = NULL;
	bool plain = false, bad = false;
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--ca") == 0 && i + 1 < argc)
			ca = argv[++i];
		else if (strcmp(argv[i], "--plain") == 0)
			plain = true;
		else if (strcmp(argv[i], "--sessions") == 0 && i + 1 < argc)
			g.sessions = (unsigned)strtoul(argv[++i], NULL, 10);
		else
			jobs = argv[i];
	}
	if (!jobs || g.sessions == 0 || plain == (ca != NULL)) {
		fprintf(stderr, "usage: rawlimit [--ca FILE | --plain] --sessions N JOBS_FILE\n");
		return 64;
	}
	read_jobs(jobs);
	if (ca)
		prepare_tls(ca);
	for (int append = 0; append <= 1; append++) {
		if (has_side(append)) {
			pid_t child = fork();

			if (child < 0)
				die("fork", strerror(errno));
			if (child == 0) {
				run_side(append);
				_exit(0);
			}
		}
	}
	while (wait(&status) > 0)
		bad = bad || status != 0;
	return bad ? 1 : 0;
}
