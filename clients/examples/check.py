"""Run what README.md tells newcomers to paste, and the examples beside this file, against a server of their own.

    python3 clients/examples/check.py build/descent
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
README_URL = "http://127.0.0.1:8080"  # as README.md writes it


def blocks(language, text):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def ran(argv, text=None):
    """stdout of a program that must succeed within a minute."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"{argv}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def numbers(text):
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def check_readme(url):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    (python,) = blocks("python", readme)
    if max(abs(x) for x in numbers(ran([sys.executable, "-"], python.replace(README_URL, url)))) > 1e-2:
        sys.exit("README.md: the Python example does not reach the minimum")
    (curl,) = [block for block in blocks("sh", readme) if block.startswith(f"U={README_URL}")]
    answer = ran(["bash", "-e"], curl.replace(README_URL, url))
    promised = re.search(r"answers `(.*?)`", readme).group(1)
    if not answer.endswith(promised):
        sys.exit(f"README.md: curl answers {answer}, not {promised}")


def check_quickstart(url):
    found = numbers(ran([sys.executable, os.path.join(HERE, "quickstart.py"), url]).splitlines()[-1])
    if max(abs(x - y) for x, y in zip(found, [3.0, -1.0, 0.5])) > 0.2:
        sys.exit(f"quickstart.py ends at {found}")


def main(program):
    with tempfile.TemporaryDirectory(prefix="descent-examples-") as data:
        serve = [program, "serve", "--listen", "127.0.0.1:0", "--data", data, "--log-level", "error"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            try:
                url = server.stdout.readline().split()[-1]
                check_readme(url)
                check_quickstart(url)
            finally:
                server.terminate()
    print("examples: they do what they say")


if __name__ == "__main__":
    main(sys.argv[1])
