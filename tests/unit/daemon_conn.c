#include "leaks.h"
#include "lookups.h"

#include "conn.h"
#include "conn_server.h"
#include "err.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PASSWORD "s3cret-pass"
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int descriptors_before;

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void begin(void)
{
	/* What the libraries open once for the whole process. */
	struct loop *l = loop_new();
	struct dialer *d = dialer_new(l);
	dialer_free(&d);
	loop_free(&l);
	descriptors_before = descriptors();
}

static void end(void)
{
	server_remove_certificates();
	leaks_check();
	/* An assertion would not fail the test here, see leaks.h. */
	if (descriptors() != descriptors_before)
		abort();
}

/* In place of libcurl's: how often the long way was taken. */
static unsigned long curl_recvs;

CURLcode curl_easy_recv(CURL *easy, void *buffer, size_t size, size_t *n)
{
	static CURLcode (*real)(CURL *, void *, size_t, size_t *);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "curl_easy_recv");
	curl_recvs++;
	return real(easy, buffer, size, n);
}

TestSuite(daemon_conn, .init = begin, .fini = end, .timeout = 60);

static const struct credentials ann = { "ann", PASSWORD };

struct world {
	struct loop *l;
	struct dialer *d;
	struct server s;
	struct endpoint ep;
	struct conn *c;
	struct timer *t;
	int ups, downs, drained, turns;
	struct resp_caps caps;
	struct conn_failure failure;
	uint64_t got, sent, amount;
	bool wrong;
	bool close_at_up;
	bool full_seen;
	size_t take;   /* 0: all */
	int pause_every;
	char text[4096];
	size_t text_n;
};

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)((at / 4) >> (8 * (at % 4)));
}

static void world_begin(struct world *w, const char *const *options)
{
	*w = (struct world){ .l = loop_new() };
	w->d = dialer_new(w->l);
	if (options != NULL)
		w->s = server_start(options);
	else
		w->s.pid = w->s.in = -1;
	w->ep = (struct endpoint){
		.server = "new", .host = "127.0.0.1", .port = w->s.port, .allow_plaintext = true, .connect_timeout = 10000, .login_timeout = 10000
	};
}

static void world_end(struct world *w)
{
	timer_free(&w->t);
	conn_close(&w->c);
	dialer_free(&w->d);
	loop_free(&w->l);
	server_stop(&w->s);
}

static void quit(void *arg)
{
	struct world *w = arg;
	loop_stop(w->l);
}

/* Stops at CONN_UP and CONN_DOWN. */
static void on_event(void *owner, const struct conn_event *ev)
{
	struct world *w = owner;
	switch (ev->kind) {
	case CONN_UP:
		w->ups++;
		w->caps = *ev->caps;
		conn_write(w->c, SPAN("go\n"));
		break;
	case CONN_DATA:
		for (; ev->data->n > 0 && w->text_n < sizeof(w->text) - 1; ev->data->p++, ev->data->n--)
			w->text[w->text_n++] = *ev->data->p;
		return;
	case CONN_DRAINED:
		w->drained++;
		return;
	case CONN_DOWN:
		w->downs++;
		w->failure = *ev->failure;
		break;
	}
	loop_stop(w->l);
}

static void dial(struct world *w)
{
	w->c = conn_dial(w->d, &w->ep, &ann, on_event, w);
	cr_assert_not_null(w->c);
	cr_assert_eq(w->ups + w->downs, 0, "told from within conn_dial()");
	loop_run(w->l);
}

static bool says(const struct world *w, const char *what)
{
	return strstr(w->failure.text, what) != NULL;
}

/* Dials, expects this failure, and nothing more after it. */
static void dial_fails(struct world *w, enum conn_fault fault, const char *words)
{
	dial(w);
	cr_assert_eq(w->ups, 0);
	cr_assert_eq(w->downs, 1);
	cr_assert_eq(w->failure.fault, fault, "fault %d: %s", w->failure.fault, w->failure.text);
	cr_assert(says(w, words), "%s", w->failure.text);
	cr_assert(!says(w, PASSWORD), "%s", w->failure.text);
	cr_assert_null(strpbrk(w->failure.text, "\r\n"));
	cr_assert_eq(conn_write(w->c, SPAN("x")), 0);
	conn_pause(w->c);
	conn_resume(w->c);
	w->t = timer_new(w->l, quit, w);
	timer_set(w->t, 50);
	loop_run(w->l);
	cr_assert_eq(w->ups + w->downs, 1);
}

static void options_fail(const char *const *options, enum conn_fault fault, const char *words)
{
	struct world w;
	world_begin(&w, options);
	dial_fails(&w, fault, words);
	world_end(&w);
}

Test(daemon_conn, logs_in_and_tells_the_capabilities_that_hold_afterwards)
{
	struct world w;
	world_begin(&w, LIST("--caps", "IMAP4rev1 UIDPLUS", "--login", "OK [CAPABILITY IMAP4rev1 LITERAL+ MULTIAPPEND] hello"));
	dial(&w);
	cr_assert_eq(w.ups, 1, "%s", w.failure.text);
	cr_assert(caps_has(&w.caps, CAP_LITERAL_PLUS) && caps_has(&w.caps, CAP_MULTIAPPEND));
	cr_assert(!caps_has(&w.caps, CAP_UIDPLUS));
	world_end(&w);
}

Test(daemon_conn, takes_untagged_capabilities_of_the_login)
{
	struct world w;
	world_begin(&w, LIST("--login", "* CAPABILITY IMAP4rev1 LITERAL-|@ OK hello"));
	dial(&w);
	cr_assert_eq(w.ups, 1, "%s", w.failure.text);
	cr_assert(caps_has(&w.caps, CAP_LITERAL_MINUS));
	world_end(&w);
}

Test(daemon_conn, capabilities_from_before_the_login_do_not_count)
{
	struct world w;
	world_begin(&w, LIST("--greeting", "* OK [CAPABILITY IMAP4rev1 UIDPLUS] hi", "--caps", "IMAP4rev1 UIDPLUS"));
	dial(&w);
	cr_assert_eq(w.ups, 1, "%s", w.failure.text);
	cr_assert_eq(w.caps.bits, 0);
	world_end(&w);
}

Test(daemon_conn, a_refused_login_is_told_in_the_servers_words)
{
	struct world w;
	world_begin(&w, LIST("--login", "NO [AUTHENTICATIONFAILED] Authentication failed."));
	dial_fails(&w, CONN_FAULT_LOGIN, "NO [AUTHENTICATIONFAILED] Authentication failed.");
	cr_assert_str_eq(w.failure.text, "NO [AUTHENTICATIONFAILED] Authentication failed.");
	cr_assert_eq(w.failure.code, CODE_AUTHENTICATIONFAILED);
	cr_assert(!w.failure.bye);
	world_end(&w);

	world_begin(&w, LIST("--login", "NO [UNAVAILABLE] try later", "--caps", "IMAP4rev1 AUTH=PLAIN SASL-IR"));
	dial_fails(&w, CONN_FAULT_LOGIN, "try later");
	cr_assert_eq(w.failure.code, CODE_UNAVAILABLE);
	world_end(&w);

	world_begin(&w, LIST("--login", "* NO [ALERT] The office is closed.|@ NO Go away"));
	dial_fails(&w, CONN_FAULT_LOGIN, "NO Go away; NO [ALERT] The office is closed.");
	world_end(&w);
}

Test(daemon_conn, a_server_that_echoes_does_not_give_the_password_away)
{
	struct world w;
	world_begin(&w, LIST("--login", "NO cannot do %"));
	dial_fails(&w, CONN_FAULT_LOGIN, "***");
	world_end(&w);

	/* SASL PLAIN and its base64 */
	world_begin(&w, LIST("--login", "BAD cannot do %", "--caps", "IMAP4rev1 AUTH=PLAIN SASL-IR"));
	dial_fails(&w, CONN_FAULT_LOGIN, "AUTHENTICATE PLAIN ***");
	cr_assert(!says(&w, "AGFubgBzM2NyZXQtcGFzcw"));
	world_end(&w);

	/* cut in the middle of it: 256 bytes are kept */
	char login[400] = "NO ";
	memset(login + 3, 'x', 246);
	strcat(login, PASSWORD);
	world_begin(&w, LIST("--login", login));
	dial_fails(&w, CONN_FAULT_LOGIN, "xxx");
	cr_assert(!says(&w, "s3cr"), "%s", w.failure.text);
	world_end(&w);
}

Test(daemon_conn, a_bye_is_not_a_refused_login)
{
	struct world w;
	world_begin(&w, LIST("--greeting", "* BYE [UNAVAILABLE] Too many connections"));
	dial_fails(&w, CONN_FAULT_LOST, "BYE [UNAVAILABLE] Too many connections");
	cr_assert(w.failure.bye);
	cr_assert_eq(w.failure.code, CODE_UNAVAILABLE);
	world_end(&w);

	world_begin(&w, LIST("--login", "* BYE overloaded", "--after", "gone"));
	dial_fails(&w, CONN_FAULT_LOST, "BYE overloaded");
	cr_assert(w.failure.bye);
	world_end(&w);

	/* and one that does not hang up after it */
	world_begin(&w, LIST("--login", "* BYE overloaded"));
	w.ep.login_timeout = 300;
	dial_fails(&w, CONN_FAULT_LOST, "BYE overloaded");
	cr_assert(w.failure.bye);
	world_end(&w);
}

Test(daemon_conn, closed_at_every_phase)
{
	options_fail(LIST("--close-at", "greeting"), CONN_FAULT_LOST, "closed the connection");
	options_fail(LIST("--close-at", "capability"), CONN_FAULT_LOST, "closed the connection");
	options_fail(LIST("--close-at", "login"), CONN_FAULT_LOST, "closed the connection");
	options_fail(LIST("--tls", "start", "--close-at", "starttls"), CONN_FAULT_LOST, "closed the connection");
	options_fail(LIST("--tls", "start", "--close-at", "handshake"), CONN_FAULT_LOST, "closed the connection");
	struct world w;
	world_begin(&w, LIST("--tls", "first", "--close-at", "handshake"));
	w.ep.tls_first = true;
	dial_fails(&w, CONN_FAULT_LOST, "closed the connection");
	world_end(&w);
}

Test(daemon_conn, silence_at_every_phase)
{
	static const struct {
		const char *at, *words;
	} phases[] = { { "greeting", "no greeting from 127.0.0.1:" },
		       { "capability", "no answer to the login from 127.0.0.1:" },
		       { "login", "within 0.3 s" } };
	for (size_t i = 0; i < 3; i++) {
		struct world w;
		world_begin(&w, LIST("--stop-at", phases[i].at));
		w.ep.login_timeout = 300;
		uint64_t start = loop_now(w.l);
		dial_fails(&w, CONN_FAULT_TIMEOUT, phases[i].words);
		cr_assert_lt(loop_now(w.l) - start, 2000);
		cr_assert_eq(w.failure.greeted, i > 0);
		world_end(&w);
	}
}

Test(daemon_conn, no_connection_within_the_time)
{
	/* A listener whose queue is full does not answer. */
	struct world w;
	world_begin(&w, NULL);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd[8];
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd[0], (struct sockaddr *)&a, n) | listen(fd[0], 0) | getsockname(fd[0], (struct sockaddr *)&a, &n), 0);
	for (int i = 1; i < 8; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fd[i], (struct sockaddr *)&a, n);
	}
	w.ep.port = ntohs(a.sin_port);
	w.ep.connect_timeout = 300;
	dial_fails(&w, CONN_FAULT_TIMEOUT, "no connection to 127.0.0.1:");
	cr_assert(says(&w, "within 0.3 s"), "%s", w.failure.text);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	world_end(&w);

	/* TLS from the first byte belongs to connecting. */
	world_begin(&w, LIST("--tls", "first", "--stop-at", "handshake"));
	w.ep.tls_first = true;
	w.ep.connect_timeout = 300;
	dial_fails(&w, CONN_FAULT_TIMEOUT, "no connection to 127.0.0.1:");
	world_end(&w);

	/* STARTTLS belongs to the login. */
	world_begin(&w, LIST("--tls", "start", "--stop-at", "handshake"));
	w.ep.login_timeout = 300;
	dial_fails(&w, CONN_FAULT_TIMEOUT, "no answer to the login from 127.0.0.1:");
	world_end(&w);
}

Test(daemon_conn, refused_and_unknown)
{
	struct world w;
	world_begin(&w, LIST("--after", "hold"));
	server_stop(&w.s);
	dial_fails(&w, CONN_FAULT_CONNECT, "Connection refused");
	cr_assert(says(&w, "127.0.0.1:"));
	world_end(&w);

	world_begin(&w, NULL);
	w.ep.host = "no-such-host.invalid";
	w.ep.port = 143;
	dial_fails(&w, CONN_FAULT_RESOLVE, "no-such-host.invalid");
	world_end(&w);
}

Test(daemon_conn, what_is_not_imap)
{
	options_fail(LIST("--greeting", "SSH-2.0-OpenSSH_9.2"), CONN_FAULT_GARBAGE, "SSH-2.0-OpenSSH_9.2");
	options_fail(LIST("--greeting", "220 mail.example ESMTP"), CONN_FAULT_GARBAGE, "does not speak IMAP");
	struct world w;
	world_begin(&w, LIST("--greeting", "* OK hello"));
	w.ep.tls_first = true;
	dial_fails(&w, CONN_FAULT_TLS, "does not speak TLS");
	world_end(&w);
}

Test(daemon_conn, starttls_is_required_unless_plaintext_was_asked_for)
{
	struct world w;
	world_begin(&w, LIST("--caps", "IMAP4rev1"));
	w.ep.allow_plaintext = false;
	dial_fails(&w, CONN_FAULT_NO_TLS, "does not offer STARTTLS, and plaintext was not asked for (allow_plaintext)");
	world_end(&w);

	world_begin(&w, LIST("--tls", "refuse"));
	w.ep.allow_plaintext = false;
	dial_fails(&w, CONN_FAULT_NO_TLS, "refuses STARTTLS: NO not today");
	world_end(&w);

	/* An offer is taken although plaintext would be allowed: an unknown certificate shows it. */
	world_begin(&w, LIST("--tls", "start"));
	dial_fails(&w, CONN_FAULT_TLS, "is not trusted");
	world_end(&w);
}

/* --- names --- */

struct dials {
	struct loop *l;
	struct conn *c[50];
	int up, down;
	char why[512];
	enum conn_fault fault;
};

static void on_dialled(void *owner, const struct conn_event *ev)
{
	struct dials *m = owner;
	if (ev->kind == CONN_UP) {
		m->up++;
	} else if (ev->kind == CONN_DOWN) {
		m->down++;
		memcpy(m->why, ev->failure->text, sizeof(m->why));
		m->fault = ev->failure->fault;
	}
	if (m->up + m->down == 50)
		loop_stop(m->l);
}

static void dial_fifty(struct world *w, struct dials *m)
{
	*m = (struct dials){ .l = w->l };
	for (int i = 0; i < 50; i++)
		m->c[i] = conn_dial(w->d, &w->ep, &ann, on_dialled, m);
	loop_run(w->l);
	for (int i = 0; i < 50; i++)
		conn_close(&m->c[i]);
}

Test(daemon_conn, one_lookup_for_all_that_dial_a_name)
{
	struct world w;
	static struct dials m;
	world_begin(&w, LIST("--after", "hold"));
	/* The first is nobody's: happy eyeballs are still to find the other one. */
	lookup_addresses = "::1 127.0.0.1";
	lookups = 0;
	w.ep.host = "mail.test";
	dial_fifty(&w, &m);
	cr_assert_eq(m.up, 50, "%s", m.why);
	dial_fifty(&w, &m);
	cr_assert_eq(m.up, 50, "%s", m.why);
	cr_assert_eq(lookups, 1);
	/* from the root */
	w.ep.host = "mail.test.";
	dial_fifty(&w, &m);
	cr_assert_eq(m.up, 50, "%s", m.why);
	cr_assert_eq(lookups, 2);
	w.ep.host = "127.0.0.1";
	dial_fifty(&w, &m);
	cr_assert_eq(m.up, 50, "%s", m.why);
	cr_assert_eq(lookups, 2);
	world_end(&w);
}

Test(daemon_conn, one_lookup_for_all_that_fail)
{
	struct world w;
	static struct dials m;
	world_begin(&w, NULL);
	lookup_addresses = NULL;
	lookups = 0;
	w.ep.host = "mail.test";
	w.ep.port = 143;
	dial_fifty(&w, &m);
	cr_assert_eq(m.down, 50);
	cr_assert_eq(lookups, 1);
	cr_assert_eq(m.fault, CONN_FAULT_RESOLVE);
	cr_assert_str_eq(m.why, "the host name mail.test has no address, or no name server answers (Name or service not known)");
	world_end(&w);
}

Test(daemon_conn, a_name_server_that_does_not_answer)
{
	static sem_t gate;
	sem_init(&gate, 0, 0);
	struct world w;
	world_begin(&w, NULL);
	lookup_gate = &gate;
	w.ep.host = "mail.test";
	w.ep.port = 143;
	w.ep.connect_timeout = 200;
	dial_fails(&w, CONN_FAULT_TIMEOUT, "no connection to mail.test:143 within 0.2 s");
	world_end(&w);
	lookup_gate = NULL;
	sem_post(&gate);
}

/* Its name is the proxy's business, and so is the proxy's. */
Test(daemon_conn, a_proxy_is_given_the_name)
{
	struct world w;
	world_begin(&w, LIST("--proxy", "127.0.0.1"));
	char proxy[64];
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", (unsigned)w.s.port);
	setenv("ALL_PROXY", proxy, 1);
	lookup_addresses = NULL;
	lookups = 0;
	struct world behind;
	world_begin(&behind, LIST("--caps", "IMAP4rev1 UIDPLUS", "--after", "bye"));
	behind.ep.host = "mail.test";
	dial(&behind);
	cr_assert_eq(behind.ups, 1, "%s", behind.failure.text);
	cr_assert_eq(lookups, 0);
	loop_run(behind.l);
	cr_assert_str_eq(behind.text, "* BYE shutting down\r\n");
	unsetenv("ALL_PROXY");
	world_end(&behind);
	world_end(&w);
}

/* --- descriptors --- */

Test(daemon_conn, no_descriptor_left_is_no_fault_of_the_server_and_heals)
{
	struct world w;
	struct rlimit before, none;
	world_begin(&w, LIST("--after", "hold"));
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	dial_fails(&w, CONN_FAULT_FILES, "Too many open files");
	cr_assert(!says(&w, "resolve"));
	conn_close(&w.c);
	w.downs = 0;
	w.ep.host = "mail.test";
	lookup_without_files = true;
	timer_free(&w.t);
	dial_fails(&w, CONN_FAULT_FILES, "Too many open files");
	conn_close(&w.c);
	w.downs = 0;
	lookup_without_files = false;
	w.ep.host = "127.0.0.1";
	setrlimit(RLIMIT_NOFILE, &before);
	dial(&w);
	cr_assert_eq(w.ups, 1, "%s", w.failure.text);
	world_end(&w);
}

/* --- TLS sessions --- */

static void resumes(const char *mode, bool tls_first)
{
	struct world w;
	char ca[128], same[160], text[64];
	world_begin(&w, LIST("--tls", mode));
	snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
	snprintf(same, sizeof(same), "%s/../%s/ca.pem", server_certificates(), strrchr(server_certificates(), '/') + 1);
	w.ep.tls_first = tls_first;
	w.ep.allow_plaintext = false;
	/* The third trusts another file: what the first two have proved does not count. */
	const char *const trust[] = { ca, ca, same, ca, same };
	const bool resumed[] = { false, true, false, true, true };
	for (int i = 0; i < 5; i++) {
		w.ep.ca_file = trust[i];
		w.ups = 0;
		dial(&w);
		cr_assert_eq(w.ups, 1, "%s", w.failure.text);
		conn_describe(w.c, text, sizeof(text));
		cr_assert(strncmp(text, "TLSv1.", 6) == 0, "%s", text);
		cr_assert_eq(strstr(text, ", resumed") != NULL, resumed[i], "%d: %s", i, text);
		conn_close(&w.c);
	}
	world_end(&w);
}

Test(daemon_conn, tls_sessions_are_resumed)
{
	resumes("first", true);
	resumes("start", false);
}

Test(daemon_conn, plaintext_is_called_plaintext)
{
	struct world w;
	char text[64];
	world_begin(&w, LIST("--after", "hold"));
	dial(&w);
	cr_assert_str_eq(conn_describe(w.c, text, sizeof(text)), "plaintext");
	world_end(&w);
}

static void certificate(const char *kind, bool known, enum conn_fault fault, const char *words)
{
	static const char *const modes[] = { "first", "start" };
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		char ca[128];
		world_begin(&w, LIST("--tls", modes[i], "--certificate", kind));
		snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
		w.ep.tls_first = i == 0;
		w.ep.allow_plaintext = false;
		w.ep.ca_file = known ? ca : NULL;
		if (words == NULL) {
			dial(&w);
			cr_assert_eq(w.ups, 1, "%s", w.failure.text);
		} else {
			dial_fails(&w, fault, words);
		}
		world_end(&w);
	}
}

Test(daemon_conn, certificates_are_verified)
{
	certificate("good", true, 0, NULL);
	certificate("good", false, CONN_FAULT_TLS, "is not trusted");
	certificate("wrong_host", true, CONN_FAULT_TLS, "is for another host name");
	certificate("expired", true, CONN_FAULT_TLS, "has expired");
}

Test(daemon_conn, a_ca_file_that_is_not_there)
{
	struct world w;
	world_begin(&w, LIST("--tls", "first"));
	w.ep.tls_first = true;
	w.ep.ca_file = "/nonexistent/ca.pem";
	dial_fails(&w, CONN_FAULT_TLS, "/nonexistent/ca.pem");
	world_end(&w);
}

/* --- bytes --- */

static void pour(struct world *w)
{
	char chunk[20000];
	while (w->sent < w->amount && !conn_is_full(w->c)) {
		size_t n = sizeof(chunk) - (size_t)(w->sent % 7777);
		if (n > w->amount - w->sent)
			n = (size_t)(w->amount - w->sent);
		for (size_t i = 0; i < n; i++)
			chunk[i] = (char)pattern(w->sent + i);
		cr_assert_eq(conn_write(w->c, span_of(chunk, n)), 0);
		w->sent += n;
	}
	w->full_seen = w->full_seen || conn_is_full(w->c);
}

static void resume(void *arg)
{
	struct world *w = arg;
	conn_resume(w->c);
}

/* Writes and reads `amount` bytes; takes `take` bytes at a time and pauses every so often. */
static void on_stream(void *owner, const struct conn_event *ev)
{
	struct world *w = owner;
	if (ev->kind == CONN_DOWN) {
		w->downs++;
		w->failure = *ev->failure;
		loop_stop(w->l);
	} else if (ev->kind == CONN_UP) {
		w->ups++;
		if (w->sent == w->amount)
			conn_write(w->c, SPAN("go\n"));
		pour(w);
	} else if (ev->kind == CONN_DRAINED) {
		w->drained++;
		cr_assert(!conn_is_full(w->c));
		pour(w);
	} else {
		size_t n = w->take != 0 && w->take < ev->data->n ? w->take : ev->data->n;
		for (size_t i = 0; i < n; i++)
			w->wrong = w->wrong || (unsigned char)ev->data->p[i] != pattern(w->got + i);
		w->got += n;
		ev->data->p += n;
		ev->data->n -= n;
		w->turns++;
		if (w->pause_every != 0 && w->turns % w->pause_every == 0) {
			conn_pause(w->c);
			timer_set(w->t, 1);
		} else if (ev->data->n > 0) {
			conn_resume(w->c);
		}
		if (w->got == w->amount)
			loop_stop(w->l);
	}
}

static void stream(const char *const *options, bool tls_first, bool secured, uint64_t amount, bool writes, size_t take, int pause_every)
{
	struct world w;
	char ca[128];
	world_begin(&w, options);
	snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
	w.ep.tls_first = tls_first;
	w.ep.ca_file = secured ? ca : NULL;
	w.amount = amount;
	w.sent = writes ? 0 : amount;
	w.take = take;
	w.pause_every = pause_every;
	w.t = timer_new(w.l, resume, &w);
	w.c = conn_dial(w.d, &w.ep, &ann, on_stream, &w);
	loop_run(w.l);
	cr_assert_eq(w.downs, 0, "%s", w.failure.text);
	cr_assert_eq(w.ups, 1);
	cr_assert_eq(w.got, amount);
	cr_assert(!w.wrong);
	cr_assert_eq(conn_bytes_in(w.c), amount);
	if (writes) {
		cr_assert_eq(conn_bytes_out(w.c), amount);
		cr_assert_eq(conn_pending(w.c), 0);
	}
	if (writes && amount > 10000000)
		cr_assert(w.full_seen && w.drained > 0);
	world_end(&w);
}

#define MB 1000000u
#define BIG "50000000"

Test(daemon_conn, fifty_megabytes_both_ways)
{
	stream(LIST("--after", "slow-echo", "--amount", BIG), false, false, 50 * MB, true, 0, 0);
}

Test(daemon_conn, fifty_megabytes_both_ways_over_tls)
{
	stream(LIST("--tls", "first", "--after", "slow-echo", "--amount", BIG), true, true, 50 * MB, true, 0, 0);
}

Test(daemon_conn, fifty_megabytes_both_ways_over_starttls)
{
	stream(LIST("--tls", "start", "--after", "slow-echo", "--amount", BIG), false, true, 50 * MB, true, 0, 0);
}

Test(daemon_conn, bytes_do_not_go_through_libcurl)
{
	curl_recvs = 0;
	stream(LIST("--after", "source", "--amount", "3000000"), false, false, 3 * MB, false, 0, 0);
	cr_assert_eq(curl_recvs, 0);
	stream(LIST("--tls", "first", "--after", "source", "--amount", "3000000"), true, true, 3 * MB, false, 0, 0);
	stream(LIST("--tls", "start", "--after", "source", "--amount", "3000000"), false, true, 3 * MB, false, 0, 0);
	/* Once each, for what libcurl knows of the session. */
	cr_assert_leq(curl_recvs, 2);
}

/* What one leaves of what came in one read must not get into another's hands, nor be lost. */
Test(daemon_conn, two_readers_that_pause_get_each_their_own)
{
	struct world w[2];
	char ca[128];
	for (int i = 0; i < 2; i++) {
		world_begin(&w[i], LIST("--tls", "first", "--after", "source", "--amount", "3000000"));
		snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
		w[i].ep.ca_file = ca;
		w[i].ep.tls_first = true;
		w[i].amount = w[i].sent = 3 * MB;
		w[i].take = 5000;
		w[i].pause_every = 7 + i;
	}
	/* on one loop */
	struct loop *other = w[1].l;
	dialer_free(&w[1].d);
	w[1].l = w[0].l;
	for (int i = 0; i < 2; i++) {
		w[i].t = timer_new(w[0].l, resume, &w[i]);
		w[i].c = conn_dial(w[0].d, &w[i].ep, &ann, on_stream, &w[i]);
	}
	while (w[0].got < w[0].amount || w[1].got < w[1].amount) {
		loop_run(w[0].l);
		cr_assert_eq(w[0].downs + w[1].downs, 0, "%s%s", w[0].failure.text, w[1].failure.text);
	}
	cr_assert(!w[0].wrong && !w[1].wrong);
	timer_free(&w[1].t);
	conn_close(&w[1].c);
	w[1].l = other;
	world_end(&w[1]);
	world_end(&w[0]);
}

/* What a proxy does to the bytes only libcurl knows. */
Test(daemon_conn, bytes_go_through_libcurl_where_a_proxy_may_be)
{
	setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	setenv("NO_PROXY", "127.0.0.1", 1);
	curl_recvs = 0;
	stream(LIST("--after", "slow-echo", "--amount", BIG), false, false, 50 * MB, true, 0, 0);
	cr_assert_gt(curl_recvs, 100);
	curl_recvs = 0;
	stream(LIST("--tls", "first", "--after", "slow-echo", "--amount", BIG), true, true, 50 * MB, true, 0, 0);
	cr_assert_gt(curl_recvs, 100);
	stream(LIST("--tls", "first", "--after", "source", "--amount", "3000000"), true, true, 3 * MB, false, 1000, 0);
	unsetenv("ALL_PROXY");
	unsetenv("NO_PROXY");
}

Test(daemon_conn, a_reader_that_pauses_and_leaves_bytes)
{
	stream(LIST("--after", "source", "--amount", BIG), false, false, 50 * MB, false, 0, 3);
	stream(LIST("--tls", "first", "--after", "source", "--amount", BIG), true, true, 50 * MB, false, 0, 3);
	stream(LIST("--tls", "first", "--after", "source", "--amount", "3000000"), true, true, 3 * MB, false, 1000, 0);
	stream(LIST("--tls", "first", "--after", "source", "--amount", "1000000"), true, true, MB, false, 1000, 5);
	stream(LIST("--after", "source", "--amount", "100000"), false, false, 100000, false, 1000, 1);
}

Test(daemon_conn, the_end_is_told_after_the_last_bytes)
{
	struct world w;
	world_begin(&w, LIST("--after", "bye"));
	dial(&w);
	cr_assert_eq(w.ups, 1, "%s", w.failure.text);
	loop_run(w.l);
	cr_assert_eq(w.downs, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_LOST);
	cr_assert(says(&w, "closed the connection"), "%s", w.failure.text);
	cr_assert_str_eq(w.text, "* BYE shutting down\r\n");
	world_end(&w);

	world_begin(&w, LIST("--after", "reset"));
	dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.downs, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_LOST);
	world_end(&w);
}

static void write_more(void *arg)
{
	struct world *w = arg;
	int before = w->downs;
	cr_assert_eq(conn_write(w->c, SPAN("x")), 0);
	cr_assert_eq(w->downs, before, "told from within conn_write()");
	timer_set(w->t, 5);
}

Test(daemon_conn, a_paused_connection_tells_the_end_when_resumed)
{
	struct world w;
	world_begin(&w, LIST("--after", "bye"));
	dial(&w);
	conn_pause(w.c);
	w.t = timer_new(w.l, quit, &w);
	timer_set(w.t, 200);
	loop_run(w.l);
	cr_assert_eq(w.downs + (int)w.text_n, 0);
	timer_free(&w.t);
	w.t = timer_new(w.l, write_more, &w);
	timer_set(w.t, 0);
	conn_resume(w.c);
	cr_assert_eq(w.downs + (int)w.text_n, 0, "told from within conn_resume()");
	loop_run(w.l);
	cr_assert_eq(w.downs, 1);
	cr_assert_str_eq(w.text, "* BYE shutting down\r\n");
	world_end(&w);
}

Test(daemon_conn, writing_without_looking_ends_at_the_cap)
{
	struct world w;
	world_begin(&w, LIST("--stop-at", "nowhere", "--after", "hold"));
	dial(&w);
	kill(w.s.pid, SIGSTOP);
	static char megabyte[1 << 20];
	int err = 0, n = 0;
	for (; err == 0 && n < 64; n++)
		err = conn_write(w.c, span_of(megabyte, sizeof(megabyte)));
	kill(w.s.pid, SIGCONT);
	cr_assert_eq(err, PROTO_ERR_NOMEM);
	cr_assert_geq(n, 8);
	cr_assert_eq(w.downs, 0);
	loop_run(w.l);
	cr_assert_eq(w.downs, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_MEMORY);
	world_end(&w);
}

static void on_event_close(void *owner, const struct conn_event *ev)
{
	struct world *w = owner;
	w->turns++;
	if (ev->kind == CONN_UP)
		conn_write(w->c, SPAN("go\n"));
	if (w->amount == 0 || ev->kind == CONN_DATA || ev->kind == CONN_DOWN) {
		conn_close(&w->c);
		/* what was lent is still there */
		if (ev->kind == CONN_DATA)
			cr_assert_eq(ev->data->p[0], '*');
		cr_assert_null(w->c);
		timer_set(w->t, 50);
	}
}

Test(daemon_conn, may_be_closed_from_within_the_funnel)
{
	for (uint64_t phase = 0; phase < 2; phase++) {
		struct world w;
		world_begin(&w, LIST("--after", "bye"));
		w.amount = phase;
		w.t = timer_new(w.l, quit, &w);
		w.c = conn_dial(w.d, &w.ep, &ann, on_event_close, &w);
		loop_run(w.l);
		cr_assert_eq(w.turns, (int)phase + 1, "told after conn_close()");
		world_end(&w);
	}
	struct world w;
	world_begin(&w, LIST("--greeting", "* BYE no"));
	w.t = timer_new(w.l, quit, &w);
	w.c = conn_dial(w.d, &w.ep, &ann, on_event_close, &w);
	loop_run(w.l);
	cr_assert_eq(w.turns, 1);
	world_end(&w);
}

static void on_event_end_all(void *owner, const struct conn_event *ev)
{
	struct world *w = owner;
	(void)ev;
	conn_close(&w->c);
	dialer_free(&w->d);
	loop_stop(w->l);
}

Test(daemon_conn, the_dialer_may_be_freed_from_within_the_last_funnel)
{
	struct world w;
	world_begin(&w, LIST("--greeting", "* BYE no"));
	w.c = conn_dial(w.d, &w.ep, &ann, on_event_end_all, &w);
	loop_run(w.l);
	world_end(&w);
}

Test(daemon_conn, may_be_closed_at_any_time_from_outside)
{
	static const char *const modes[] = { "first", "start" };
	for (int m = 0; m < 2; m++) {
		for (unsigned ms = 0; ms < 40; ms += m == 0 ? 3 : 5) {
			struct world w;
			char ca[128];
			world_begin(&w, LIST("--tls", modes[m], "--after", "source", "--amount", "1000000"));
			snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
			w.ep.ca_file = ca;
			w.ep.tls_first = m == 0;
			w.amount = UINT64_MAX;
			w.t = timer_new(w.l, quit, &w);
			w.c = conn_dial(w.d, &w.ep, &ann, on_stream, &w);
			w.sent = w.amount;
			if (ms > 0) {
				timer_set(w.t, ms);
				loop_run(w.l);
			}
			world_end(&w);
		}
	}
	struct world w;
	world_begin(&w, NULL);
	w.ep.host = "no-such-host.invalid";
	w.c = conn_dial(w.d, &w.ep, &ann, on_event, &w);
	world_end(&w);
}

/* Each of many connections: up, one echo, closed by its owner. */
struct many {
	struct world *w;
	struct conn *c[200];
	int up, echoed, down;
	char why[512];
};

static void on_one_of_many(void *owner, const struct conn_event *ev)
{
	struct many *m = owner;
	if (ev->kind == CONN_UP && ++m->up == 200) {
		for (int i = 0; i < 200; i++)
			conn_write(m->c[i], SPAN("ping"));
	} else if (ev->kind == CONN_DATA) {
		cr_assert_eq(ev->data->n, 4);
		ev->data->n = 0;
		m->echoed++;
	} else if (ev->kind == CONN_DOWN) {
		m->down++;
		memcpy(m->why, ev->failure->text, sizeof(m->why));
	}
	if (m->echoed == 200 || m->down > 0)
		loop_stop(m->w->l);
}

Test(daemon_conn, two_hundred_at_once)
{
	struct world w;
	char ca[128];
	static struct many m;
	world_begin(&w, LIST("--tls", "first", "--after", "echo"));
	snprintf(ca, sizeof(ca), "%s/ca.pem", server_certificates());
	w.ep.ca_file = ca;
	w.ep.tls_first = true;
	w.ep.connect_timeout = w.ep.login_timeout = 50000;
	m.w = &w;
	for (int i = 0; i < 200; i++)
		m.c[i] = conn_dial(w.d, &w.ep, &ann, on_one_of_many, &m);
	loop_run(w.l);
	cr_assert_eq(m.down, 0, "%s", m.why);
	cr_assert_eq(m.up, 200);
	cr_assert_eq(m.echoed, 200);
	for (int i = 0; i < 200; i++)
		conn_close(&m.c[i]);
	world_end(&w);
}

/* libcurl looks through the connections it thinks are idle when a new one is made. */
Test(daemon_conn, a_paused_connection_with_input_survives_new_ones)
{
	struct world w;
	world_begin(&w, LIST("--after", "source", "--amount", "300000"));
	w.amount = 300000;
	w.sent = w.amount;
	w.t = timer_new(w.l, quit, &w);
	w.c = conn_dial(w.d, &w.ep, &ann, on_stream, &w);
	while (w.ups == 0) {
		timer_set(w.t, 10);
		loop_run(w.l);
	}
	conn_pause(w.c);
	for (int i = 0; i < 3; i++) {
		struct world other = { .l = w.l, .d = w.d, .ep = w.ep };
		timer_set(w.t, 1200);
		loop_run(w.l);
		other.c = conn_dial(w.d, &w.ep, &ann, on_event, &other);
		loop_run(w.l);
		cr_assert_eq(other.ups, 1, "%s", other.failure.text);
		conn_close(&other.c);
	}
	conn_resume(w.c);
	timer_clear(w.t);
	loop_run(w.l);
	cr_assert_eq(w.downs, 0, "%s", w.failure.text);
	cr_assert_eq(w.got, w.amount);
	cr_assert(!w.wrong);
	world_end(&w);
}
