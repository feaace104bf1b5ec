#include "err.h"

const char *proto_strerror(int err)
{
	switch (err) {
	case 0:
		return "no error";
#define X(name, value, text)                                                                                           \
	case name:                                                                                                     \
		return text;
		PROTO_ERRORS(X)
#undef X
	default:
		return "unknown error";
	}
}
