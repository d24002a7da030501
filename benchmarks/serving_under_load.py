"""What `tfvision serve` does while versions are swapped under load, and at ten times its capacity.

    python benchmarks/serving_under_load.py                          # tiny image models, made here; five minutes
    python benchmarks/serving_under_load.py savedmodels/species      # a model's folder of versions; the newest is taken
    python benchmarks/serving_under_load.py --only swaps --swaps 10

Swaps: requests are sent at a steady rate, REST and gRPC in turn, while version after version is put beside the old one
under a temporary name, renamed, and the old one removed once the new one serves. Where half of what the machine can do is
less than the rate asked for, that half is taken instead, and the table says so.

Overload: capacity is what 16 clients get who ask again at once; then requests are sent at random times (Poisson), at 0.9 of
the capacity and at ten times of it, whether or not earlier ones were answered. The tiny model has more convolutions here,
so that ten times its capacity can be sent by one process. Latencies are from the sending of a request.
"""

import argparse
import asyncio
import functools
import itertools
import json
import os
import random
import shutil
import statistics
import sys
import time

from serving.clients import CLIENT_CLASSES, REFUSED, Outcomes, closed_loop, own_cpu_seconds
from serving.model import add_model_options, own_copy, sample_requests
from serving.server import Server
from serving.tables import counts, percentile, print_header, print_table

MOST_IN_FLIGHT = 2000  # each has a connection; what goes beyond is not sent, and told
OVERLOAD, NORMAL = 10, 0.9  # of the capacity


def main():
    options = _options()
    print_header()
    if options.only != "overload":
        with own_copy(options.export, options.convolutions) as folder:
            asyncio.run(measure_swaps(folder, options))
    if options.only != "swaps":
        with own_copy(options.export, options.overload_convolutions) as folder:
            asyncio.run(measure_overload(folder, options))


# Swaps


async def measure_swaps(folder, options):
    requests, model = sample_requests(folder), folder.parent.name
    with Server(folder.parent.parent, "--poll-seconds", "0.2") as server:
        server.wait_until_ready()
        capacity = await _measure_capacity(server, model, "REST", requests, options.seconds)
        rate = min(options.rate, capacity / 2)
        stop = asyncio.Event()
        load = asyncio.create_task(open_loop(server, model, requests, lambda: 1 / rate, stop))
        await asyncio.sleep(2)
        start, started = server.memory_mb(), time.perf_counter()
        memory, seconds = await asyncio.to_thread(_swap_all, server, folder, options.swaps)
        seconds_in_all = time.perf_counter() - started
        stop.set()
        outcomes, _ = await load
        peak = server.memory_mb("VmHWM")
    told = "" if rate == options.rate else f" (not {options.rate:g}: more than half of what the machine can do)"
    print(f"Model `{model}`: {options.swaps} swaps in {seconds_in_all:.0f} s at {rate:.0f} requests/s{told}; it can do {capacity:.0f}.")
    print("Aim: none failed or refused, memory flat within 5 % between the steady state and the end.\n")
    _print_swaps(outcomes, seconds, start, memory, peak)


def _swap_all(server, folder, swaps):
    """Swaps version after version; returns the server's memory in MB, and the seconds until the new one served, after each swap."""
    memory, seconds = [], []
    for version in range(1, swaps + 1):
        seconds.append(_swap(server, folder.parent, version))
        memory.append(server.memory_mb())
        if version % 10 == 0:
            print(f"{version} swaps: {memory[-1]:.0f} MB", file=sys.stderr)
    return memory, seconds


def _swap(server, base, version):
    """Puts version + 1 in the place of `version`; returns the seconds until it served."""
    temporary = base / f".{version + 1}.tmp"
    shutil.copytree(base / str(version), temporary, copy_function=os.link)
    temporary.rename(base / str(version + 1))
    started = time.perf_counter()
    _wait_for_state(server, base.name, version + 1, "AVAILABLE")
    seconds = time.perf_counter() - started
    shutil.rmtree(base / str(version))
    _wait_for_state(server, base.name, version, "END")
    return seconds


def _wait_for_state(server, model, version, state, timeout_seconds=120):
    end = time.perf_counter() + timeout_seconds
    while time.perf_counter() < end:
        statuses = json.loads(server.get(f"/v1/models/{model}")[1])["model_version_status"]
        if (int(version), state) in [(int(status["version"]), status["state"]) for status in statuses]:
            return
        time.sleep(0.05)
    raise SystemExit(f"version {version} was not {state} after {timeout_seconds} s: {statuses}\n{server.log()}")


def _print_swaps(outcomes, seconds, start, memory, peak):
    steady_after = min(10, (len(memory) + 1) // 2)
    steady, end = (statistics.median(memory[max(0, last - 5) : last]) for last in (steady_after, len(memory)))
    answered, refused = outcomes.of("200"), {status: len(outcomes.of(status)) for status in REFUSED if outcomes.of(status)}
    print_table(
        ("", ""),
        ("requests answered", len(answered)),
        ("refused", counts(refused)),
        ("failed", counts(outcomes.failed())),
        ("p50 / p99 / slowest ms", f"{percentile(answered, 50):.1f} / {percentile(answered, 99):.1f} / {1e3 * max(answered):.0f}"),
        ("a new version serves after s, median / slowest", f"{statistics.median(seconds):.1f} / {max(seconds):.1f}"),
        ("memory at the start, under load", f"{start:.0f} MB"),
        (f"memory after {steady_after} swaps (median of the last 5 or fewer)", f"{steady:.0f} MB"),
        ("memory at the end (median of the last 5 or fewer)", f"{end:.0f} MB, {100 * (end / steady - 1):+.1f} %"),
        ("memory at its peak", f"{peak:.0f} MB"),
    )


# Overload


async def measure_overload(folder, options):
    model, rows = folder.parent.name, []
    for protocol, request in sample_requests(folder).items():
        with Server(folder.parent.parent) as server:
            server.wait_until_ready()
            capacity = await _measure_capacity(server, model, protocol, {protocol: request}, options.seconds)
            normal = None
            for share in (NORMAL, OVERLOAD):
                cpu_seconds = [own_cpu_seconds(), server.cpu_seconds()]
                outcomes, unsent, seconds = await _send_at_random(server, model, {protocol: request}, share * capacity, options.seconds)
                clients_cores, servers_cores = (
                    (now - before) / seconds for before, now in zip(cpu_seconds, (own_cpu_seconds(), server.cpu_seconds()), strict=True)
                )
                normal = normal or percentile(outcomes.of("200"), 99)
                machine = f"{servers_cores:.2f}", f"{clients_cores:.2f}", f"{server.memory_mb():.0f} MB"
                sent = f"{protocol}, {share:g} x {capacity:.0f}"
                rows.append((sent, *_overload_cells(outcomes, unsent, options.seconds, normal), *machine))
                await asyncio.sleep(1)
            if not server.is_alive():
                raise SystemExit(f"the server ended:\n{server.log()}")
    print(f"Model `{model}`; aim: refusals are quick, and p99 of what is answered stays below 2 x that at {NORMAL} of the capacity.\n")
    heading = ("times capacity /s", "sent /s", "answered /s", "refused", "failed", "not sent", "p50 / p99 of answers ms")
    print_table((*heading, "x normal p99", "p50 / p99 of refusals ms", "server's cores", "clients' cores", "memory"), *rows)


async def _send_at_random(server, model, request, rate, seconds):
    """(Outcomes, requests not sent, seconds until the last was answered) of a Poisson process."""
    stop, gaps, started = asyncio.Event(), random.Random(0), time.perf_counter()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    outcomes, unsent = await open_loop(server, model, request, functools.partial(gaps.expovariate, rate), stop)
    return outcomes, unsent, time.perf_counter() - started


def _overload_cells(outcomes, unsent, seconds, normal):
    answered, refused, sent = (outcomes.of(*statuses) for statuses in (("200",), REFUSED, outcomes.latencies))
    slow = percentile(answered, 99)
    share_refused = f"{100 * len(refused) / max(1, len(sent)):.1f} %"
    refusals = f"{percentile(refused, 50):.0f} / {percentile(refused, 99):.0f}" if refused else ""
    answers = f"{percentile(answered, 50):.0f} / {slow:.0f}", f"{slow / normal:.1f}"
    return f"{len(sent) / seconds:.0f}", f"{len(answered) / seconds:.0f}", share_refused, counts(outcomes.failed()), unsent, *answers, refusals


# Both


async def _measure_capacity(server, model, protocol, requests, seconds):
    """Requests answered a second where 16 clients, two full batches, ask again at once."""
    clients = [CLIENT_CLASSES[protocol](server, model, requests[protocol]) for _ in range(16)]
    await closed_loop(clients, min(1, seconds))
    started = time.perf_counter()
    answered = len((await closed_loop(clients, seconds)).of("200"))
    for client in clients:
        await client.close()
    return answered / (time.perf_counter() - started)


async def open_loop(server, model, requests, next_gap, stop):
    """Sends requests, of each protocol in turn, whether or not earlier ones were answered, until the Event `stop`.

    Args:
      next_gap: a function that returns the seconds to the next request.

    Returns:
      Outcomes, and how many were not sent because MOST_IN_FLIGHT were.
    """
    outcomes, unsent, running = Outcomes(), 0, set()
    idle, protocols = {protocol: [] for protocol in requests}, itertools.cycle(requests)

    async def send(protocol):
        client = idle[protocol].pop() if idle[protocol] else CLIENT_CLASSES[protocol](server, model, requests[protocol])
        await outcomes.ask(client)
        idle[protocol].append(client)

    due = time.perf_counter()
    while not stop.is_set():
        due += next_gap()
        await asyncio.sleep(max(0, due - time.perf_counter()))
        if len(running) >= MOST_IN_FLIGHT:
            unsent += 1
            continue
        task = asyncio.create_task(send(next(protocols)))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    for client in (client for clients in idle.values() for client in clients):
        await client.close()
    return outcomes, unsent


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--overload-convolutions", type=int, default=100, help="of the tiny model for the overload")
    parser.add_argument("--only", choices=("swaps", "overload"))
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=50, help="requests a second during the swaps")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement of the overload")
    return parser.parse_args()


if __name__ == "__main__":
    main()
