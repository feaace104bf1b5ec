#include "leaks.h"
#include "lookups.h"

#include "resolve.h"

#include <sched.h>

TestSuite(daemon_resolve, .fini = leaks_check, .timeout = 20);

struct world {
	struct loop *l;
	struct resolver *r;
	struct timer *t;
	struct waiting *w[100];
	int asked, answered, wanted;
	bool inside;  /* in resolve_ask() */
	char addresses[1024];
	char error[128];
	int os_errno;
};

static void world_begin(struct world *w, const char *addresses)
{
	*w = (struct world){ .l = loop_new() };
	w->r = resolver_new(w->l);
	lookups = 0;
	lookup_addresses = addresses;
	lookup_without_files = false;
	lookup_gate = NULL;
}

static void world_end(struct world *w)
{
	timer_free(&w->t);
	resolver_free(&w->r);
	loop_free(&w->l);
}

static void on_answer(void *arg, const struct resolve_answer *a)
{
	struct world *w = arg;
	cr_assert(!w->inside, "told from within resolve_ask()");
	snprintf(w->addresses, sizeof(w->addresses), "%s", a->addresses != NULL ? a->addresses : "none");
	snprintf(w->error, sizeof(w->error), "%s", a->error != NULL ? a->error : "");
	w->os_errno = a->os_errno;
	if (++w->answered == w->wanted)
		loop_stop(w->l);
}

static void ask(struct world *w, const char *host, int n)
{
	w->inside = true;
	for (int i = 0; i < n; i++) {
		w->w[w->asked] = resolve_ask(w->r, host, on_answer, w);
		cr_assert_not_null(w->w[w->asked]);
		w->asked++;
	}
	w->inside = false;
}

static void await(struct world *w, int wanted)
{
	w->wanted = wanted;
	loop_run(w->l);
	cr_assert_eq(w->answered, wanted);
}

static void quit(void *arg)
{
	struct world *w = arg;
	loop_stop(w->l);
}

static void let_pass(struct world *w, uint64_t ms)
{
	timer_free(&w->t);
	w->t = timer_new(w->l, quit, w);
	timer_set(w->t, ms);
	loop_run(w->l);
}

Test(daemon_resolve, one_question_for_all_that_ask)
{
	struct world w;
	world_begin(&w, "192.0.2.7 2001:db8::7");
	ask(&w, "mail.test", 50);
	await(&w, 50);
	cr_assert_eq(lookups, 1);
	cr_assert_str_eq(w.addresses, "192.0.2.7,[2001:db8::7]");
	/* and for those that ask later */
	ask(&w, "mail.test", 10);
	await(&w, 60);
	cr_assert_eq(lookups, 1);
	cr_assert_str_eq(w.addresses, "192.0.2.7,[2001:db8::7]");
	ask(&w, "other.test", 2);
	await(&w, 62);
	cr_assert_eq(lookups, 2);
	world_end(&w);
}

Test(daemon_resolve, a_failure_is_shared_but_not_kept_for_long)
{
	struct world w;
	world_begin(&w, NULL);
	ask(&w, "mail.test", 3);
	await(&w, 3);
	cr_assert_eq(lookups, 1);
	cr_assert_str_eq(w.addresses, "none");
	cr_assert_str_eq(w.error, gai_strerror(EAI_NONAME));
	cr_assert_eq(w.os_errno, 0);
	ask(&w, "mail.test", 1);
	await(&w, 4);
	cr_assert_eq(lookups, 1);
	let_pass(&w, RESOLVE_KEEP_FAILURE);
	lookup_addresses = "192.0.2.7";
	ask(&w, "mail.test", 1);
	await(&w, 5);
	cr_assert_eq(lookups, 2);
	cr_assert_str_eq(w.addresses, "192.0.2.7");
	world_end(&w);
}

Test(daemon_resolve, no_descriptor_left_is_told_as_that)
{
	struct world w;
	world_begin(&w, NULL);
	lookup_without_files = true;
	ask(&w, "mail.test", 1);
	await(&w, 1);
	cr_assert_eq(w.os_errno, EMFILE);
	cr_assert_str_eq(w.error, strerror(EMFILE));
	world_end(&w);
}

Test(daemon_resolve, who_cancels_hears_nothing)
{
	struct world w;
	sem_t gate;
	sem_init(&gate, 0, 0);
	world_begin(&w, "192.0.2.7");
	lookup_gate = &gate;
	ask(&w, "mail.test", 5);
	resolve_cancel(&w.w[0]);
	resolve_cancel(&w.w[3]);
	cr_assert_null(w.w[3]);
	sem_post(&gate);
	await(&w, 3);
	let_pass(&w, 20);
	cr_assert_eq(w.answered, 3);
	/* of an answer that is there */
	ask(&w, "mail.test", 1);
	resolve_cancel(&w.w[5]);
	let_pass(&w, 20);
	cr_assert_eq(w.answered, 3);
	world_end(&w);
	sem_destroy(&gate);
}

/* Nobody waits for a name server that does not answer: neither the resolver nor the loop. */
Test(daemon_resolve, may_be_freed_while_a_question_is_open)
{
	static sem_t gate;
	sem_init(&gate, 0, 0);
	struct world w;
	world_begin(&w, "192.0.2.7");
	lookup_gate = &gate;
	ask(&w, "mail.test", 1);
	ask(&w, "other.test", 1);
	resolve_cancel(&w.w[0]);
	resolve_cancel(&w.w[1]);
	/* one answer is on its way to the loop, the other never comes */
	while (lookups < 2)
		sched_yield();
	sem_post(&gate);
	world_end(&w);
	sem_post(&gate);
}

Test(daemon_resolve, what_is_no_name)
{
	cr_assert(resolve_is_needed("mail.test"));
	cr_assert(resolve_is_needed("localhost"));
	cr_assert(resolve_is_needed("mx-1.2.test"));
	cr_assert(!resolve_is_needed("192.0.2.1"));
	cr_assert(!resolve_is_needed("2001:db8::1"));
	cr_assert(!resolve_is_needed("fe80::1%lo"));
	cr_assert(!resolve_is_needed("m\xc3\xbcller.test"));
	cr_assert(!resolve_is_needed(""));
}
