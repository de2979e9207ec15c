/* coverage.c - whether everything was stepped: each instruction of the library
 * that an operation executes, and each function that the library exports.
 *
 * Mode S steps the library's instructions and lets what it calls outside run at
 * full speed. So an instruction could be missed: one of a function that libc
 * calls back. Here the same operation runs once more with every instruction
 * stepped, libc's too, in the plainest way; whatever of the library is met must
 * have been met by mode S. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modes.h"

#define RUNS 2u /* of each operation, on each ring */
#define STEPS_MAX (64u << 20)

/* Not stepped, and why. */
static const struct {
    const char *name, *why;
} left_out[] = {
    {"shmq_sigbus_set", "a process's own signal handling"},
    {"shmq_sigbus_contain", "called by a handler of SIGBUS: hostile tests"},
};

/* -- instructions ------------------------------------------------------------
 */

static bool executed(struct tracer *t)
{
    uint64_t rip = 0;
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        if (!tracer_one(t, &rip))
            return false;
        if (page->phase == PHASE_END)
            return true;
        if (in_library(rip))
            mark(EXECUTED, rip);
    }
    broken("an operation has no end");
    return false;
}

static void compare(void)
{
    for (uint64_t at = (uint64_t)library_begin; at < (uint64_t)library_end;
         at++) {
        if (marked(EXECUTED, at) == 0 || marked(STEPPED, at) != 0)
            continue;
        scene.rip = at;
        broken("an instruction is executed, and was not stepped to");
        return;
    }
}

void coverage_run(
    struct world *w, struct tracer *t, void (*prepare)(struct world *w))
{
    const struct config *c = &page->config;
    /* Longer copies are the same code; shmqd has its turns in mode S only. */
    if ((c->op->flags & OP_MOVED) ||
        ((c->op->flags & OP_PAYLOAD) && c->op->arg > 1u << 16))
        return;
    if (atomic_fetch_add(&totals->executed[op_index(c->op)][c->ring & 1], 1) >=
        RUNS)
        return;
    prepare(w);
    page->alone = true;
    if (tracer_begin(t) && executed(t)) {
        (void)tracer_run_to(t, PHASE_END);
        compare();
    }
    (void)tracer_run_to(t, PHASE_IDLE);
}

/* -- functions ---------------------------------------------------------------
 */

static bool may_stay_out(const char *name)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(left_out[i].name, name) == 0)
            return true;
    return false;
}

struct exports {
    uint32_t cnt, stepped, out;
};

static void look(struct exports *e, const char *name, uint64_t at)
{
    bool stepped = marked(STEPPED, at) != 0, out = may_stay_out(name);
    e->cnt++;
    e->stepped += stepped;
    e->out += out;
    if (stepped == out)
        (void)printf("%s %s\n", name,
            out ? "is stepped, and listed as left out" : "was never stepped");
}

static void look_all(struct exports *e, const uint8_t *file)
{
    extern char __executable_start;
    const Elf64_Ehdr *h = (const void *)file;
    const Elf64_Shdr *s = (const void *)(file + h->e_shoff);
    for (uint32_t i = 0; i < h->e_shnum; i++) {
        if (s[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *sym = (const void *)(file + s[i].sh_offset);
        const char *names = (const char *)file + s[s[i].sh_link].sh_offset;
        for (uint64_t k = 0; k < s[i].sh_size / sizeof *sym; k++) {
            const char *name = names + sym[k].st_name;
            uint64_t at = sym[k].st_value + (uint64_t)&__executable_start;
            if (ELF64_ST_TYPE(sym[k].st_info) == STT_FUNC &&
                ELF64_ST_BIND(sym[k].st_info) == STB_GLOBAL &&
                strncmp(name, "shmq_", 5) == 0 && in_library(at))
                look(e, name, at);
        }
    }
}

/* All that the library exports is linked in (instruction.cmake). */
bool coverage_exports(void)
{
    struct exports e = {0, 0, 0};
    struct stat st;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *file = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &st) == 0)
        file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    if (file == MAP_FAILED)
        return false;
    look_all(&e, file);
    (void)munmap(file, (size_t)st.st_size);
    bool all = e.cnt > 80 && e.stepped + e.out == e.cnt &&
        e.out == sizeof left_out / sizeof *left_out;
    (void)printf("EXPORTS: %u of %u exported functions stepped, %u listed as "
                 "left out %s\n",
        e.stepped, e.cnt, e.out, all ? "PASS" : "FAIL");
    return all;
}
