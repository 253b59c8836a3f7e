"""What an installation takes on disk: the base, and with [webrtc] or [train].

    python benchmarks/install_size.py

Builds the wheel and installs it into fresh virtual environments.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
CONSTRAINTS = REPO / "requirements" / "lock.txt"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(REPO)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        wheel = next(Path(folder).glob("*.whl"))
        print(f"wheel: {wheel.stat().st_size / 1e6:.1f} MB")
        print("| install | size | largest packages |")
        print("|---|---|---|")
        for number, extra in enumerate(("", "[webrtc]", "[train]")):
            print(row(wheel, extra, Path(folder) / f"venv{number}"), flush=True)


def row(wheel: Path, extra: str, venv: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", str(CONSTRAINTS), f"sightline{extra} @ {wheel.as_uri()}",
    ]  # fmt: skip
    subprocess.run(install, check=True)
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    sizes = {
        child.name: folder_bytes(child)
        for child in packages.iterdir()
        if not child.name.startswith(("pip", "setuptools"))
    }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    shown = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest)
    return f"| `sightline{extra}` | {sum(sizes.values()) / 1e6:.0f} MB | {shown} |"


def folder_bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


if __name__ == "__main__":
    main()
