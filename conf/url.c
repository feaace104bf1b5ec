/* The IMAP URL part of value.h. */
#include "value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "error.h"

#define HOST_MAX 253
#define USER_MAX 1024

static int url_out_of_memory(struct conf_error *err)
{
	return conf_error_set(err, "cannot be kept: out of memory; free some");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes %XX into out, which has room for len + 1 bytes. */
static int url_decode(const char *in, size_t len, char *out, struct conf_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)in[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_digit(in[i + 1]) : -1;
			int low = len - i > 2 ? hex_digit(in[i + 2]) : -1;

			if (high < 0 || low < 0)
				return conf_error_set(err, "has a %% without two hexadecimal digits "
						      "in its user; write %%25 for a percent sign");
			c = (unsigned char)(high << 4 | low);
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return conf_error_set(err, "has a control character in its user; "
					      "leave it out");
		out[n++] = (char)c;
	}
	out[n] = '\0';
	if (!conf_value_is_utf8(out, n))
		return conf_error_set(err, "has a user that is not UTF-8; "
				      "percent-encode the bytes of its UTF-8 form");
	return 0;
}

/* in: what stands before the '@', without it */
static int url_read_user(const char *in, size_t len, struct conf_url *url,
			 struct conf_error *err)
{
	const char *auth = memchr(in, ';', len);

	if (memchr(in, ':', len))
		return conf_error_set(err, "has a password in it, where others can see it; "
				      "passwords go into the environment, a password file "
				      "or the mailbox list");
	if (auth) {
		size_t auth_len = len - (size_t)(auth - in);

		/* "*" is what no ;AUTH= at all means, too */
		if ((auth_len != 6 && auth_len != 7) || strncasecmp(auth, ";AUTH=", 6) != 0 ||
		    (auth_len == 7 && auth[6] != '*'))
			return conf_error_set(err, "asks for a mechanism (;AUTH=); leave that "
					      "out, the best one that the server has is used");
		len = (size_t)(auth - in);
	}
	if (len == 0)
		return conf_error_set(err, "has an empty user before the @; "
				      "write imaps://USER@HOST");
	if (len > USER_MAX)
		return conf_error_set(err, "has a user of more than %d bytes; shorten it", USER_MAX);
	if (memchr(in, '@', len))
		return conf_error_set(err, "has two @; write %%40 for the one in the user, "
				      "like imaps://ann%%40example.org@HOST");
	url->user = malloc(len + 1);
	if (!url->user)
		return url_out_of_memory(err);
	return url_decode(in, len, url->user, err);
}

static int url_read_port(const char *in, size_t len, struct conf_url *url,
			 struct conf_error *err)
{
	unsigned port = 0;

	for (size_t i = 0; i < len && port <= UINT16_MAX; i++)
		port = in[i] >= '0' && in[i] <= '9' ? port * 10 + (unsigned)(in[i] - '0')
						    : UINT16_MAX + 1u;
	if (port == 0 || port > UINT16_MAX)
		return conf_error_set(err, "has a bad port; it must be a number from 1 to 65535");
	url->port = (uint16_t)port;
	return 0;
}

static int url_check_host(const char *host, struct conf_error *err)
{
	static const char known[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	size_t len = strlen(host);

	if (len == 0)
		return conf_error_set(err, "has no host; write imaps://HOST");
	if (len > HOST_MAX)
		return conf_error_set(err, "has a host of more than %d bytes; shorten it", HOST_MAX);
	if (strspn(host, known) != len)
		return conf_error_set(err, "has a bad host; it must be a name of letters, digits, "
				      ". and -, or an address (IPv6 in brackets)");
	return 0;
}

/* in: host or [IPv6 address], then nothing or a port */
static int url_read_hostport(const char *in, size_t len, struct conf_url *url,
			     struct conf_error *err)
{
	bool ipv6 = len > 0 && in[0] == '[';
	const char *end = ipv6 ? memchr(in, ']', len) : memchr(in, ':', len);
	const char *host = ipv6 ? in + 1 : in;
	const char *rest = end ? end + ipv6 : in + len;
	size_t rest_len = len - (size_t)(rest - in);
	struct in6_addr address;

	if (ipv6 && !end)
		return conf_error_set(err, "has a [ without its ]; write imaps://[ADDRESS]:PORT");
	/* two colons without brackets: an address, more likely than a port */
	if (!ipv6 && rest_len > 0 && memchr(rest + 1, ':', rest_len - 1))
		return conf_error_set(err, "has a second colon in its host; an IPv6 address "
				      "stands in brackets: imaps://[2001:db8::1]:993");
	url->host = strndup(host, (size_t)((end ? end : rest) - host));
	if (!url->host)
		return url_out_of_memory(err);
	if (ipv6 && inet_pton(AF_INET6, url->host, &address) != 1)
		return conf_error_set(err, "has no IPv6 address in its brackets; "
				      "write imaps://[2001:db8::1]:993");
	if (!ipv6 && url_check_host(url->host, err) < 0)
		return -1;
	if (rest_len == 0)
		return 0;
	if (rest[0] != ':')
		return conf_error_set(err, "has something other than a port behind the ]; "
				      "write imaps://[ADDRESS]:PORT");
	return url_read_port(rest + 1, rest_len - 1, url, err);
}

static int url_read_parts(const char *text, struct conf_url *url, struct conf_error *err)
{
	size_t len;
	const char *at;

	if (strncasecmp(text, "imaps://", 8) == 0) {
		*url = (struct conf_url){ .tls_first = true, .port = 993 };
		text += 8;
	} else if (strncasecmp(text, "imap://", 7) == 0) {
		*url = (struct conf_url){ .tls_first = false, .port = 143 };
		text += 7;
	} else {
		return conf_error_set(err, "is no IMAP URL; it must begin with imaps:// (TLS) "
				      "or imap:// (STARTTLS)");
	}
	/* A raw / in a password would end the authority: look for it first. */
	at = strrchr(text, '@');
	len = strcspn(text, "/?#");
	if (at && at > text + len && memchr(text, ':', len))
		return conf_error_set(err, "has a password or a folder in it; it must be "
				      "imaps://USER@HOST, with %%2F for a / in the user");
	if (strcmp(text + len, "") != 0 && strcmp(text + len, "/") != 0)
		return conf_error_set(err, "names a folder or a message; leave out what follows "
				      "the host, all folders are copied");
	at = memrchr(text, '@', len);
	if (at) {
		size_t user_len = (size_t)(at - text);

		if (url_read_user(text, user_len, url, err) < 0)
			return -1;
		text += user_len + 1;
		len -= user_len + 1;
	}
	return url_read_hostport(text, len, url, err);
}

int conf_url_read(const char *text, struct conf_url *ret, struct conf_error *err)
{
	struct conf_url url = { 0 };

	if (url_read_parts(text, &url, err) < 0) {
		conf_url_done(&url);
		return -1;
	}
	*ret = url;
	return 0;
}

int conf_url_origin(const struct conf_url *url, char *buf, size_t size)
{
	bool ipv6 = strchr(url->host, ':') != NULL;
	int n = snprintf(buf, size, "%s://%s%s%s:%u", url->tls_first ? "imaps" : "imap",
			 ipv6 ? "[" : "", url->host, ipv6 ? "]" : "", (unsigned)url->port);

	return n >= 0 && (size_t)n < size ? 0 : -1;
}

void conf_url_done(struct conf_url *url)
{
	free(url->host);
	free(url->user);
	*url = (struct conf_url){ 0 };
}
