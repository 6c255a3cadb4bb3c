"""How the memory of this process is had from the C library, and given back to it.

A daemon's first check of everything takes a multiple of what it keeps. Python gives freed memory
back to the C library, which keeps it: in a heap of each thread's own, and, once a large block was
freed, large ones there as well, between small ones that stay. Told not to, it gives them back. (A
child process for the first check would have to hand over, and the daemon to build up anew, just
what is large: the ledger.)

Knows glibc; with another C library nothing is done.
"""

from __future__ import annotations

import ctypes
import gc

from dockerfw.docker.json_values import as_address
from dockerfw.model.net import network
from dockerfw.rules.sources import host_net

# malloc.h
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE = 128 * 1024
"""Bytes, glibc's own choice at the start: setting it keeps it from growing."""

MOST_REMEMBERED = 1 << 13


def be_thrifty() -> None:
    """Have large blocks given back as soon as they are freed, and one heap for all threads.

    To be called before there are other threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, 1)


def settle_down() -> None:
    """Give back what is free by now, and take what exists for what lasts.

    Looking through that for garbage takes 15 to 40 ms with 1,000 containers, again and again, while
    events wait.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def forget() -> None:
    """Empty what addresses are remembered in, where it has grown: containers come at new ones all
    the time, and a command, which ends soon, may remember far more than a daemon.
    """
    for remembered in (network, host_net, as_address):
        if remembered.cache_info().currsize > MOST_REMEMBERED:
            remembered.cache_clear()
