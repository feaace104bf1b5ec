#include "again.h"

#include <stdio.h>

#include "conn_words.h"

bool again_may_leave(const struct session *s)
{
	return caps_has(session_caps(s), CAP_UNAUTHENTICATE) && session_inflight(s) == 0 && !session_has_bye(s) &&
	       session_error(s)[0] == '\0' && !session_is_mid_body(s);
}

int again_leave(struct again *a, struct session *s)
{
	*a = (struct again){ .step = AGAIN_LEAVING };
	return session_simple(s, CMD_UNAUTHENTICATE, &a->tag);
}

int again_enter(struct again *a, struct session *s, const struct endpoint *ep)
{
	a->step = AGAIN_ENTERING;
	return session_authenticate(s, span_str(a->login->user), span_str(ep->admin_user), span_str(ep->admin_password), &a->tag);
}

static enum again_verdict useless(struct conn_failure *f, const struct endpoint *ep, const char *what)
{
	*f = (struct conn_failure){ .fault = CONN_FAULT_GARBAGE, .code = CODE_NONE };
	snprintf(f->text, sizeof(f->text), "%s:%u: %s", ep->host, (unsigned)ep->port, what);
	return AGAIN_USELESS;
}

/* As the line came, without its tag. */
static void print(char *out, size_t size, const struct resp_status *s)
{
	if (s->code_name.n != 0)
		snprintf(out, size, "%s [%.*s%s%.*s] %.*s", status_name(s->status), SPAN_ARG(s->code_name), s->code_args.n != 0 ? " " : "",
			SPAN_ARG(s->code_args), SPAN_ARG(s->text));
	else
		snprintf(out, size, "%s %.*s", status_name(s->status), SPAN_ARG(s->text));
}

static enum again_verdict refused(const struct again *a, const struct resp_status *s, const struct endpoint *ep, struct conn_failure *f)
{
	char words[256], all[sizeof(words) + sizeof(a->other) + 2];
	print(words, sizeof(words), s);
	snprintf(all, sizeof(all), "%s%s%s", words, a->other[0] != '\0' ? "; " : "", a->other);
	conn_words_mask(all, sizeof(all), ep, a->login);
	conn_words_refused(f, s->code, all, ep, a->login);
	return AGAIN_REFUSED;
}

static enum again_verdict answered(struct again *a, const struct resp_status *s, const struct endpoint *ep, struct conn_failure *f)
{
	a->tag = 0;
	if (a->step == AGAIN_LEAVING) {
		if (s->status != STATUS_OK)
			return useless(f, ep, "the server offers UNAUTHENTICATE and refuses it");
		a->step = AGAIN_VACANT;
		return AGAIN_FREE;
	}
	if (s->status == STATUS_OK)
		return AGAIN_IN;
	/* BAD is not about this login, but about logins here. */
	return s->status == STATUS_NO ? refused(a, s, ep, f) : useless(f, ep, "the server does not take a login behind UNAUTHENTICATE");
}

enum again_verdict again_event(struct again *a, const struct session_event *ev, const struct endpoint *ep, struct conn_failure *failure)
{
	const struct resp_status *s = &ev->resp.status;
	if (ev->kind == EVENT_DONE && ev->tag == a->tag)
		return answered(a, s, ep, failure);
	if (a->step == AGAIN_LEAVING)
		return AGAIN_GOES_ON;
	if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_CAPABILITY)
		return AGAIN_GOES_ON;
	if (ev->kind != EVENT_RESPONSE || ev->resp.kind != RESP_STATUS)
		return useless(failure, ep, "the server tells of folders when nobody is logged in");
	if (s->status == STATUS_NO || s->status == STATUS_BAD || s->status == STATUS_BYE || s->code == CODE_ALERT)
		print(a->other, sizeof(a->other), s);
	return AGAIN_GOES_ON;
}
