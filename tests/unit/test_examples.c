/* test_examples.c - the hello world of docs/examples is short, compiles
 * against the installed headers without a warning, and works. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "support/proc.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER "-fsanitize=address,undefined"
#elif defined(__SANITIZE_THREAD__)
#define SANITIZER "-fsanitize=thread"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER "-fsanitize=address,undefined"
#elif __has_feature(thread_sanitizer)
#define SANITIZER "-fsanitize=thread"
#endif
#endif

static char folder[64];

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        T_SKIP("run by ctest, which says where sources and libraries are");
    return value;
}

static const char *compiler(void)
{
    const char *value = getenv("CC");

#if defined(__clang__)
    return value != NULL ? value : "clang";
#else
    return value != NULL ? value : "cc";
#endif
}

/* Compiles an example with the static library; false without a compiler. */
static bool build(const char *name)
{
    const char *source = setting("SHMQ_SOURCE_DIR");
    const char *library = setting("SHMQ_LIB_DIR");
    char file[512];
    char include[512];
    char archive[512];
    char program[128];
    pid_t pid;
    int status = 0;

    (void)snprintf(file, sizeof(file), "%s/docs/examples/%s.c", source, name);
    (void)snprintf(include, sizeof(include), "-I%s/include", source);
    (void)snprintf(archive, sizeof(archive), "%s/libshmq.a", library);
    (void)snprintf(program, sizeof(program), "%s/%s", folder, name);
    pid = fork();
    T_TRUE(pid >= 0);
    if (pid == 0) {
#ifdef SANITIZER
        (void)execlp(compiler(), compiler(), "-std=c11", "-Wall", "-Wextra",
            "-Wpedantic", "-Werror", SANITIZER, include, "-o", program, file,
            archive, "-lpthread", (char *)NULL);
#else
        (void)execlp(compiler(), compiler(), "-std=c11", "-Wall", "-Wextra",
            "-Wpedantic", "-Werror", include, "-o", program, file, archive,
            "-lpthread", (char *)NULL);
#endif
        _exit(127);
    }
    T_TRUE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return false;
    T_EQ(status, 0);
    return true;
}

/* Starts an example; its output goes to *ret_fd. */
static pid_t start(const char *name, int *ret_fd)
{
    char program[128];
    int out[2];
    pid_t pid;

    (void)snprintf(program, sizeof(program), "%s/%s", folder, name);
    T_EQ(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    T_TRUE(pid >= 0);
    if (pid == 0) {
        (void)setenv("SHMQ_NAMESPACE", t_ns, 1);
        (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* no closes */
        (void)dup2(out[1], STDOUT_FILENO);
        (void)alarm(30);
        (void)execl(program, program, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    *ret_fd = out[0];
    return pid;
}

static void expect_success(pid_t pid)
{
    int status = 0;

    T_TRUE(waitpid(pid, &status, 0) == pid);
    T_EQ(status, 0);
}

static uint32_t line_cnt(const char *name)
{
    char file[512];
    char line[256];
    uint32_t cnt = 0;
    FILE *source;

    (void)snprintf(file, sizeof(file), "%s/docs/examples/%s.c",
        setting("SHMQ_SOURCE_DIR"), name);
    source = fopen(file, "re");
    T_TRUE(source != NULL);
    while (fgets(line, sizeof(line), source) != NULL) {
        T_TRUE(strlen(line) <= 81);
        cnt++;
    }
    (void)fclose(source);
    return cnt;
}

TEST(hello_world_has_at_most_ten_lines_a_side)
{
    T_TRUE(line_cnt("hello_pub") <= 10);
    T_TRUE(line_cnt("hello_sub") <= 10);
}

static void remove_programs(void)
{
    static const char *const names[] = {"hello_pub", "hello_sub"};

    for (uint32_t i = 0; i < 2; i++) {
        char program[128];
        (void)snprintf(program, sizeof(program), "%s/%s", folder, names[i]);
        (void)unlink(program);
    }
    (void)rmdir(folder);
}

TEST(hello_world_compiles_and_says_hello)
{
    char text[64] = "";
    ssize_t got;
    int fd;
    pid_t pid;

    T_NEED_PROC(); /* there the compiler at hand is for another machine */
    (void)setting("SHMQ_LIB_DIR");
    (void)snprintf(folder, sizeof(folder), "/tmp/shmq-hello-XXXXXX");
    T_TRUE(mkdtemp(folder) != NULL);
    if (!build("hello_pub") || !build("hello_sub")) {
        remove_programs();
        T_SKIP("there is no C compiler");
    }
    pid = start("hello_pub", &fd);
    (void)close(fd);
    expect_success(pid);
    pid = start("hello_sub", &fd);
    got = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    expect_success(pid);
    remove_programs();
    T_TRUE(got > 0 && strcmp(text, "hello, world\n") == 0);
}

static const struct CMUnitTest tests[] = {
    T(hello_world_has_at_most_ten_lines_a_side),
    T(hello_world_compiles_and_says_hello),
};
T_MAIN(tests)
