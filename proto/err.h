/*
 * err: what can go wrong inside proto/. Functions of this library return 0 or one of these, always negative; a failed call
 * leaves its out parameters as they were.
 */
#ifndef GODWIT_ERR_H
#define GODWIT_ERR_H

#define PROTO_ERRORS(X)                                                                                                \
	X(PROTO_ERR_NOMEM, -1, "out of memory")                                                                        \
	X(PROTO_ERR_CAP, -2, "more than the limit allows")                                                             \
	X(PROTO_ERR_SYNTAX, -3, "not valid IMAP")                                                                      \
	X(PROTO_ERR_RANGE, -4, "a number is out of range")                                                             \
	X(PROTO_ERR_STATE, -5, "not possible in this state")                                                           \
	X(PROTO_ERR_NAME, -6, "the name cannot be expressed on this server")

enum proto_err {
#define X(name, value, text) name = value,
	PROTO_ERRORS(X)
#undef X
};

/* Words for an error of this library; never NULL. */
const char *proto_strerror(int err);

#endif
