#include "leaks.h"

#include "conn_server.h"
#include "err.h"
#include "log.h"
#include "peer.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define HINT "--login", "OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS] hi", "--caps", "IMAP4rev1 LITERAL+ UIDPLUS ID"

static void end(void)
{
	server_remove_certificates();
	leaks_check();
}

TestSuite(daemon_peer, .fini = end, .timeout = 40);

static const struct credentials ann = { "ann", "s3cret-pass" };

struct world {
	struct loop *l;
	struct dialer *d;
	struct server s;
	struct endpoint ep;
	struct peer_limits limits;
	struct peer *p;
	struct timer *t;
	int up, down, drained, done, responses, exists, bodies, events;
	enum command last;
	enum status last_status;
	uint64_t last_user;
	bool was_up_before_proof;
	struct conn_failure failure;
	uint64_t got, sent, size;
	bool wrong;
	const char *ask; /* folder that is asked for at PEER_UP */
	bool stop_at_done, stop_at_drained;
	int close_at_event; /* counted from 1 */
	int pause_every;
	bool tag_leaked;
	bool turning; /* next_turn() is called at each turn of the loop */
	int in_turn, most_in_turn; /* responses */
};

static void on_peer(void *owner, const struct peer_event *ev);

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)((at / 4) >> (8 * (at % 4)));
}

static void world_begin(struct world *w, const char *const *options)
{
	*w = (struct world){ .l = loop_new(), .limits = { 10000, 60000 } };
	w->d = dialer_new(w->l);
	w->s = server_start(options);
	w->ep = (struct endpoint){
		.server = "new", .host = "127.0.0.1", .port = w->s.port, .allow_plaintext = true, .connect_timeout = 10000, .login_timeout = 10000
	};
}

static void world_dial(struct world *w)
{
	w->p = peer_dial(w->d, TARGET, &w->ep, &ann, &w->limits, on_peer, w);
	cr_assert_not_null(w->p);
	cr_assert_eq(w->events, 0);
}

static void dial_compressed(struct world *w)
{
	w->ep.compress = COMPRESS_ON;
	world_dial(w);
	loop_run(w->l);
	w->stop_at_drained = true;
	loop_run(w->l);
	w->stop_at_drained = false;
	cr_assert_eq(w->drained, 1);
	w->drained = 0;
}

#define CAN_COMPRESS "--login", "OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS COMPRESS=DEFLATE] hi", "--caps", \
	"IMAP4rev1 LITERAL+ UIDPLUS COMPRESS=DEFLATE ID"


static void world_end(struct world *w)
{
	timer_free(&w->t);
	peer_close(&w->p);
	dialer_free(&w->d);
	loop_free(&w->l);
	server_stop(&w->s);
}

static void quit(void *arg)
{
	struct world *w = arg;
	loop_stop(w->l);
}

static void run_for(struct world *w, uint64_t ms)
{
	struct timer *t = timer_new(w->l, quit, w);
	timer_set(t, ms);
	loop_run(w->l);
	timer_free(&t);
}

static void resume(void *arg)
{
	struct world *w = arg;
	peer_resume(w->p);
}

static void next_turn(void *arg)
{
	struct world *w = arg;
	w->most_in_turn = w->in_turn > w->most_in_turn ? w->in_turn : w->most_in_turn;
	w->in_turn = 0;
	if (w->turning)
		loop_post(w->l, next_turn, w);
}

static uint32_t ask(struct world *w, const char *folder, uint64_t user)
{
	uint32_t tag;
	cr_assert_eq(session_folder(peer_session(w->p), CMD_CREATE, span_str(folder), false, &tag), 0);
	session_set_user(peer_session(w->p), tag, user);
	return tag;
}

/* Sends what is still missing of the body that is due. */
static void pour(struct world *w)
{
	char chunk[10000];
	while (w->sent < w->size && !peer_is_full(w->p) && session_body_due(peer_session(w->p)) > 0) {
		size_t n = sizeof(chunk) - (size_t)(w->sent % 777), taken;
		for (size_t i = 0; i < n; i++)
			chunk[i] = (char)pattern(w->sent + i);
		/* more than is due on purpose: the peer takes what belongs to the body */
		cr_assert_eq(peer_body(w->p, span_of(chunk, n), &taken), 0);
		cr_assert_eq(taken, w->size - w->sent < n ? w->size - w->sent : n);
		w->sent += taken;
	}
	if (w->sent == w->size && session_append_is_open(peer_session(w->p)))
		cr_assert_eq(session_append_end(peer_session(w->p)), 0);
}

static void on_session(struct world *w, const struct session_event *ev)
{
	w->tag_leaked = w->tag_leaked || ev->command == CMD_CAPABILITY || (ev->command == CMD_NOOP && ev->tag != 0);
	if (ev->kind == EVENT_DONE) {
		w->done++;
		w->last = ev->command;
		w->last_status = ev->resp.status.status;
		w->last_user = ev->user;
		if (w->stop_at_done)
			loop_stop(w->l);
	} else if (ev->kind == EVENT_RESPONSE) {
		w->responses++;
		w->in_turn++;
		w->exists += ev->resp.kind == RESP_EXISTS;
	} else if (ev->kind == EVENT_BODY_BEGIN) {
		w->bodies++;
		cr_assert_eq(ev->size, w->size);
	} else if (ev->kind == EVENT_BODY_DATA) {
		for (size_t i = 0; i < ev->data.n; i++)
			w->wrong = w->wrong || (unsigned char)ev->data.p[i] != pattern(w->got + i);
		w->got += ev->data.n;
	}
	if (w->pause_every != 0 && w->events % w->pause_every == 0) {
		peer_pause(w->p);
		timer_set(w->t, 1);
	}
}

static void on_peer(void *owner, const struct peer_event *ev)
{
	struct world *w = owner;
	w->events++;
	switch (ev->kind) {
	case PEER_UP:
		w->up++;
		cr_assert(peer_is_up(w->p));
		w->was_up_before_proof = !peer_has(w->p, CAP_ID);
		if (w->ask != NULL)
			ask(w, w->ask, 42);
		else
			loop_stop(w->l);
		break;
	case PEER_SESSION:
		on_session(w, ev->session);
		break;
	case PEER_VACANT:
		w->wrong = true;
		break;
	case PEER_DRAINED:
		w->drained++;
		if (w->stop_at_drained)
			loop_stop(w->l);
		pour(w);
		break;
	case PEER_DOWN:
		w->down++;
		w->failure = *ev->failure;
		loop_stop(w->l);
		break;
	}
	if (w->events == w->close_at_event) {
		peer_close(&w->p);
		loop_stop(w->l);
	}
}

Test(daemon_peer, is_up_at_once_when_the_login_told_the_capabilities)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.ask = "x";
	w.stop_at_done = true;
	world_dial(&w);
	cr_assert_eq(peer_side(w.p), TARGET);
	cr_assert(!peer_is_up(w.p));
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.up, 1);
	cr_assert(w.was_up_before_proof, "the owner's commands should go behind the question");
	cr_assert(peer_has(w.p, CAP_ID) && peer_has(w.p, CAP_LITERAL_PLUS));
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.last, CMD_CREATE);
	cr_assert_eq(w.last_user, 42);
	cr_assert_eq(w.responses, 0);
	cr_assert(!w.tag_leaked, "the peer's own commands are not the owner's");
	cr_assert(peer_bytes_in(w.p) > 0 && peer_bytes_out(w.p) > 0);
	world_end(&w);
}

Test(daemon_peer, asks_first_when_the_login_told_nothing)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", "--caps", "IMAP4rev1 ID"));
	w.ask = "x";
	w.stop_at_done = true;
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.up, 1);
	cr_assert(!w.was_up_before_proof);
	cr_assert(!peer_has(w.p, CAP_LITERAL_PLUS));
	cr_assert_eq(w.done, 1);
	cr_assert(!w.tag_leaked);
	world_end(&w);
}

static void proof_fails(const char *proof, int up, const char *words)
{
	struct world w;
	if (up)
		world_begin(&w, LIST("--after", "dialogue", HINT, "--proof", proof));
	else
		world_begin(&w, LIST("--after", "dialogue", "--proof", proof));
	w.ask = "silence";
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.up, up);
	cr_assert_eq(w.down, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_GARBAGE, "%s: %s", proof, w.failure.text);
	cr_assert_not_null(strstr(w.failure.text, words), "%s: %s", proof, w.failure.text);
	cr_assert(!peer_is_up(w.p));
	world_end(&w);
}

Test(daemon_peer, a_server_that_cannot_answer_capability_is_not_one)
{
	for (int up = 0; up < 2; up++) {
		proof_fails("@ OK done", up, "does not answer CAPABILITY");
		proof_fails("@ NO no", up, "does not answer CAPABILITY");
		proof_fails("* CAPABILITY IMAP4rev1|zz9 OK done", up, "127.0.0.1:");
		proof_fails("EV1 LITERAL+|@ OK done", up, "127.0.0.1:");
	}
}

Test(daemon_peer, what_the_conn_tells_is_passed_on)
{
	struct world w;
	world_begin(&w, LIST("--login", "NO [AUTHENTICATIONFAILED] Wrong."));
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.down, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_LOGIN);
	cr_assert_eq(w.failure.code, CODE_AUTHENTICATIONFAILED);
	cr_assert_str_eq(w.failure.text, "NO [AUTHENTICATIONFAILED] Wrong.");
	/* harmless behind the end */
	size_t taken;
	peer_flush(w.p);
	peer_pause(w.p);
	peer_resume(w.p);
	cr_assert_eq(peer_body(w.p, SPAN("x"), &taken), PROTO_ERR_STATE);
	cr_assert(!peer_has(w.p, CAP_ID) && !peer_is_full(w.p));
	run_for(&w, 50);
	cr_assert_eq(w.events, 1);
	world_end(&w);
}

Test(daemon_peer, a_command_without_an_answer_ends_the_connection)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.limits.command_timeout = 300;
	w.ask = "silence";
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.up, 1);
	uint64_t start = loop_now(w.l);
	cr_assert_eq(w.down, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_TIMEOUT);
	cr_assert_not_null(strstr(w.failure.text, "no answer within 0.3 s"), "%s", w.failure.text);
	cr_assert_leq(loop_now(w.l) - start, 1000);
	world_end(&w);
}

Test(daemon_peer, the_deadline_of_a_command_is_not_early_and_not_late)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.limits.command_timeout = 300;
	world_dial(&w);
	loop_run(w.l);
	run_for(&w, 700); /* idle: no deadline */
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	uint64_t start = loop_now(w.l);
	ask(&w, "silence", 0);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.failure.fault, CONN_FAULT_TIMEOUT);
	uint64_t took = loop_now(w.l) - start;
	cr_assert(took >= 295 && took < 450, "%d ms", (int)took);
	world_end(&w);
}

Test(daemon_peer, progress_and_pauses_put_the_deadline_off)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.limits.command_timeout = 300;
	w.ask = "trickle";
	w.stop_at_done = true;
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.responses, 8);

	ask(&w, "silence", 0);
	peer_flush(w.p);
	peer_pause(w.p);
	run_for(&w, 900);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	peer_resume(w.p);
	loop_run(w.l);
	cr_assert_eq(w.failure.fault, CONN_FAULT_TIMEOUT);
	world_end(&w);
}

Test(daemon_peer, a_byte_now_and_then_is_no_progress)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.limits.command_timeout = 1000; /* ten bytes are enough: "drip" has four, "drizzle" 33, "patience" a whole response */
	w.stop_at_done = true;
	world_dial(&w);
	loop_run(w.l);
	ask(&w, "drizzle", 0);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.done, 1, "%s", w.failure.text);
	ask(&w, "patience", 0);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.done, 2, "%s", w.failure.text);
	ask(&w, "drip", 0);
	peer_flush(w.p);
	uint64_t start = loop_now(w.l);
	loop_run(w.l);
	cr_assert_eq(w.failure.fault, CONN_FAULT_TIMEOUT);
	cr_assert_not_null(strstr(w.failure.text, "bytes within 1 s"), "%s", w.failure.text);
	cr_assert_leq(loop_now(w.l) - start, 3000);
	world_end(&w);
}

Test(daemon_peer, an_idle_connection_is_kept_alive)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.limits.keepalive = 100;
	world_dial(&w);
	loop_run(w.l);
	run_for(&w, 550);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	/* the server answers NOOP by an EXISTS, which is nobody's answer */
	cr_assert(w.exists >= 3 && w.exists <= 6, "%d", w.exists);
	cr_assert_eq(w.done, 0);
	cr_assert(!w.tag_leaked);
	world_end(&w);
}

Test(daemon_peer, a_bye_is_told_with_its_words)
{
	/* With a command in flight its answer still comes. */
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.ask = "goodbye";
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.down, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_LOST);
	cr_assert(w.failure.bye);
	cr_assert_eq(w.failure.code, CODE_UNAVAILABLE);
	cr_assert_str_eq(w.failure.text, "BYE [UNAVAILABLE] closing down");
	world_end(&w);

	/* With nothing in flight the end is not waited for. */
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.ask = "farewell";
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.down, 1);
	cr_assert_str_eq(w.failure.text, "BYE idle too long");
	cr_assert(w.failure.bye);
	world_end(&w);
}

Test(daemon_peer, an_answer_to_nothing_ends_the_connection)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.ask = "nonsense";
	world_dial(&w);
	loop_run(w.l);
	cr_assert_eq(w.down, 1);
	cr_assert_eq(w.failure.fault, CONN_FAULT_GARBAGE);
	world_end(&w);
}

static void fetch(const char *amount, uint64_t size, int pause_every, bool compress)
{
	struct world w;
	world_begin(&w, compress ? LIST("--after", "dialogue", CAN_COMPRESS, "--amount", amount) :
		LIST("--after", "dialogue", HINT, "--amount", amount));
	w.t = timer_new(w.l, resume, &w);
	if (compress) {
		dial_compressed(&w);
	} else {
		world_dial(&w);
		loop_run(w.l);
	}
	w.size = size;
	w.stop_at_done = true;
	w.pause_every = pause_every;
	uint32_t tag;
	cr_assert_eq(session_fetch(peer_session(w.p), CMD_UID_FETCH, SPAN("1"), FETCH_UID | FETCH_BODY, 0, &tag), 0);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.bodies, 1);
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.got, size);
	cr_assert(!w.wrong);
	cr_assert(!compress || size < 1000 || peer_bytes_in(w.p) < size / 2, "%llu of %llu", (unsigned long long)peer_bytes_in(w.p),
		(unsigned long long)size);
	world_end(&w);
}

Test(daemon_peer, bodies_come_in_whatever_the_pauses)
{
	for (int compress = 0; compress < 2; compress++) {
		fetch("20000000", 20000000, 0, compress);
		fetch("3000000", 3000000, 3, compress);
		fetch("500000", 500000, 1, compress);
		fetch("0", 0, 1, compress);
		fetch("1", 1, 1, compress);
	}
}

static void append(const char *folder, uint64_t size, bool compress)
{
	struct world w;
	world_begin(&w, compress ? LIST("--after", "dialogue", CAN_COMPRESS) : LIST("--after", "dialogue", HINT));
	if (compress) {
		dial_compressed(&w);
	} else {
		world_dial(&w);
		loop_run(w.l);
	}
	w.size = size;
	w.stop_at_done = true;
	uint32_t tag;
	struct session *s = peer_session(w.p);
	cr_assert_eq(session_append_begin(s, span_str(folder), &tag), 0);
	cr_assert_eq(session_append_message(s, &(struct append_message){ .size = size }), 0);
	peer_flush(w.p);
	pour(&w);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.done, 1);
	cr_assert_eq(w.last, CMD_APPEND);
	cr_assert_eq(w.last_status, STATUS_OK);
	cr_assert(compress || size < 10000000 || w.drained > 0);
	cr_assert(!compress || size < 1000 || peer_bytes_out(w.p) < size / 2);
	world_end(&w);
}

Test(daemon_peer, bodies_go_out)
{
	for (int compress = 0; compress < 2; compress++) {
		append("slow", 20000000, compress);
		append("x", 1, compress);
		append("x", 0, compress);
	}
}

/* The server stands still until the socket is full: what was not flushed then goes when it takes bytes again. */
Test(daemon_peer, nothing_stays_behind_when_the_socket_was_full)
{
	struct world w;
	char noise[10001];
	uint32_t tag, seed = 1;
	size_t taken;
	world_begin(&w, LIST("--after", "dialogue", CAN_COMPRESS));
	dial_compressed(&w);
	w.stop_at_done = true;
	struct session *s = peer_session(w.p);
	cr_assert_eq(session_append_begin(s, SPAN("blind"), &tag), 0);
	cr_assert_eq(session_append_message(s, &(struct append_message){ .size = 32000000 }), 0);
	cr_assert_eq(session_append_end(s), 0);
	kill(w.s.pid, SIGSTOP);
	while (!peer_is_full(w.p)) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
		cr_assert_eq(peer_body(w.p, span_of(noise, sizeof(noise)), &taken), 0);
		cr_assert_gt(taken, 0);
	}
	while (session_body_due(s) > 0)
		cr_assert_eq(peer_body(w.p, span_of(noise, 1000), &taken), 0);
	run_for(&w, 20);
	kill(w.s.pid, SIGCONT);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.last_status, STATUS_OK);
	cr_assert_gt(w.drained, 0);
	world_end(&w);
}

/* The line of the log that tells of it, and what the peer did with the commands around it. */
static void compressed(const char *answer, const char *caps, const char *words)
{
	int fd[2], old = dup(STDERR_FILENO);
	char text[8192];
	struct world w;
	cr_assert_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	world_begin(&w, LIST("--after", "dialogue", "--caps", caps, "--login", "OK hi", "--compress", answer));
	w.ep.compress = COMPRESS_ON;
	w.limits.keepalive = 100;
	w.ask = "x";
	w.stop_at_done = true;
	log_set_level(LOG_LEVEL_DEBUG);
	dup2(fd[1], STDERR_FILENO);
	world_dial(&w);
	loop_run(w.l);
	/* Enough for some NOOPs: it is never asked for again. */
	run_for(&w, 350);
	dup2(old, STDERR_FILENO);
	log_set_level(LOG_LEVEL_NOTICE);
	ssize_t n = read(fd[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert(w.up == 1 && w.done == 1 && w.exists > 0 && !w.tag_leaked);
	cr_assert_not_null(strstr(text, words), "%s", text);
	char *asked = strstr(text, "COMPRESS DEFLATE\n");
	cr_assert_eq(asked != NULL, strstr(caps, "COMPRESS=DEFLATE") != NULL, "%s", text);
	cr_assert(asked == NULL || strstr(asked + 1, "COMPRESS DEFLATE\n") == NULL, "%s", text);
	cr_assert(asked == NULL || w.drained == 1);
	close(fd[0]);
	close(fd[1]);
	close(old);
	world_end(&w);
}

Test(daemon_peer, compression_is_asked_for_once)
{
	compressed("OK go", "IMAP4rev1 COMPRESS=DEFLATE", "godwit: debug: target: new: compressed from here on\n");
	compressed("NO [COMPRESSIONACTIVE] it is", "IMAP4rev1 COMPRESS=DEFLATE", "godwit: debug: target: new: the server does not compress: it is\n");
	compressed("BAD what?", "IMAP4rev1 COMPRESS=DEFLATE", "godwit: debug: target: new: the server does not compress: what?\n");
	compressed("OK go", "IMAP4rev1 COMPRESS=LZW", "godwit: debug: target: new: the server does not offer COMPRESS=DEFLATE\n");
}

Test(daemon_peer, what_is_not_compressed_as_it_should_be_ends_the_connection)
{
	/* "* OK still here\r\n"; and a last block, "hi", with more behind it */
	static const char *const garbage[] = { "2a204f4b207374696c6c20686572650d0a", "010200fdff686978" };
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		world_begin(&w, LIST("--after", "dialogue", CAN_COMPRESS, "--garbage", garbage[i]));
		w.ep.compress = COMPRESS_ON;
		world_dial(&w);
		loop_run(w.l);
		loop_run(w.l);
		cr_assert_eq(w.down, 1);
		cr_assert_eq(w.failure.fault, CONN_FAULT_GARBAGE, "%s", w.failure.text);
		cr_assert_not_null(strstr(w.failure.text, "compress"), "%s", w.failure.text);
		world_end(&w);
	}
}

/* Half a megabyte of "* 1 EXISTS" for each kilobyte: others have their turn all the same, and none is lost. */
Test(daemon_peer, much_from_little_leaves_others_their_turn)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", CAN_COMPRESS, "--amount", "2000000"));
	dial_compressed(&w);
	w.stop_at_done = true;
	w.turning = true;
	next_turn(&w);
	ask(&w, "flood", 0);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.down, 0, "%s", w.failure.text);
	cr_assert_eq(w.exists, 2000000);
	cr_assert_leq(w.most_in_turn, 4 * (1u << 20) / 12, "%d", w.most_in_turn);
	w.turning = false;
	world_end(&w);
}

Test(daemon_peer, drained_comes_after_a_pause)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	world_dial(&w);
	loop_run(w.l);
	w.size = 20000000;
	uint32_t tag;
	cr_assert_eq(session_append_begin(peer_session(w.p), SPAN("slow"), &tag), 0);
	cr_assert_eq(session_append_message(peer_session(w.p), &(struct append_message){ .size = w.size }), 0);
	peer_flush(w.p);
	pour(&w);
	cr_assert_gt(session_body_due(peer_session(w.p)), 0);
	while (!peer_is_full(w.p))
		pour(&w);
	peer_pause(w.p);
	run_for(&w, 500);
	cr_assert_eq(w.drained, 0);
	cr_assert(!peer_is_full(w.p));
	w.stop_at_done = true;
	peer_resume(w.p);
	cr_assert_eq(w.drained, 0);
	loop_run(w.l);
	cr_assert(w.drained > 0);
	cr_assert_eq(w.last_status, STATUS_OK);
	world_end(&w);
}

static void on_borrower(void *owner, const struct peer_event *ev)
{
	struct world *w = owner;
	cr_assert_eq(ev->kind, PEER_SESSION);
	w->exists += 100;
	loop_stop(w->l);
}

Test(daemon_peer, can_be_lent)
{
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	world_dial(&w);
	loop_run(w.l);
	peer_lend(w.p, on_borrower, &w);
	ask(&w, "x", 1);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.exists, 100);
	cr_assert_eq(w.done, 0);
	peer_lend(w.p, on_peer, &w);
	w.stop_at_done = true;
	ask(&w, "x", 1);
	peer_flush(w.p);
	loop_run(w.l);
	cr_assert_eq(w.done, 1);
	world_end(&w);
}

Test(daemon_peer, may_be_closed_at_each_event)
{
	for (int at = 1; at < 6; at++) {
		struct world w;
		world_begin(&w, LIST("--after", "dialogue", HINT));
		w.ask = at == 5 ? "silence" : "goodbye";
		w.limits.command_timeout = at == 5 ? 100 : 10000;
		w.close_at_event = at == 5 ? 2 : at;
		world_dial(&w);
		loop_run(w.l);
		cr_assert_eq(w.events, w.close_at_event);
		cr_assert_null(w.p);
		run_for(&w, 50);
		cr_assert_eq(w.events, w.close_at_event);
		world_end(&w);
	}
	struct world w;
	world_begin(&w, LIST("--after", "dialogue"));
	world_dial(&w);
	world_end(&w);
	/* In the middle of compressed bytes, too: the event's are in memory of the peer's own. */
	for (int at = 2; at < 7; at++) {
		uint32_t tag;
		world_begin(&w, LIST("--after", "dialogue", CAN_COMPRESS, "--amount", "100000"));
		dial_compressed(&w);
		w.size = 100000;
		w.close_at_event = w.events + at;
		cr_assert_eq(session_fetch(peer_session(w.p), CMD_UID_FETCH, SPAN("1"), FETCH_UID | FETCH_BODY, 0, &tag), 0);
		peer_flush(w.p);
		loop_run(w.l);
		cr_assert_null(w.p);
		world_end(&w);
	}
}

Test(daemon_peer, the_dialogue_is_logged_at_debug)
{
	int fd[2], old = dup(STDERR_FILENO);
	char text[4096];
	cr_assert_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	struct world w;
	world_begin(&w, LIST("--after", "dialogue", HINT));
	w.ask = "INBOX/y";
	w.stop_at_done = true;
	log_set_level(LOG_LEVEL_DEBUG);
	dup2(fd[1], STDERR_FILENO);
	world_dial(&w);
	loop_run(w.l);
	dup2(old, STDERR_FILENO);
	log_set_level(LOG_LEVEL_NOTICE);
	ssize_t n = read(fd[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd[0]);
	close(fd[1]);
	close(old);
	const char *command = strstr(text, "godwit: debug: target: new > ");
	cr_assert_not_null(command, "%s", text);
	cr_assert_not_null(strstr(text, "CREATE"), "%s", text);
	cr_assert_not_null(strstr(text, "INBOX/y"), "%s", text);
	cr_assert_not_null(strstr(text, "godwit: debug: target: new < "), "%s", text);
	cr_assert_not_null(strstr(text, "OK"), "%s", text);
	cr_assert_null(strstr(text, "s3cret"));
	world_end(&w);
}
