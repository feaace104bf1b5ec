/* What the kernel knows of a connection. A file of its own: <linux/tcp.h> does not go together with <netinet/tcp.h>, which others include. */
#include "conn.h"

#ifdef HAVE_TCP_INFO_LIMITS
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

bool conn_tcp(const struct conn *c, struct conn_tcp *ret)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);
	int fd = conn_fd(c);
	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
	    n < offsetof(struct tcp_info, tcpi_rwnd_limited) + sizeof(info.tcpi_rwnd_limited))
		return false;
	ret->busy = info.tcpi_busy_time;
	ret->closed = info.tcpi_rwnd_limited;
	return true;
}
#else
bool conn_tcp(const struct conn *c, struct conn_tcp *ret)
{
	(void)c;
	(void)ret;
	return false;
}
#endif
