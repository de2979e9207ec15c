/* boost_mq.c - peer: the table entry of Boost's message queue; the work is in
 * boost_verbs.cpp, which is built where Boost and a C++ compiler are found. */
#include "boost_mq.h"

#ifdef SHMQ_HAVE_BOOST
#include <boost/version.hpp> /* macros only: fit for C */
#endif

const struct lab_transport lab_boost_mq = {
    .name = "boost-mq",
    .kind = "peer",
    .what = "boost.interprocess message_queue, spinning",
    .caps = LAB_CAP_WAIT | LAB_CAP_MANY_TX | LAB_CAP_MANY_RX | LAB_CAP_REOPEN,
#ifdef SHMQ_HAVE_BOOST
    .version = "Boost " BOOST_LIB_VERSION,
    .create = lab_boost_create,
    .destroy = lab_boost_destroy,
    .open = lab_boost_open,
    .close = lab_boost_close,
    .send = lab_boost_send,
    .receive = lab_boost_receive,
    .wait = lab_boost_wait,
    .footprint = lab_boost_footprint,
#else
    .missing = "libboost-dev",
#endif
};
