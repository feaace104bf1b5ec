/*
 * leaks: makes a leak fail the test. Criterion runs each test in a child that ends without LeakSanitizer's own check, so the
 * check is called at the end of each test: TestSuite(name, .fini = leaks_check). An assertion that fails in .fini does not
 * fail the test in Criterion 2.4; only a crash does.
 */
#ifndef GODWIT_TESTS_LEAKS_H
#define GODWIT_TESTS_LEAKS_H

#include <criterion/criterion.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(GODWIT_SANITIZERS)
#include <sanitizer/lsan_interface.h>
static void leaks_check(void)
{
	if (__lsan_do_recoverable_leak_check() != 0)
		abort();
}
#else
static void leaks_check(void)
{
}
#endif

#endif
