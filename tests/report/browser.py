"""A page in a real browser, driven over its DevTools protocol: keys are keys, and what it complains of is noted."""

import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip
CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
         "ArrowDown": 40}  # fmt: skip
TEXTS = {"Enter": "\r"}
WAIT = 60  # seconds: a busy machine starts a browser slowly


def find_browser():
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One tab; ``errors`` are exceptions, errors on the console and what the page's policy refused, since `open`."""

    def __init__(self, program, folder):
        self.folder, self.errors, self._last, self._stack = folder, [], 0, ExitStack()
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._socket = self._stack.enter_context(connect(self._tab(), max_size=None))
        except BaseException:
            self._process.kill()
            raise
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.send(f"{domain}.enable")
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _tab(self):
        """Return the address at which the browser takes commands."""
        port_file, ended = self.folder / "profile" / "DevToolsActivePort", time.monotonic() + WAIT
        while time.monotonic() < ended and self._process.poll() is None:
            if port_file.exists() and len(lines := port_file.read_text().splitlines()) == 2:
                with urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
                if tabs:
                    return tabs[0]["webSocketDebuggerUrl"]
            time.sleep(0.05)
        raise RuntimeError("the browser did not start")

    def close(self):
        self._stack.close()
        self._process.terminate()
        self._process.wait(WAIT)

    def send(self, method, **params):
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while (said := self._next()).get("id") != self._last:
            pass
        assert "error" not in said, said
        return said["result"]

    def _next(self):
        said = json.loads(self._socket.recv(WAIT))
        event, told = said.get("method", ""), said.get("params", {})
        entry = told.get("entry", told)
        if event == "Runtime.exceptionThrown" or "error" in (entry.get("level"), entry.get("type")):
            self.errors.append(json.dumps(told))
        return said

    def open(self, page: Path, *, width=1280, height=900):
        self.errors.clear()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Page.navigate", url=page.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script):
        """Return the value of an expression in the page; a promise's, when it is kept."""
        said = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait(self, condition):
        """Wait until an expression is true."""
        ended = time.monotonic() + WAIT
        while not self.run(f"!!({condition})"):
            assert time.monotonic() < ended, condition
            time.sleep(0.02)

    def press(self, *keys):
        for key in keys:
            pressed = {"key": key, "code": key, "windowsVirtualKeyCode": CODES.get(key, ord(key[0].upper()))}
            text = TEXTS.get(key, key if len(key) == 1 else "")
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **pressed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def give_file(self, selector, path):
        """Choose a file in an input."""
        node = self.send("Runtime.evaluate", expression=f"document.querySelector({selector!r})")["result"]["objectId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], objectId=node)

    def downloaded(self, name):
        """Return the path of a file that the page gave to save, when it is there."""
        path, ended = self.folder / name, time.monotonic() + WAIT
        while not path.exists():
            assert time.monotonic() < ended, f"{name} was not saved"
            time.sleep(0.02)
        return path
