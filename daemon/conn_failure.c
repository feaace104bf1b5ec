/* What went wrong in dialling, in the words that say most to people. */
#include "conn_p.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

void conn_failure_set(struct conn_failure *f, enum conn_fault fault, enum code code, const char *format, ...)
{
	*f = (struct conn_failure){ .fault = fault, .code = code };
	va_list ap;
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
}

static bool says(const char *text, const char *what)
{
	return strcasestr(text, what) != NULL;
}

/* The kind of trouble first, then OpenSSL's or GnuTLS's own words. */
static void failure_tls(struct conn_failure *f, CURLcode result, const struct conn *c, const char *error, const char *where)
{
	const char *reason = error;
	static const char *const noise[] = { "SSL certificate problem: ", "SSL: ", "server certificate verification failed. " };
	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
		if (strncmp(reason, noise[i], strlen(noise[i])) == 0)
			reason += strlen(noise[i]);
	if (result == CURLE_SSL_CACERT_BADFILE)
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the file of CA certificates %s cannot be used: %s",
			c->ep->ca_file != NULL ? c->ep->ca_file : "of the system", reason);
	else if (result != CURLE_PEER_FAILED_VERIFICATION)
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "TLS with %s failed: %s%s", where, reason,
			says(reason, "wrong version number") || says(reason, "packet length") ?
				" (the server does not speak TLS on this port)" : "");
	else if (says(reason, "expired"))
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s has expired (%s)", where, reason);
	else if (says(reason, "not yet valid"))
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is not valid yet (%s)", where, reason);
	else if (says(reason, "subject name") || says(reason, "host name") || says(reason, "hostname") || says(reason, "IP address"))
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is for another host name (%s)", where, reason);
	else
		conn_failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is not trusted (%s); if it should be, name its authority with ca_file (copy: --ca-file)", where, reason);
}

static void failure_refused(struct conn_failure *f, const struct conn *c)
{
	const struct conn_words *w = &c->dialing->words;
	const char *more = w->bye ? w->parting : w->other;
	char words[sizeof(w->refusal) + sizeof(w->parting) + 2];
	snprintf(words, sizeof(words), "%s%s%s", w->refusal, more[0] != '\0' ? "; " : "", more);
	conn_words_refused(f, w->refusal_code, words, c->ep, c->dialing->login);
}

/* What the server said decides before what curl made of it. True: it did. */
static bool of_words(struct conn_failure *f, CURLcode result, const struct conn *c, const char *where)
{
	const struct conn_words *w = &c->dialing->words;
	bool protocol = result == CURLE_LOGIN_DENIED || result == CURLE_WEIRD_SERVER_REPLY || result == CURLE_RECV_ERROR ||
			result == CURLE_SEND_ERROR || result == CURLE_GOT_NOTHING || result == CURLE_AUTH_ERROR ||
			result == CURLE_REMOTE_ACCESS_DENIED;
	if (w->garbage) {
		conn_failure_set(f, CONN_FAULT_GARBAGE, CODE_NONE, "%s does not speak IMAP, but says: %s", where, w->other);
	} else if (!protocol) {
		return false;
	} else if (w->refused && (result == CURLE_LOGIN_DENIED || result == CURLE_AUTH_ERROR || result == CURLE_REMOTE_ACCESS_DENIED)) {
		failure_refused(f, c);
	} else if (w->bye) {
		conn_failure_set(f, CONN_FAULT_LOST, w->parting_code, "%s", w->parting);
		f->bye = true;
	} else if (result == CURLE_LOGIN_DENIED) {
		conn_failure_set(f, CONN_FAULT_LOGIN, CODE_NONE, c->ep->admin_user != NULL ?
			"%s offers no way to log in on behalf of others (AUTH=PLAIN)" : "%s offers no way to log in with a password", where);
	} else if (w->other[0] != '\0') {
		conn_failure_set(f, CONN_FAULT_LOST, w->other_code, "%s", w->other);
	} else {
		return false;
	}
	return true;
}

static void of_curl(struct conn_failure *f, CURLcode result, const struct conn *c, const char *error, const char *where)
{
	long os_errno = 0;
	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_errno);
	bool cut_off = result == CURLE_SSL_CONNECT_ERROR && (os_errno == ECONNRESET || os_errno == EPIPE || says(error, "reset by peer") ||
		says(error, "unexpected eof") || says(error, "SSL_ERROR_SYSCALL"));
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		conn_failure_set(f, CONN_FAULT_RESOLVE, CODE_NONE, "the host name %s has no address, or no name server answers (%s)",
			c->ep->host, error);
		break;
	case CURLE_COULDNT_CONNECT:
		if (c->dialing->no_files != 0) {
			conn_failure_set(f, CONN_FAULT_FILES, CODE_NONE, "this process cannot open more connections, as to %s now: %s "
				"(raise its limit: ulimit -n, LimitNOFILE=)", where, strerror(c->dialing->no_files));
			break;
		}
		conn_failure_set(f, CONN_FAULT_CONNECT, CODE_NONE, "cannot connect to %s: %s", where,
			os_errno != 0 ? strerror((int)os_errno) : error);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		conn_failure_set(f, CONN_FAULT_TIMEOUT, CODE_NONE, "no answer from %s: %s", where, error);
		break;
	case CURLE_USE_SSL_FAILED:
		if (c->dialing->words.refused)
			conn_failure_set(f, CONN_FAULT_NO_TLS, CODE_NONE, "%s refuses STARTTLS: %s", where, c->dialing->words.refusal);
		else
			conn_failure_set(f, CONN_FAULT_NO_TLS, CODE_NONE,
				"%s does not offer STARTTLS, and plaintext was not asked for (allow_plaintext)", where);
		break;
	case CURLE_OUT_OF_MEMORY:
		conn_failure_set(f, CONN_FAULT_MEMORY, CODE_NONE, "out of memory while connecting to %s", where);
		break;
	case CURLE_WEIRD_SERVER_REPLY:
		conn_failure_set(f, CONN_FAULT_GARBAGE, CODE_NONE, "%s does not speak IMAP: %s", where, error);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		if (!cut_off) {
			failure_tls(f, result, c, error, where);
			break;
		}
		/* fall through */
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		conn_failure_set(f, CONN_FAULT_LOST, CODE_NONE, "%s closed the connection before the login was done (%s)", where, error);
		break;
	default:
		conn_failure_set(f, CONN_FAULT_CONNECT, CODE_NONE, "cannot connect to %s: %s", where, error);
	}
}

static void mask_words(struct conn *c)
{
	struct conn_words *w = &c->dialing->words;
	conn_words_mask(w->refusal, sizeof(w->refusal), c->ep, c->dialing->login);
	conn_words_mask(w->parting, sizeof(w->parting), c->ep, c->dialing->login);
	conn_words_mask(w->other, sizeof(w->other), c->ep, c->dialing->login);
}

void conn_failure_of_bye(struct conn_failure *f, struct conn *c)
{
	char where[CONN_WHERE];
	mask_words(c);
	of_words(f, CURLE_RECV_ERROR, c, conn_where(c, where));
	f->greeted = true;
}

void conn_failure_of(struct conn_failure *f, CURLcode result, struct conn *c)
{
	char where[CONN_WHERE];
	const struct dialing *g = c->dialing;
	const char *error = g->error[0] != '\0' ? g->error : curl_easy_strerror(result);
	mask_words(c);
	conn_where(c, where);
	if (!of_words(f, result, c, where))
		of_curl(f, result, c, error, where);
	f->greeted = g->words.greeted && !g->words.garbage;
}
