"""`sightline doctor`: what is missing or failing, here or on the way to a server."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightline.workflow.doctor.leg import Leg

EPILOG = """examples:
  sightline doctor                                        this installation
  sightline doctor http://127.0.0.1:8000                  a server, leg by leg
  sightline doctor 'http://192.168.1.5:8000/?token=…'     the address as the server printed it
  sightline doctor https://192.168.1.5:8443 --token …     a certificate of its own is asked about

Exits with 1 if a leg failed. A missing part is no failure: nothing needs it before it is used.
"""
_NAME_WIDTH, _STATE_WIDTH = 14, 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "url", nargs="?", metavar="URL", help="of a running server (default: this installation)"
    )
    parser.add_argument("--token", metavar="T", help="the server's, where it is not in the URL")
    parser.add_argument(
        "--fingerprint",
        metavar="SHA256",
        help="of the server's certificate, as it printed it, where no authority vouches for it",
    )
    parser.add_argument("--json", action="store_true", help="print the legs as JSON")


def run(args: argparse.Namespace) -> int:
    from sightline.workflow.doctor.examine import examine_server
    from sightline.workflow.doctor.installation import examine_installation
    from sightline.workflow.doctor.leg import FAILED

    legs: list[Leg] = []

    def report(leg: Leg) -> None:
        legs.append(leg)
        if not args.json:
            print(_row(leg), flush=True)

    if args.url is None:
        examine_installation(report)
    else:
        examine_server(args.url, report, token=args.token, fingerprint=args.fingerprint)
    failed = [leg.name for leg in legs if leg.state == FAILED]
    if args.json:
        print(json.dumps({"ok": not failed, "legs": [leg.to_json() for leg in legs]}, indent=2))
    if failed:
        print(f"sightline doctor: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _row(leg: Leg) -> str:
    """The leg's line, and below it what to do, folded to the terminal's width."""
    begin = leg.name.ljust(_NAME_WIDTH) + leg.state.ljust(_STATE_WIDTH)
    rest = " " * len(begin)
    lines = _folded(leg.seen, begin, rest)
    if leg.todo:
        lines += _folded(leg.todo, rest + "-> ", rest + "   ")
    return "\n".join(lines)


def _folded(text: str, first: str, rest: str) -> list[str]:
    if not sys.stdout.isatty():  # a line each, for grep
        return [first + text]
    width = max(60, shutil.get_terminal_size().columns - 1)
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
