"""What processes and their children use: CPU time and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def counted(parts: dict[str, list[psutil.Process]], into: dict[str, float]) -> Iterator[None]:
    """Tell how many cores each part used, and this process, in which the provider stubs are."""
    before = {name: cpu_s(processes) for name, processes in parts.items()}
    own, began = time.process_time(), time.monotonic()
    yield
    took = time.monotonic() - began
    for name, processes in parts.items():
        into[name] = max(0.0, cpu_s(processes) - before[name]) / took
    into["provider stubs and bench"] = (time.process_time() - own) / took


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return the CPU seconds of processes and their children, those that have ended included."""
    total = 0.0
    for process in processes:
        try:
            family = [process, *process.children(recursive=True)]
            times = [member.cpu_times() for member in family]
        except psutil.NoSuchProcess:
            continue
        total += sum(t.user + t.system for t in times)
        total += times[0].children_user + times[0].children_system
    return total


def memory_mb(process: psutil.Process) -> float:
    """Return the proportional set size of a process and its children, in MB."""
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss / 1e6
        except psutil.NoSuchProcess:
            continue
    return total
