"""The C interface, by ctypes: structs, prototypes, and errors."""
from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p,
                    c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p)
from typing import Any

FOREVER = 2**64 - 1


def _load() -> ctypes.CDLL:
    """SHMQ_LIBRARY names the library; else the one that is installed."""
    name = os.environ.get("SHMQ_LIBRARY")
    for candidate in ([name] if name else
                      ["libshmq.so.0", ctypes.util.find_library("shmq") or ""]):
        if candidate:
            try:
                return ctypes.CDLL(candidate, use_errno=True)
            except OSError as error:
                reason = error
    raise ImportError(f"shmq: libshmq.so.0 cannot be loaded ({reason}); "
                      "install it, or name it in SHMQ_LIBRARY")


class TopicAttrs(Structure):
    _fields_ = [
        ("struct_bytes", c_uint32), ("ring", c_uint32), ("on_full", c_uint32),
        ("durability", c_uint32), ("capacity_frames", c_uint64),
        ("arena_bytes", c_uint64), ("max_message_bytes", c_uint64),
        ("max_producers", c_uint32), ("max_groups", c_uint32),
        ("max_members", c_uint32), ("mode", c_uint32), ("data_mode", c_uint32),
        ("flags", c_uint32), ("ttl_ns", c_uint64), ("timestamps", c_uint32),
        ("owner", c_uint32), ("group_owner", c_uint32),
        ("reserved", c_uint32), ("schema", c_char_p)]


class GroupAttrs(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("kind", c_uint32),
                ("absent", c_uint32), ("max_attempts", c_uint32),
                ("lease_ns", c_uint64), ("dead_letter", c_char_p)]


class Retention(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("flags", c_uint32),
                ("retain_bytes", c_uint64), ("retain_age_ns", c_uint64),
                ("max_lag_bytes", c_uint64), ("consumed", c_char_p)]


class Start(Structure):
    _fields_ = [("kind", c_uint32), ("reserved", c_uint32),
                ("value", c_uint64)]


class ConsumerOptions(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("flags", c_uint32),
                ("group", c_char_p), ("attrs", GroupAttrs), ("start", Start),
                ("prefetch_frames", c_uint32), ("reserved", c_uint32),
                ("spin_ns", c_uint64)]


class Attr(Structure):
    _fields_ = [("type", c_uint32), ("value_bytes", c_uint32),
                ("value", c_void_p), ("name", c_char_p)]


class Record(Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint64),
                ("attrs", POINTER(Attr)), ("attr_cnt", c_uint32),
                ("reserved", c_uint32)]


class Message(Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint64),
                ("position", c_uint64), ("producer", c_uint64),
                ("sequence", c_uint64), ("time_ns", c_int64),
                ("attempt", c_uint32), ("flags", c_uint32),
                ("attrs", c_void_p), ("attr_bytes", c_uint32),
                ("internal", c_uint32 * 3)]


class Loan(Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint64),
                ("internal", c_uint64 * 2)]


class Gap(Structure):
    _fields_ = [("from_", c_uint64), ("to", c_uint64), ("frames", c_uint64),
                ("messages", c_uint64), ("reason", c_uint32),
                ("reserved", c_uint32)]


class TopicStat(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("reserved", c_uint32)] + [
        (name, c_uint64) for name in (
            "earliest_position", "published_position", "gate_position",
            "depth_messages", "depth_bytes", "total_messages", "total_bytes",
            "dropped_new", "dropped_old", "dropped_corrupt", "expired",
            "reaped", "segment_bytes", "capacity_bytes", "capacity_frames",
            "leaked_loan_bytes")] + [
        (name, c_uint32) for name in (
            "producer_cnt", "member_cnt", "group_cnt", "ring_full")] + [
        (name, c_uint64) for name in (
            "gap_retention", "gap_truncated", "gap_lost")]


class CallerOptions(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("reserved", c_uint32),
                ("max_reply_bytes", c_uint64), ("inbox_frames", c_uint32),
                ("max_servers", c_uint32), ("spin_ns", c_uint64)]


class ServerOptions(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("prefetch_frames", c_uint32),
                ("group", c_char_p), ("attrs", GroupAttrs),
                ("spin_ns", c_uint64)]


class Watermarks(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("state", c_uint32)] + [
        (name, c_uint64) for name in (
            "published", "written", "durable", "earliest", "start")] + [
        ("durability", c_uint32), ("served", c_uint32)] + [
        (name, c_uint64) for name in (
            "unflushed_messages", "unflushed_bytes", "flushes",
            "flushed_bytes", "flush_ns_p50", "flush_ns_p99", "flush_ns_max",
            "io_errors", "disk_bytes", "segments", "free_bytes",
            "retain_bytes", "retain_age_ns", "max_lag_bytes")]


class GroupStat(Structure):
    _fields_ = [
        ("name", c_char * 129), ("kind", c_uint32), ("absent", c_uint32),
        ("max_attempts", c_uint32), ("lease_ns", c_uint64),
        ("dead_letter", c_char * 136), ("floor_position", c_uint64),
        ("lag_messages", c_uint64), ("lag_bytes", c_uint64),
        ("oldest_unread_ns", c_int64), ("member_cnt", c_uint32),
        ("claimed", c_uint32), ("redelivered", c_uint64),
        ("dead_lettered", c_uint64), ("expired", c_uint64),
        ("idle_since_ns", c_int64), ("dead_waits", c_uint64),
        ("gates", c_uint32), ("reserved", c_uint32)]


class EndpointStat(Structure):
    _fields_ = [
        ("id", c_uint32), ("role", c_uint32), ("state", c_uint32),
        ("pid", c_int32), ("identity", c_uint64), ("since_ns", c_int64),
        ("comm", c_char * 16), ("group", c_char * 129),
        ("holds_frames", c_uint64), ("messages", c_uint64),
        ("waiting", c_uint32), ("block_cnt", c_uint32),
        ("blocks", c_uint32 * 16)]


class WaitsetOptions(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("flags", c_uint32),
                ("spin_ns", c_uint64)]


class WatchEvent(Structure):
    _fields_ = [("kind", c_uint32), ("topic", c_char * 140)]


VISIT = CFUNCTYPE(c_int, c_void_p, c_char_p)
P = c_void_p  # handles
lib = _load()


def _declare(name: str, result: Any, *args: Any) -> None:
    function = getattr(lib, name)
    function.restype = result
    function.argtypes = args


for _name, _result, *_args in (
        ("shmq_version", c_char_p),
        ("shmq_deadline", c_uint64, c_uint64),
        ("shmq_err_name", c_char_p, c_int),
        ("shmq_error_text", c_char_p),
        ("shmq_topic_create", c_int, c_char_p, c_char_p, POINTER(TopicAttrs)),
        ("shmq_topic_open", c_int, c_char_p, c_char_p, POINTER(P)),
        ("shmq_topic_open_schema", c_int, c_char_p, c_char_p, c_char_p,
         POINTER(P)),
        ("shmq_topic_close", None, P),
        ("shmq_topic_attrs", c_int, P, POINTER(TopicAttrs)),
        ("shmq_topic_stat", c_int, P, POINTER(TopicStat)),
        ("shmq_topic_watermarks", c_int, P, POINTER(Watermarks)),
        ("shmq_producer_level_wait", c_int, P, c_uint64, c_uint32, c_uint64),
        ("shmq_consumer_commit_wait", c_int, P, c_uint64, POINTER(c_uint64)),
        ("shmq_topic_unlink", c_int, c_char_p, c_char_p, c_uint32),
        ("shmq_topic_create_durable", c_int, c_char_p, c_char_p,
         POINTER(TopicAttrs), POINTER(Retention)),
        ("shmq_topic_set_retention", c_int, c_char_p, c_char_p,
         POINTER(Retention)),
        ("shmq_topic_remove_data", c_int, c_char_p, c_char_p, c_uint32),
        ("shmq_daemon_status", c_int, c_char_p, c_uint64, c_char_p, c_uint64),
        ("shmq_topic_level_wait", c_int, P, c_uint64, c_uint32, c_uint64),
        ("shmq_topic_groups", c_int, P, POINTER(GroupStat), c_uint32,
         POINTER(c_uint32)),
        ("shmq_topic_endpoints", c_int, P, POINTER(EndpointStat), c_uint32,
         POINTER(c_uint32)),
        ("shmq_group_create", c_int, P, c_char_p, POINTER(GroupAttrs),
         POINTER(Start)),
        ("shmq_group_remove", c_int, P, c_char_p, c_uint32),
        ("shmq_group_reset", c_int, P, c_char_p, POINTER(Start), c_uint32),
        ("shmq_group_evict", c_int, P, c_uint32, c_uint32),
        ("shmq_consumer_ack", c_int, P, POINTER(Message)),
        ("shmq_consumer_extend", c_int, P),
        ("shmq_consumer_position", c_int, P, POINTER(c_uint64)),
        ("shmq_waitset_open", c_int, POINTER(WaitsetOptions), POINTER(P)),
        ("shmq_waitset_close", None, P),
        ("shmq_waitset_add", c_int, P, P),
        ("shmq_waitset_remove", c_int, P, P),
        ("shmq_waitset_receive", c_int, P, POINTER(Message), POINTER(P)),
        ("shmq_waitset_receive_wait", c_int, P, c_uint64, POINTER(Message),
         POINTER(P)),
        ("shmq_waitset_fd", c_int, P, POINTER(c_int)),
        ("shmq_watch_open", c_int, c_char_p, c_char_p, POINTER(P)),
        ("shmq_watch_close", None, P),
        ("shmq_watch_next", c_int, P, POINTER(WatchEvent)),
        ("shmq_watch_fd", c_int, P, POINTER(c_int)),
        ("shmq_topic_list", c_int, c_char_p, VISIT, c_void_p),
        ("shmq_producer_open", c_int, P, c_void_p, POINTER(P)),
        ("shmq_producer_close", None, P),
        ("shmq_producer_publish_batch", c_int, P, POINTER(Record), c_uint32,
         POINTER(c_uint64)),
        ("shmq_producer_publish_batch_wait", c_int, P, POINTER(Record),
         c_uint32, c_uint64, POINTER(c_uint64)),
        ("shmq_producer_loan_wait", c_int, P, c_uint64, POINTER(Attr),
         c_uint32, c_uint64, POINTER(Loan)),
        ("shmq_producer_commit_wait", c_int, P, POINTER(Loan), c_uint64,
         c_uint64, POINTER(c_uint64)),
        ("shmq_producer_abort", c_int, P, POINTER(Loan)),
        ("shmq_consumer_open", c_int, P, POINTER(ConsumerOptions), POINTER(P)),
        ("shmq_consumer_close", None, P),
        ("shmq_consumer_receive", c_int, P, POINTER(Message)),
        ("shmq_consumer_receive_wait", c_int, P, c_uint64, POINTER(Message)),
        ("shmq_consumer_release", c_int, P, POINTER(Message)),
        ("shmq_consumer_nack", c_int, P, POINTER(Message)),
        ("shmq_consumer_nack_later", c_int, P, POINTER(Message), c_uint64),
        ("shmq_consumer_gap", c_int, P, POINTER(Gap)),
        ("shmq_consumer_seek", c_int, P, POINTER(Start)),
        ("shmq_consumer_drained", c_int, P),
        ("shmq_consumer_fd", c_int, P, POINTER(c_int)),
        ("shmq_message_attr", c_int, POINTER(Message), c_uint32, c_uint32,
         POINTER(Attr)),
        ("shmq_caller_open", c_int, P, POINTER(CallerOptions), POINTER(P)),
        ("shmq_caller_close", None, P),
        ("shmq_caller_call_wait", c_int, P, POINTER(Record), c_uint64,
         POINTER(Message)),
        ("shmq_caller_release", c_int, P, POINTER(Message)),
        ("shmq_server_open", c_int, P, POINTER(ServerOptions), POINTER(P)),
        ("shmq_server_close", None, P),
        ("shmq_server_receive_wait", c_int, P, c_uint64, POINTER(Message)),
        ("shmq_server_reply", c_int, P, POINTER(Message), POINTER(Record)),
        ("shmq_server_nack", c_int, P, POINTER(Message))):
    _declare(str(_name), _result, *_args)
