"""``python -m llmroute.conformance.upstream --host H --port P``: the upstream alone, until SIGTERM or SIGINT.

Prints ``ready: http://HOST:PORT`` when it listens. Answers under way get ten seconds to end.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Final

from llmroute.conformance.upstream.ledger import Ledger
from llmroute.conformance.upstream.server import Server

_GRACE_SECONDS: Final = 10.0


async def serve(host: str, port: int) -> None:
    """Serve until a signal comes, then stop in an orderly way.

    Raises:
        OSError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(Ledger(), _GRACE_SECONDS)
    bound = await server.start(host, port)
    print(f"ready: http://{host}:{bound}", flush=True)  # noqa: T201 - the line that callers wait for
    await stop.wait()
    await server.stop()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after a signal, 1 when the address cannot be listened on."""
    parser = argparse.ArgumentParser(prog="python -m llmroute.conformance.upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port, 0 for a free one (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(options.host, options.port))
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
