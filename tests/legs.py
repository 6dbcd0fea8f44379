"""`python -m tests.legs WHICH JOBS [OPTION…]`: pytest on SQLite and, at the same time, on a PostgreSQL that it starts.

Much of what each run does is waiting: for processes, for a clock, for a lock; together they take less time than one
after the other. WHICH is an expression of markers (`-m`), JOBS the number of workers on PostgreSQL, where what is
marked `once` is left out too; SQLite, where more is tested, gets one more. The run on SQLite is seen as it goes; what
the one on PostgreSQL printed is shown after it. The exit code is 0 only if both passed.
"""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import tempfile


def main(which: str, jobs: str, *options: str) -> int:
    """Run both; return the exit code of the first that failed."""
    # In a fresh clone every worker would compile them, all at the same time.
    for package in ("newss_project", "scheduling", "scrapers"):
        compileall.compile_dir(package, quiet=2, workers=0)
    pytest = [sys.executable, "-m", "pytest", "--dist", "worksteal", *options, "-m"]
    with tempfile.TemporaryFile("w+") as shown:
        postgresql = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres", *pytest, f"({which}) and not anydb and not once", "-n", jobs],
            stdout=shown,
            stderr=subprocess.STDOUT,
        )
        try:
            sqlite = subprocess.run([*pytest, which, "-n", str(int(jobs) + 1)], check=False).returncode
            code = postgresql.wait()
        except KeyboardInterrupt:
            # The other got it too, and ends its server.
            postgresql.wait()
            raise
        shown.seek(0)
        shutil.copyfileobj(shown, sys.stdout)
    return sqlite or code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
