#include "progress.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leaks.h"

TestSuite(daemon_progress, .fini = leaks_check);

static char buf[PROGRESS_TEXT];

Test(daemon_progress, counts)
{
	cr_expect_str_eq(progress_print_count(buf, 0), "0");
	cr_expect_str_eq(progress_print_count(buf, 999), "999");
	cr_expect_str_eq(progress_print_count(buf, 1000), "1,000");
	cr_expect_str_eq(progress_print_count(buf, 1234567), "1,234,567");
	cr_expect_str_eq(progress_print_count(buf, UINT64_MAX), "18,446,744,073,709,551,615");
}

Test(daemon_progress, bytes)
{
	cr_expect_str_eq(progress_print_bytes(buf, 0), "0 B");
	cr_expect_str_eq(progress_print_bytes(buf, 999), "999 B");
	cr_expect_str_eq(progress_print_bytes(buf, 1000), "1.0 kB");
	cr_expect_str_eq(progress_print_bytes(buf, 999949), "999.9 kB");
	cr_expect_str_eq(progress_print_bytes(buf, 999950), "1.0 MB");
	cr_expect_str_eq(progress_print_bytes(buf, 56700000), "56.7 MB");
	cr_expect_str_eq(progress_print_bytes(buf, UINT64_MAX), "18.4 EB");
}

Test(daemon_progress, times)
{
	cr_expect_str_eq(progress_print_time(buf, 0), "0.0 s");
	cr_expect_str_eq(progress_print_time(buf, 9999), "9.9 s");
	cr_expect_str_eq(progress_print_time(buf, 10000), "10 s");
	cr_expect_str_eq(progress_print_time(buf, 59999), "59 s");
	cr_expect_str_eq(progress_print_time(buf, 72000), "1 m 12 s");
	cr_expect_str_eq(progress_print_time(buf, 7500000), "2 h 05 m");
	cr_expect_str_eq(progress_print_time(buf, 90000000), "1 d 01 h");
}

static const struct mailbox_progress some = { .folder = "INBOX", .messages = 5678, .messages_done = 1234, .bytes = 80000000,
	.bytes_done = 20000000, .bytes_copied = 19000000 };

Test(daemon_progress, the_whole_line)
{
	char line[512];
	size_t columns = progress_print_line(line, sizeof(line), &some, 3200000, 19000, 200);
	cr_expect_str_eq(line, "INBOX  [#####...............]  1,234/5,678  20.0 MB/80.0 MB  3.2 MB/s  19 s left");
	cr_expect(columns == strlen(line));
	progress_print_line(line, sizeof(line), &some, 3200000, UINT64_MAX, 200);
	cr_expect(strstr(line, "left") == NULL);
}

Test(daemon_progress, sizes_that_are_not_known)
{
	struct mailbox_progress p = some;
	char line[512];
	p.bytes = p.bytes_done = 0;
	progress_print_line(line, sizeof(line), &p, 0, UINT64_MAX, 200);
	cr_expect_str_eq(line, "INBOX  [####................]  1,234/5,678  19.0 MB  0 B/s");
	p = (struct mailbox_progress){ 0 };
	progress_print_line(line, sizeof(line), &p, 0, UINT64_MAX, 200);
	cr_expect_str_eq(line, "  [....................]  0/0  0 B  0 B/s");
}

Test(daemon_progress, more_done_than_there_was_is_full)
{
	struct mailbox_progress p = some;
	char line[512];
	p.bytes_done = UINT64_MAX;
	progress_print_line(line, sizeof(line), &p, 0, UINT64_MAX, 200);
	cr_expect(strstr(line, "[####################]") != NULL);
}

Test(daemon_progress, it_fits_any_terminal)
{
	struct mailbox_progress p = some;
	char line[512];
	p.folder = "Archives/2019/A long name of a folder";
	for (size_t columns = 0; columns < 200; columns++) {
		size_t used = progress_print_line(line, sizeof(line), &p, 3200000, 19000, columns);
		cr_expect(used <= columns && strlen(line) == used, "%zu columns: \"%s\"", columns, line);
	}
	progress_print_line(line, sizeof(line), &p, 3200000, 19000, 25);
	cr_expect_str_eq(line, "..f a folder  1,234/5,678", "\"%s\"", line);
}

Test(daemon_progress, wide_and_broken_names)
{
	char line[512];
	struct mailbox_progress p = some;
	cr_assert(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	p.folder = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/\xe6\x97\xa5\xe6\x9c\xac"; /* 11 columns */
	for (size_t columns = 0; columns < 60; columns++)
		cr_expect(progress_print_line(line, sizeof(line), &p, 1, 1, columns) <= columns);
	p.folder = "a\x1b[31m\xff" "b\n";
	progress_print_line(line, sizeof(line), &p, 3200000, 19000, 200);
	cr_expect(strncmp(line, "a?[31m?b?  [", 12) == 0, "\"%s\"", line);
}

Test(daemon_progress, elsewhere_a_line_now_and_then)
{
	int fd[2];
	char text[4096];
	cr_assert(pipe(fd) == 0);
	struct progress pr;
	progress_init(&pr, fd[1]);
	cr_expect(!pr.terminal);
	progress_wait(&pr, "connecting");
	for (uint64_t now = 1000; now <= 26000; now += 100)
		progress_show(&pr, &some, now);
	progress_hide(&pr);
	close(fd[1]);
	ssize_t n = read(fd[0], text, sizeof(text) - 1);
	cr_assert(n > 0);
	text[n] = '\0';
	close(fd[0]);
	cr_expect_str_eq(text, "1,234 of 5,678 messages, 19.0 MB copied, 0 B/s\n1,234 of 5,678 messages, 19.0 MB copied, 0 B/s\n");
}

Test(daemon_progress, on_a_terminal_it_says_what_it_waits_for)
{
	int primary, terminal;
	char text[256];
	cr_assert(openpty(&primary, &terminal, NULL, NULL, NULL) == 0);
	cr_assert(setenv("TERM", "xterm", 1) == 0);
	struct progress pr;
	progress_init(&pr, terminal);
	cr_assert(pr.terminal);
	progress_wait(&pr, "connecting");
	cr_expect(pr.drawn);
	progress_hide(&pr);
	cr_expect(!pr.drawn);
	ssize_t n = read(primary, text, sizeof(text) - 1);
	cr_assert(n > 0);
	text[n] = '\0';
	cr_expect_str_eq(text, "\rconnecting\033[K\r\033[K");
	close(primary);
	close(terminal);
}
