"""Requests a second of `tfvision serve` over REST and gRPC, beside calling the same model in the process.

    python benchmarks/serving_throughput.py                          # a tiny image model, made here; three minutes
    python benchmarks/serving_throughput.py savedmodels/species      # a model's folder of versions; the newest is taken

The server is a process of its own, on free ports of loopback; this process holds the clients, as light as they can be
(bare HTTP, gRPC without parsing), and its share of the machine is in the table: where cores are few, it is taken from the
server. A client asks again when it was answered; one that was refused (429, 503) waits 0.1 s. In the process, the model is
called by the session loader and the callables that the server uses, before and after the server runs; the ratio is to the
best way of calling it. All requests are the export's sample_request.json.
"""

import argparse
import asyncio
import concurrent.futures
import itertools
import statistics
import sys
import time

from serving.clients import CLIENT_CLASSES, REFUSED, closed_loop, own_cpu_seconds
from serving.model import add_model_options, in_new_process, load, own_copy, sample_requests
from serving.server import Server
from serving.tables import counts, percentile, print_header, print_table

CLIENTS = (1, 8, 64)


def main():
    options = _options()
    print_header()
    with own_copy(options.export, options.convolutions) as folder:
        requests = sample_requests(folder)
        called = in_new_process(call_in_process, folder, requests["REST"], options.seconds)
        with Server(folder.parent.parent) as server:
            server.wait_until_ready()
            served = asyncio.run(_measure_clients(server, requests, folder.parent.name, options.seconds))
        called_again = in_new_process(call_in_process, folder, requests["REST"], options.seconds)
        called = {way: [(a + b) / 2 for a, b in zip(called[way], called_again[way], strict=True)] for way in called}
        _print_throughput(folder.parent.name, called, served)
        starts = {protocol: [_measure_start(folder, protocol, requests) for _ in range(options.starts)] for protocol in requests}
        _print_starts(starts)


def call_in_process(folder, body, seconds):
    """{way of calling: (rows a second, p50, p99 in milliseconds)}."""
    import numpy as np

    servable, row = load(folder, body)
    rows = {name: np.repeat(values, 8, axis=0) for name, values in row.items()}
    ways = {"1 row": (row, 1), "8 rows in one batch": (rows, 1), "8 threads of 1 row": (row, 8)}
    return {way: _call(servable, inputs, threads, seconds) for way, (inputs, threads) in ways.items()}


def _call(servable, inputs, threads, seconds):
    rows = len(next(iter(inputs.values())))
    for _ in range(3):
        servable.run("", inputs)

    def call(end):
        latencies = []
        while (started := time.perf_counter()) < end:
            servable.run("", inputs)
            latencies.append(time.perf_counter() - started)
        return latencies

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        latencies = [latency for found in pool.map(call, [started + seconds] * threads) for latency in found]
    return len(latencies) * rows / (time.perf_counter() - started), percentile(latencies, 50), percentile(latencies, 99)


async def _measure_clients(server, requests, model, seconds):
    """{(protocol, clients): (seconds, Outcomes, CPU seconds of the clients, of the server)}."""
    results = {}
    for protocol, request in requests.items():
        for count in CLIENTS:
            clients = [CLIENT_CLASSES[protocol](server, model, request) for _ in range(count)]
            await closed_loop(clients, min(1, seconds))
            started, ours, servers = time.perf_counter(), own_cpu_seconds(), server.cpu_seconds()
            outcomes = await closed_loop(clients, seconds)
            results[protocol, count] = (
                time.perf_counter() - started,
                outcomes,
                own_cpu_seconds() - ours,
                server.cpu_seconds() - servers,
            )
            for client in clients:
                await client.close()
            print(f"{protocol}, {count} clients: done", file=sys.stderr)
    return results


def _measure_start(folder, protocol, requests):
    """(seconds from the process's start to its first answer, milliseconds of the first request, median of the next 100)."""
    started = time.perf_counter()
    with Server(folder.parent.parent) as server:
        server.wait_until_ready()
        first, *latencies = asyncio.run(_first_and_median(server, folder.parent.name, protocol, requests[protocol]))
        return first - started, *latencies


async def _first_and_median(server, model, protocol, request):
    client = CLIENT_CLASSES[protocol](server, model, request)
    await client.connect()
    times = [time.perf_counter()]
    for _ in range(101):
        if (status := await client.ask()) != "200":
            raise SystemExit(f"the server answered {status} to the sample request")
        times.append(time.perf_counter())
    await client.close()
    latencies = [1e3 * (end - start) for start, end in itertools.pairwise(times)]
    return times[1], latencies[0], statistics.median(latencies[1:])


# The report


def _print_throughput(model, called, served):
    best = max(rate for rate, _, _ in called.values())
    rows = [
        (f"in the process, {way}", f"{rate:.1f}", f"{rate / best:.2f}", f"{p50:.1f}", f"{p99:.1f}", "", "", "", "") for way, (rate, p50, p99) in called.items()
    ]
    for (protocol, clients), (seconds, outcomes, client_cpu, server_cpu) in served.items():
        answered, refused = outcomes.of("200"), outcomes.of(*REFUSED)
        rate, middle, slow = len(answered) / seconds, percentile(answered, 50), percentile(answered, 99)
        cores = f"{server_cpu / seconds:.2f}", f"{client_cpu / seconds:.2f}"
        name = f"{protocol}, {clients} client{'s' * (clients > 1)}"
        rows.append((name, f"{rate:.1f}", f"{rate / best:.2f}", f"{middle:.1f}", f"{slow:.1f}", *cores, len(refused), counts(outcomes.failed())))
    print(f"Model `{model}`; aim: 0.9 of the best in the process at 8 clients.\n")
    heading = ("", "rows/s", "ratio", "p50 ms", "p99 ms", "server's cores", "clients' cores", "refused", "failed")
    print_table(heading, *rows)


def _print_starts(starts):
    rows = []
    for protocol, measured in starts.items():
        cold, first, median = (statistics.median(values) for values in zip(*measured, strict=True))
        most = max(a / b for _, a, b in measured)
        rows.append((protocol, f"{cold:.1f}", f"{first:.1f}", f"{median:.1f}", f"{first / median:.1f}", f"{most:.1f}"))
    print(f"From the start of the process to the first answer; medians of {len(measured)} starts. Aim: the first request at most 3 medians.\n")
    print_table(("", "cold start s", "first request ms", "median of the next 100 ms", "first / median", "largest"), *rows)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--starts", type=int, default=3, help="of the server, for each protocol")
    return parser.parse_args()


if __name__ == "__main__":
    main()
