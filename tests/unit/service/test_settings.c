/* Settings of the daemons: precedence, the file's rules, and what errors say.
 */
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/settings.h"

static const struct shmqs_option topic_options[] = {
    {"capacity", SHMQS_NUMBER, "N", NULL, "4096", 2, 65536, false, "slots"},
    {"durability", SHMQS_CHOICE, "none|os|disk", NULL, "disk", 0, 0, false, ""},
    {NULL, SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, NULL}};

static const struct shmqs_section sections[] = {
    {"topic", topic_options}, {NULL, NULL}};

static const struct shmqs_option options[] = {SHMQS_COMMON_OPTIONS,
    {"data-dir", SHMQS_TEXT, "DIR", "TEST_DATA_DIR", NULL, 0, 0, false, "dir"},
    {"segment", SHMQS_SIZE, "SIZE", NULL, "64M", 1024, 1u << 30, false, "size"},
    {"delay", SHMQS_DURATION, "D", NULL, "20ms", 0, 0, false, "time"},
    {"standby", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, "wait"},
    {NULL, SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, NULL}};

static const struct shmqs_program program = {
    "prog", "Does nothing.", NULL, options, sections};

static char file_path[] = "/tmp/shmq-settings-XXXXXX";
static char said[4096]; /* what the last load wrote to stderr and stdout */

static void write_file_bytes(const char *text, size_t len)
{
    int fd = open(file_path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

/* Loads with the words of `line` (NULL-ended) and keeps what is said. */
static struct shmqs_settings *load(char **line, int *ret_status)
{
    int argc = 0;
    while (line[argc] != NULL)
        argc++;
    char name[] = "/tmp/shmq-settings-out-XXXXXX";
    int out = mkstemp(name);
    assert_true(out >= 0);
    unlink(name);
    fflush(NULL);
    int old_out = dup(1), old_err = dup(2);
    dup2(out, 1);
    dup2(out, 2);
    struct shmqs_settings *settings = NULL;
    *ret_status = -1;
    bool ok = shmqs_settings_load(&program, argc, line, &settings, ret_status);
    fflush(NULL);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    ssize_t len = pread(out, said, sizeof(said) - 1, 0);
    assert_true(len >= 0);
    said[len] = '\0';
    close(out);
    assert_int_equal(ok, settings != NULL);
    return settings;
}

static struct shmqs_settings *load_file(const char *text, int *ret_status)
{
    char *line[] = {"prog", "--config", file_path, NULL};
    write_file_bytes(text, strlen(text));
    return load(line, ret_status);
}

static void refuses(const char *text, int status, const char *saying)
{
    int got;
    assert_null(load_file(text, &got));
    assert_int_equal(got, status);
    if (strstr(said, saying) == NULL)
        fail_msg("said: %s\nwanted: %s", said, saying);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void line_goes_before_environment_before_file_before_default(void **s)
{
    (void)s;
    char *line[] = {"prog", "--data-dir=/line", "--config", file_path, NULL};
    const char *text = "data-dir = /file\nsegment = 2M\n";
    int status;
    write_file_bytes(text, strlen(text));
    setenv("TEST_DATA_DIR", "/environment", 1);
    for (int round = 0; round < 4; round++) {
        static const char *const want[] = {
            "/line", "/environment", "/file", NULL};
        struct shmqs_settings *settings = load(line, &status);
        assert_non_null(settings);
        const struct shmqs_values *own = shmqs_settings_values(settings);
        const char *dir = shmqs_text(own, "data-dir");
        if (want[round] == NULL)
            assert_null(dir);
        else
            assert_string_equal(dir, want[round]);
        assert_int_equal(shmqs_given(own, "data-dir"), round != 3);
        assert_int_equal(
            shmqs_number(own, "segment"), (round == 3 ? 64 : 2) << 20);
        assert_int_equal(shmqs_given(own, "segment"), round != 3);
        assert_int_equal(shmqs_number(own, "delay"), 20000000);
        if (round == 2)
            assert_non_null(strstr(shmqs_place(own, "data-dir"), ":1"));
        shmqs_settings_free(settings);
        if (round == 0)
            line[1] = "--standby";
        else if (round == 1)
            setenv("TEST_DATA_DIR", "", 1);
        else
            line[2] = NULL;
    }
    unsetenv("TEST_DATA_DIR");
}

static void sections_hold_keys_of_their_own(void **s)
{
    (void)s;
    int status;
    struct shmqs_settings *settings =
        load_file("# a comment\n; another\n\nstandby = yes\n"
                  "[topic orders]\ncapacity = 16\n[topic empty.one]\n",
            &status);
    assert_non_null(settings);
    assert_int_equal(
        shmqs_number(shmqs_settings_values(settings), "standby"), 1);
    const struct shmqs_values *first = shmqs_settings_section(settings, 0);
    const struct shmqs_values *second = shmqs_settings_section(settings, 1);
    assert_string_equal(shmqs_section_kind(first), "topic");
    assert_string_equal(shmqs_section_name(first), "orders");
    assert_int_equal(shmqs_number(first, "capacity"), 16);
    assert_int_equal(shmqs_number(first, "durability"), 2);
    assert_string_equal(shmqs_section_name(second), "empty.one");
    assert_int_equal(shmqs_number(second, "capacity"), 4096);
    assert_false(shmqs_given(second, "capacity"));
    assert_null(shmqs_settings_section(settings, 2));
    shmqs_settings_free(settings);
}

static void mistakes_in_the_file_name_line_and_remedy(void **s)
{
    (void)s;
    refuses("\ndata-dri = /x\n", 2,
        ":2: unknown key \"data-dri\"; did you "
        "mean data-dir?");
    refuses("[topic a]\ncapacty = 3\n", 2, "did you mean capacity?");
    refuses("[topic a]\nsegment = 3M\n", 2, "unknown key \"segment\"");
    refuses("segment = 3 M\n", 2, "segment: \"3 M\" does not do; give a size");
    refuses("segment = 100\n", 2, "is out of range; give 1024 to 1073741824");
    refuses("standby = maybe\n", 2, "give yes or no");
    refuses("log-format = xml\n", 2, "give text|json");
    refuses("data-dir =\n", 2, "not empty");
    refuses("data-dir\n", 2, ":1: is neither");
    refuses("segment = 2M\nsegment = 4M\n", 2, ":2: the key stands above");
    refuses("data-dir = /a\n  delay = 3\n", 2, ":2: starts with a space");
    refuses("[topics a]\n", 2, "no section that is known");
    refuses("[topic]\n", 2, "needs a name");
    refuses("[topic a]\n[topic b]\n[topic a]\n", 2, ":3: a section of this");
    refuses("[topic a\n", 2, ":1: is neither");
    refuses("check-config = yes\n", 2, "unknown key \"check-config\"");
    char line[512] = "data-dir = ";
    memset(line + 11, 'x', 400);
    refuses(line, 2, ":1: the line is too long");
    memcpy(line, "[topic ", 7);
    strcpy(line + 60, "]\n");
    refuses(line, 2, ":1: the section's name is longer");
}

static void a_file_with_a_nul_or_without_rights_is_refused(void **s)
{
    (void)s;
    char *line[] = {"prog", "--config", file_path, NULL};
    int status;
    write_file_bytes("standby = yes\0x", 15);
    assert_null(load(line, &status));
    assert_int_equal(status, 2);
    line[2] = "/nonexistent/shmq.conf";
    assert_null(load(line, &status));
    assert_int_equal(status, 4);
    line[2] = "/tmp";
    assert_null(load(line, &status));
    assert_int_equal(status, 1);
}

static void mistakes_on_the_line(void **s)
{
    (void)s;
    static const struct {
        char *word, *saying;
    } cases[] = {
        {"--data-dirr",
            "unknown option \"--data-dirr\"; did you mean "
            "--data-dir?"},
        {"--data-dir", "--data-dir: needs a value: DIR"},
        {"--standby=yes", "takes no value"},
        {"orders", "\"orders\" is no option"},
        {"--delay=3weeks", "give a duration"},
        {"--", "is no option"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *line[] = {"prog", cases[i].word, NULL};
        int status;
        assert_null(load(line, &status));
        assert_int_equal(status, 2);
        if (strstr(said, cases[i].saying) == NULL)
            fail_msg("%s said: %s", cases[i].word, said);
    }
}

static void help_and_version_are_answered(void **s)
{
    (void)s;
    char *line[] = {"prog", "--help", NULL};
    int status;
    assert_null(load(line, &status));
    assert_int_equal(status, 0);
    assert_non_null(strstr(said, "--data-dir DIR"));
    assert_non_null(strstr(said, "[TEST_DATA_DIR]"));
    assert_non_null(strstr(said, "capacity = N"));
    line[1] = "--version";
    assert_null(load(line, &status));
    assert_int_equal(status, 0);
    assert_non_null(strstr(said, "prog "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            line_goes_before_environment_before_file_before_default),
        cmocka_unit_test(sections_hold_keys_of_their_own),
        cmocka_unit_test(mistakes_in_the_file_name_line_and_remedy),
        cmocka_unit_test(a_file_with_a_nul_or_without_rights_is_refused),
        cmocka_unit_test(mistakes_on_the_line),
        cmocka_unit_test(help_and_version_are_answered),
    };
    int fd = mkstemp(file_path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file_path);
    return failed;
}
