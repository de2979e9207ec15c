/* Lines of a daemon's log: both forms, hostile texts, a reader that stopped. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/service_log.h"

static int saved_stderr;
static int pipe_fds[2];
static char got[65536];

static int begin(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    return pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0 ||
        dup2(pipe_fds[1], STDERR_FILENO) < 0;
}

static int end(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static const char *take(void)
{
    ssize_t len = read(pipe_fds[0], got, sizeof(got) - 1);
    got[len > 0 ? len : 0] = '\0';
    return got;
}

static void text_lines_have_time_level_subject_message(void **state)
{
    (void)state;
    shmqs_log_open("prog", false, SHMQS_INFO);
    shmqs_log_about(SHMQS_WARNING, "topic", "orders", "went %d", 7);
    const char *line = take();
    assert_int_equal(line[4], '-');
    assert_int_equal(line[23], 'Z');
    assert_string_equal(line + 24, " warning topic=orders: went 7\n");
    shmqs_log(SHMQS_DEBUG, "not this");
    assert_string_equal(take(), "");
    shmqs_log_open("prog", false, SHMQS_DEBUG);
    shmqs_log(SHMQS_DEBUG, "this");
    assert_string_equal(take() + 24, " debug this\n");
}

static void control_characters_and_bad_bytes_are_made_visible(void **state)
{
    (void)state;
    shmqs_log_open("prog", false, SHMQS_INFO);
    shmqs_log(SHMQS_INFO, "%s", "a\nb\033[2J\xff\xc3\xa4\xed\xa0\x80\xc0\xaf");
    assert_string_equal(take() + 24, " info a\\x0ab\\x1b[2J?\xc3\xa4?????\n");
}

static void json_lines_are_json(void **state)
{
    (void)state;
    shmqs_log_open("prog", true, SHMQS_INFO);
    shmqs_log_about(SHMQS_ERROR, "topic", "a\"b\\", "x\ty\xff");
    const char *line = take();
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_non_null(strstr(line, "\"level\":\"error\",\"program\":\"prog\""));
    assert_non_null(
        strstr(line, "\"topic\":\"a\\\"b\\\\\",\"message\":\"x\\u0009y?\"}\n"));
}

static void a_long_message_is_cut_and_still_a_line(void **state)
{
    (void)state;
    char *text = malloc(100000);
    assert_non_null(text);
    memset(text, '\x01', 99999); /* grows sixfold in JSON */
    text[99999] = '\0';
    shmqs_log_open("prog", true, SHMQS_INFO);
    shmqs_log(SHMQS_INFO, "%s", text);
    free(text);
    const char *line = take();
    size_t len = strlen(line);
    assert_true(len <= 2048);
    assert_string_equal(line + len - 9, "\\u0001\"}\n");
}

static void a_reader_that_stopped_does_not_hold_the_daemon_up(void **state)
{
    (void)state;
    shmqs_log_open("prog", false, SHMQS_INFO);
    for (int i = 0; i < 5000; i++)
        shmqs_log(SHMQS_INFO, "line %d of many that nobody reads", i);
    while (take()[0] != '\0')
        ;
    shmqs_log(SHMQS_INFO, "read again");
    const char *line = take();
    assert_non_null(strstr(line, " lines before this one were lost"));
    assert_non_null(strstr(line, " info read again\n"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(text_lines_have_time_level_subject_message),
        CASE(control_characters_and_bad_bytes_are_made_visible),
        CASE(json_lines_are_json),
        CASE(a_long_message_is_cut_and_still_a_line),
        CASE(a_reader_that_stopped_does_not_hold_the_daemon_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
