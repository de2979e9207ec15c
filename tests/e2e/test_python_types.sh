#!/usr/bin/env bash
# The type hints of the Python packages say what the code does (mypy; skipped
# where it is not installed: python3-mypy). A wrong one has to be found in each.
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
check "$source/bridge/python" shmq_remote
cp -r "$source/tools/python/shmq" "$work/shmq"
cp -r "$source/bridge/python/shmq_remote" "$work/shmq_remote"
cat >>"$work/shmq/group.py" <<'PY'


def wrong(topic: Admin) -> int:
    return topic.groups()
PY
cat >>"$work/shmq_remote/crc32c.py" <<'PY'


def wrong(data: bytes) -> str:
    return portable(data)
PY
for package in shmq shmq_remote; do
    if check "$work" $package >"$work/said"; then
        echo "$package: a wrong hint is not found"
        exit 1
    fi
    grep -q 'Incompatible return value type' "$work/said"
done
echo "wrong hints are found"
