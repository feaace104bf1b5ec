#include "ledger.h"

static const char *const state_names[] = {
#define X(name, text) text,
	MAILBOX_STATES(X)
#undef X
};

const char *mailbox_state_name(enum mailbox_state s)
{
	return s < MAILBOX_STATE_N ? state_names[s] : "unknown";
}

const char *skip_kind_name(enum skip_kind k)
{
	static const char *const names[] = {
#define X(name, text) text,
		SKIP_KINDS(X)
#undef X
	};
	return k < SKIP_KIND_N ? names[k] : "unknown";
}
