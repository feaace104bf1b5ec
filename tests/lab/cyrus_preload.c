/*
 * cyrus_preload: loaded in front of Cyrus's own libraries (LD_PRELOAD).
 *
 * LAB_LOG=FILE: what goes to syslog is written there. In a container there is no syslog, and elsewhere it is not the lab's to read.
 *
 * LAB_UNAUTHENTICATE=1: UNAUTHENTICATE (RFC 8437) is offered, and works, for a login on behalf of somebody else. Cyrus does it, but as shipped for
 * those sessions only whose user is an administrator himself. What happens at the command is Cyrus's own code, untouched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <unistd.h>

static char name[64] = "cyrus";

void openlog(const char *ident, int option, int facility)
{
	(void)option;
	(void)facility;
	snprintf(name, sizeof(name), "%s", ident != NULL ? ident : "cyrus");
}

void closelog(void)
{
}

void vsyslog(int priority, const char *format, va_list words)
{
	const char *file = getenv("LAB_LOG");
	char line[4096];
	(void)priority;
	if (file == NULL)
		return;
	int n = snprintf(line, sizeof(line), "%s[%d]: ", name, (int)getpid());
	int more = vsnprintf(line + n, sizeof(line) - (size_t)n, format, words);
	n += more > 0 ? more : 0;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	if (line[n - 1] != '\n')
		line[n++] = '\n';
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	if (write(fd, line, (size_t)n) < 0)
		name[0] = '?'; /* nobody is left to tell */
	close(fd);
}

void syslog(int priority, const char *format, ...)
{
	va_list words;
	va_start(words, format);
	vsyslog(priority, format, words);
	va_end(words);
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list words)
{
	(void)flag;
	vsyslog(priority, format, words);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list words;
	(void)flag;
	va_start(words, format);
	vsyslog(priority, format, words);
	va_end(words);
}

/* --- UNAUTHENTICATE --- */

/* The head of Cyrus's own structs of these names. */
struct proxy_context {
	int use_acl, proxy_servers;
	void **authstate;
	int *userisadmin;
};
struct buf {
	char *s;
};

static int *is_admin; /* imapd's, while somebody is logged in on behalf of another */

int mysasl_proxy_policy(void *conn, void *context, const char *user, unsigned user_n, const char *by, unsigned by_n, const char *realm,
	unsigned realm_n, void *properties)
{
	int (*real)(void *, void *, const char *, unsigned, const char *, unsigned, const char *, unsigned, void *);
	*(void **)&real = dlsym(RTLD_NEXT, "mysasl_proxy_policy");
	int rc = real(conn, context, user, user_n, by, by_n, realm, realm_n, properties);
	const struct proxy_context *c = context;
	is_admin = NULL;
	if (getenv("LAB_UNAUTHENTICATE") != NULL && rc == 0 && c != NULL && (user_n != by_n || memcmp(user, by, by_n) != 0))
		is_admin = c->userisadmin;
	return rc;
}

/* The word behind the tag. */
int getword(void *in, struct buf *word)
{
	int (*real)(void *, struct buf *);
	*(void **)&real = dlsym(RTLD_NEXT, "getword");
	int c = real(in, word);
	if (is_admin != NULL && word->s != NULL && strcasecmp(word->s, "UNAUTHENTICATE") == 0) {
		*is_admin = 1; /* it is taken back by what the command does */
		is_admin = NULL;
	}
	return c;
}

/* The beginning of a list of capabilities; later versions put the blank in front of each. */
int prot_printf(void *out, const char *format, ...)
{
	int (*real)(void *, const char *, va_list);
	int (*put)(void *, const char *);
	const char *list = strstr(format, "CAPABILITY");
	va_list words;
	*(void **)&real = dlsym(RTLD_NEXT, "prot_vprintf");
	va_start(words, format);
	int n = real(out, format, words);
	va_end(words);
	*(void **)&put = dlsym(RTLD_NEXT, "prot_puts");
	if (is_admin != NULL && list != NULL && strcmp(list, "CAPABILITY ") == 0)
		put(out, "UNAUTHENTICATE ");
	else if (is_admin != NULL && list != NULL && strcmp(list, "CAPABILITY") == 0)
		put(out, " UNAUTHENTICATE");
	return n;
}
