"""Clients as light as they can be, and what became of their requests."""

import asyncio
import resource
import time

import grpc

TIMEOUT_SECONDS = 40  # of a request; longer than the server's own
REFUSED = ("429", "503")
_GRPC_STATUSES = {"OK": "200", "RESOURCE_EXHAUSTED": "429", "UNAVAILABLE": "503"}  # by REST's names, to count them together


class RestClient:
    """One connection that is kept, by bare HTTP: a client library would take more of the machine than the server's own work.

    Attributes:
      content: bytes of the last answer.
    """

    def __init__(self, server, model, request=b""):
        self._port, self._request, self._writer, self.content = server.rest_port, request, None, b""
        self._head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: "

    async def connect(self):
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)

    async def ask(self, request=None):
        """The status of the answer, or "broken", or "timeout"."""
        request = self._request if request is None else request
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if self._writer is None or self._reader.at_eof():  # a server ends connections that rest; clients look before they ask
                    await self.connect()
                self._writer.write(f"{self._head}{len(request)}\r\n\r\n".encode() + request)
                return await self._answer()
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            return "timeout" if isinstance(error, TimeoutError) else "broken"

    async def close(self):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _answer(self):
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        self.content = await self._reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        if b"connection: close" in head:
            await self.close()
        return head.split()[1].decode()


class GrpcClient:
    """One connection of its own; answers are not parsed."""

    def __init__(self, server, model, request):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}", options)
        self._predict, self._request = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict"), request

    async def connect(self):
        await self._channel.channel_ready()

    async def ask(self):
        """The status of the answer, by REST's name where it has one."""
        try:
            await self._predict(self._request, timeout=TIMEOUT_SECONDS)
            return "200"
        except grpc.aio.AioRpcError as error:
            return _GRPC_STATUSES.get(error.code().name, error.code().name)

    async def close(self):
        await self._channel.close()


CLIENT_CLASSES = {"REST": RestClient, "gRPC": GrpcClient}


class Outcomes:
    """What became of requests: {status: latencies in seconds}."""

    def __init__(self):
        self.latencies = {}

    async def ask(self, client):
        started = time.perf_counter()
        status = await client.ask()
        self.latencies.setdefault(status, []).append(time.perf_counter() - started)
        return status

    def of(self, *statuses):
        return [latency for status in statuses for latency in self.latencies.get(status, ())]

    def failed(self):
        """{status: count} of what was neither answered nor refused."""
        return {status: len(values) for status, values in self.latencies.items() if status not in ("200", *REFUSED)}


async def closed_loop(clients, seconds):
    """Outcomes of clients that ask again as soon as they are answered."""
    outcomes, end = Outcomes(), time.perf_counter() + seconds

    async def ask_again(client):
        while time.perf_counter() < end:
            if await outcomes.ask(client) != "200":
                await asyncio.sleep(0.1)

    await asyncio.gather(*(ask_again(client) for client in clients))
    return outcomes


def own_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
