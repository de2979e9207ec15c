#define _GNU_SOURCE
#include "groups.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "claims.h"
#include "error.h"
#include "files.h"
#include "past.h"
#include "seek.h"
#include "wait.h"

#define GROUP_TRIES 64u
#define ATTEMPTS_MIN 2u
#define ATTEMPTS_MAX 100u
#define LEASE_MAX_NS (86400ull * 1000000000)

/* -- creating ----------------------------------------------------------------
 */

void shmqi_group_read_attrs(
    struct shmqi_segment *s, uint32_t entry, struct shmqi_member *m)
{
    struct shmqi_group_shm *g = &s->ring.groups[entry];
    uint64_t a = shm_ld(N1, &g->attrs);
    uint64_t words[SHMQI_NAME_WORDS + 1];
    /* Nonsense becomes what does least harm. */
    uint32_t absent = (uint32_t)(a >> 8) & 0xff;
    uint32_t attempts = (uint32_t)(a >> 16) & 0xffff;
    m->entry = entry;
    m->kind = shmqi_attrs_shared(&s->ring, a) ? SHMQ_GROUP_SHARED
                                              : SHMQ_GROUP_EXCLUSIVE;
    m->absent =
        absent == SHMQ_ABSENT_RELEASE ? SHMQ_ABSENT_RELEASE : SHMQ_ABSENT_KEEP;
    m->max_attempts = attempts < ATTEMPTS_MIN ? ATTEMPTS_MIN
        : attempts > ATTEMPTS_MAX             ? ATTEMPTS_MAX
                                              : attempts;
    m->name_idx = (uint32_t)(a >> 32) & 0xffffff;
    m->views = (a & SHMQI_ATTR_VIEWS) != 0;
    m->lease_ns = shm_ld(N1, &g->lease_ns);
    if (m->lease_ns > LEASE_MAX_NS)
        m->lease_ns = LEASE_MAX_NS;
    for (uint32_t i = 0; i < SHMQI_NAME_WORDS + 1; i++)
        words[i] = shm_ld(N1, &g->dead_letter[i]);
    memcpy(m->dead_letter, words, sizeof words);
    m->dead_letter[sizeof words - 1] = '\0';
}

static void default_dead_letter(
    const struct shmqi_segment *s, struct shmqi_member *m)
{
    (void)strcat(strcpy(m->dead_letter, "@dead."), s->topic);
    m->dead_letter[SHMQI_NAME_WORDS * 8 + 7] = '\0';
}

static int fill_defaults(const struct shmqi_segment *s,
    const struct shmq_group_attrs *asked, struct shmqi_member *m)
{
    bool spsc = s->ring.ring == SHMQ_RING_SPSC;
    memset(m, 0, sizeof *m);
    m->kind = asked->kind ? asked->kind
        : spsc            ? SHMQ_GROUP_EXCLUSIVE
                          : SHMQ_GROUP_SHARED;
    m->absent = asked->absent ? asked->absent : SHMQ_ABSENT_KEEP;
    m->max_attempts = asked->max_attempts ? asked->max_attempts : 16;
    m->lease_ns = asked->lease_ns;
    m->views = m->lease_ns == 0 && s->ring.gated_by == SHMQI_GATED_BY_GROUPS &&
        s->data_writable && !s->untrusted_members;
    if (m->kind > SHMQ_GROUP_EXCLUSIVE || m->absent > SHMQ_ABSENT_RELEASE)
        return shmqi_fail(SHMQ_ERR_INVAL, "group: kind or absent is not legal");
    if (spsc && m->kind == SHMQ_GROUP_SHARED)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: groups of an spsc topic are "
            "exclusive; use an mpmc topic to share",
            s->topic);
    if (m->max_attempts < ATTEMPTS_MIN || m->max_attempts > ATTEMPTS_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "group: max attempts %u; use 2 to "
            "100",
            m->max_attempts);
    if (m->lease_ns && m->kind == SHMQ_GROUP_EXCLUSIVE)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "group: an exclusive group has no "
            "lease; evict its reader, or share the group");
    if (m->lease_ns && (m->lease_ns < 1000000 || m->lease_ns > LEASE_MAX_NS))
        return shmqi_fail(SHMQ_ERR_INVAL, "group: a lease is 1 ms to 24 h");
    if (!asked->dead_letter)
        default_dead_letter(s, m);
    else if (shmqi_topic_name_check(asked->dead_letter, true) != SHMQ_OK)
        return SHMQ_ERR_INVAL;
    else if (strcmp(asked->dead_letter, s->topic) == 0)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: no topic takes its own dead letters, they would come for "
            "ever; give another --dead-letter",
            s->topic);
    else
        (void)strcpy(m->dead_letter, asked->dead_letter);
    if (strlen(m->dead_letter) > SHMQI_NAME_WORDS * 8 + 7)
        m->dead_letter[SHMQI_NAME_WORDS * 8 + 7] = '\0';
    return SHMQ_OK;
}

/* Writes all plain words of an entry that we own (CREATING). */
static void write_entry(struct shmqi_segment *s, struct shmqi_group_shm *g,
    const struct shmqi_member *m)
{
    uint64_t words[SHMQI_NAME_WORDS + 1] = {0};
    memcpy(words, m->dead_letter, strlen(m->dead_letter));
    shm_st(N2, &g->attrs,
        (uint64_t)m->kind | (uint64_t)m->absent << 8 |
            (uint64_t)m->max_attempts << 16 | (uint64_t)m->name_idx << 32 |
            (m->views ? SHMQI_ATTR_VIEWS : 0));
    shm_st(N2, &g->lease_ns, m->lease_ns);
    shm_st(N2, &g->redelivered, 0);
    shm_st(N2, &g->dead_lettered, 0);
    shm_st(N2, &g->dead_waits, 0);
    shm_st(N2, &g->expired, 0);
    shm_st(N2, &g->idle_since_ns, shmqi_now_realtime());
    shm_st(N2, &g->reader, 0);
    for (uint32_t i = 0; i < 16; i++)
        shm_st(N2, &g->freeing[i], 0);
    for (uint32_t i = 0; i < SHMQI_NAME_WORDS + 1; i++)
        shm_st(N2, &g->dead_letter[i], words[i]);
    (void)s;
}

/* Pins, tells, and finds the place at or above the gate: pin.h. */
static void place(struct shmqi_segment *s, struct shmqi_group_shm *g,
    uint64_t creating, uint64_t gating, uint32_t entry,
    const struct shmqi_make *make)
{
    const struct shmq_start *start = &make->start;
    struct shmqi_ring *r = &s->ring;
    uint64_t tag = (shmqi_cursor_tag(shm_ld(N1, &g->floor)) & ~SHMQI_TAG_PIN) +
        SHMQI_TAG_STEP,
             skip;
    bool latest = start->kind == SHMQ_START_LATEST;
    uint64_t low = shmqi_pin_group(r, g, tag, latest, creating, gating);
    uint64_t pos = r->marks ? make->place : shmqi_seek(r, start, low, &skip);
    shmqi_pin_settle(r, g, tag, pos);
    shm_st(N2, &g->seen,
        shmqi_cursor_of(r, tag, make->seen > pos ? make->seen : pos));
    shm_st(N2, &g->next,
        shmqi_next(
            shmqi_next_epoch(shm_ld(N1, &g->next)) + 1, shmqi_pos_seq(pos)));
    if (shmqi_attrs_shared(r, shm_ld(N1, &g->attrs))) {
        struct shmqi_claims c = shmqi_claims_of(r, entry);
        shmqi_claims_reset(&c, pos);
    }
}

static int reserve_claims(struct shmqi_segment *s, uint32_t entry)
{
    struct shmqi_plan plan;
    (void)shmqi_plan(&s->constants, &plan);
    uint64_t bytes = 8ull << s->ring.claim_lg2;
    int err = shmqi_segment_reserve(shmqi_segment_control_fd(s),
        shmqi_claims_offset(&plan, entry, s->ring.claim_lg2), bytes);
    if (err)
        return shmqi_fail_sys(err,
            "%s: cannot reserve a group's claims; free "
            "space in " SHMQI_DIR,
            s->topic);
    return SHMQ_OK;
}

static int no_group_left(const struct shmqi_segment *s)
{
    return shmqi_fail(SHMQ_ERR_LIMIT,
        "%s: all %u groups are in use; remove "
        "one, or create the topic with more --max-groups",
        s->topic, s->ring.group_limit);
}

/* A free entry becomes CREATING(self). */
static int take_entry(struct shmqi_segment *s, uint32_t self,
    uint32_t *ret_entry, uint64_t *ret_word)
{
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < s->ring.group_cnt; i++) {
            if (shmqi_life_take(&s->ring, self, i, ret_word)) {
                *ret_entry = i;
                return SHMQ_OK;
            }
        }
        shmqi_groups_sweep(s);
    }
    return no_group_left(s);
}

/* Groups of other names than ours that exist. */
static uint32_t groups_bound(const struct shmqi_ring *r)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < r->name_cnt; i++)
        cnt += shmqi_bind_entry(shmqi_bind_word(r, i)) != 0;
    return cnt;
}

/* One entry is taken, filled, placed and bound. AGAIN by its return in
 * *ret_how: it was taken away meanwhile. */
static int make_entry(struct shmqi_segment *s, uint32_t self,
    const struct shmqi_make *make, const struct shmqi_member *m,
    enum shmqi_life_made *ret_how)
{
    uint32_t entry = 0;
    uint64_t creating = 0;
    int rc = take_entry(s, self, &entry, &creating);
    if (rc)
        return rc;
    struct shmqi_group_shm *g = &s->ring.groups[entry];
    if (m->kind == SHMQ_GROUP_SHARED)
        rc = reserve_claims(s, entry);
    if (rc) {
        shmqi_life_drop(&s->ring, entry, creating);
        return rc;
    }
    /* Named: stolen, it is not used again while we still write to it. */
    (void)shmqi_life_touch(&s->ring, self, entry);
    write_entry(s, g, m);
    uint64_t gating = shmqi_gword_with(creating, SHMQI_GROUP_GATING, self);
    place(s, g, creating, gating, entry, make);
    *ret_how = shmqi_life_bind(&s->ring, make->old_bind, entry, gating);
    shmqi_life_untouch(&s->ring, self);
    if (*ret_how != SHMQI_MADE)
        shmqi_group_sweep(s, entry);
    return SHMQ_OK;
}

int shmqi_group_make(
    struct shmqi_segment *s, uint32_t self, struct shmqi_make *make)
{
    struct shmqi_member m;
    enum shmqi_life_made how = SHMQI_MADE_AGAIN;
    int rc = fill_defaults(s, &make->attrs, &m);
    if (rc == SHMQ_OK && s->ring.marks) /* may read the log: first of all */
        rc = shmqi_past_place(s, &make->start, &make->place);
    if (rc == SHMQ_OK && shmqi_bind_entry(make->old_bind) == 0 &&
        groups_bound(&s->ring) >= s->ring.group_limit)
        rc = no_group_left(s);
    m.name_idx = make->name_idx;
    for (unsigned i = 0;
         rc == SHMQ_OK && how == SHMQI_MADE_AGAIN && i < GROUP_TRIES; i++)
        rc = make_entry(s, self, make, &m, &how);
    if (rc)
        return rc;
    if (how == SHMQI_MADE)
        return SHMQ_OK;
    shmqi_wake_producers(s);
    if (how == SHMQI_MADE_BY_OTHERS)
        return SHMQ_ERR_EXISTS;
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: the group could not be made: this process was stopped in it again "
        "and again; try again",
        s->topic);
}

/* -- joining
 * ------------------------------------------------------------------*/

static int attrs_agree(const struct shmqi_segment *s, const char *name,
    const struct shmq_group_attrs *asked, const struct shmqi_member *has)
{
    const char *what = NULL;
    if (asked->kind && asked->kind != has->kind)
        what = has->kind == SHMQ_GROUP_SHARED
            ? "its kind differs: it is shared, not exclusive"
            : "its kind differs: it is exclusive, not shared";
    else if (asked->absent && asked->absent != has->absent)
        what = "its --absent differs";
    else if (asked->max_attempts && asked->max_attempts != has->max_attempts)
        what = "its --max-attempts differs";
    else if (asked->lease_ns && asked->lease_ns != has->lease_ns)
        what = "its --lease differs";
    else if (asked->dead_letter &&
        strcmp(asked->dead_letter, has->dead_letter) != 0)
        what = "its --dead-letter differs";
    if (!what)
        return SHMQ_OK;
    return shmqi_fail(SHMQ_ERR_EXISTS,
        "group %s of %s: %s; ask for what it "
        "has, or use another group",
        name, s->topic, what);
}

/* A group that had stopped gating comes back as a new entry of the same name,
 * which starts at its old floor or at the gate, whichever is higher; what lies
 * between is a gap. Records that had been handed out stay marked. */
static int revive(struct shmqi_segment *s, uint32_t self, uint32_t entry,
    struct shmqi_make *make, struct shmqi_member *m)
{
    struct shmqi_ring *r = &s->ring;
    struct shmqi_group_shm *g = &r->groups[entry];
    struct shmqi_member old;
    if (shmqi_gword_unpack(shmqi_life_touch(r, self, entry)).state !=
        SHMQI_GROUP_ABSENT) {
        shmqi_life_untouch(r, self);
        return SHMQ_OK;
    }
    shmqi_group_read_attrs(s, entry, &old);
    uint64_t floor = shmqi_pos_of(r, shm_ld(J9, &g->floor));
    uint64_t seen = shmqi_pos_of(r, shm_ld(J9, &g->seen));
    uint64_t next =
        shmqi_seq_expand(shm_ld(J9, &g->next), shmqi_pos_seq(floor));
    if (old.kind == SHMQ_GROUP_SHARED && shmqi_pos(next, 0) > seen)
        seen = shmqi_pos(next, 0);
    struct shmq_group_attrs attrs = {sizeof attrs, old.kind, old.absent,
        old.max_attempts, old.lease_ns, old.dead_letter};
    make->attrs = attrs;
    make->start.kind = SHMQ_START_POSITION;
    make->start.value = floor;
    make->seen = seen;
    /* What was read is of the group that old_bind means, or the bind fails. */
    shmqi_life_untouch(r, self);
    int rc = shmqi_group_make(s, self, make);
    shmqi_group_sweep(s, entry);
    if (rc == SHMQ_OK) {
        m->lost_from = floor;
        m->lost_to = 0; /* to where it is when joined */
    }
    return rc;
}

/* One try to join: true, and what the group is. */
static bool join_entry(struct shmqi_segment *s, uint32_t self, uint32_t entry,
    uint64_t bind, uint32_t name_idx, struct shmqi_member *m, bool *ret_absent)
{
    struct shmqi_ring *r = &s->ring;
    uint64_t lost_from = m->lost_from, lost_to = m->lost_to;
    uint32_t generation;
    switch (shmqi_life_join(r, self, entry, name_idx, bind, &generation)) {
    case SHMQI_JOINED:
        break;
    case SHMQI_JOIN_ABSENT:
        *ret_absent = true;
        return false;
    case SHMQI_JOIN_SWEEP:
        shmqi_group_sweep(s, entry);
        return false;
    default:
        return false;
    }
    shmqi_group_read_attrs(s, entry, m);
    m->lost_from = lost_from;
    m->lost_to = lost_to;
    if (lost_from != UINT64_MAX)
        m->lost_to = shmqi_pos_of(r, shm_ld(J9, &r->groups[entry].floor));
    m->generation = generation;
    m->bind = bind;
    m->name_idx = name_idx;
    return true;
}

/* Where poison records go says a word that every member may write, and this
 * process carries them there with its own rights. So it is believed only when
 * the owner alone can have written it, or when the application asked for that
 * very topic; else they go to this topic's own. */
static void believe_dead_letter(const struct shmqi_segment *s,
    const struct shmq_group_attrs *asked, struct shmqi_member *m)
{
    if (!s->owner_only && !asked->dead_letter)
        default_dead_letter(s, m);
}

int shmqi_group_join(struct shmqi_segment *s, uint32_t self, const char *name,
    const struct shmq_group_attrs *attrs, const struct shmq_start *start,
    bool no_create, struct shmqi_member *ret)
{
    struct shmqi_member m;
    uint32_t name_idx;
    bool created = false;
    memset(&m, 0, sizeof m);
    m.lost_from = UINT64_MAX;
    int rc = shmqi_group_name(s, name, !no_create, &name_idx);
    for (unsigned i = 0; rc == SHMQ_OK && i < GROUP_TRIES; i++) {
        uint64_t bind = shmqi_bind_word(&s->ring, name_idx);
        uint32_t entry = shmqi_bind_entry(bind);
        struct shmqi_make make = {name_idx, bind, *attrs, *start, 0, 0};
        bool absent = false;
        if (entry == 0) {
            if (no_create)
                return shmqi_fail(SHMQ_ERR_NOENT,
                    "group %s of %s: no such "
                    "group; make it with shmq group create",
                    name, s->topic);
            rc = shmqi_group_make(s, self, &make);
            created = rc == SHMQ_OK;
        } else if (entry > s->ring.group_cnt) {
            return shmqi_fail(
                SHMQ_ERR_CORRUPT, "%s: group table is damaged", s->topic);
        } else if (join_entry(
                       s, self, entry - 1, bind, name_idx, &m, &absent)) {
            break;
        } else if (absent) {
            rc = revive(s, self, entry - 1, &make, &m);
        }
        if (rc == SHMQ_ERR_EXISTS)
            rc = SHMQ_OK; /* somebody was faster: join theirs */
    }
    if (rc)
        return rc;
    if (m.generation == 0 && m.bind == 0)
        return shmqi_fail(SHMQ_ERR_BUSY,
            "group %s of %s: it keeps being "
            "removed and made; try again",
            name, s->topic);
    m.created = created;
    rc = attrs_agree(s, name, attrs, &m);
    believe_dead_letter(s, attrs, &m);
    if (rc)
        shmqi_group_leave(s, self, &m);
    else
        *ret = m;
    return rc;
}

void shmqi_group_leave(
    struct shmqi_segment *s, uint32_t self, const struct shmqi_member *m)
{
    shm_st(N2, &s->ring.groups[m->entry].idle_since_ns, shmqi_now_realtime());
    shmqi_life_leave(&s->ring, self);
    shmqi_group_sweep(s, m->entry);
}

int shmqi_group_check(struct shmqi_segment *s, const struct shmqi_member *m)
{
    uint64_t version = shm_ld(G2, &s->ring.control->version);
    if (version & SHMQI_DELETED)
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the topic was removed", s->topic);
    uint64_t w = shmqi_life_word(&s->ring, m->entry);
    uint64_t bind = shmqi_bind_word(&s->ring, m->name_idx);
    if (shmqi_life_generation(w) == m->generation && bind == m->bind)
        return SHMQ_OK;
    if (shmqi_bind_entry(bind) == 0)
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the group was removed", s->topic);
    return shmqi_fail(
        SHMQ_ERR_STALE, "%s: the group was reset; open it again", s->topic);
}

/* -- finishing what others left ---------------------------------------------
 */

void shmqi_group_sweep(struct shmqi_segment *s, uint32_t entry)
{
    switch (shmqi_life_sweep(&s->ring, entry)) {
    case SHMQI_WAKE_ALL:
        shmqi_wake_all(s);
        break;
    case SHMQI_WAKE_PRODUCERS:
        shmqi_wake_producers(s);
        break;
    case SHMQI_WAKE_NONE:
        break;
    }
}

void shmqi_groups_sweep(struct shmqi_segment *s)
{
    for (uint32_t i = 0; i < s->ring.group_cnt; i++)
        if (shmqi_gword_unpack(shmqi_life_word(&s->ring, i)).state !=
            SHMQI_GROUP_FREE)
            shmqi_group_sweep(s, i);
}
