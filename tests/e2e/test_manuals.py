#!/usr/bin/env python3
"""The manuals say what the programs do: each option of each man page is taken by
its command and the other way round, the completion offers the same, every
public function has a comment and a page, roff and Doxygen have nothing to
complain about. Needs SHMQ_BIN_DIR and SHMQ_SOURCE_DIR."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["SHMQ_SOURCE_DIR"])
SHMQ = os.path.join(os.environ["SHMQ_BIN_DIR"], "shmq")
checks = 0


def check(what, *more):
    global checks
    checks += 1
    assert what, more


def run(*args, **more):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, **more)


def all_options():
    """Every option of the parser's table: name, whether it takes a value."""
    text = (SOURCE / "tools/shmq/cli_options.c").read_text()
    found = re.findall(r'= \{"(--[a-z-]+)",\s*(NULL|")', text)
    check(len(found) > 50, len(found))
    return [(name, value != "NULL") for name, value in found]


def page_options(page):
    text = page.read_text().replace("\\-", "-").replace("\\&", "")
    return set(re.findall(r"^\.B (--[a-z-]+)", text, re.M))


def takes(command, option, value):
    """Whether the parser lets `command` have this option: --help goes before
    whatever else may be wrong, but not before an option that is not its."""
    line = [SHMQ, *command.split(), option] + (["x"] if value else [])
    done = run(*line, "--help")
    check(done.returncode in (0, 2), line)
    return done.returncode == 0


def check_commands(out):
    options = all_options()
    text = run(SHMQ, "help").stdout.decode()
    commands = [line[2:16].strip() for line in
                text[text.index("Commands:\n"):].split("\n\n")[0]
                .split("\n")[1:]]
    check(len(commands) >= 16, commands)
    contract = (SOURCE / "docs/commands.md").read_text()
    for command in commands:
        page = out / "man1" / ("shmq-%s.1" % command.replace(" ", "-"))
        shown = page_options(page)
        taken = {name for name, value in options
                 if takes(command, name, value)}
        if command == "help" or command == "group":
            taken &= shown | {"--help", "--namespace"}
        check(shown == taken, command, shown ^ taken)
        main_page = (out / "man1/shmq.1").read_text().replace("\\-", "-")
        check(".BR shmq-%s (1)" % command.replace(" ", "-") in main_page,
              command)
    for command in ("top", "events", "doctor", "health", "sub", "create"):
        check(re.search(r"\b%s\b" % command, contract), command)
    return commands, options


def complete(script, *words):
    """What bash offers behind these words."""
    code = ('source "$1"; COMP_WORDS=("${@:2}"); '
            'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shmq; '
            'printf "%s\\n" "${COMPREPLY[@]}"')
    done = run("bash", "-c", code, "bash", str(script), *words)
    check(done.returncode == 0 and not done.stderr, words, done)
    return set(done.stdout.decode().split())


def check_completion(out, commands):
    script = out / "shmq.bash"
    check(complete(script, "shmq", "") ==
          {c for c in commands if " " not in c})
    check(complete(script, "shmq", "ev") == {"events"})
    check(complete(script, "shmq", "group", "") ==
          {"create", "reset", "rm", "evict"})
    check(complete(script, "shmq", "create", "t", "--ring", "") ==
          {"mpmc", "spsc"})
    for command in commands:
        page = out / "man1" / ("shmq-%s.1" % command.replace(" ", "-"))
        offered = complete(script, "shmq", *command.split(), "--")
        check(offered == page_options(page), command,
              offered ^ page_options(page))
    env = dict(os.environ, SHMQ_NAMESPACE="man-%d" % os.getpid())
    run(SHMQ, "create", "some-topic", env=env)
    os.environ["SHMQ_NAMESPACE"] = env["SHMQ_NAMESPACE"]
    os.environ["PATH"] = os.path.dirname(SHMQ) + ":" + os.environ["PATH"]
    check(complete(script, "shmq", "stat", "so") == {"some-topic"})
    run(SHMQ, "rm", "--all")


def check_headers(out):
    """Every function is described: by the comment before it, or together with
    the declarations right before it."""
    pages = "".join(p.read_text() for p in (out / "man3").glob("*.3"))
    functions = 0
    for header in sorted((SOURCE / "include/shmq").glob("*.h")):
        described = False
        for line in header.read_text().split("\n"):
            if line.startswith("SHMQ_API"):
                check(described, header.name, line)
                name = re.search(r"\b(shmq_\w+)\(", line)
                if name:
                    functions += 1
                    check(name[1] in pages, name[1])
            elif line.endswith("*/"):
                described = True
            elif not line.strip():
                described = False
    check(functions > 80, functions)
    return functions


def daemon_options(folder):
    """The names in the tables that a daemon's parser uses; those of sections,
    which are no options of the command line, apart."""
    text = (SOURCE / folder / "options.c").read_text()
    common = (SOURCE / "shmq/service/settings.h").read_text()
    tables = dict(re.findall(
        r"struct shmqs_option (\w+)\[\] = \{(.*?)(?:END|SHMQS_COMMON_OPTIONS)",
        text, re.S))
    tables["common"] = common[common.index("SHMQS_COMMON_OPTIONS"):]
    names = {table: set(re.findall(r'\{[\s\\]*"([a-z-]+)", SHMQS_', rows))
             for table, rows in tables.items()}
    keys = names.pop("topic_options", set())
    check(len(names["common"]) >= 4, names)
    return set().union(*names.values()), keys


def check_daemon(out, program, folder):
    """What its page shows is what it takes, and the other way round."""
    path = os.path.join(os.path.dirname(SHMQ), program)
    if not os.path.exists(path):
        print("%s is not built: its page was not looked at" % program)
        return 0
    done = run(sys.executable, str(SOURCE / "tools/dev/make-daemon-manual"),
               path, str(out / "man1"))
    check(done.returncode == 0, done.stderr)
    page = out / "man1" / (program + ".1")
    shown = page_options(page)
    named, keys = daemon_options(folder)
    check(len(named) > 8 and shown == {"--" + name for name in named},
          program, shown ^ {"--" + name for name in named})
    text = page.read_text().replace("\\-", "-")
    shown_keys = set(re.findall(r"^\.B ([a-z][a-z-]*)(?: =.*)?$", text, re.M))
    check(shown_keys == keys, program, shown_keys ^ keys)
    for option in sorted(shown) + ["--no-such-option"]:
        # Its value may be wrong; the option may not.
        done = run(path, option, "--check-config", "--help",
                   stdin=subprocess.DEVNULL)
        unknown = ('unknown option "%s"' % option).encode() in done.stderr
        check(unknown == (option == "--no-such-option"), option, done)
    return len(shown) + len(keys)


def check_named_tests():
    """Every test that a document names is there, and so is its case."""
    text = (SOURCE / "docs/failure-modes.md").read_text()
    names = re.findall(r"`((?:unit|crash|stress|e2e|model|fault|chaos|hostile)"
                       r"_\w+)(?:: (\w+))?`", text)
    check(len(names) > 100, len(names))
    for name, case in names:
        tier, _, short = name.partition("_")
        found = [p for p in (SOURCE / "tests" / tier).glob("**/test_%s.*" % short)]
        found += [p for p in (SOURCE / "tests" / tier).glob(short)]
        check(found, name)
        if case:
            check(re.search(r"\bT\(%s\)|^def (test_)?%s\(" % (case, case),
                            found[0].read_text(), re.M), name, case)
    return len(names)


def check_roff(out):
    if shutil.which("groff") is None:
        return
    for page in sorted(out.glob("man*/*")):
        done = run("groff", "-man", "-Tutf8", "-ww", "-z", str(page))
        check(done.returncode == 0 and not done.stderr, page, done.stderr)


def check_doxygen():
    if shutil.which("doxygen") is None:
        print("doxygen is not there: the reference was not made")
        return
    with tempfile.TemporaryDirectory() as folder:
        config = (SOURCE / "docs/Doxyfile").read_text() + \
            "\nOUTPUT_DIRECTORY = %s\n" % folder
        done = run("doxygen", "-", input=config.encode(), cwd=str(SOURCE))
        check(done.returncode == 0 and not done.stderr, done.stderr[-2000:])
        html = "".join(p.read_text() for p in
                       pathlib.Path(folder, "html").glob("*_8h.html"))
        check("shmq_consumer_nack_later" in html)
        check("nobody gets the record before" in html)


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        done = run(sys.executable, str(SOURCE / "tools/dev/make-manuals"),
                   SHMQ, str(SOURCE / "include"), folder)
        check(done.returncode == 0, done.stderr)
        commands, options = check_commands(out)
        check_completion(out, commands)
        functions = check_headers(out)
        more = sum(check_daemon(out, *which) for which in (
            ("shmqd", "daemon"), ("shmq-bridge", "bridge")))
        check_roff(out)
    check_doxygen()
    check_named_tests()
    print("test_manuals.py: %d commands, %d options, %d functions, %d options "
          "and keys of the daemons; %d checks passed" % (
              len(commands), len(options), functions, more, checks))


if __name__ == "__main__":
    main()
