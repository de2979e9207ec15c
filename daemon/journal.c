/* journal.c - the log of groups' places. */
#include "journal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <shmq.h>

#include "journal_entry.h"
#include "log_reader.h"
#include "service/service_log.h"
#include "topic.h"

#define SNAPSHOT_BYTES (4u << 20)
#define CLOSE_WAIT_NS 10000000000ull
#define REOPEN_NS 5000000000ull /* after its log was given up */

enum {
    FRAME_STEP = 4096, /* positions of one frame */
    RECORD_HEAD = 8,
    FRAME_ROOM = SHMQI_LOG_FRAME_HEAD + RECORD_HEAD + SHMQD_ENTRY_MAX,
};

struct shmqd_journal {
    struct shmqd *daemon;
    struct shmqd_log *log;
    uint64_t next_pos; /* of the next entry; never 0 */
    uint64_t put_bytes; /* since the last snapshot began */
    uint64_t snapshot_pos; /* where that one began */
    uint64_t snapshot_end; /* 0: it still runs, or there was none */
    uint32_t snapshot_idx; /* what it puts next */
    bool snapshot_runs;
    enum shmqd_log_state told_state;
    uint64_t reopen_ns; /* when a log that was given up is opened anew */
    struct shmqd_entry *entries; /* the last one of each group */
    uint32_t cnt, room;
};

static const uint8_t journal_uuid[16]; /* zero: that of no topic */

/* -- the entries in memory ------------------------------------------------- */

static struct shmqd_entry *find(const struct shmqd_journal *journal,
    const uint8_t uuid[16], const char *group)
{
    for (uint32_t i = 0; i < journal->cnt; i++) {
        struct shmqd_entry *entry = &journal->entries[i];
        if (strcmp(entry->place.name, group) == 0 &&
            memcmp(entry->uuid, uuid, sizeof(entry->uuid)) == 0)
            return entry;
    }
    return NULL;
}

/* The others keep their order: a snapshot that runs has put those before
 * snapshot_idx and comes to the rest. */
static void forget_entry(struct shmqd_journal *journal, uint32_t idx)
{
    struct shmqd_entry *at = &journal->entries[idx];
    memmove(at, at + 1, (--journal->cnt - idx) * sizeof(*at));
    if (idx < journal->snapshot_idx)
        journal->snapshot_idx--;
}

static bool remember(
    struct shmqd_journal *journal, const struct shmqd_entry *entry)
{
    struct shmqd_entry *known = find(journal, entry->uuid, entry->place.name);
    if (known != NULL && entry->gone) {
        forget_entry(journal, (uint32_t)(known - journal->entries));
        return true;
    }
    if (entry->gone)
        return true;
    if (known == NULL && journal->cnt == journal->room) {
        uint32_t room = journal->room * 2 + 16;
        struct shmqd_entry *entries =
            realloc(journal->entries, room * sizeof(*entries));
        if (entries == NULL)
            return false;
        journal->entries = entries;
        journal->room = room;
    }
    if (known == NULL)
        known = &journal->entries[journal->cnt++];
    *known = *entry;
    return true;
}

/* -- the entries on disk --------------------------------------------------- */

static int64_t realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Appends; returns the ticket or 0. */
static uint64_t append(
    struct shmqd_journal *journal, const struct shmqd_entry *entry)
{
    uint8_t payload[SHMQD_ENTRY_MAX];
    uint64_t room;
    uint8_t *at;
    uint32_t len = shmqd_entry_encode(entry, payload);
    uint32_t padded = (len + 7) & ~7u;
    if (journal->log == NULL ||
        shmqd_log_room(journal->log, FRAME_ROOM, &at, &room) != 0)
        return 0;
    struct shmqi_record_shm record = {.size = len};
    struct shmqi_frame_shm head = {
        .time_ns = (uint64_t)realtime_ns(),
        .record_cnt = 1,
        .len_bytes = (uint32_t)sizeof(head) + RECORD_HEAD + padded,
    };
    shmqi_log_frame_encode(journal->next_pos, &head, at);
    at += SHMQI_LOG_FRAME_HEAD;
    memcpy(at, &record, sizeof(record));
    memset(at + RECORD_HEAD, 0, padded);
    memcpy(at + RECORD_HEAD, payload, len);
    struct shmqd_log_chunk chunk = {
        .bytes = SHMQI_LOG_FRAME_HEAD + RECORD_HEAD + padded,
        .base_pos = journal->next_pos,
        .end_pos = journal->next_pos + FRAME_STEP,
        .frame_cnt = 1,
        .record_cnt = 1,
        .first_ts_ns = (int64_t)head.time_ns,
        .max_ts_ns = (int64_t)head.time_ns,
    };
    if (shmqd_log_add(journal->log, &chunk) != 0)
        return 0;
    uint64_t ticket = journal->next_pos;
    journal->next_pos += FRAME_STEP;
    journal->put_bytes += chunk.bytes;
    return ticket;
}

static void take_frame(
    struct shmqd_journal *journal, const struct shmqi_log_frame *frame)
{
    struct shmqi_record_shm record;
    struct shmqd_entry entry;
    size_t at = sizeof(frame->head);
    if (frame->head.len_bytes < at + sizeof(record))
        return;
    memcpy(&record, frame->bytes + at, sizeof(record));
    at += sizeof(record);
    if (record.size > frame->head.len_bytes - at ||
        !shmqd_entry_decode(frame->bytes + at, record.size, &entry)) {
        shmqs_log(SHMQS_ERROR,
            "the journal of groups holds an entry that is "
            "none; passed over");
        return;
    }
    (void)remember(journal, &entry);
}

static int read_all(struct shmqd_journal *journal, uint64_t end_pos)
{
    char dir[SHMQD_PATH_MAX];
    struct shmqi_log_reader *reader;
    struct shmqi_log_item item;
    int rc =
        shmqd_meta_path(journal->daemon->store, journal_uuid, dir, sizeof(dir));
    if (rc == 0)
        rc = shmqi_log_reader_open(dir, NULL, &reader);
    if (rc == SHMQ_ERR_NOENT)
        return 0;
    if (rc != 0)
        return rc;
    while ((rc = shmqi_log_reader_next(reader, end_pos, &item)) == 0) {
        if (item.what == SHMQI_LOG_ITEM_FRAME)
            take_frame(journal, &item.frame);
        else if (item.reason == SHMQI_LOG_GAP_CORRUPT)
            shmqs_log(SHMQS_ERROR,
                "the journal of groups is damaged: some groups go on at an "
                "earlier place and are handed records again");
    }
    shmqi_log_reader_close(reader);
    return rc == SHMQ_ERR_EMPTY ? 0 : rc;
}

/* Opens the log and begins behind its end. The places in memory are newer than
 * it, unless this is the first time. */
static int open_log(struct shmqd_journal *journal, bool first)
{
    struct shmqd_recovery recovery;
    struct shmqd_log_options options = {
        .kind = SHMQI_LOG_GROUPS,
        .level = SHMQD_LEVEL_DISK,
        .frame_bytes_max = FRAME_ROOM,
    };
    int rc = shmqd_log_open(
        journal->daemon->store, &options, &journal->log, &recovery);
    if (rc != 0)
        journal->log = NULL;
    if (rc == 0 && first)
        rc = read_all(journal, recovery.end_pos);
    if (rc == 0) {
        journal->next_pos =
            recovery.end_pos > FRAME_STEP ? recovery.end_pos : FRAME_STEP;
        rc = shmqd_log_begin(journal->log, recovery.end_pos);
        journal->put_bytes = recovery.log_bytes;
    }
    return rc;
}

int shmqd_journal_open(struct shmqd *daemon)
{
    struct shmqd_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return SHMQS_EXIT_FAILED;
    journal->daemon = daemon;
    daemon->journal = journal;
    if (open_log(journal, true) != 0)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_DAMAGED,
            daemon->dir, "the journal of groups cannot be read: %s",
            shmqd_store_error(daemon->store));
    return 0;
}

void shmqd_journal_free(struct shmqd *daemon)
{
    struct shmqd_journal *journal = daemon->journal;
    if (journal == NULL)
        return;
    if (journal->log != NULL)
        (void)shmqd_log_close(journal->log, false);
    free(journal->entries);
    free(journal);
    daemon->journal = NULL;
}

bool shmqd_journal_close(struct shmqd *daemon)
{
    struct shmqd_journal *journal = daemon->journal;
    uint64_t end_ns = shmqd_clock_ns() + CLOSE_WAIT_NS;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        while (!shmqd_topic_note_groups(daemon->topics[i]) &&
            shmqd_journal_is_well(journal) && shmqd_clock_ns() < end_ns)
            (void)shmqd_store_turn(daemon->store, 10000000);
    }
    while (shmqd_journal_done(journal) < journal->next_pos &&
        shmqd_journal_is_well(journal) && journal->next_pos > FRAME_STEP &&
        shmqd_clock_ns() < end_ns)
        (void)shmqd_store_turn(daemon->store, 10000000);
    if (journal->log == NULL)
        return false;
    int rc = shmqd_log_end(daemon, journal->log);
    journal->log = NULL;
    return rc == 0;
}

/* -- putting --------------------------------------------------------------- */

uint64_t shmqd_journal_put(struct shmqd_journal *journal,
    const uint8_t uuid[16], const struct shmqi_group_place *place)
{
    struct shmqd_entry entry = {.gone = false, .place = *place};
    memcpy(entry.uuid, uuid, sizeof(entry.uuid));
    entry.place.internal = 0; /* means something to this ring only */
    uint64_t ticket = append(journal, &entry);
    if (ticket != 0 && !remember(journal, &entry))
        return 0;
    return ticket;
}

uint64_t shmqd_journal_remove(
    struct shmqd_journal *journal, const uint8_t uuid[16], const char *group)
{
    const struct shmqd_entry *known = find(journal, uuid, group);
    if (known == NULL)
        return journal->next_pos; /* never put */
    struct shmqd_entry entry = *known;
    entry.gone = true;
    uint64_t ticket = append(journal, &entry);
    if (ticket != 0)
        (void)remember(journal, &entry);
    return ticket;
}

/* Entries of a uuid that no topic has do no harm: they are left out of the next
 * snapshot. */
void shmqd_journal_forget(struct shmqd_journal *journal, const uint8_t uuid[16])
{
    for (uint32_t i = 0; i < journal->cnt; i++) {
        if (memcmp(journal->entries[i].uuid, uuid, 16) == 0)
            forget_entry(journal, i--);
    }
}

void shmqd_journal_prune(struct shmqd_journal *journal)
{
    const struct shmqd *daemon = journal->daemon;
    for (uint32_t i = 0; i < journal->cnt; i++) {
        bool known = false;
        for (uint32_t k = 0; k < daemon->topic_cnt && !known; k++)
            known = memcmp(journal->entries[i].uuid, daemon->topics[k]->uuid,
                        16) == 0;
        /* One that this start cannot read may be put right. */
        if (!known &&
            shmqd_meta_is_gone(daemon->store, journal->entries[i].uuid))
            forget_entry(journal, i--);
    }
}

uint64_t shmqd_journal_done(const struct shmqd_journal *journal)
{
    struct shmqd_log_status status;
    if (journal->log == NULL)
        return 0;
    shmqd_log_status(journal->log, &status);
    return status.durable_pos;
}

bool shmqd_journal_is_well(const struct shmqd_journal *journal)
{
    struct shmqd_log_status status;
    if (journal->log == NULL)
        return false;
    shmqd_log_status(journal->log, &status);
    return status.state == SHMQD_LOG_OK || status.state == SHMQD_LOG_LOW_SPACE;
}

/* -- trouble --------------------------------------------------------------- */

static void tell_state(
    struct shmqd_journal *journal, const struct shmqd_log_status *status)
{
    if (status->state == journal->told_state)
        return;
    bool was_bad = journal->told_state == SHMQD_LOG_NO_SPACE ||
        journal->told_state == SHMQD_LOG_READ_ONLY;
    journal->told_state = status->state;
    if (status->state == SHMQD_LOG_NO_SPACE)
        shmqs_log(SHMQS_ERROR,
            "the journal of groups takes nothing: %s; until it goes on, a "
            "reboot sets groups back to their last noted places",
            shmqd_shortage_words(status));
    else if (status->state == SHMQD_LOG_READ_ONLY)
        shmqs_log(SHMQS_ERROR,
            "the journal of groups takes nothing: the disk failed twice (%s); "
            "opened anew in some seconds. Until it goes on, a reboot sets "
            "groups back to their last noted places",
            strerror(status->error));
    else if (was_bad)
        shmqs_log(SHMQS_INFO, "the journal of groups is well");
}

/* What was put and not flushed is lost: all places are put again, those of
 * groups that nobody moves by a snapshot. */
static void reopen(struct shmqd_journal *journal)
{
    struct shmqd *daemon = journal->daemon;
    if (journal->log != NULL)
        (void)shmqd_log_close(journal->log, false);
    journal->log = NULL;
    journal->snapshot_runs = false;
    journal->snapshot_end = 0;
    journal->reopen_ns = shmqd_clock_ns() + REOPEN_NS;
    if (open_log(journal, false) != 0) {
        if (journal->log != NULL)
            (void)shmqd_log_close(journal->log, false);
        journal->log = NULL;
        return;
    }
    journal->put_bytes = SNAPSHOT_BYTES;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++)
        shmqd_topic_put_again(daemon->topics[i]);
}

static void look_at_log(struct shmqd_journal *journal)
{
    struct shmqd_log_status status;
    uint64_t now = shmqd_clock_ns();
    if (journal->log != NULL) {
        shmqd_log_status(journal->log, &status);
        tell_state(journal, &status);
        if (status.state != SHMQD_LOG_READ_ONLY) {
            journal->reopen_ns = 0;
            return;
        }
    }
    if (journal->reopen_ns == 0)
        journal->reopen_ns = now + REOPEN_NS;
    if (now >= journal->reopen_ns)
        reopen(journal);
}

/* -- keeping it short ------------------------------------------------------ */

/* All entries anew, a few per turn; then what lies before may go. */
void shmqd_journal_look(struct shmqd_journal *journal)
{
    look_at_log(journal);
    if (journal->log == NULL)
        return;
    if (!journal->snapshot_runs && journal->put_bytes >= SNAPSHOT_BYTES) {
        journal->snapshot_runs = true;
        journal->snapshot_idx = 0;
        journal->snapshot_pos = journal->next_pos;
        journal->snapshot_end = 0;
        journal->put_bytes = 0;
    }
    for (uint32_t i = 0; journal->snapshot_runs && i < 256; i++) {
        if (journal->snapshot_idx >= journal->cnt) {
            journal->snapshot_runs = false;
            journal->snapshot_end = journal->next_pos;
        } else if (append(journal, &journal->entries[journal->snapshot_idx]) !=
            0) {
            journal->snapshot_idx++;
        } else {
            return;
        }
    }
    if (journal->snapshot_end != 0 &&
        shmqd_journal_done(journal) >= journal->snapshot_end) {
        struct shmqd_retention before = {
            .consumed = true, .consumed_pos = journal->snapshot_pos};
        if (shmqd_log_retain(journal->log, &before) == 0)
            journal->snapshot_end = 0;
    }
}

void shmqd_journal_each(const struct shmqd_journal *journal,
    const uint8_t uuid[16],
    void (*each)(void *ctx, const struct shmqi_group_place *place), void *ctx)
{
    for (uint32_t i = 0; i < journal->cnt; i++) {
        if (memcmp(journal->entries[i].uuid, uuid, 16) == 0)
            each(ctx, &journal->entries[i].place);
    }
}
