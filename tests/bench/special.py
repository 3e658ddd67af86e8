"""Scenarios that measure memory instead of a rate: idle clients, and a large result on its way."""
import dataclasses
import json
import time

import machine
import measure
from machine import BenchError

KIB, MIB = 1024, 1 << 20


def held_memory(environment, program, role, scenario, count, flag):
    """Bytes of resident memory per client of a fresh process, and its empty anonymous memory."""
    endpoint = environment.start_proxy(role, scenario.upstream)
    try:
        time.sleep(1)
        empty, anonymous = machine.memory(endpoint.pid)
        with measure.Load(program, endpoint, ["-c", count, "-q", scenario.sql, flag], 60) as load:
            held = json.loads(load.line())
            if held["errors"] or held["held"] != count:
                raise BenchError(f"{held['errors']} errors, {held['held']} clients held of {count}")
            time.sleep(1)
            full, _ = machine.memory(endpoint.pid)
        return (full - empty) / count, anonymous
    finally:
        environment.stop(endpoint)


def idle(environment, program, role, scenario, counts):
    figures = {}
    for count in counts:
        for key, flag in (("login", "-I"), ("used", "-i")):
            each, anonymous = held_memory(environment, program, role, scenario, count, flag)
            figures[f"{key}_kib_{count}"] = each / KIB
            figures["empty_mib"] = anonymous / MIB
    return figures


def stream(environment, program, role, scenario):
    """Growth of the peak while one result passes: to a client that reads all, and to a slow one."""
    figures = {}
    slow = dataclasses.replace(scenario, arguments=("-R", 100))
    for key, way, count in (("fast_mib", scenario, 5), ("slow_mib", slow, 1)):
        endpoint = environment.start_proxy(role, scenario.upstream)
        try:
            # The first query ever touches code and tables that no stream has to do with.
            small = dataclasses.replace(scenario, sql="", rows=0, clients=1, arguments=())
            measure.counted_run(program, endpoint, small, 1)
            time.sleep(1)
            machine.reset_peak(endpoint.pid)
            before = machine.peak(endpoint.pid)
            measure.counted_run(program, endpoint, way, count)
            figures[key] = (machine.peak(endpoint.pid) - before) / MIB
        finally:
            environment.stop(endpoint)
    return figures
