/* notify: tells the service manager how things are (sd_notify). Says nothing when built without libsystemd, or not started by systemd. */
#ifndef GODWIT_NOTIFY_H
#define GODWIT_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);
/* One line for `systemctl status`. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
