#include "auth.h"

#include <stdio.h>
#include <string.h>

#include "denials.h"

/* Parts of a request, in order. */
enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, PARTS };

#define KEY_BYTES 32u

static bool says(const struct shmqz_part *part, const char *text)
{
    return shmqz_part_bytes(part) == strlen(text) &&
        memcmp(shmqz_part_data(part), text, strlen(text)) == 0;
}

static void text_of(const struct shmqz_part *part, char *ret, size_t room)
{
    size_t n = shmqz_part_bytes(part);
    n = n < room ? n : room - 1;
    memcpy(ret, shmqz_part_data(part), n);
    ret[n] = '\0';
}

/* The user whose key it is, or NULL; the key's printable form in `key`. */
static const char *user_of(struct shmqz_server *server,
    struct shmqz_message *message, char key[SHMQZ_KEY_TEXT])
{
    char address[64];
    const struct shmqz_part *parts = message->parts;
    const char *user = NULL;
    text_of(&parts[ADDRESS], address, sizeof address);
    if (message->part_cnt < PARTS || !says(&parts[MECHANISM], "CURVE") ||
        shmqz_part_bytes(&parts[KEY]) != KEY_BYTES ||
        !shmqz_key_text(shmqz_part_data(&parts[KEY]), key)) {
        shmqz_denied("-", "handshake from", address);
        return NULL;
    }
    if (server->access)
        user = shmqz_access_user(server->access, key);
    if (!user)
        shmqz_denied(key, "connection from", address);
    return user;
}

/* Without keys everybody on this host may come in, without a name. */
static bool needs_no_key(
    const struct shmqz_server *server, const struct shmqz_message *message)
{
    return !shmqz_net_needs_key(server->net) && message->part_cnt > MECHANISM &&
        says(&message->parts[MECHANISM], "NULL");
}

void shmqz_auth_message(
    struct shmqz_server *server, struct shmqz_message *message)
{
    struct shmqz_part reply[6];
    const char *user = NULL;
    char key[SHMQZ_KEY_TEXT], both[SHMQZ_KEY_TEXT + SHMQZ_USER_MAX + 1] = "";
    bool readable = message->part_cnt > ADDRESS && !message->cut;
    bool anybody = readable && needs_no_key(server, message);
    if (readable && !anybody)
        user = user_of(server, message, key);
    bool may = user || anybody;
    if (user)
        (void)snprintf(both, sizeof both, SHMQZ_KEY_AND_USER, key, user);
    if (!may)
        server->counters.denied_keys++;
    const char *texts[6] = {"1.0", NULL, may ? "200" : "400", "", both, ""};
    for (int i = 0; i < 6; i++) {
        if (i == REQUEST_ID && message->part_cnt > REQUEST_ID)
            shmqz_part_move(&reply[i], &message->parts[REQUEST_ID]);
        else
            (void)shmqz_part_copy(
                &reply[i], texts[i], texts[i] ? strlen(texts[i]) : 0);
    }
    (void)shmqz_net_send(server->net, SHMQZ_AUTH, reply, 6);
}
