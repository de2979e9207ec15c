/* cmd_keygen.c - `shmq keygen`: a pair of keys for encrypted connections. The
 * one file of the command that sees ZeroMQ. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_options.h"

#ifdef SHMQ_HAVE_ZMQ
#include <zmq.h>

#define KEY_TEXT 41

static int write_key(const char *path, mode_t mode, const char key[KEY_TEXT])
{
    char line[KEY_TEXT + 1];
    size_t len = (size_t)snprintf(line, sizeof line, "%s\n", key);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return cli_fail(CLI_IN_USE,
            "%s: exists; whoever knows its key would be locked out: remove it "
            "first, or give another name",
            path);
    if (fd < 0)
        return cli_fail_errno(
            errno, path, "name a file in a directory that you may write to");
    bool written = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
    int err = errno;
    explicit_bzero(line, sizeof line);
    close(fd);
    if (written)
        return CLI_DONE;
    (void)unlink(path);
    return cli_fail_errno(err, path, "make room; nothing was written");
}

static int run_keygen(const struct cli_args *args)
{
    const char *path = args->operands[0];
    char public_path[4096], public_key[KEY_TEXT], secret_key[KEY_TEXT];
    int n = snprintf(public_path, sizeof public_path, "%s.pub", path);
    if (n < 0 || (size_t)n >= sizeof public_path)
        return cli_fail(CLI_USAGE, "%s: name too long", path);
    if (zmq_curve_keypair(public_key, secret_key))
        return cli_fail(CLI_FAILED,
            "%s: this ZeroMQ has no encryption; install one that has", path);
    int status = write_key(public_path, 0644, public_key);
    if (status == CLI_DONE) {
        status = write_key(path, 0600, secret_key);
        if (status != CLI_DONE)
            (void)unlink(public_path);
    }
    explicit_bzero(secret_key, sizeof secret_key);
    return status;
}
#else
static int run_keygen(const struct cli_args *args)
{
    return cli_fail(CLI_FAILED,
        "%s: this shmq was built without ZeroMQ; build it with libzmq3-dev",
        args->operands[0]);
}
#endif

static const struct cli_option_help keygen_opts[] = {
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_keygen = {
    .name = "keygen",
    .operands = "FILE",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "make a pair of keys",
    .opts = keygen_opts,
    .notes =
        "FILE gets the secret key (only its owner can read it), FILE.pub the\n"
        "public one; either exists: 5. For shmq-bridge (--server-key-file "
        "FILE)\n"
        "and for its clients (--key-file FILE; the bridge's list of rights "
        "has\n"
        "what is in FILE.pub).\n",
    .examples = "  shmq keygen /etc/shmq/bridge.key\n",
    .anywhere = true,
    .run = run_keygen,
};
