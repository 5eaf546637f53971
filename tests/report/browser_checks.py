#!/usr/bin/env python3
"""A page in headless Chromium, as its readers meet it: prints every fault it finds and exits with 1 where there is one.

    browser_checks.py PAGE.html

console     nothing is written to it and nothing is thrown
network     nothing is asked for but the page itself
widths      at 320, 768, 1200 and 1920 pixels, everything open: the page does not scroll sideways, no cell is cut, no drawn word is cut,
            smaller than 10 pixels or on another name
contrast    words against their background, light and dark: 4.5 to 1 (WCAG 2.2, 1.4.3)
keyboard    Tab reaches headers, details and inputs; Enter sorts, Space opens, digits count
names       what a screen reader says: headings in order, a name for every table, header, figure, control and region
print       a PDF comes out, and no cell is cut in its width

Speaks the DevTools protocol through a pipe: no port, nothing to install. Also prints, without judging: bytes, elements, milliseconds.
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

WIDTHS = (320, 768, 1200, 1920)
PAPER = 1031.8  # pixels between the margins of an A4 sheet on its side: 273 mm


class Browser:
    def __init__(self, home):
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()

        def pipes():
            # 3 and 4 may be among the pipe's own ends: away from there first.
            read, write = os.dup(to_read), os.dup(back_write)
            read, write = (os.dup(read), os.dup(write)) if {read, write} & {3, 4} else (read, write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
             "--no-first-run", f"--user-data-dir={home}/profile", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": home})
        os.close(to_read)
        os.close(back_write)
        self.rest, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def message(self):
        while b"\0" not in self.rest:
            part = os.read(self.back, 1 << 20)
            if not part:
                raise SystemExit("browser_checks: chromium ended early")
            self.rest += part
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"browser_checks: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(e.get("method") == method for e in self.events):
            self.events.append(self.message())

    def run(self, script):
        """The value of an expression, promises awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"browser_checks: {json.dumps(answer['exceptionDetails'])[:400]}")
        return answer["result"].get("value")

    def settle(self):
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")

    def width(self, pixels):
        self.call("Emulation.setDeviceMetricsOverride", width=pixels, height=900, deviceScaleFactor=1, mobile=False)
        self.settle()

    def press(self, key, code, text=""):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key if len(key) > 1 else "", windowsVirtualKeyCode=code, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def close(self):
        os.close(self.to)
        self.process.wait(timeout=30)


OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
SHUT_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = false; })"

CUT = """(() => {
  const faults = [], edge = document.documentElement.clientWidth;
  const say = (what, node) => faults.push(`${what}: ${node.textContent.trim().slice(0, 60)}`);
  if (document.documentElement.scrollWidth > edge) faults.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
  for (const box of document.querySelectorAll('.scroll')) if (box.scrollWidth > box.clientWidth) say('a table loses columns', box);
  for (const cell of document.querySelectorAll('td, th')) {
    const r = cell.getBoundingClientRect();
    if (r.right > edge + 1 || r.left < -1) say('a cell lies outside', cell);
    else if (cell.scrollWidth > cell.clientWidth + 1 && getComputedStyle(cell).display !== 'table-cell') say('a cell is cut', cell);
  }
  for (const svg of document.querySelectorAll('figure svg')) {
    const frame = svg.getBoundingClientRect(), labels = [];
    const scale = frame.width / svg.viewBox.baseVal.width;
    for (const text of svg.querySelectorAll('text')) {
      const r = text.getBoundingClientRect();
      if (r.left < frame.left - 1.5 || r.right > frame.right + 1.5 || r.top < frame.top - 1.5 || r.bottom > frame.bottom + 1.5) say('a drawn word is cut', text);
      if (parseFloat(getComputedStyle(text).fontSize) * scale < 10) say('a drawn word is small', text);
      if (text.classList.contains('label')) labels.push([text, r]);
    }
    labels.forEach(([a, r], i) => labels.slice(i + 1).forEach(([b, q]) => {
      if (r.left < q.right - 1 && q.left < r.right - 1 && r.top < q.bottom - 3 && q.top < r.bottom - 3) say(`a name lies on '${b.textContent}'`, a);
    }));
  }
  return [...new Set(faults)];
})()"""

CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const luminance = ([r, g, b]) => { const f = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (node) => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
  const faults = new Set();
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = words.nextNode());) {
    const node = text.parentElement;
    if (!text.data.trim() || node.closest('script, style, title, noscript') || !node.getClientRects().length) continue;
    const svg = node.closest('svg'), style = getComputedStyle(node);
    if (svg && node.previousElementSibling && node.previousElementSibling.tagName === 'rect') continue;  // on a colored cell
    const [a, b] = [luminance(rgb(svg ? style.fill : style.color)), luminance(behind(svg ? svg.parentElement : node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.add(`${ratio.toFixed(1)} to 1: ${text.data.trim().slice(0, 40)} (${node.tagName} ${node.className.baseVal ?? node.className})`);
  }
  return [...faults];
})()"""

NAMED = {"button", "spinbutton", "textbox", "combobox", "image", "table", "columnheader", "rowheader", "heading", "region", "DisclosureTriangle"}


def check_names(browser):
    nodes = [n for n in browser.call("Accessibility.getFullAXTree")["nodes"] if not n.get("ignored")]
    role = lambda n: n.get("role", {}).get("value", "")
    name = lambda n: n.get("name", {}).get("value", "").strip()
    found = {role(n) for n in nodes}
    for wanted in ("main", "table", "columnheader", "rowheader", "heading", "image"):
        if wanted not in found:
            yield f"no screen reader finds a {wanted}"
    for node in nodes:
        if role(node) in NAMED and not name(node):
            yield f"a {role(node)} has no name"
    levels = [next(p["value"]["value"] for p in n["properties"] if p["name"] == "level") for n in nodes if role(n) == "heading"]
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"headings begin with {levels[:3]}, expected one of level 1, first"
    if any(b > a + 1 for a, b in zip(levels, levels[1:])):
        yield f"heading levels leave one out: {levels}"
    if not browser.run("document.documentElement.lang"):
        yield "the page has no language"


def check_keyboard(browser):
    tab = lambda: browser.press("Tab", 9)
    focus = lambda: browser.run("(() => { const a = document.activeElement; return a.closest('thead') ? 'header' : a.tagName.toLowerCase(); })()")
    reached = set()
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(400):
        tab()
        at = focus()
        if at in reached or at == "body":
            if at == "body":
                break
            continue
        reached.add(at)
        if not browser.run("(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0; })()"):
            yield f"a {at} in focus does not show it"
        if at == "header":
            browser.press("Enter", 13, "\r")
            if browser.run("document.activeElement.closest('th').getAttribute('aria-sort')") != "ascending":
                yield "Enter on a header sorts nothing"
        if at == "summary":
            before = browser.run("document.activeElement.parentElement.open")
            browser.press(" ", 32, " ")
            if browser.run("document.activeElement.parentElement.open") == before:
                yield "Space on a summary opens nothing"
    for wanted in ("header", "summary"):
        if wanted not in reached:
            yield f"Tab reaches no {wanted}"
    if browser.run("document.querySelectorAll('input').length") and "input" not in reached:
        yield "Tab reaches no input"


def check_widths(browser):
    for width in WIDTHS:
        browser.width(width)
        browser.run(OPEN_ALL)
        browser.settle()
        for fault in browser.run(CUT):
            yield f"at {width} pixels: {fault}"
        browser.run(SHUT_ALL)


def check_contrast(browser):
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.run(OPEN_ALL)
        browser.settle()
        for fault in browser.run(CONTRAST):
            yield f"{scheme}: {fault}"
        browser.run(SHUT_ALL)
    browser.call("Emulation.setEmulatedMedia", features=[])


def check_print(browser):
    browser.width(1200)
    pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    if not pdf.startswith(b"%PDF") or len(pdf) < 5000:
        yield f"printing gives no PDF of its figures ({len(pdf)} bytes)"
    # As on the sheet, whatever the window was: what the page does before it is printed, and nothing after that.
    browser.width(1920)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.call("Emulation.setEmulatedMedia", media="print")
    wide = browser.run("document.body.getBoundingClientRect().width")
    if abs(wide - PAPER) > 2:
        yield f"on paper the page is {wide} pixels wide, expected {PAPER}"
    for fault in browser.run(CUT):
        yield f"on paper: {fault}"
    if browser.run("[...document.querySelectorAll('details')].some((d) => !d.open)"):
        yield "on paper something stays shut"
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.call("Emulation.setEmulatedMedia", media="")


def check_events(browser):
    for event in browser.events:
        method, params = event.get("method"), event.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            yield f"console: {json.dumps(params)[:300]}"
        if method == "Network.requestWillBeSent" and params["type"] != "Document":
            yield f"network: {params['request']['url'][:200]}"


def main(page):
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        browser = Browser(home)
        try:
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                browser.call(f"{domain}.enable")
            browser.width(1200)
            browser.call("Page.navigate", url=page.resolve().as_uri())
            browser.wait("Page.loadEventFired")
            if browser.run("document.documentElement.dataset.drawn") != "yes":
                faults.append("the script did not come to its end")
            milliseconds = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
            print(f"{page.stat().st_size} bytes, {browser.run('document.querySelectorAll(`*`).length')} elements, {milliseconds:.0f} ms")
            for check in (check_names, check_keyboard, check_widths, check_contrast, check_print, check_events):
                faults += check(browser)
        finally:
            browser.close()
    for fault in faults:
        print("fault:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
