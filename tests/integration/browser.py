"""A headless Chromium, driven over two pipes by its DevTools protocol: nothing to install but the
browser itself."""

import base64
import itertools
import json
import os
import select
import shutil
import time

import rig

BINARY = shutil.which("chromium-headless-shell") or shutil.which("chromium")


class Browser:
    """One page. `events` has what the browser reported of it: requests, console, exceptions."""

    def __init__(self, workspace):
        self._workspace, folder = workspace, workspace.folder("chromium")
        ours, theirs = os.pipe(), os.pipe()  # to the browser, from it
        self._write, self._read = ours[1], theirs[0]
        # It reads from 3 and writes to 4. As root it runs only without its sandbox; all that it
        # loads is ours.
        command = (f'exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage '
                   f'--no-first-run --user-data-dir="$1" --remote-debugging-pipe about:blank '
                   f'3<&{ours[0]} 4>&{theirs[1]}')
        self.process = workspace.spawn(
            ["bash", "-c", command, BINARY, folder], os.path.join(folder, "chromium.log"),
            as_us=True, pass_fds=(ours[0], theirs[1]))
        os.close(ours[0])
        os.close(theirs[1])
        self._numbers, self._buffer, self._session = itertools.count(1), b"", None
        self.events = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    def _message(self, timeout):
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                return None
            piece = os.read(self._read, 1 << 16)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, **parameters):
        """The result of a command."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message(rig.HANGS_S)
            assert message, f"no answer to {method}"
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def run(self, expression):
        """The value of a piece of JavaScript."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def text(self, id):
        return self.run(f"document.getElementById({json.dumps(id)}).textContent")

    def number(self, id):
        """As the page writes it, without its thousands separators."""
        return float(self.text(id).replace(",", ""))

    def open(self, url):
        self.send("Page.navigate", url=url)

    def look(self, width, height=900, scheme="light"):
        """Shows the page as on a screen like this."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        """The whole page, as a PNG."""
        height = self.run("document.documentElement.scrollHeight")
        width = self.run("document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = self.send("Page.captureScreenshot", format="png", clip=clip,
                          captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(found["data"]))

    def seen(self, method):
        """The parameters of all events of this kind so far."""
        self.run("0")  # what has been reported before
        return [event["params"] for event in self.events if event.get("method") == method]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self._workspace.forget(self.process)
        os.close(self._read)
        os.close(self._write)
