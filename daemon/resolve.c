#include "resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* More than anybody tries. */
#define ADDRESSES 32

struct name;

/* One question; the thread's and the resolver's together, the last one frees it. */
struct lookup {
	pthread_mutex_t lock;
	struct loop *loop;  /* NULL: nobody waits for the answer any more */
	struct name *name;  /* the loop's thread only; NULL as above */
	char *addresses;
	int os_errno;
	char error[128];
	char host[];
};

struct waiting {
	struct name *name;
	resolve_fn *fn;
	void *arg;
	TAILQ_ENTRY(waiting) entry;
};

TAILQ_HEAD(waiting_list, waiting);

struct name {
	struct loop *loop;
	struct lookup *lookup;  /* under way, or NULL */
	struct timer *timer;    /* tells what is known already, at the next turn */
	struct waiting_list waiting;
	bool known;
	uint64_t until;         /* loop_now() */
	struct resolve_answer answer;
	char *addresses;
	char error[128];
	TAILQ_ENTRY(name) entry;
	char host[];
};

struct resolver {
	struct loop *loop;
	TAILQ_HEAD(, name) names; /* as many as there are servers */
};

static void lookup_free(struct lookup *q)
{
	pthread_mutex_destroy(&q->lock);
	free(q->addresses);
	free(q);
}

static void tell(struct name *n)
{
	struct waiting *w;
	while ((w = TAILQ_FIRST(&n->waiting)) != NULL) {
		TAILQ_REMOVE(&n->waiting, w, entry);
		w->fn(w->arg, &n->answer);
		free(w);
	}
}

static void on_timer(void *arg)
{
	tell(arg);
}

static void on_answer(void *arg)
{
	struct lookup *q = arg;
	struct name *n = q->name;
	/* The thread that posted this may still be about to let go of the lock. */
	pthread_mutex_lock(&q->lock);
	pthread_mutex_unlock(&q->lock);
	if (n != NULL) {
		free(n->addresses);
		n->addresses = q->addresses;
		q->addresses = NULL;
		memcpy(n->error, q->error, sizeof(n->error));
		n->answer = (struct resolve_answer){ .addresses = n->addresses, .error = n->error, .os_errno = q->os_errno };
		n->until = loop_now(n->loop) + (n->addresses != NULL ? RESOLVE_KEEP : RESOLVE_KEEP_FAILURE);
		n->known = true;
		n->lookup = NULL;
		tell(n);
	}
	lookup_free(q);
}

/* Each address once, as CURLOPT_RESOLVE wants them. One that holds only on a certain interface cannot be said there. */
static char *addresses_print(const struct addrinfo *first)
{
	char *text = malloc(ADDRESSES * (INET6_ADDRSTRLEN + 3) + 1), *to = text;
	int count = 0;
	if (text == NULL)
		return NULL;
	*text = '\0';
	for (const struct addrinfo *a = first; a != NULL && count < ADDRESSES; a = a->ai_next) {
		char one[INET6_ADDRSTRLEN], item[INET6_ADDRSTRLEN + 3];
		const struct sockaddr_in6 *six = (const void *)a->ai_addr;
		const struct sockaddr_in *four = (const void *)a->ai_addr;
		if (a->ai_family == AF_INET && inet_ntop(AF_INET, &four->sin_addr, one, sizeof(one)) != NULL)
			snprintf(item, sizeof(item), "%s", one);
		else if (a->ai_family == AF_INET6 && six->sin6_scope_id == 0 && inet_ntop(AF_INET6, &six->sin6_addr, one, sizeof(one)) != NULL)
			snprintf(item, sizeof(item), "[%s]", one);
		else
			continue;
		size_t n = strlen(item);
		if (count++ > 0)
			*to++ = ',';
		memcpy(to, item, n + 1);
		to += n;
	}
	return text;
}

static void *look_up(void *arg)
{
	struct lookup *q = arg;
	struct addrinfo *first = NULL, hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	errno = 0;
	int err = getaddrinfo(q->host, NULL, &hints, &first);
	q->os_errno = err == EAI_SYSTEM || errno == EMFILE || errno == ENFILE ? errno : 0;
	if (err == 0) {
		q->os_errno = 0;
		q->addresses = addresses_print(first);
		snprintf(q->error, sizeof(q->error), "%s", strerror(ENOMEM));
		freeaddrinfo(first);
	} else {
		snprintf(q->error, sizeof(q->error), "%s", q->os_errno != 0 ? strerror(q->os_errno) : gai_strerror(err));
	}
	pthread_mutex_lock(&q->lock);
	bool wanted = q->loop != NULL;
	if (wanted)
		loop_post(q->loop, on_answer, q);
	pthread_mutex_unlock(&q->lock);
	if (!wanted)
		lookup_free(q);
	return NULL;
}

static int thread_start(struct lookup *q)
{
	pthread_t thread;
	pthread_attr_t attr;
	sigset_t all, before;
	int err = pthread_attr_init(&attr);
	if (err != 0)
		return err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, look_up, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

static bool lookup_start(struct name *n)
{
	size_t size = strlen(n->host) + 1;
	struct lookup *q = calloc(1, sizeof(*q) + size);
	if (q == NULL)
		return false;
	if (pthread_mutex_init(&q->lock, NULL) != 0) {
		free(q);
		return false;
	}
	memcpy(q->host, n->host, size);
	q->loop = n->loop;
	q->name = n;
	if (thread_start(q) != 0) {
		lookup_free(q);
		return false;
	}
	n->lookup = q;
	return true;
}

/* The thread may be in the middle of it, or its answer on the way. */
static void lookup_abandon(struct lookup *q)
{
	pthread_mutex_lock(&q->lock);
	q->loop = NULL;
	q->name = NULL;
	pthread_mutex_unlock(&q->lock);
}

struct resolver *resolver_new(struct loop *l)
{
	struct resolver *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->loop = l;
	TAILQ_INIT(&r->names);
	return r;
}

void resolver_free(struct resolver **r)
{
	if (r == NULL || *r == NULL)
		return;
	struct name *n;
	while ((n = TAILQ_FIRST(&(*r)->names)) != NULL) {
		assert(TAILQ_EMPTY(&n->waiting));
		TAILQ_REMOVE(&(*r)->names, n, entry);
		if (n->lookup != NULL)
			lookup_abandon(n->lookup);
		timer_free(&n->timer);
		free(n->addresses);
		free(n);
	}
	free(*r);
	*r = NULL;
}

bool resolve_is_needed(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	size_t n = strlen(host);
	if (inet_pton(AF_INET, host, address) == 1 || strchr(host, ':') != NULL)
		return false;
	return n > 0 && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

static struct name *name_of(struct resolver *r, const char *host)
{
	struct name *n;
	TAILQ_FOREACH(n, &r->names, entry)
		if (strcmp(n->host, host) == 0)
			return n;
	size_t size = strlen(host) + 1;
	n = calloc(1, sizeof(*n) + size);
	if (n == NULL)
		return NULL;
	n->timer = timer_new(r->loop, on_timer, n);
	if (n->timer == NULL) {
		free(n);
		return NULL;
	}
	n->loop = r->loop;
	TAILQ_INIT(&n->waiting);
	memcpy(n->host, host, size);
	TAILQ_INSERT_TAIL(&r->names, n, entry);
	return n;
}

struct waiting *resolve_ask(struct resolver *r, const char *host, resolve_fn *fn, void *arg)
{
	struct name *n = name_of(r, host);
	struct waiting *w = calloc(1, sizeof(*w));
	if (n == NULL || w == NULL)
		goto fail;
	if (n->lookup == NULL) {
		if (n->known && loop_now(n->loop) < n->until)
			timer_set(n->timer, 0);
		else if (!lookup_start(n))
			goto fail;
	}
	*w = (struct waiting){ .name = n, .fn = fn, .arg = arg };
	TAILQ_INSERT_TAIL(&n->waiting, w, entry);
	return w;
fail:
	free(w);
	return NULL;
}

void resolve_cancel(struct waiting **w)
{
	if (w == NULL || *w == NULL)
		return;
	TAILQ_REMOVE(&(*w)->name->waiting, *w, entry);
	free(*w);
	*w = NULL;
}
