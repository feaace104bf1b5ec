#include "run.h"

#include "error.h"
#include "log.h"
#include "progress.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define KEEPALIVE (2 * 60 * 1000u)
/* Descriptors for all but connections: loop, ledger, lists, name service; and those that a connection that is being made has for a moment. */
#define FILES_BESIDE 128u
/* ms between two attempts to write what the reader of the log has not taken */
#define LOG_AGAIN 20

static void say(const char *text)
{
	fprintf(stderr, "%s\n", text);
}

static void say_override(const struct conf_override *o, void *arg)
{
	(void)arg;
	if (o->section[0] != '\0')
		log_event(LOG_SETTING_OTHER, NULL, "the setting %s of the %s \"%s\" is %s (default %s)", o->name, o->section, o->title,
			o->value, o->default_value[0] != '\0' ? o->default_value : "none");
	else if (strcmp(o->name, "max_login_retries") == 0)
		log_event(LOG_SETTING, NULL, "the number of login attempts is overridden by the setting %s: %s (default %s)", o->name,
			o->value, o->default_value);
	else if (strcmp(o->name, "login_retry_interval") == 0)
		log_event(LOG_SETTING, NULL,
			"the interval between login attempts is overridden by the setting %s: %s (default %s)", o->name, o->value,
			o->default_value);
	else
		log_event(LOG_SETTING_OTHER, NULL, "the setting %s is %s (default %s)", o->name, o->value,
			o->default_value[0] != '\0' ? o->default_value : "none");
}

void run_say_settings(const struct conf *conf)
{
	conf_overrides(conf, say_override, NULL);
}

static int check_conf(const struct conf *conf, struct conf_error *err)
{
	if (conf->migration_n == 0) {
		conf_error_at(err, conf->file, 0, "there is no migration; add: migration \"NAME\" { source = ... target = ... mailboxes = ... }");
		return EXIT_CONFIGURATION;
	}
	for (size_t i = 0; i < conf->migration_n; i++) {
		const struct conf_migration *m = &conf->migrations[i];
		if (m->source != m->target || m->source->max_connections >= SIDES)
			continue;
		conf_error_at(err, conf->file, m->line,
			"migration \"%s\": server \"%s\" is its source and its target; max_connections of that server must be at least 2",
			m->name, m->source->name);
		return EXIT_CONFIGURATION;
	}
	return 0;
}

static int read_admin_passwords(struct run *r, struct conf_error *err)
{
	r->admin_passwords = calloc(r->conf->server_n, sizeof(*r->admin_passwords));
	if (r->admin_passwords == NULL)
		abort();
	for (size_t i = 0; i < r->conf->server_n; i++) {
		const char *file = r->conf->servers[i].admin_password_file;
		if (file != NULL && password_read_file(file, r->admin_passwords[i], err) != 0)
			return EXIT_CONFIGURATION;
	}
	return 0;
}

static int make_rules(struct run *r, struct conf_error *err)
{
	r->rules = calloc(r->conf->migration_n, sizeof(*r->rules));
	if (r->rules == NULL)
		abort();
	for (size_t i = 0; i < r->conf->migration_n; i++) {
		r->rules[i] = folder_rules_new(&r->conf->migrations[i], r->conf->file, err);
		if (r->rules[i] == NULL)
			return EXIT_CONFIGURATION;
	}
	return 0;
}

int run_load(struct run *r, const char *file)
{
	struct conf_error err;
	int rc = conf_load(file, &r->conf_loaded, &err);
	if (rc == 0) {
		r->conf = r->conf_loaded;
		rc = check_conf(r->conf, &err);
	}
	if (rc == 0)
		rc = make_rules(r, &err);
	if (rc == 0)
		rc = read_admin_passwords(r, &err);
	if (rc != 0) {
		say(err.text);
		return rc;
	}
	for (size_t i = 0; i < r->conf->warning_n; i++)
		log_event(LOG_CONFIG_WARNING, NULL, "%s", r->conf->warnings[i]);
	r->lists = calloc(r->conf->migration_n, sizeof(*r->lists));
	if (r->lists == NULL)
		abort();
	/* All bad lists are told, not only the first. */
	for (size_t i = 0; i < r->conf->migration_n; i++) {
		const struct conf_migration *m = &r->conf->migrations[i];
		struct mailbox_admins admins = {
			.source = m->source->admin_user != NULL ? m->source->name : NULL,
			.target = m->target->admin_user != NULL ? m->target->name : NULL,
		};
		if (mailboxes_load(m->mailboxes, &admins, &r->lists[i], &err) != 0) {
			say(err.text);
			rc = EXIT_LIST;
		}
		r->list_n++;
	}
	return rc;
}

static uint64_t files_needed(const struct conf *conf, enum sched_mode mode)
{
	uint64_t all = 0, each = 0;
	uint64_t mailboxes = (uint64_t)conf->max_mailboxes + (uint64_t)conf->max_mailboxes / 8 + 1;
	for (size_t i = 0; i < conf->server_n; i++)
		all += (uint64_t)conf->servers[i].max_connections;
	for (size_t i = 0; i < conf->migration_n; i++) {
		const struct conf_migration *m = &conf->migrations[i];
		uint64_t n = (uint64_t)m->source->connections_per_mailbox + (uint64_t)m->target->connections_per_mailbox;
		each = n > each ? n : each;
	}
	return (all < each * mailboxes ? all : each * mailboxes) + FILES_BESIDE +
		(mode == SCHED_VERIFY ? mailboxes : 0); /* what is to be told of each waits in a file */
}

/* So many connections to each server at most that together they are no more than `room`: those with the most give way. */
static uint64_t connections_most(const struct conf *conf, uint64_t room)
{
	uint64_t most = UINT64_MAX, all = 0, next;
	for (size_t i = 0; i < conf->server_n; i++)
		all += (uint64_t)conf->servers[i].max_connections;
	while (all > room && most > SIDES) {
		/* The next lower level at which somebody stands, or the one at which it is enough. */
		uint64_t high = 0, n = 0;
		next = SIDES;
		for (size_t i = 0; i < conf->server_n; i++) {
			uint64_t has = (uint64_t)conf->servers[i].max_connections;
			has = has < most ? has : most;
			if (has > high) {
				next = high > next ? high : next;
				high = has;
				n = 1;
			} else if (has == high) {
				n++;
			} else if (has > next) {
				next = has;
			}
		}
		if (all - n * (high - next) < room)
			next = high - (all - room + n - 1) / n;
		most = next > SIDES ? next : SIDES;
		all -= n * (high - most);
	}
	return most;
}

static int raise_files(struct run *r)
{
	const struct conf *conf = r->conf;
	struct rlimit limit;
	uint64_t need = files_needed(conf, r->mode), beside = FILES_BESIDE;
	r->connections_most = UINT64_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t soft = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			limit.rlim_cur = soft;
	}
	if (limit.rlim_cur == RLIM_INFINITY)
		return 0;
	if (limit.rlim_cur < need) {
		fprintf(stderr,
			"%s: max_mailboxes = %d and the servers' max_connections may need %llu open files, but this process may have no more "
			"than %llu; raise the limit (ulimit -n, LimitNOFILE= of the unit) or lower max_mailboxes\n",
			conf->file != NULL ? conf->file : "godwit", conf->max_mailboxes, (unsigned long long)need,
			(unsigned long long)limit.rlim_cur);
		return EXIT_CONFIGURATION;
	}
	/* Logins that hang have connections, too, and are not among max_mailboxes. */
	if (r->mode == SCHED_VERIFY)
		beside += (uint64_t)conf->max_mailboxes + (uint64_t)conf->max_mailboxes / 8 + 1;
	r->connections_most = connections_most(conf, limit.rlim_cur - beside);
	for (size_t i = 0; i < conf->server_n; i++)
		if ((uint64_t)conf->servers[i].max_connections > r->connections_most)
			log_event(LOG_CONFIG_WARNING, NULL,
				"the setting max_connections of the server \"%s\" counts as %llu: this process may have no more than %llu open "
				"files (ulimit -n, LimitNOFILE= of the unit)",
				conf->servers[i].name, (unsigned long long)r->connections_most, (unsigned long long)limit.rlim_cur);
	return 0;
}

static uint64_t clock_now(void *arg)
{
	return loop_now(((struct run *)arg)->loop);
}

static int64_t clock_wall(void *arg)
{
	return loop_wall(((struct run *)arg)->loop);
}

static void clock_arm(void *arg, uint64_t ms)
{
	struct run *r = arg;
	if (ms == SCHED_NEVER)
		timer_clear(r->timer);
	else
		timer_set(r->timer, ms);
}

static void on_timer(void *arg)
{
	sched_tick(((struct run *)arg)->sched);
}

static void on_log_behind(void *arg)
{
	timer_set(((struct run *)arg)->log_timer, LOG_AGAIN);
}

static void on_log_timer(void *arg)
{
	if (!log_flush())
		on_log_behind(arg);
}

static char **names_make(const struct run *r)
{
	uint32_t n = sched_mailboxes(r->sched);
	char **names = calloc((size_t)n + 1, sizeof(*names));
	if (names == NULL)
		abort();
	for (uint32_t i = 0; i < n; i++)
		names[i] = sched_name(r->sched, i);
	return names;
}

static void names_free(char **names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void ask_ledger(struct run *r, ledger_mailboxes_fn *fn)
{
	char **names = names_make(r);
	ledger_register(r->ledger, (const char *const *)names, sched_mailboxes(r->sched), fn, r);
	names_free(names, sched_mailboxes(r->sched));
}

static void run_end(struct run *r)
{
	r->took = loop_now(r->loop) - r->begun;
	loop_stop(r->loop);
}

static void ledger_broke(struct run *r, const char *words)
{
	if (!r->broken)
		log_event(LOG_LEDGER, NULL, "%s", words != NULL ? words : "the ledger cannot be used");
	r->broken = true;
}

static void on_recounted(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	struct run *r = arg;
	if (err != LEDGER_OK)
		ledger_broke(r, ledger_error(r->ledger));
	for (size_t i = 0; err == LEDGER_OK && i < n; i++)
		r->left_out[sched_migration_of(r->sched, (uint32_t)i)] += rows[i].skips[SKIP_LEFT_OUT] + rows[i].skips[SKIP_NOT_SELECTED];
	run_end(r);
}

/* Nothing runs any more. What was left out in earlier passes still is: the ledger knows. */
static void finish(struct run *r)
{
	if (r->finishing)
		return;
	r->finishing = true;
	if (r->ledger != NULL && !r->broken)
		ask_ledger(r, on_recounted);
	else
		run_end(r);
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	struct run *r = owner;
	if (ev->kind == SCHED_BROKEN)
		ledger_broke(r, ev->words);
	if (r->funnel != NULL)
		r->funnel(r->owner, ev);
	if (ev->kind == SCHED_STOPPED)
		finish(r);
	else if (ev->kind == SCHED_IDLE && r->mode != SCHED_DAEMON && (r->no_wait || sched_waiting(r->sched) == 0))
		sched_stop(r->sched, true);
}

static void on_signal(void *arg)
{
	struct run *r = arg;
	r->stops++;
	if (r->stops == 1) {
		log_event(LOG_STOPPING, NULL, "stopping; a second signal stops at once");
		if (r->stopping != NULL)
			r->stopping(r->owner);
	}
	if (r->sched_started)
		sched_stop(r->sched, r->stops > 1);
	else
		run_end(r);
}

static enum compress compress_of(enum conf_compress c)
{
	static const enum compress table[] = {
		[CONF_COMPRESS_AUTO] = COMPRESS_AUTO, [CONF_COMPRESS_ON] = COMPRESS_ON, [CONF_COMPRESS_OFF] = COMPRESS_OFF
	};
	return table[c];
}

static void add_servers(struct run *r)
{
	r->endpoints = calloc(r->conf->server_n, sizeof(*r->endpoints));
	r->any_keyword = calloc(r->conf->server_n, sizeof(*r->any_keyword));
	if (r->endpoints == NULL || r->any_keyword == NULL)
		abort();
	for (size_t i = 0; i < r->conf->server_n; i++) {
		const struct conf_server *v = &r->conf->servers[i];
		r->endpoints[i] = (struct endpoint){
			.server = v->name,
			.host = v->url.host,
			.port = v->url.port,
			.tls_first = v->url.tls_first,
			.allow_plaintext = v->allow_plaintext,
			.ca_file = v->ca_file,
			.admin_user = v->admin_user,
			.admin_password = v->admin_user != NULL ? r->admin_passwords[i] : NULL,
			.compress = compress_of(v->compress),
			.any_keyword = &r->any_keyword[i],
			.connect_timeout = (uint64_t)r->conf->connect_timeout_ms,
			.login_timeout = (uint64_t)r->conf->login_timeout_ms,
		};
		uint64_t most = (uint64_t)v->max_connections < r->connections_most ? (uint64_t)v->max_connections : r->connections_most;
		uint32_t server = sched_add_server(r->sched, &r->endpoints[i], (uint32_t)most);
		sched_set_per_mailbox(r->sched, server, (uint32_t)v->connections_per_mailbox);
	}
	for (size_t i = 0; i < r->conf->migration_n; i++) {
		const struct conf_migration *m = &r->conf->migrations[i];
		struct mailbox_rules rules = { .mirror_deletions = m->deletions == CONF_DELETIONS_MIRROR,
			.max_deletions = (uint32_t)m->max_deletions,
			.selection = { .max_size = (uint64_t)m->max_size, .since = (uint32_t)m->since, .before = (uint32_t)m->before,
				.skip_deleted = m->skip_deleted },
			.newest_first = m->newest_first,
			.repair = m->repair,
			.repair_echoes = m->repair_echoes,
			.folders = r->rules != NULL ? r->rules[i] : NULL };
		uint32_t migration = sched_add_migration(r->sched, m->name, (uint32_t)(m->source - r->conf->servers),
			(uint32_t)(m->target - r->conf->servers));
		sched_set_rules(r->sched, migration, &rules);
	}
}

bool run_fits(const char *name, char *const *patterns, int n, bool *met)
{
	bool fits = n == 0;
	for (int i = 0; i < n; i++)
		if (strcmp(patterns[i], name) == 0 || fnmatch(patterns[i], name, 0) == 0)
			fits = met[i] = true;
	return fits;
}

static bool is_chosen(const struct run *r, size_t migration, const char *target_user, bool *met)
{
	char *name;
	if (r->pattern_n == 0)
		return true;
	if (asprintf(&name, "%s/%s", r->conf->migrations[migration].name, target_user) < 0)
		abort();
	bool chosen = run_fits(name, r->patterns, r->pattern_n, met);
	free(name);
	return chosen;
}

static int add_mailboxes(struct run *r)
{
	bool *met = calloc((size_t)r->pattern_n + 1, sizeof(*met));
	if (met == NULL)
		abort();
	for (size_t i = 0; i < r->list_n; i++) {
		const struct mailbox_list *list = &r->lists[i];
		for (size_t row = 0; row < list->row_n; row++) {
			struct credentials login[SIDES] = {
				[SOURCE] = { .user = mailboxes_get(list, row, MAILBOX_SOURCE_USER),
					     .password = mailboxes_get(list, row, MAILBOX_SOURCE_PASSWORD) },
				[TARGET] = { .user = mailboxes_get(list, row, MAILBOX_TARGET_USER),
					     .password = mailboxes_get(list, row, MAILBOX_TARGET_PASSWORD) },
			};
			if (is_chosen(r, i, login[TARGET].user, met))
				sched_add_mailbox(r->sched, (uint32_t)i, login);
		}
	}
	int rc = 0;
	for (int i = 0; i < r->pattern_n && rc == 0; i++)
		if (!met[i]) {
			fprintf(stderr, "godwit: there is no mailbox \"%s\"\n", r->patterns[i]);
			rc = EXIT_USAGE;
		}
	free(met);
	return rc;
}

static int open_ledger(struct run *r)
{
	struct ledger_failure failure;
	int err = ledger_open(r->loop, r->state, &r->ledger, &failure);
	if (err == LEDGER_OK)
		return 0;
	log_event(LOG_LEDGER, NULL, "%s", failure.text);
	return err == LEDGER_BUSY ? EXIT_LATER : EXIT_LEDGER;
}

int run_open(struct run *r)
{
	const struct conf *conf = r->conf;
	int rc = raise_files(r);
	if (rc != 0)
		return rc;
	r->loop = loop_new();
	if (r->loop == NULL)
		abort();
	if (r->state != NULL && (rc = open_ledger(r)) != 0)
		return rc;
	r->dialer = dialer_new(r->loop);
	r->pool = pool_new(r->loop);
	r->gauge = gauge_new(r->loop);
	r->timer = timer_new(r->loop, on_timer, r);
	r->log_timer = timer_new(r->loop, on_log_timer, r);
	r->signals[0] = loop_signal_new(r->loop, SIGINT, on_signal, r);
	r->signals[1] = loop_signal_new(r->loop, SIGTERM, on_signal, r);
	r->left_out = calloc(conf->migration_n, sizeof(*r->left_out));
	if (r->dialer == NULL || r->pool == NULL || r->gauge == NULL || r->timer == NULL || r->log_timer == NULL ||
	    r->signals[0] == NULL || r->signals[1] == NULL || r->left_out == NULL)
		abort();
	log_set_behind(on_log_behind, r);
	r->env = (struct mailbox_env){
		.loop = r->loop,
		.dialer = r->dialer,
		.pool = r->pool,
		.ledger = r->ledger,
		.settle = (uint64_t)conf->settle_ms,
		.peer_limits = { .command_timeout = (uint64_t)conf->command_timeout_ms, .keepalive = KEEPALIVE, .gauge = r->gauge },
	};
	struct sched_limits limits = {
		.max_mailboxes = (uint32_t)conf->max_mailboxes,
		.max_login_retries = r->login_retries != 0 ? r->login_retries : (uint32_t)conf->max_login_retries,
		.login_retry_interval = (uint64_t)conf->login_retry_interval_ms,
		.login_grace = (uint64_t)conf->login_grace_ms,
		.pass_interval = (uint64_t)conf->pass_interval_ms,
		.shutdown_timeout = (uint64_t)conf->shutdown_timeout_ms,
	};
	struct sched_clock clock = { .now = clock_now, .wall = clock_wall, .arm = clock_arm, .arg = r };
	r->sched = sched_new(r->mode, &limits, &clock, &r->env, on_sched, r);
	add_servers(r);
	return add_mailboxes(r);
}

static void begin(struct run *r)
{
	r->sched_started = true;
	sched_start(r->sched);
	if (r->started != NULL)
		r->started(r->owner);
}

static void on_registered(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	struct run *r = arg;
	if (r->stops > 0)
		return;
	if (err != LEDGER_OK) {
		ledger_broke(r, ledger_error(r->ledger));
		run_end(r);
		return;
	}
	for (size_t i = 0; i < n; i++)
		sched_restore(r->sched, (uint32_t)i, &rows[i]);
	begin(r);
}

int run_go(struct run *r)
{
	r->begun = loop_now(r->loop);
	if (r->ledger != NULL)
		ask_ledger(r, on_registered);
	else
		begin(r);
	loop_run(r->loop);
	run_say_meters(r);
	return r->broken ? EXIT_LEDGER : 0;
}

void run_done(struct run *r)
{
	/* Mailboxes before what they use; the ledger's callbacks are not called any more. */
	sched_free(&r->sched);
	pool_free(&r->pool);
	ledger_close(&r->ledger);
	gauge_free(&r->gauge);
	dialer_free(&r->dialer);
	log_set_behind(NULL, NULL);
	timer_free(&r->timer);
	timer_free(&r->log_timer);
	loop_signal_free(&r->signals[0]);
	loop_signal_free(&r->signals[1]);
	loop_free(&r->loop);
	for (size_t i = 0; i < r->list_n; i++)
		mailboxes_free(&r->lists[i]);
	free(r->lists);
	free(r->endpoints);
	free(r->any_keyword);
	if (r->admin_passwords != NULL)
		explicit_bzero(r->admin_passwords, r->conf->server_n * sizeof(*r->admin_passwords));
	free(r->admin_passwords);
	free(r->left_out);
	for (size_t i = 0; r->rules != NULL && i < r->conf->migration_n; i++)
		folder_rules_free(&r->rules[i]);
	free(r->rules);
	conf_free(&r->conf_loaded);
	*r = (struct run){ 0 };
}

bool run_was_stopped(const struct run *r)
{
	return r->stops > 0;
}

static double ms(uint64_t us)
{
	return (double)us / 1000;
}

void run_say_meters(const struct run *r)
{
	const struct loop_meter *l = loop_meter(r->loop);
	struct ledger_meter m;
	log_event(LOG_METER, NULL, "loop: %llu turns in %.1f s, busy for %.1f %% of it; a turn took %.2f ms (half), %.2f ms (99 %%), %.2f ms (most); "
		"of processor time %.2f ms, %.2f ms, %.2f ms",
		(unsigned long long)l->turns.n, ms(l->ran) / 1000, l->ran > 0 ? 100.0 * (double)l->busy / (double)l->ran : 0.0,
		ms(histogram_percentile(&l->turns, 50)), ms(histogram_percentile(&l->turns, 99)), ms(l->turns.max),
		ms(histogram_percentile(&l->cpu, 50)), ms(histogram_percentile(&l->cpu, 99)), ms(l->cpu.max));
	if (r->ledger == NULL)
		return;
	ledger_meter(r->ledger, &m);
	log_event(LOG_METER, NULL,
		"ledger: %llu calls answered after %.1f ms (half), %.1f ms (99 %%), %.1f ms (most), %zu waiting, %zu at most; "
		"%llu commits of %.1f ms (half), %.1f ms (most); %llu checkpoints of %.1f ms (most)",
		(unsigned long long)m.answers.n, ms(histogram_percentile(&m.answers, 50)), ms(histogram_percentile(&m.answers, 99)),
		ms(m.answers.max), m.waiting, m.waiting_most, (unsigned long long)m.commits.n,
		ms(histogram_percentile(&m.commits, 50)), ms(m.commits.max), (unsigned long long)m.checkpoints.n,
		ms(m.checkpoints.max));
}

uint32_t run_count(const struct run *r, enum mailbox_state state)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < sched_migrations(r->sched); i++)
		n += sched_counts(r->sched, i)->state[state];
	return n;
}

uint32_t run_paused(const struct run *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < sched_migrations(r->sched); i++)
		n += sched_counts(r->sched, i)->paused;
	return n;
}

uint64_t run_left_out(const struct run *r, uint32_t migration)
{
	const struct sched_counts *c = sched_counts(r->sched, migration);
	/* What was met twice, before a break and after it, is once in the ledger. */
	return r->left_out[migration] > 0 ? r->left_out[migration] : c->left_out + c->folders_left_out + c->not_selected;
}

void run_print_work(const struct run *r, uint32_t migration)
{
	const struct sched_counts *c = sched_counts(r->sched, migration);
	char copied[PROGRESS_TEXT], bytes[PROGRESS_TEXT], adopted[PROGRESS_TEXT], left_out[PROGRESS_TEXT], took[PROGRESS_TEXT];
	printf("%s message%s copied (%s), %s adopted, %s left out; %s\n", progress_print_count(copied, c->copied),
		c->copied == 1 ? "" : "s", progress_print_bytes(bytes, c->bytes), progress_print_count(adopted, c->adopted),
		progress_print_count(left_out, run_left_out(r, migration)), progress_print_time(took, r->took));
}

int run_exit_code(const struct run *r)
{
	if (r->broken)
		return EXIT_LEDGER;
	bool left_out = run_count(r, MAILBOX_FAILED) + run_count(r, MAILBOX_HELD) - run_paused(r) > 0;
	for (uint32_t i = 0; i < sched_migrations(r->sched); i++)
		left_out = left_out || run_left_out(r, i) > 0;
	if (left_out)
		return EXIT_LEFT_OUT;
	if (run_paused(r) > 0 || run_count(r, MAILBOX_PARKED) + run_count(r, MAILBOX_QUEUED) + run_count(r, MAILBOX_RUNNING) > 0)
		return EXIT_LATER;
	return 0;
}
