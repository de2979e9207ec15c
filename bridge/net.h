/* net.h - the network as the bridge sees it: three sockets for peers, one for
 * the question who may connect, and messages made of parts. zmq.c is the one
 * file behind it.
 *
 * What peers have sent is kept until it is read, without a limit for each: a
 * connection whose input libzmq 4.3.4 has stopped for want of room makes it
 * abort when the peer closes it (stream_engine_base.cpp, _io_error). So the
 * reader has to keep up, or to throw away.
 *
 * One thread calls everything here; only release functions of wrapped parts run
 * on others. Nothing waits. */
#ifndef SHMQZ_NET_H
#define SHMQZ_NET_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shmqz_port {
    SHMQZ_ROUTER = 0, /* reliable clients; first part: which one */
    SHMQZ_FEED = 1, /* the live feed; receives subscriptions */
    SHMQZ_PULL = 2, /* records that nobody acknowledges */
    SHMQZ_AUTH = 3, /* requests of the handshake: may this peer come in? */
};
#define SHMQZ_PORT_CNT 4

/* The answer to a handshake, which comes with each message of the peer. */
#define SHMQZ_KEY_AND_USER "%s %s"

/* Most parts of a message that are kept; a message with more is cut. */
#define SHMQZ_PARTS_MAX 16
#define SHMQZ_USER_MAX 64
#define SHMQZ_KEY_TEXT 41 /* 40 printable characters and a NUL */
#define SHMQZ_ERROR_ROOM 256

/* A part of a message; owned by whoever holds it until sent or closed. */
struct shmqz_part {
    alignas(8) uint8_t opaque[64];
};

struct shmqz_message {
    struct shmqz_part parts[SHMQZ_PARTS_MAX];
    uint32_t part_cnt; /* kept */
    bool cut; /* there were more */
    char user[SHMQZ_USER_MAX + 1]; /* as the handshake found; "" for none */
    char key[SHMQZ_KEY_TEXT]; /* his, printable; "" for none */
};

struct shmqz_net_options {
    /* Comma-separated endpoints, by port; NULL: that socket is not opened. */
    const char *endpoints[3];
    const char *secret_key; /* 40 characters; NULL: no encryption, and everybody
                               may come in who speaks ZMTP 3 */
    uint32_t io_threads;
    uint32_t handshake_ms, heartbeat_ms, heartbeat_timeout_ms;
    uint32_t router_send_hwm, feed_send_hwm; /* messages for one peer */
    uint64_t max_part_bytes; /* larger parts end their connection */
    uint64_t max_subscription_bytes; /* the same on the feed */
    const void *welcome; /* first message of the feed to each subscriber */
    size_t welcome_bytes;
};

enum shmqz_sent {
    SHMQZ_SENT = 0,
    SHMQZ_AGAIN = 1, /* that peer has no room now */
    SHMQZ_GONE = 2, /* that peer is not connected */
    SHMQZ_BROKEN = 3, /* anything else */
};

struct shmqz_net;

/* Opens and binds all sockets. 0; or -1 with a sentence in `error`. */
int shmqz_net_open(const struct shmqz_net_options *options,
    struct shmqz_net **ret, char error[SHMQZ_ERROR_ROOM]);
/* Closes them; what was not sent by then is dropped. NULL is legal. */
void shmqz_net_close(struct shmqz_net *net);

/* Whether the socket is open, and its descriptor: becomes readable when there
 * may be something to receive. It tells so once: receive until there is
 * nothing, and again after each send on the same socket, before waiting. */
bool shmqz_net_has(const struct shmqz_net *net, enum shmqz_port port);
int shmqz_net_fd(const struct shmqz_net *net, enum shmqz_port port);

/* Whether a peer comes in by a key only. */
bool shmqz_net_needs_key(const struct shmqz_net *net);

/* Whether something was sent on the socket since this was asked last, and it
 * was not looked at since. */
bool shmqz_net_sent(struct shmqz_net *net, enum shmqz_port port);

/* Ends all connections of a socket: closes it. And opens it again where it was
 * bound: 0; or -1 with a sentence, for example while the old one still has the
 * port: try again soon. */
void shmqz_net_close_port(struct shmqz_net *net, enum shmqz_port port);
int shmqz_net_open_port(struct shmqz_net *net, enum shmqz_port port,
    const struct shmqz_net_options *options, char error[SHMQZ_ERROR_ROOM]);

/* What the endpoints that were bound are called, with commas:
 * "tcp://127.0.0.1:*" got a port. */
const char *shmqz_net_endpoints(
    const struct shmqz_net *net, enum shmqz_port port);

/* The next message; false: none now. The caller closes its parts. */
bool shmqz_net_receive(
    struct shmqz_net *net, enum shmqz_port port, struct shmqz_message *ret);
void shmqz_message_close(struct shmqz_message *message);
/* The address of the peer that a received part came from, not the first one;
 * "" when it has none. As long as the part. */
const char *shmqz_part_address(const struct shmqz_part *part);

/* Sends `cnt` parts as one message, all or nothing. They are the net's after
 * it, whatever the result. */
enum shmqz_sent shmqz_net_send(struct shmqz_net *net, enum shmqz_port port,
    struct shmqz_part *parts, uint32_t cnt);

/* -- parts ----------------------------------------------------------------- */

/* A new part of `bytes` bytes and where they lie; NULL: no memory. */
void *shmqz_part_new(struct shmqz_part *part, size_t bytes);
/* A new part with a copy of `data`. False: no memory. */
bool shmqz_part_copy(struct shmqz_part *part, const void *data, size_t bytes);
/* A part that is `data` itself; `release` is called, on any thread, when the
 * last peer has got it. On false nothing was taken over. */
bool shmqz_part_wrap(struct shmqz_part *part, void *data, size_t bytes,
    void (*release)(void *data, void *hint), void *hint);
void shmqz_part_close(struct shmqz_part *part);
const uint8_t *shmqz_part_data(const struct shmqz_part *part);
size_t shmqz_part_bytes(const struct shmqz_part *part);
/* Moves `from`, which then is an empty part, to `to`, which was none. */
void shmqz_part_move(struct shmqz_part *to, struct shmqz_part *from);

/* -- the live feed --------------------------------------------------------- */

/* Lets the peer whose subscription was received last have what starts with
 * `prefix`, or no more. */
void shmqz_net_admit(struct shmqz_net *net, const void *prefix, size_t bytes);
void shmqz_net_unadmit(struct shmqz_net *net, const void *prefix, size_t bytes);

/* How many messages the feed keeps for each subscriber, from now on. */
void shmqz_net_feed_hwm(struct shmqz_net *net, uint32_t messages);

/* -- keys ------------------------------------------------------------------ */

/* The printable form of a 32-byte key. */
bool shmqz_key_text(const uint8_t key[32], char ret[SHMQZ_KEY_TEXT]);
/* The public key of a secret one, both printable. */
bool shmqz_key_public(
    const char secret[SHMQZ_KEY_TEXT], char ret[SHMQZ_KEY_TEXT]);
/* Version of ZeroMQ in use, "4.3.4". */
const char *shmqz_net_version(void);

#endif
