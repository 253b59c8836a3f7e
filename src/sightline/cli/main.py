"""The command `sightline`: finds the command's file, runs it, turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import io
import keyword
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

from sightline.errors import SightlineError

# Command -> its one-line help. The file is cli/NAME.py (NAME_.py where Python has the word itself)
# with add_arguments(parser) and run(args).
COMMANDS = {
    "quickstart": "sample data, training, evaluation and a live page, with no network or camera",
    "data": "inspect data sets; mend, convert and split them",
    "train": "photos to a detector: fine-tune on your own objects",
    "evaluate": "the 12 COCO numbers of a model on a data set",
    "export": "a model as an artefact that was proven in its runtime",
    "import": "a model of another program as a bundle",
    "predict": "detect in images, folders, videos and cameras",
    "serve": "the live page, and detection over HTTP, WebSocket and WebRTC",
    "publish": "a model and its page as a folder that any web host can serve",
    "models": "the models that have a name; pull their weights",
    "doctor": "what is missing or failing: here, or leg by leg on the way to a server",
    "bench": "latency of a model on this machine, beside the bare runtime",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    try:
        return _run(argv)
    except KeyboardInterrupt:  # while the command's file was read
        print("sightline: stopped", file=sys.stderr)
        return 130


def _run(argv: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a code page without a class's letters
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments).parse_args(arguments)
    command = _load(args.command)
    try:
        return int(command.run(args))
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except SightlineError as error:
        return _fail(args, str(error), error.exit_code)
    except OSError as error:
        return _fail(args, str(error), 1)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}".splitlines()[0]
        return _fail(args, f"a fault inside Sightline ({fault}); --debug shows where", 1)
    except KeyboardInterrupt:
        print(f"sightline {args.command}: stopped", file=sys.stderr)
        return 130


def _fail(args: argparse.Namespace, message: str, exit_code: int) -> int:
    """One line on stderr, after the traceback where --debug asks for it."""
    if args.debug:
        traceback.print_exc()
    print(f"sightline {args.command}: {message}", file=sys.stderr)
    return exit_code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sightline",
        description="From a folder of photos to a detector for your own objects that runs live.",
        epilog="Start with: sightline quickstart",
    )
    parser.add_argument("--version", action="version", version=f"sightline {version('sightline')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, help_line in COMMANDS.items():
        child = commands.add_parser(
            name,
            help=help_line,
            description=help_line[0].upper() + help_line[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        child.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if name == named:  # the other commands' files are not even imported
            _load(name).add_arguments(child)
    return parser


def _load(command: str) -> ModuleType:
    name = f"{command}_" if keyword.iskeyword(command) else command
    return importlib.import_module(f"sightline.cli.{name}")


if __name__ == "__main__":
    sys.exit(main())
