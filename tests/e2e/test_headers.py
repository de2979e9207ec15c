#!/usr/bin/env python3
"""What the public headers promise about themselves: each function says what it
returns (errors by name), and, in its own comment or in its header's first one,
which threads may call it, whether it waits, and what a kill inside it leaves.
Numbers have their units in their names, and whoever is handed memory or a handle
is told whose it is. With SHMQ_SOURCE_DIR; no compiler needed.

The checks must be able to fail: each is shown a header in which just that is
missing."""
import os
import re
import sys

ERRORS = ("FULL EMPTY TIMEOUT INTR CLOSED GAP INVAL NOENT EXISTS BUSY PERM "
          "LIMIT NOSPACE LAYOUT CORRUPT STALE FORKED NOMEM SYS TOO_LARGE "
          "NODAEMON DURABILITY_FAILED READ_ONLY NO_ROUTE GONE REFUSED "
          "PROTOCOL").split()
# Names that tell what is counted, or that count nothing.
PLAIN = set("flags level position type nth max used cap size status "
            "correlation ticket".split())
UNITS = re.compile(r"_(ns|bytes|cnt|position|positions|id|uuid)$")
# What the comment has to call the others.
MEANING = {"earliest": "position", "published": "position|ends",
           "written": "ends", "durable": "ends", "floor": "floor",
           "removed": "how many", "records": "how many records",
           "how": "enum"}


def functions(text):
    """(name, prototype, comment) of each function; one comment may stand for
    several functions that follow each other."""
    found, comment = [], ""
    parts = re.split(r"(/\*.*?\*/)", text, flags=re.S)
    for part in parts:
        if part.startswith("/*"):
            if "------" not in part:
                comment = " ".join(
                    line.strip(" */") for line in part.splitlines())
            continue
        if re.search(r"^((struct|enum) \w+ \{|#define)", part, flags=re.M):
            comment = ""  # that was about something else
        for match in re.finditer(r"SHMQ_API\s+([^;{]*?\(.*?\))\s*;", part,
                                 flags=re.S):
            prototype = " ".join(match.group(1).split())
            name = re.search(r"(\w+)\s*\(", prototype).group(1)
            found.append((name, prototype, comment))
    return found


def parameters(prototype):
    """(type, name) of the plain numbers that a function takes or gives."""
    inside = prototype[prototype.index("(") + 1:prototype.rindex(")")]
    inside = re.sub(r"\w+ \(\*\w+\)\([^)]*\)", "", inside)  # functions
    for one in inside.split(","):
        match = re.match(
            r"\s*(u?int\d+_t|size_t) ?(\*?)(\w+)(\[\w*\])?$", one.strip())
        if match:
            yield match.group(3)


def says(pattern, *texts):
    return any(re.search(pattern, text, re.I | re.S) for text in texts)


def faults(text):
    """What is missing in a header."""
    opening = " ".join(
        line.strip(" */") for line in
        text[text.index("/*"):text.index("*/")].splitlines())
    for name, prototype, comment in functions(text):
        result = prototype.split(name)[0].strip()
        if not comment:
            yield name, "no comment"
            continue
        if result == "int" and not says(
                r"\b(%s)\b|as (above|receive|poll|shmq_\w+)|Returns|SHMQ_OK|"
                r"1 (when|while)|1: |\(1\)|whether" % "|".join(ERRORS),
                comment) and not says(
                    r"Result +0 .*negative enum", opening):
            yield name, "errors"
        if not says(r"thread", comment, opening):
            yield name, "threads"
        if not says(r"block|\bwaits?\b|sleeps|pauses", comment, opening):
            yield name, "blocking"
        if not says(r"kill|crash|dies|dead", comment, opening):
            yield name, "kill"
        for number in parameters(prototype):
            plain = re.sub(r"^ret_", "", number)
            if plain not in PLAIN and not UNITS.search("_" + plain) and \
                    not says(MEANING.get(plain, "^$"), comment):
                yield name, "unit of " + number
        gives = "*" in result or re.search(r"struct \w+ \*\*|const void \*\*",
                                           prototype)
        if gives and not says(
                r"close|owns?\b|lives?\b|valid|freed|static|caller|belongs",
                comment, opening):
            yield name, "ownership"


GOOD = """/* x.h - a header.
 * Threads: one. Nothing blocks. Killed inside: nothing is left. */
/* Opens it; close it. Errors: INVAL. */
SHMQ_API int shmq_x_open(uint64_t spin_ns, struct shmq_x **ret);
"""


def controls():
    assert list(faults(GOOD)) == [], list(faults(GOOD))
    for old, new, want in (
            (" Errors: INVAL.", "", "errors"),
            (" Threads: one.", "", "threads"),
            (" Nothing blocks.", "", "blocking"),
            (" Killed inside: nothing is left.", "", "kill"),
            ("spin_ns", "spin", "unit of spin"),
            ("; close it", "", "ownership"),
            ("*/\nSHMQ_API", "*/\nstruct y { int a; };\nSHMQ_API",
             "no comment")):
        assert old in GOOD
        text = GOOD.replace(old, new)
        missed = [what for _, what in faults(text)]
        assert missed == [want], (want, missed)


def main():
    controls()
    folder = os.path.join(os.environ["SHMQ_SOURCE_DIR"], "include/shmq")
    cnt, bad = 0, 0
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file)) as header:
            text = header.read()
        cnt += len(functions(text))
        for name, what in faults(text):
            bad += 1
            print("%s: %s: says nothing of: %s" % (file, name, what))
    print("%d public functions, %d faults" % (cnt, bad))
    assert cnt > 90, cnt
    return 1 if bad else 0


sys.exit(main())
