#!/usr/bin/env python3
"""What docs/evidence.md and docs/results.md name exists: tests and their cases,
programs, targets, bars, files, options. Then names that do not exist are put in,
and each has to be found."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get(
    "SHMQ_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
PAGES = ("docs/evidence.md", "docs/results.md", "README.md",
         "docs/reliability.md")
TIERS = "unit|e2e|crash|fault|stress|hostile|fuzz|history|chaos|soak|bridge|remote"
# Words in the form of names that are none: columns, fields, macros' parts.
NO_NAMES = {"bridge_peer"}


def sources():
    """All text that may hold a case, an option or a bar."""
    folders = ("tests", "tools", "bench", "daemon", "bridge", "shmq", ".ci",
               "include")
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and \
                    path.stat().st_size < 1 << 20:
                yield path, path.read_bytes().decode(errors="replace")


def known_tests(texts):
    """Names of ctest, of programs, of targets, and of bugs in the museum."""
    build = pathlib.Path(os.environ["SHMQ_TEST_BIN_DIR"]).resolve().parents[1]
    said = subprocess.run(["ctest", "-N"], cwd=build, check=True,
                          capture_output=True, text=True).stdout
    names = set(re.findall(r"Test +#\d+: (\S+)", said))
    names |= {path.name for path in (build / "tests" / "bin").iterdir()}
    for path, text in texts:
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            for target in re.findall(r"add_custom_target\(\s*(\S+)", text):
                pattern = re.sub(r"\$\{\w+\}", "*", target)
                names |= expand(pattern, text)
    bugs = (ROOT / "tests/museum/bugs.tsv").read_text()
    names |= set(re.findall(r"^(\w+)\t", bugs, re.MULTILINE))
    return names | {path.stem for path, _ in texts}


def expand(pattern, text):
    """bridge_*_full stands for one target for each item of its foreach, or for
    each call of the function that it is in."""
    if "*" not in pattern:
        return {pattern}
    items = re.findall(r"foreach\(\w+ IN ITEMS ([^)]*)\)", text)
    for function in re.findall(r"function\((\w+)", text):
        items += re.findall(rf"\b{function}\(\s*(\w+)", text)
    return {pattern.replace("*", item) for group in items
            for item in group.split()}


class Known:
    def __init__(self):
        self.texts = list(sources())
        self.all = "\n".join(text for _, text in self.texts)
        self.words = set(re.findall(r"[A-Za-z0-9_]+", self.all))
        self.hyphened = set(re.findall(r"[a-zA-Z0-9][\w.]*(?:-[\w.]+)+", self.all))
        self.tests = known_tests(self.texts)

    def test(self, name):
        return name in NO_NAMES or name in self.tests or any(
            name.endswith("_") and one.startswith(name) for one in self.tests)

    def case(self, name):
        if name.endswith("_"):  # from "name_*"
            return any(word.startswith(name) for word in self.words)
        return name in self.words or f"test_{name}" in self.words

    def file(self, name):
        return any((ROOT / base / name).exists()
                   for base in ("", "docs", "tests", "docs/decisions")) or \
            name.startswith(("build/", "tests/bin"))

    def option(self, name):
        return f'"{name}"' in self.all or f"{name}" in self.all or \
            f'"{name[2:]}"' in self.all


def named(text):
    """Yields (kind, name) of what a page names."""
    spans = re.findall(r"`([^`\n]+)`", text)
    for name in re.findall(rf"(?<![\w/.-])((?:{TIERS})_[a-z0-9_]+)", text):
        yield "test", name
    for name in re.findall(
            r"(?<![\w/.<-])([a-z0-9]+(?:_[a-z0-9]+){3,}_?)(?![\w/.(>-])", text):
        if not re.match(rf"(?:{TIERS})_", name):
            yield "case", name
    for name in re.findall(
            r"(?<![\w/.-])((?:docs|tools/dev|tests|include|bench|daemon|bridge|"
            r"shmq|tools/shmq)/[\w./-]*\w)(?![\w*]|_\*)", text):
        yield "file", name
    for name in re.findall(r"(?<![\w/.-])([\w-]+\.md)\b", text):
        yield "file", name
    for name in re.findall(r"(?<![\w-])bars? ((?:[a-z0-9]+-[a-z0-9.-]+)"
                           r"(?:, [a-z0-9]+-[a-z0-9.-]+)*)", text):
        for one in name.split(", "):
            yield "bar", one.rstrip(".")
    for span in spans:
        if span.split()[0].split("/")[-1].startswith(("cmake", "ctest", "strace",
                                                      "systemd", "fio", "perf")):
            continue
        for name in re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]+)", span):
            yield "option", name


def missing(text, known):
    for kind, name in sorted(set(named(text))):
        if kind == "bar":
            if not bar_exists(name, known):
                yield kind, name
        elif not getattr(known, kind)(name):
            yield kind, name


def bar_exists(name, known):
    return name in known.hyphened or f'"{name}' in known.all


CONTROLS = (
    ("test", "e2e_this_is_no_test"), ("test", "stress_nothing"),
    ("case", "a_case_that_nobody_wrote_down"),
    ("file", "docs/no-such-page.md"), ("file", "tools/dev/no-such-tool"),
    ("option", "--no-such-option-at-all"), ("bar", "no-such-bar-p50"),
)


def spoil(kind, name):
    return {"option": f"`stress_chaos {name} 5`", "bar": f"| bar {name} |"}.get(
        kind, f"| {name} |")


def main():
    known = Known()
    wrong, cnt = [], 0
    for page in PAGES:
        text = (ROOT / page).read_text()
        cnt += len(set(named(text)))
        wrong += [(page, *what) for what in missing(text, known)]
    for what in wrong:
        print("names what does not exist:", *what)
    for control in CONTROLS:
        found = list(missing(spoil(*control), Blind(known, control[1])))
        assert control in found, f"not noticed: {control}, {found}"
    print(f"{cnt} names, {len(wrong)} missing; {len(CONTROLS)} of "
          f"{len(CONTROLS)} controls found")
    sys.exit(bool(wrong))


class Blind(Known):
    """As known, without this file's own mention of a control."""

    def __init__(self, known, name):
        self.texts, self.tests = known.texts, known.tests
        self.all = known.all.replace(name, "")
        self.words = known.words - {name}
        self.hyphened = known.hyphened - {name}


main()
