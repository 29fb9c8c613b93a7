"""Readers without their start-up: one process imports the reader once, and forks for every file.

Every file is still read by `reader_process.main` in a process of its own under its own limits; what is
spared is the import of NumPy and h5py, half a second a file.
"""

import io
import json
import os
import subprocess
import sys
import tempfile

SERVER = [sys.executable, "-m", "tests.data.forking"]


class Forked:
    """Looks like the process of a reader that has ended."""

    def __init__(self, answer):
        self.returncode, self.peak, self.seconds = answer["returncode"], answer["peak"], answer["seconds"]
        self.stdout = io.StringIO(answer["output"])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def kill(self):
        pass

    def wait(self):
        pass


class Forker:
    """Stands in for `subprocess_reader._started`; keeps what the last reader took.

    Args:
        seconds: Of processor time for a small file; what a reader has by default.
    """

    def __init__(self, seconds=None):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen([*SERVER, json.dumps(seconds)], env=environment, **pipes)
        self.last = None

    def __call__(self, reader, path, options, folder):
        words = [reader, os.fspath(path), json.dumps(options), os.fspath(folder)]
        self.server.stdin.write(json.dumps(words) + "\n")
        self.server.stdin.flush()
        self.last = Forked(json.loads(self.server.stdout.readline()))
        return self.last

    def close(self):
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()


def serve():
    from lit_delays.data.storage import shd_layout  # noqa: F401  (once, not for every file)
    from lit_delays.security import reader_process

    reader_process.SECONDS = json.loads(sys.argv[1]) or reader_process.SECONDS
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as output:
            if not (child := os.fork()):
                sys.argv[1:] = json.loads(line)
                os.dup2(output.fileno(), 1)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                try:
                    reader_process.main()
                    code = 0
                except SystemExit as end:
                    code = end.code
                except BaseException:
                    code = 1
                sys.stdout.flush()
                os._exit(code)
            _, status, used = os.wait4(child, 0)
            output.seek(0)
            answer = {
                "returncode": os.waitstatus_to_exitcode(status),
                "peak": used.ru_maxrss * 1024,
                "seconds": used.ru_utime + used.ru_stime,
                "output": output.read(),
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
