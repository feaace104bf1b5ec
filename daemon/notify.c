#include "notify.h"

#ifdef HAVE_SYSTEMD
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_status(const char *format, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	sd_notifyf(0, "STATUS=%s", text);
}
#else
void notify_ready(void)
{
}

void notify_stopping(void)
{
}

void notify_status(const char *format, ...)
{
	(void)format;
}
#endif
