"""A line to a server that delays, swallows or cuts what goes over it, or leads elsewhere."""

import asyncio
import threading
from typing import Self


class Relay:
    """Listens on ``port`` and copies bytes to and from a server, in a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.delay = 0.0
        """Seconds that each piece of data is held back, either way."""
        self.port = 0
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def swallow(self) -> None:
        """Accept connections and data, and pass nothing on."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        """Pass on again, first what was held back."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def lead_to(self, target_port: int) -> None:
        """Cut every connection; new ones lead to ``target_port``."""

        def cut() -> None:
            self._target_port = target_port
            for writer in self._writers:
                writer.close()

        self._loop.call_soon_threadsafe(cut)

    async def _listen(self) -> int:
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._flows.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        pair = {writer, there[1]}
        self._writers |= pair
        await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))
        self._writers -= pair

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
