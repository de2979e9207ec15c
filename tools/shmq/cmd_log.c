/* cmd_log.c - `shmq log`: looks at the segment files of a durable topic, with
 * or without shmqd. */
#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../shmq/crc32c.h"
#include "../../shmq/log_reader.h"
#include "cli_options.h"
#include "cli_out.h"

struct segments {
    uint64_t *numbers;
    size_t cnt;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* One whose segments have all gone: a wrong name must not pass for whole. */
static bool is_log(const char *dir)
{
    static const char *const files[] = {"meta", "clean", "recovery.json"};
    bool is = false;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < sizeof(files) / sizeof(*files); i++)
        is |= faccessat(fd, files[i], F_OK, 0) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

/* Numbers of the segments in `dir`, ascending. */
static int list_segments(const char *dir, struct segments *ret)
{
    DIR *d = opendir(dir);
    struct segments list = {NULL, 0};
    size_t room = 0;
    uint64_t no;
    if (d == NULL)
        return cli_fail_errno(errno, dir,
            "give the directory of a topic: "
            "DATA/topics/UUID or DATA/groups");
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (!shmqi_log_segment_number(e->d_name, ".seg", &no))
            continue;
        if (list.cnt == room) {
            room = room ? 2 * room : 64;
            uint64_t *more = realloc(list.numbers, room * sizeof(*more));
            if (more == NULL) {
                free(list.numbers);
                closedir(d);
                return cli_fail(CLI_NO_ROOM, "%s: no memory", dir);
            }
            list.numbers = more;
        }
        list.numbers[list.cnt++] = no;
    }
    closedir(d);
    if (list.cnt == 0 && !is_log(dir))
        return cli_fail(CLI_MISSING,
            "%s: holds no segment files; give the directory of a topic: "
            "DATA/topics/UUID or DATA/groups",
            dir);
    if (list.cnt)
        qsort(list.numbers, list.cnt, sizeof(*list.numbers), by_number);
    *ret = list;
    return CLI_DONE;
}

/* The header block of a segment, and how big its file is. */
static int read_head(int dir, uint64_t number, int flags, uint8_t *block,
    int *ret_fd, uint64_t *ret_bytes)
{
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(number, ".seg", name);
    int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return cli_fail_errno(errno, name, NULL);
    memset(block, 0, SHMQI_LOG_BLOCK);
    ssize_t n = pread(fd, block, SHMQI_LOG_BLOCK, 0);
    off_t bytes = lseek(fd, 0, SEEK_END);
    if (n < 0 || bytes < 0) {
        int err = errno;
        close(fd);
        return cli_fail_errno(err, name, NULL);
    }
    *ret_fd = fd;
    *ret_bytes = (uint64_t)bytes;
    return CLI_DONE;
}

/* -- ls ------------------------------------------------------------------- */

static void print_segment(struct cli_out *out, uint64_t number,
    const struct shmqi_log_segment *h, enum shmqi_log_verdict v, uint64_t bytes)
{
    cli_out_format(out, "%" PRIu64 " %s", number, shmqi_log_verdict_name(v));
    if (v <= SHMQI_LOG_COPY_BAD)
        cli_out_format(out,
            " base=%" PRIu64 " previous_end=%" PRIu64
            " epoch=%u created=%" PRId64 " writer=%s",
            h->base_pos, h->prev_end_pos, h->epoch, h->created_ns, h->writer);
    cli_out_format(out, " bytes=%" PRIu64 "\n", bytes);
}

static int each_head(const char *dir_name, const struct segments *list,
    struct cli_out *out, uint64_t *ret_damaged)
{
    int status = CLI_DONE;
    int dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cli_fail_errno(errno, dir_name, NULL);
    for (size_t i = 0; status == CLI_DONE && i < list->cnt; i++) {
        uint8_t block[SHMQI_LOG_BLOCK];
        struct shmqi_log_segment h = {0};
        uint64_t bytes;
        int fd;
        status = read_head(dir, list->numbers[i], O_RDONLY, block, &fd, &bytes);
        if (status != CLI_DONE)
            break;
        close(fd);
        enum shmqi_log_verdict v = shmqi_log_segment_decode(block, &h);
        if (v == SHMQI_LOG_GOOD && h.segment_no != list->numbers[i])
            v = SHMQI_LOG_BAD;
        *ret_damaged += v != SHMQI_LOG_GOOD;
        if (out != NULL)
            print_segment(out, list->numbers[i], &h, v, bytes);
    }
    close(dir);
    return status;
}

static int run_ls(const char *dir, const struct segments *list)
{
    struct cli_out out = {NULL, 0, 0};
    uint64_t damaged = 0;
    int status = each_head(dir, list, &out, &damaged);
    int flushed = cli_out_flush(&out);
    cli_out_free(&out);
    return status != CLI_DONE ? status : flushed;
}

/* -- dump, verify ------------------------------------------------------------
 */

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
        (uint32_t)p[3] << 24;
}

static void dump_frame(struct cli_out *out, const struct shmqi_log_frame *f)
{
    uint32_t off = sizeof(f->head);
    cli_out_format(out,
        "frame %" PRIu64 " producer=%" PRIu64 " sequence=%" PRIu64
        " time=%" PRIu64 " records=%u\n",
        f->pos, f->head.producer, f->head.sequence, f->head.time_ns,
        f->head.record_cnt);
    for (uint32_t i = 0; i < f->head.record_cnt; i++) {
        uint64_t pos = 0;
        uint32_t size = get32(f->bytes + off);
        uint32_t attrs = get32(f->bytes + off + 4) & 0xffff;
        uint32_t data = off + 8 + ((attrs + 7) & ~7u);
        (void)shmqi_log_record_pos(f, i, &pos);
        cli_out_format(out, "record %" PRIu64 " size=%u crc=%08x\n", pos, size,
            shmqi_crc32c(0, f->bytes + data, size));
        off = data + ((size + 7) & ~7u);
    }
}

struct tally {
    uint64_t frames, records, gaps, corrupt;
};

static int walk(const char *dir, struct cli_out *out, struct tally *t)
{
    struct shmqi_log_reader *r;
    struct shmqi_log_item item;
    int rc = shmqi_log_reader_open(dir, NULL, &r);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, dir);
    int status = CLI_DONE;
    while (status == CLI_DONE &&
        (rc = shmqi_log_reader_next(r, UINT64_MAX, &item)) == SHMQ_OK) {
        if (item.what == SHMQI_LOG_ITEM_FRAME) {
            t->frames++;
            t->records += item.frame.head.record_cnt;
            if (out != NULL)
                dump_frame(out, &item.frame);
        } else {
            t->gaps++;
            t->corrupt += item.reason == SHMQI_LOG_GAP_CORRUPT;
            if (out != NULL)
                cli_out_format(out, "gap %" PRIu64 " %" PRIu64 " %s\n",
                    item.from, item.to, shmqi_log_gap_name(item.reason));
        }
        if (out != NULL && out->len > CLI_OUT_FLUSH_BYTES)
            status = cli_out_flush(out);
    }
    shmqi_log_reader_close(r);
    if (status == CLI_DONE && rc != SHMQ_ERR_EMPTY)
        return cli_fail_rc(rc, dir);
    return status;
}

static int run_dump(const char *dir)
{
    struct cli_out out = {NULL, 0, 0};
    struct tally t = {0, 0, 0, 0};
    int status = walk(dir, &out, &t);
    int flushed = cli_out_flush(&out);
    cli_out_free(&out);
    return status != CLI_DONE ? status : flushed;
}

static int run_verify(const char *dir, const struct segments *list)
{
    struct cli_out out = {NULL, 0, 0};
    struct tally t = {0, 0, 0, 0};
    uint64_t damaged = 0;
    int status = each_head(dir, list, NULL, &damaged);
    if (status == CLI_DONE)
        status = walk(dir, NULL, &t);
    if (status != CLI_DONE)
        return status;
    cli_out_format(&out,
        "segments=%zu damaged_headers=%" PRIu64 " frames=%" PRIu64
        " records=%" PRIu64 " gaps=%" PRIu64 " corrupt=%" PRIu64 "\n",
        list->cnt, damaged, t.frames, t.records, t.gaps, t.corrupt);
    status = cli_out_flush(&out);
    cli_out_free(&out);
    if (status == CLI_DONE && (damaged || t.corrupt))
        return cli_fail(CLI_DAMAGED,
            "%s: %" PRIu64 " corrupt ranges, %" PRIu64 " damaged headers; shmq "
            "log repair restores headers from their second copy",
            dir, t.corrupt, damaged);
    return status;
}

/* -- repair
 * --------------------------------------------------------------------- */

/* The data directory's lock: DIR/../../LOCK, or DIR/../LOCK for groups. */
static int lock_store(int dir, int *ret_fd)
{
    int fd = openat(dir, "../../LOCK", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        fd = openat(dir, "../LOCK", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return cli_fail(
            CLI_IN_USE, "LOCK: shmqd is using this directory; stop it first");
    }
    *ret_fd = fd; /* a copied log has no lock */
    return CLI_DONE;
}

/* One good copy of the header makes the other one. */
static int repair_head(
    int dir, uint64_t number, bool dry_run, struct cli_out *out)
{
    uint8_t block[SHMQI_LOG_BLOCK], fresh[SHMQI_LOG_BLOCK];
    struct shmqi_log_segment h;
    uint64_t bytes;
    int fd,
        status = read_head(
            dir, number, dry_run ? O_RDONLY : O_RDWR, block, &fd, &bytes);
    if (status != CLI_DONE)
        return status;
    enum shmqi_log_verdict v = shmqi_log_segment_decode(block, &h);
    if (v == SHMQI_LOG_COPY_BAD) {
        cli_out_format(out,
            "segment %" PRIu64 ": header restored from its "
            "intact copy\n",
            number);
        shmqi_log_segment_encode(&h, fresh);
        if (!dry_run &&
            (pwrite(fd, fresh, sizeof(fresh), 0) != (ssize_t)sizeof(fresh) ||
                fsync(fd) != 0))
            status = cli_fail_errno(errno, "segment header", NULL);
    } else if (v != SHMQI_LOG_GOOD) {
        cli_out_format(out,
            "segment %" PRIu64 ": header %s, cannot be "
            "restored; readers report a gap\n",
            number, shmqi_log_verdict_name(v));
    }
    close(fd);
    return status;
}

/* Files that shmqd was making when it ended. */
static int repair_leftovers(
    const char *dir_name, int dir, bool dry_run, struct cli_out *out)
{
    DIR *d = opendir(dir_name);
    uint64_t no;
    int status = CLI_DONE;
    if (d == NULL)
        return cli_fail_errno(errno, dir_name, NULL);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (!shmqi_log_segment_number(e->d_name, ".prep", &no))
            continue;
        cli_out_format(out, "%s: never in use, removed\n", e->d_name);
        if (!dry_run && unlinkat(dir, e->d_name, 0) != 0)
            status = cli_fail_errno(errno, e->d_name, NULL);
    }
    closedir(d);
    return status;
}

static int run_repair(
    const char *dir_name, const struct segments *list, bool dry_run)
{
    struct cli_out out = {NULL, 0, 0};
    int lock = -1, dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cli_fail_errno(errno, dir_name, NULL);
    int status = lock_store(dir, &lock);
    for (size_t i = 0; status == CLI_DONE && i < list->cnt; i++)
        status = repair_head(dir, list->numbers[i], dry_run, &out);
    if (status == CLI_DONE)
        status = repair_leftovers(dir_name, dir, dry_run, &out);
    if (status == CLI_DONE && !dry_run && fsync(dir) != 0)
        status = cli_fail_errno(errno, dir_name, NULL);
    if (lock >= 0)
        close(lock);
    close(dir);
    int flushed = cli_out_flush(&out);
    cli_out_free(&out);
    return status != CLI_DONE ? status : flushed;
}

static int run_log(const struct cli_args *args)
{
    const char *what = args->operands[0], *dir = args->operands[1];
    bool dry_run = cli_opt_given(args, CLI_OPT_DRY_RUN);
    bool repair = strcmp(what, "repair") == 0;
    struct segments list = {NULL, 0};
    if (dry_run && !repair)
        return cli_fail(CLI_USAGE, "--dry-run: only for repair");
    if (!repair && strcmp(what, "ls") != 0 && strcmp(what, "dump") != 0 &&
        strcmp(what, "verify") != 0)
        return cli_fail(CLI_USAGE, "%s: give ls, dump, verify or repair", what);
    int status = list_segments(dir, &list);
    if (status != CLI_DONE)
        return status;
    status = repair      ? run_repair(dir, &list, dry_run)
        : what[0] == 'l' ? run_ls(dir, &list)
        : what[0] == 'd' ? run_dump(dir)
                         : run_verify(dir, &list);
    free(list.numbers);
    return status;
}

static const struct cli_option_help log_opts[] = {
    {CLI_OPT_DRY_RUN, "repair: only say what would be done"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_log = {
    .name = "log",
    .operands = "ls|dump|verify|repair DIR",
    .operand_min = 2,
    .operand_max = 2,
    .summary = "look at the segment files of a durable topic",
    .opts = log_opts,
    .notes =
        "DIR holds the segment files: DATA/topics/UUID or DATA/groups, or a "
        "copy.\n"
        "ls      one line per segment\n"
        "dump    every frame, record (with the CRC-32C of its payload) and "
        "gap\n"
        "verify  reads everything; 8 when something is damaged\n"
        "repair  restores a damaged header from its second copy, removes files "
        "that\n"
        "        never were in use; 5 while shmqd runs. Damaged batches stay: "
        "readers\n"
        "        report them as a gap.\n"
        "The format is described in docs/log-format.md.\n",
    .examples = "  shmq log ls /var/lib/shmq/default/groups\n"
                "  shmq log verify ~/copy\n"
                "  shmq log repair --dry-run ~/copy\n",
    .anywhere = true,
    .run = run_log,
};
