#include "control.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define CONNECTIONS_MAX 32u
#define CONNECTION_MEMORY ((size_t)32 << 10) /* head and buffers of one request */
#define IDLE_S 30u                           /* a connection on which nothing happens; not while its answer is being worked on */
#define LAST_TURNS 100                       /* at the end, to get the last answers out */

struct control_call {
	LIST_ENTRY(control_call) link;
	struct control *c;
	struct MHD_Connection *connection;
	struct control_request rq;
	char *body;                /* as far as it has come */
	size_t n, size;
	bool too_long;             /* the body is */
	bool told, suspended;
	struct MHD_Response *answer;
	unsigned status;           /* of the answer; 0: none yet */
};

struct control {
	struct control_socket socket;
	struct MHD_Daemon *daemon;
	struct loop_watch *watch;
	struct timer *timer;
	control_funnel *funnel;
	void *owner;
	bool closing;
	LIST_HEAD(, control_call) calls;
};

/* Lets libmicrohttpd do what there is to do, and sees when it must at the latest. */
static void turn(void *arg)
{
	struct control *c = arg;
	MHD_UNSIGNED_LONG_LONG ms;
	MHD_run(c->daemon);
	if (MHD_get_timeout(c->daemon, &ms) == MHD_YES)
		timer_set(c->timer, ms);
	else
		timer_clear(c->timer);
}

static enum MHD_Result send_answer(struct control_call *call)
{
	enum MHD_Result rc = MHD_queue_response(call->connection, call->status, call->answer);
	MHD_destroy_response(call->answer);
	call->answer = NULL;
	return rc;
}

void control_answer(struct control_call *call, unsigned status, struct record **body)
{
	size_t n;
	char *text = record_take(body, &n);
	assert(call->status == 0);
	call->status = status;
	call->answer = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
	if (call->answer == NULL ||
		MHD_add_response_header(call->answer, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json") != MHD_YES)
		abort();
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(call->answer, MHD_HTTP_HEADER_ALLOW,
			call->rq.what == CONTROL_STATUS ? MHD_HTTP_METHOD_GET : MHD_HTTP_METHOD_POST);
	if (!call->suspended)
		return;
	call->suspended = false;
	MHD_resume_connection(call->connection);
	if (!call->c->closing)
		timer_set(call->c->timer, 0);
}

void control_refuse(struct control_call *call, unsigned status, const char *format, ...)
{
	char words[1024];
	struct record *body = record_new();
	va_list ap;
	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	record_text(body, "error", words);
	control_answer(call, status, &body);
}

struct arguments {
	struct control_call *call;
	unsigned status;
	char words[CONTROL_WORDS];
};

static enum MHD_Result on_argument(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct arguments *a = arg;
	(void)kind;
	a->status = control_request_argument(&a->call->rq, name, value, a->words);
	return a->status == 0 ? MHD_YES : MHD_NO;
}

/* The head has come: who, and what? */
static enum MHD_Result begin(struct control *c, struct MHD_Connection *connection, const char *path, const char *method, void **ret)
{
	struct control_call *call = calloc(1, sizeof(*call));
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct arguments a = { .call = call };
	unsigned uid = 0;
	long pid = 0;
	if (call == NULL)
		return MHD_NO;
	*call = (struct control_call){ .c = c, .connection = connection };
	LIST_INSERT_HEAD(&c->calls, call, link);
	*ret = call;
	bool may = info != NULL && control_socket_peer(info->connect_fd, &uid, &pid);
	a.status = control_request_route(&call->rq, method, path, a.words);
	if (a.status == 0)
		MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_argument, &a);
	call->rq.uid = uid;
	call->rq.pid = pid;
	if (!may)
		control_refuse(call, MHD_HTTP_FORBIDDEN, "only root and the user that godwit runs as may ask here");
	else if (a.status != 0)
		control_refuse(call, a.status, "%s", a.words);
	return call->status != 0 ? send_answer(call) : MHD_YES;
}

static enum MHD_Result take_body(struct control_call *call, const char *data, size_t *n)
{
	if (*n > CONTROL_BODY_MAX - call->n)
		call->too_long = true;
	/* What is too long is read to its end all the same: an answer before that is not read by everybody. */
	if (!call->too_long) {
		if (call->size - call->n < *n) {
			call->size = (call->n + *n) * 2;
			char *bigger = realloc(call->body, call->size);
			if (bigger == NULL)
				return MHD_NO;
			call->body = bigger;
		}
		memcpy(call->body + call->n, data, *n);
		call->n += *n;
	}
	*n = 0;
	return MHD_YES;
}

/* The request is whole. */
static void tell(struct control_call *call)
{
	char words[CONTROL_WORDS];
	call->told = true;
	if (call->too_long) {
		control_refuse(call, MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than %zu bytes", CONTROL_BODY_MAX);
		return;
	}
	unsigned status = control_request_body(&call->rq, call->body, call->n, words);
	free(call->body);
	call->body = NULL;
	if (status != 0)
		control_refuse(call, status, "%s", words);
	else if (call->c->closing)
		control_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "godwit is stopping");
	else
		call->c->funnel(call->c->owner, call, &call->rq);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
	const char *data, size_t *n, void **state)
{
	struct control_call *call = *state;
	(void)version;
	if (call == NULL)
		return begin(arg, connection, path, method, state);
	if (*n > 0)
		return take_body(call, data, n);
	if (!call->told)
		tell(call);
	if (call->status != 0)
		return send_answer(call);
	call->suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* The answer has left, or the connection is gone. */
static void on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	struct control_call *call = *state;
	(void)arg, (void)connection, (void)how;
	if (call == NULL)
		return;
	assert(!call->suspended);
	LIST_REMOVE(call, link);
	if (call->answer != NULL)
		MHD_destroy_response(call->answer);
	control_request_done(&call->rq);
	free(call->body);
	free(call);
	*state = NULL;
}

int control_open(struct loop *l, const char *path, control_funnel *funnel, void *owner, struct control **ret, struct control_failure *failure)
{
	struct control *c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->funnel = funnel;
	c->owner = owner;
	LIST_INIT(&c->calls);
	int err = control_socket_open(&c->socket, path, failure);
	if (err != CONTROL_OK) {
		free(c);
		return err;
	}
	c->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
		MHD_OPTION_LISTEN_SOCKET, (MHD_socket)c->socket.fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, c,
		MHD_OPTION_END);
	const union MHD_DaemonInfo *info = c->daemon != NULL ? MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	c->timer = timer_new(l, turn, c);
	c->watch = info != NULL ? loop_watch_new(l, info->epoll_fd, turn, c) : NULL;
	if (c->watch == NULL || c->timer == NULL) {
		snprintf(failure->text, sizeof(failure->text), "nothing can be made to answer on the socket %s: %m", path);
		control_close(&c);
		return CONTROL_FAILED;
	}
	*ret = c;
	return CONTROL_OK;
}

void control_close(struct control **pc)
{
	struct control *c = pc != NULL ? *pc : NULL;
	struct control_call *call;
	if (c == NULL)
		return;
	c->closing = true;
	loop_watch_free(&c->watch);
	LIST_FOREACH(call, &c->calls, link)
		if (call->suspended)
			control_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "godwit is stopping");
	if (c->daemon != NULL) {
		for (int i = 0; i < LAST_TURNS && !LIST_EMPTY(&c->calls); i++)
			MHD_run(c->daemon);
		/* The socket is ours to close. */
		MHD_quiesce_daemon(c->daemon);
		MHD_stop_daemon(c->daemon);
	}
	timer_free(&c->timer);
	control_socket_close(&c->socket);
	free(c);
	*pc = NULL;
}
