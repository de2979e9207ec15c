#!/usr/bin/env bash
# The type hints of the Python packages say what the code does (mypy; skipped
# where it is not installed: python3-mypy). A wrong one has to be found.
set -eu
source=${SHMQ_SOURCE_DIR:?}
python3 -c 'import mypy' 2>/dev/null || {
    echo "skipped: mypy is not installed (python3-mypy)"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What ctypes returns is Any to some versions of mypy, and int to others.
check() {
    (cd "$1" && python3 -m mypy --cache-dir "$work/cache" --strict \
        --no-warn-return-any --ignore-missing-imports "${@:2}")
}

check "$source/tools/python" shmq
cp -r "$source/tools/python/shmq" "$work/shmq"
cat >>"$work/shmq/group.py" <<'PY'


def wrong(topic: Admin) -> int:
    return topic.groups()
PY
if check "$work" shmq >"$work/said"; then
    echo "a wrong hint is not found"
    exit 1
fi
grep -q 'Incompatible return value type' "$work/said"
echo "a wrong hint is found"
