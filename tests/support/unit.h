/* unit.h - runs cmocka tests that each have a namespace of their own.
 *
 * A test that cannot run here says why and is skipped; a program of which
 * every test was skipped ends with status 77. */
#ifndef SHMQ_TEST_UNIT_H
#define SHMQ_TEST_UNIT_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/support.h"

#define TEST(name) static void name(void **state __attribute__((unused)))
#define T(name) cmocka_unit_test_setup_teardown(name, t_unit_begin, t_unit_end)

/* Skips the running test, with the reason in words. */
#define T_SKIP(reason) \
    do { \
        print_message("skipped: %s\n", (reason)); \
        t_unit_skipped++; \
        skip(); \
    } while (0)

/* For tests in which the library must know processes by their pids. */
#define T_NEED_PROC() \
    do { \
        if (!t_proc_is_real()) \
            T_SKIP("an emulator hides states and start times"); \
    } while (0)

static size_t t_unit_skipped;

static inline void t_unit_fail(const char *file, int line)
{
    _fail(file, line);
}

static inline int t_unit_begin(void **state)
{
    (void)state;
    t_begin();
    return 0;
}

static inline int t_unit_end(void **state)
{
    (void)state;
    t_end();
    return 0;
}

static inline int t_unit_run(
    const char *name, const struct CMUnitTest *tests, size_t cnt)
{
    int failed;

    t_on_fail = t_unit_fail;
    failed = _cmocka_run_group_tests(name, tests, cnt, NULL, NULL);
    if (failed != 0)
        return 1;
    return cnt > 0 && t_unit_skipped == cnt ? 77 : 0;
}

#define T_MAIN(tests) \
    int main(void) \
    { \
        return t_unit_run(__FILE__, tests, sizeof(tests) / sizeof(tests[0])); \
    }

#endif
