"""The peer of bench/dispatch.mjs: for each line `<operator> <calls>` on stdin, it writes the nanoseconds per call to stdout."""

import sys
import time

import torch

torch.set_num_threads(1)
a, b = torch.ones(8), torch.ones(8)
weight = torch.ones(8, requires_grad=True)


# Each operator has its own loop, because a lambda would add a call that a user's program does not make.
def add(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        a + b
    return (time.perf_counter_ns() - start) / calls


def add_in_place(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        a.add_(0.0)
    return (time.perf_counter_ns() - start) / calls


def add_recorded(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        weight + b
    return (time.perf_counter_ns() - start) / calls


def total(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        a.sum()
    return (time.perf_counter_ns() - start) / calls


def reshape(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        a.reshape([2, 4])
    return (time.perf_counter_ns() - start) / calls


OPERATORS = {"add": add, "add_": add_in_place, "add, recorded": add_recorded, "sum": total, "reshape": reshape}

print(torch.__version__, flush=True)
for line in sys.stdin:
    name, calls = line.rstrip("\n").rsplit(" ", 1)
    print(OPERATORS[name](int(calls)), flush=True)
