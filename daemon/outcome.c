#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>

enum reply_class { CLASS_ANY, CLASS_APPEND, CLASS_FETCH, CLASS_OPEN, CLASS_CREATE };

static const struct {
	enum reply_class class;
	enum code code;
	const char *text;
	enum radius radius;
	enum heal heal;
} replies[] = {
#define REPLY(class, code, text, radius, heal) { CLASS_##class, code, text, radius, heal },
#include "outcome.def"
#undef REPLY
};

static enum reply_class class_of(enum command command)
{
	switch (command) {
	case CMD_APPEND:
		return CLASS_APPEND;
	case CMD_FETCH:
	case CMD_UID_FETCH:
		return CLASS_FETCH;
	case CMD_EXAMINE:
	case CMD_SELECT:
	case CMD_STATUS:
		return CLASS_OPEN;
	case CMD_CREATE:
		return CLASS_CREATE;
	default:
		return CLASS_ANY;
	}
}

/* The server's reply as it came, without tag: "NO [OVERQUOTA] Quota exceeded". */
static void print_words(char *out, size_t size, const struct resp_status *st)
{
	if (st->code_name.n != 0)
		snprintf(out, size, "%s [%.*s%s%.*s] %.*s", status_name(st->status), SPAN_ARG(st->code_name),
			st->code_args.n != 0 ? " " : "", SPAN_ARG(st->code_args), SPAN_ARG(st->text));
	else
		snprintf(out, size, "%s %.*s", status_name(st->status), SPAN_ARG(st->text));
}

void outcome_of_reply(struct outcome *ret, enum side side, enum command command, const struct resp_status *st)
{
	enum reply_class class = class_of(command);
	struct outcome o = { .at = AT_WORK, .side = side, .code = st->code };

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		if (replies[i].class != CLASS_ANY && replies[i].class != class)
			continue;
		if (replies[i].code != CODE_NONE && replies[i].code != st->code)
			continue;
		if (replies[i].text[0] != '\0' &&
			span_search_nocase(st->text, span_str(replies[i].text)) == SIZE_MAX)
			continue;
		o.radius = replies[i].radius;
		o.heal = replies[i].heal;
		break;
	}
	print_words(o.text, sizeof(o.text), st);
	*ret = o;
}

bool outcome_of_bye(struct outcome *ret, enum side side, const struct session_event *ev)
{
	if (ev->kind != EVENT_RESPONSE || ev->resp.kind != RESP_STATUS || ev->resp.status.status != STATUS_BYE)
		return false;
	outcome_of_reply(ret, side, CMD_NOOP, &ev->resp.status);
	ret->radius = RADIUS_CONNECTION;
	ret->heal = HEAL_TIME;
	return true;
}

void outcome_of_failure(struct outcome *ret, enum side side, enum outcome_at at, const struct conn_failure *f)
{
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .at = at, .side = side, .fault = f->fault,
		.greeted = f->greeted, .code = f->code };

	o.refused = f->fault == CONN_FAULT_LOGIN || f->fault == CONN_FAULT_TLS || f->fault == CONN_FAULT_NO_TLS;
	snprintf(o.text, sizeof(o.text), "%s", f->text);
	*ret = o;
}

void outcome_set(struct outcome *ret, enum radius radius, enum heal heal, enum side side, const char *format, ...)
{
	struct outcome o = { .radius = radius, .heal = heal, .at = AT_WORK, .side = side };
	va_list args;

	va_start(args, format);
	vsnprintf(o.text, sizeof(o.text), format, args);
	va_end(args);
	*ret = o;
}
