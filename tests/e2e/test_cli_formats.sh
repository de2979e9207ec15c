#!/usr/bin/env bash
# What pub reads and sub prints: every byte of every format, also on the files
# of $SHMQ_REAL_LOGS.
. "$(dirname "$0")/cli_support.sh"

# The lines that pub makes of a file, as sub prints them.
as_printed() {
    cat "$1"
    [ -s "$1" ] && [ -n "$(tail -c 1 "$1" | tr -d '\n' | od -An -c)" ] &&
        echo
    return 0
}

# whole FILE RING BATCH: through a topic and back, in all three formats, and
# through a second topic with `sub | pub`.
whole() {
    local file=$1 ring=$2 batch=$3 f topic
    as_printed "$file" >"$DIR/want"
    expect 0 create a --ring "$ring" --arena 16M --max-message 1M
    expect 0 create b --ring "$ring" --arena 16M --max-message 1M
    expect 0 group create a g --exclusive
    expect 0 pub a --file "$file" --batch "$batch"
    check "$ring/$batch: bytes of $file" \
        cmp <("$SHMQ" sub a --group g --exclusive --exit-when-empty) \
        "$DIR/want"
    for f in lines json length-prefixed; do
        expect 0 group reset a g --to 0
        expect 0 group create b "$f" --from latest
        "$SHMQ" sub a --group g --exclusive --exit-when-empty --format $f |
            "$SHMQ" pub b --format $f --batch "$batch"
        check "$ring/$batch: sub | pub with $f" [ "${PIPESTATUS[*]}" = "0 0" ]
        "$SHMQ" sub b --group "$f" --exit-when-empty >"$DIR/got"
        check "$ring/$batch: $f is the identity on $file" \
            cmp "$DIR/got" "$DIR/want"
        expect 0 group rm b "$f"
    done
    expect 0 rm a b
}

for file in "$DATA"/cli/*.txt "$DATA"/logs/*; do
    for batch in 1 64; do
        whole "$file" mpmc $batch
    done
    whole "$file" spsc 16
done
if [ -n "${SHMQ_REAL_LOGS:-}" ]; then
    for file in "$SHMQ_REAL_LOGS"/*; do
        [ -f "$file" ] || continue
        whole "$file" mpmc 1
        whole "$file" mpmc 256
        whole "$file" spsc 64
    done
fi

# Payloads with line feeds, NULs and any byte survive json and
# length-prefixed.
for i in $(seq 0 255); do
    # shellcheck disable=SC2059
    printf "\\$(printf %03o "$i")"
done >"$DIR/bytes"
cat "$DIR/bytes" "$DIR/bytes" "$DIR/bytes" >"$DIR/payload"
{
    printf '\000\003\000\000'
    cat "$DIR/payload"
    printf '\000\000\000\000'
    printf '\001\000\000\000\n'
} >"$DIR/prefixed"
expect 0 create a
expect 0 create b
expect_in 0 "$DIR/prefixed" pub a --format length-prefixed
expect 0 sub a --from earliest --exit-when-empty --format length-prefixed
check "length-prefixed keeps every byte" cmp "$DIR/out" "$DIR/prefixed"
"$SHMQ" sub a --from earliest --exit-when-empty --format json |
    "$SHMQ" pub b --format json
expect 0 sub b --from earliest --exit-when-empty --format length-prefixed
check "json keeps every byte" cmp "$DIR/out" "$DIR/prefixed"

# Attributes survive json.
expect 0 create c
expect 0 create d
cat >"$DIR/in" <<'EOF'
{"payload":"plain"}
{"payload":"all","key":"k\u00e9\ud83d\ude00\"\\","headers":{"a":"1","b":["x","","y"],"\n":"tab\there"},"content_type":"text/plain","reply_to":"r","correlation_id":"c"}
{"payload_base64":"AP8=","key_base64":"/w==","headers":{"ok":"v"},"headers_base64":[["/v4=","YQ=="],["Yg==","/w=="]]}
{"position":"1","unknown":{"deep":[[],{},{"a":[null,true,1.5e-3]}]},"key":null,"payload":"","headers":{}}
EOF
expect_in 0 "$DIR/in" pub c --format json
says_nothing
for t in c d; do
    expect 0 sub $t --from earliest --exit-when-empty --format json
    cp "$DIR/out" "$DIR/$t.json"
    check "$t: key" grep -q '"key":"ké😀\\"\\\\","content_type":"text/plain","reply_to":"r","correlation_id":"c","headers":{"a":"1","b":\["x","","y"\],"\\n":"tab\\there"},' "$DIR/out"
    check "$t: base64" grep -q '"key_base64":"/w==","headers":{"ok":"v"},"headers_base64":\[\["/v4=","YQ=="\],\["Yg==","/w=="\]\],.*"payload_base64":"AP8="' "$DIR/out"
    check "$t: empty" grep -q '"size":0,"payload":""}$' "$DIR/out"
    [ $t = c ] && "$SHMQ" pub d --format json --file "$DIR/c.json"
done
cut_own() { sed 's/"position":"[0-9]*","time":"[^"]*","producer":"[0-9]*",//;s/"topic":"."//' "$1"; }
check "attributes: json is the identity" cmp <(cut_own "$DIR/c.json") \
    <(cut_own "$DIR/d.json")
check "the form of a line" grep -qE \
    '^\{"topic":"c","position":"[0-9]+","time":"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z","producer":"[0-9]+","sequence":0,"attempt":0,"redelivered":false,"size":5,"payload":"plain"\}$' \
    "$DIR/c.json"
# Options give what a record does not bring; gaps and blank lines are passed
# over.
expect 0 create e
printf '%s\n' '{"payload":"1"}' '' '  ' \
    '{"gap":{"topic":"c","from":"1","to":"9","frames":1,"messages":null,"reason":"dropped"}}' \
    '{"payload":"2","key":"own"}' >"$DIR/in"
expect_in 0 "$DIR/in" pub e --format json --key common --header h=1 \
    --header h=2 --batch 10
expect 0 sub e --from earliest --exit-when-empty --format json
check "two records" [ "$(wc -l <"$DIR/out")" = 2 ]
check "--key" grep -q '"key":"common","headers":{"h":\["1","2"\]},' "$DIR/out"
check "its own key" grep -q '"key":"own","headers":{"h":\["1","2"\]},' \
    "$DIR/out"
expect 0 sub e --from earliest --exit-when-empty
prints "$(printf '1\n2')"
printf 'x\n' >"$DIR/in"
expect_in 0 "$DIR/in" pub e --key '' --header 'n=a=b' --header 'empty='
expect 0 sub e --from earliest --exit-when-empty --format json
check "--key '' and n=a=b" grep -q '"key":"","headers":{"n":"a=b","empty":""}' \
    "$DIR/out"

finish
