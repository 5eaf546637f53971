"use strict";
(() => {
  const R = JSON.parse(document.getElementById("report").textContent);
  const main = document.getElementById("main");
  const PALETTE = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"].map((c) => `var(${c})`);

  // ---- small makers -------------------------------------------------------------------------------------------------
  const el = (tag, attributes = {}, ...children) => {
    const svg = ["svg", "g", "path", "line", "rect", "circle", "text", "pattern", "defs", "title", "polyline"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(key, value);
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  };
  const section = (figure, fallback) => {
    const box = el("section", {}, el("h2", {}, figure.finding || fallback), el("p", { class: "sub" }, figure.description || ""));
    main.append(box);
    return box;
  };
  const shorten = (name, limit = 28) => name.length <= limit ? name : name.slice(0, limit / 2 - 1) + "…" + name.slice(1 - limit / 2);
  const digits = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 1e15 || size < 1e-4) return value.toExponential(2);
    const places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
    return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  };
  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (value >= 1024 && i < units.length - 1) { value /= 1024; i++; }
    return `${i ? value.toFixed(2) : value} ${units[i]}`;
  };
  const seconds = (s) => s < 60 ? `${s.toFixed(s < 10 ? 2 : 1)} s` : `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, "0")} s`;
  const show = (value, unit) => unit === "bytes" ? bytes(value) : unit === "seconds" ? seconds(value) : unit === "count" ? value.toLocaleString("en-US") : unit === "fraction" ? `${(100 * value).toFixed(1)}%` : digits(value);
  const explain = (n) => {
    const parts = [`${n.provenance || "measured"}`];
    if (n.value !== null && n.value !== undefined) parts.push(`value ${n.value}`);
    if (n.low !== undefined && n.low !== null) parts.push(`${Math.round(100 * (n.confidence || 0.95))}% interval ${n.low} to ${n.high}${n.method ? ` (${n.method})` : ""}`);
    if (n.range) parts.push(`the model behind it may be off: from ${n.range.low} to ${n.range.high}, the same way for all numbers of this run`);
    if (n.marks && n.marks.length) parts.push(`less sure: ${n.marks.join(", ")}`);
    if (n.n) parts.push(`n = ${n.n}`);
    if (n.source) parts.push(`from step ${n.source}`);
    if (n.help) parts.push(n.help);
    if (n.reason) parts.push(n.reason);
    return parts.join(" · ");
  };
  // Which model has which color: gray for the baseline, the palette in order for the others.
  const color = {};
  R.models.filter((m) => m.role !== "baseline").forEach((m, i) => { color[m.name] = PALETTE[i % PALETTE.length]; });
  R.models.filter((m) => m.role === "baseline").forEach((m) => { color[m.name] = "var(--teacher)"; });

  // ---- head ---------------------------------------------------------------------------------------------------------
  const BADGES = { kept: "claim holds", lost: "claim refuted", not_shown: "claim not shown", no_claim: "no claim declared", failed: "run failed" };
  const head = document.getElementById("head");
  head.append(
    el("h1", {}, R.name),
    el("p", { class: "verdict" }, R.verdict.sentence),
    el("p", {}, el("span", { class: `badge ${R.verdict.status}` }, BADGES[R.verdict.status] || R.verdict.status)),
    el("p", { class: "sub" }, R.verdict.detail || ""),
    R.description ? el("p", { class: "sub" }, R.description) : null,
    marks());

  // The three marks of provenance, explained once and used everywhere.
  function marks() {
    const mark = (kind, label) => {
      const svg = el("svg", { width: 26, height: 12, "aria-hidden": "true" }, hatch(), bar(0, 1, 24, 10, "var(--soft)", kind));
      return el("span", {}, svg, label);
    };
    return el("div", { class: "legend" }, mark("measured", "measured"), mark("modelled", "modelled"), mark("assumed", "assumed"));
  }
  function hatch() {
    return el("defs", {}, el("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      el("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "var(--paper)", "stroke-width": 2.6 })));
  }
  function bar(x, y, width, height, fill, provenance, hint) {
    const group = el("g", {});
    const w = Math.max(width, 0.75);
    if (provenance === "assumed") group.append(el("rect", { x, y, width: w, height, fill: "none", stroke: fill, "stroke-dasharray": "1.5 2.5", "stroke-width": 1.5 }));
    else group.append(el("rect", { x, y, width: w, height, fill }));
    if (provenance === "modelled") group.append(el("rect", { x, y, width: w, height, fill: "url(#hatch)" }));
    if (hint) group.append(el("title", {}, hint));
    return group;
  }

  // What makes a number less sure stands beside it.
  const flags = (value) => value.marks && value.marks.length ? el("span", { class: "interval" }, `* ${value.marks.join(", ")}`) : null;

  // ---- tables: sortable, copied as CSV ------------------------------------------------------------------------------
  function table(columns, rows) {
    const body = el("tbody", {});
    const draw = (order) => body.replaceChildren(...order.map((row) => el("tr", { class: row.class }, ...columns.map((c) => cell(c, row)))));
    const cell = (c, row) => {
      const value = row.cells[c.key];
      if (value instanceof Node) return el("td", { class: c.text ? "text" : null }, value.cloneNode(true));
      if (value === null || value === undefined) return el("td", { class: "unknown", title: "unknown" }, "–");
      if (typeof value !== "object") return el("td", { class: c.text ? "text" : null }, String(value));
      if ((value.value === null || value.value === undefined) && value.range) return el("td", { title: explain(value) }, el("span", { class: value.provenance }, `${show(value.range.low, c.unit)}–${show(value.range.high, c.unit)}`), flags(value));
      if (value.value === null || value.value === undefined) return el("td", { class: "unknown", title: explain(value) }, "–");
      const td = el("td", { title: explain(value) }, el("span", { class: value.provenance || "measured" }, show(value.value, c.unit)));
      if (value.low !== undefined && value.low !== null) td.append(el("span", { class: "interval" }, `${show(value.low, c.unit)}–${show(value.high, c.unit)}`));
      td.append(flags(value) || "");
      return td;
    };
    const raw = (v) => v instanceof Node ? v.textContent : v && typeof v === "object" ? v.value : v;
    const sort = (c, th) => {
      const down = th.getAttribute("aria-sort") === "ascending";
      th.parentNode.querySelectorAll("th").forEach((t) => t.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      draw([...rows].sort((a, b) => {
        const [x, y] = [raw(a.cells[c.key]), raw(b.cells[c.key])];
        if (x === null || x === undefined) return 1;
        if (y === null || y === undefined) return -1;
        return (down ? -1 : 1) * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
      }));
    };
    const headRow = el("tr", {}, ...columns.map((c) => {
      const th = el("th", { title: c.help || "", class: c.text ? "text" : null, tabindex: 0 }, c.title);
      th.addEventListener("click", () => sort(c, th));
      th.addEventListener("keydown", (e) => { if (e.key === "Enter") sort(c, th); });
      return th;
    }));
    draw(rows);
    const copy = el("button", { type: "button" }, "copy as CSV");
    copy.addEventListener("click", async () => {
      const quote = (v) => v === null || v === undefined ? "" : /[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : String(v);
      const text = [columns.map((c) => quote(c.title)), ...rows.map((r) => columns.map((c) => quote(raw(r.cells[c.key]))))].map((l) => l.join(",")).join("\n");
      try { await navigator.clipboard.writeText(text); copy.textContent = "copied"; } catch { copy.textContent = "copying was refused; use report.csv"; }
      setTimeout(() => { copy.textContent = "copy as CSV"; }, 2000);
    });
    return el("div", {}, el("div", { class: "scroll" }, el("table", {}, el("thead", {}, headRow), body)), copy);
  }
  const name = (m) => el("span", { title: m }, el("span", { class: "swatch", style: `background:${color[m] || "var(--faint)"}` }), shorten(m));
  const behind = (label, node) => el("details", {}, el("summary", {}, label), node);

  // ---- scales and axes ----------------------------------------------------------------------------------------------
  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : (v) => v;
    const [a, b] = [f(low), f(high)];
    const map = (v) => from + (f(v) - a) / (b - a || 1) * (to - from);
    map.ticks = log ? logTicks(low, high) : linearTicks(low, high);
    return map;
  }
  function linearTicks(low, high, count = 5) {
    const step0 = (high - low) / count, power = 10 ** Math.floor(Math.log10(step0 || 1));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= step0) || power;
    const ticks = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) ticks.push(Math.abs(t) < step * 1e-9 ? 0 : t);
    return ticks;
  }
  function logTicks(low, high) {
    const ticks = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
      for (const m of [1, 2, 5]) { const t = m * 10 ** p; if (t >= low && t <= high) ticks.push(t); }
    return ticks;
  }
  function extent(numbers, pad, log) {
    const all = numbers.flatMap((n) => [n.value, n.low, n.high]).filter((v) => v !== null && v !== undefined && (!log || v > 0));
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (log) return [low / (1 + pad), high * (1 + pad)];
    const room = (high - low || Math.abs(high) || 1) * pad;
    return [low - room, high + room];
  }

  // ---- figures ------------------------------------------------------------------------------------------------------
  function tradeoff(f) {
    const box = section(f, "Quality against cost");
    const points = f.points.filter((p) => p.x.value !== null && p.y.value !== null);
    if (f.note) box.append(el("p", { class: "note" }, f.note));
    if (points.length) {
      const [W, H, L, B, T, E] = [900, 400, 64, 46, 14, 150];
      const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" }, hatch());
      const x = scale(...extent(points.map((p) => p.x), f.x_log ? 0.35 : 0.12, f.x_log), L, W - E, f.x_log);
      const y = scale(...extent(points.map((p) => p.y), 0.1, false), H - B, T, false);
      for (const t of y.ticks) svg.append(el("line", { class: "axis", x1: L, x2: W - E, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, show(t, f.y_unit)));
      for (const t of x.ticks) svg.append(el("line", { class: "axis", x1: x(t), x2: x(t), y1: H - B, y2: H - B + 5 }), el("text", { x: x(t), y: H - B + 19, "text-anchor": "middle" }, show(t, f.x_unit)));
      svg.append(el("line", { class: "frame", x1: L, x2: W - E, y1: H - B, y2: H - B }),
        el("text", { x: (L + W - E) / 2, y: H - 6, "text-anchor": "middle" }, f.x_title + (f.x_log ? " (log scale)" : "")),
        el("text", { x: 0, y: T - 2 }, f.y_title));
      const front = points.filter((p) => !p.dominated).sort((a, b) => a.x.value - b.x.value);
      svg.append(el("polyline", { points: front.map((p) => `${x(p.x.value)},${y(p.y.value)}`).join(" "), fill: "none", stroke: "var(--faint)", "stroke-dasharray": "3 4" }));
      // Labels move apart downwards where points crowd.
      const placed = [];
      for (const p of [...points].sort((a, b) => y(a.y.value) - y(b.y.value))) {
        const [px, py, c] = [x(p.x.value), y(p.y.value), color[p.model] || "var(--faint)"];
        const g = el("g", { opacity: p.dominated ? 0.45 : 1 });
        if (p.y.low !== undefined && p.y.low !== null) g.append(el("line", { x1: px, x2: px, y1: y(p.y.low), y2: y(p.y.high), stroke: c, "stroke-width": 1.5 }));
        if (p.x.low !== undefined && p.x.low !== null && (!f.x_log || p.x.low > 0)) g.append(el("line", { x1: x(p.x.low), x2: x(p.x.high), y1: py, y2: py, stroke: c, "stroke-width": 1.5 }));
        const solid = (p.x.provenance || "measured") === "measured";
        g.append(el("circle", { cx: px, cy: py, r: 5.5, fill: p.x.provenance === "assumed" ? "var(--paper)" : c, stroke: c, "stroke-width": 1.5, "stroke-dasharray": p.x.provenance === "assumed" ? "1.5 2" : null }));
        if (!solid && p.x.provenance === "modelled") g.append(el("circle", { cx: px, cy: py, r: 5, fill: "url(#hatch)" }));
        let ly = py + 4;
        while (placed.some((q) => Math.abs(q.y - ly) < 14 && Math.abs(q.x - px) < 170)) ly += 14;
        placed.push({ x: px, y: ly });
        g.append(el("text", { class: p.role === "baseline" ? "" : "label", x: px + 11, y: ly }, shorten(p.model, 24)), el("title", {}, `${p.model}\n${f.y_title}: ${explain(p.y)}\n${f.x_title}: ${explain(p.x)}`));
        svg.append(g);
      }
      box.append(el("figure", {}, svg));
      box.append(behind("the numbers", table([{ key: "model", title: "model", text: true }, { key: "x", title: f.x_title, unit: f.x_unit }, { key: "y", title: f.y_title, unit: f.y_unit }],
        f.points.map((p) => ({ cells: { model: name(p.model), x: p.x, y: p.y } })))));
    }
  }

  function comparisons(f) {
    if (!f.rows.length) return;
    const box = section(f, "Difference to the baseline");
    const [W, row, L, E] = [900, 30, 190, 150];
    const H = f.rows.length * row + 46;
    const all = f.rows.map((r) => ({ value: r.difference, low: r.low, high: r.high }));
    const span = extent([...all, { value: 0 }, ...(f.margin ? [{ value: -f.margin * f.direction }] : [])], 0.08, false);
    const x = scale(...span, L, W - E, false);
    const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" });
    for (const t of x.ticks) svg.append(el("line", { class: "axis", x1: x(t), x2: x(t), y1: 4, y2: H - 40 }), el("text", { x: x(t), y: H - 22, "text-anchor": "middle" }, (t > 0 ? "+" : "") + show(t, f.unit)));
    svg.append(el("line", { class: "frame", x1: x(0), x2: x(0), y1: 0, y2: H - 40 }));
    if (f.margin) {
      const at = x(-f.margin * f.direction);
      svg.append(el("line", { x1: at, x2: at, y1: 0, y2: H - 40, stroke: "var(--bad)", "stroke-dasharray": "4 3" }), el("text", { x: at, y: H - 6, "text-anchor": "middle" }, "declared margin"));
    }
    f.rows.forEach((r, i) => {
      const cy = i * row + row / 2 + 2, c = color[r.model] || "var(--faint)";
      const g = el("g", {}, el("text", { class: "label", x: 0, y: cy + 4 }, shorten(r.model, 25)));
      if (r.low !== null && r.low !== undefined) g.append(el("line", { x1: x(Math.max(r.low, span[0])), x2: x(Math.min(r.high ?? span[1], span[1])), y1: cy, y2: cy, stroke: c, "stroke-width": 2 }));
      g.append(el("circle", { cx: x(r.difference), cy, r: 5, fill: c }), el("text", { x: W - E + 12, y: cy + 4 }, r.verdict || ""));
      g.append(el("title", {}, `${r.model}: difference ${r.difference}, interval ${r.low} to ${r.high}, n = ${r.n} (${r.method || ""})`));
      svg.append(g);
    });
    box.append(el("figure", {}, svg));
    const columns = [["model", "model"], ["metric", "metric"], ["value", "value"], ["reference_value", "baseline"], ["difference", "difference"], ["low", "low"], ["high", "high"], ["n", "n"], ["discordant", "discordant"], ["method", "method"], ["verdict", "verdict"]]
      .map(([key, title]) => ({ key, title, text: ["model", "metric", "method", "verdict"].includes(key) }));
    const number = (v) => typeof v === "number" ? { value: v, provenance: "measured" } : v;
    box.append(behind("every comparison", table(columns, f.all.map((r) => ({ cells: { ...Object.fromEntries(Object.entries(r).map(([k, v]) => [k, number(v)])), model: name(r.model) } })))));
  }

  function steps(f) {
    const box = section(f, "What each step cost");
    const rows = f.rows, row = 24, W = 900, L = 190, H = rows.length * row + 26;
    const half = (W - L - 150) / 2;
    const longest = Math.max(...rows.map((r) => r.seconds || 0), 1e-9), most = Math.max(...rows.map((r) => r.energy.value || 0), 1e-9);
    const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" }, hatch(),
      el("text", { x: L, y: 12 }, "time"), el("text", { x: L + half + 75, y: 12 }, "energy"));
    rows.forEach((r, i) => {
      const y = 20 + i * row;
      svg.append(el("g", { opacity: r.cached ? 0.5 : 1 }, el("text", { class: "label", x: 0, y: y + 13 }, shorten(r.step, 25)),
        bar(L, y + 3, (r.seconds || 0) / longest * half, row - 10, "var(--c5)", "measured", `${r.step}: ${r.seconds} s${r.cached ? " (of the run that made the cached result)" : ""}`),
        el("text", { x: L + (r.seconds || 0) / longest * half + 6, y: y + 13 }, seconds(r.seconds || 0)),
        ...(r.energy.value === null ? [el("text", { x: L + half + 75, y: y + 13 }, "unknown")] : [
          bar(L + half + 75, y + 3, r.energy.value / most * half, row - 10, "var(--c4)", r.energy.provenance, explain(r.energy)),
          el("text", { x: L + half + 75 + r.energy.value / most * half + 6, y: y + 13 }, `${digits(r.energy.value)} J`)])));
    });
    box.append(el("figure", {}, svg));
    const columns = [{ key: "step", title: "step", text: true }, { key: "pass", title: "pass", text: true }, { key: "seconds", title: "time", unit: "seconds" }, { key: "energy", title: "energy, J" },
      { key: "peak_memory", title: "peak memory", unit: "bytes" }, { key: "cached", title: "from cache", text: true }];
    box.append(behind("the numbers", table(columns, rows.map((r) => ({ cells: { ...r, seconds: { value: r.seconds }, peak_memory: { value: r.peak_memory_bytes }, cached: r.cached ? "yes" : "no" } })))));
  }

  function layers(f) {
    if (!f.variants.length) return;
    const box = section(f, "Where the error sits");
    const figure = el("figure", {}), choices = el("div", { class: "choices" });
    const draw = (v) => {
      choices.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.name === v.name)));
      const cell = [Math.min(86, 700 / v.matrices.length), 24], L = 60, T = 22;
      const [W, H] = [L + cell[0] * v.matrices.length + 20, T + cell[1] * v.layers.length + 4];
      const values = v.values.flat().filter((e) => e !== null && e > 0);
      const [low, high] = [Math.log(f.low), Math.log(f.high)];
      const svg = el("svg", { viewBox: `0 0 ${Math.max(W, 700)} ${H}`, role: "img", "aria-label": f.finding || "" });
      v.matrices.forEach((m, j) => svg.append(el("text", { x: L + cell[0] * (j + .5), y: 14, "text-anchor": "middle" }, m)));
      v.layers.forEach((layer, i) => {
        svg.append(el("text", { x: L - 8, y: T + cell[1] * (i + .5) + 4, "text-anchor": "end" }, `layer ${layer}`));
        v.matrices.forEach((m, j) => {
          const e = v.values[i][j];
          const t = e === null ? null : e <= 0 ? 0 : Math.min(1, Math.max(0, (Math.log(e) - low) / (high - low || 1)));
          const fill = t === null ? "none" : `color-mix(in srgb, rgb(var(--heat-high)) ${Math.round(t * 100)}%, rgb(var(--heat-low)))`;
          const g = el("g", {}, el("rect", { x: L + cell[0] * j + 1, y: T + cell[1] * i + 1, width: cell[0] - 2, height: cell[1] - 2, rx: 2, style: `fill:${fill}`, stroke: "var(--line)" }));
          if (e !== null) g.append(el("text", { x: L + cell[0] * (j + .5), y: T + cell[1] * (i + .5) + 4, "text-anchor": "middle", style: t > 0.55 ? "fill:var(--paper)" : "fill:var(--soft)" }, e === 0 ? "0" : `${(100 * e).toPrecision(2)}%`),
            el("title", {}, `layer ${layer}, ${m}: relative output error ${e}`));
          svg.append(g);
        });
      });
      figure.replaceChildren(svg);
    };
    for (const v of f.variants) {
      const b = el("button", { type: "button", "data-name": v.name }, v.name);
      b.addEventListener("click", () => draw(v));
      choices.append(b);
    }
    box.append(choices, figure);
    draw(f.variants[0]);
  }

  function training(f) {
    if (!f.curves.length) return;
    const box = section(f, "Training");
    // One drawing: lines of one unit over the steps.
    const plot = (title, steps, lines) => {
      const [W, H, L, B] = [900, 240, 50, 34];
      const y = scale(...extent(lines.flatMap((l) => l.rows.map((r) => ({ value: r[l.key] }))), 0.05, false), H - B, 10, false);
      const x = scale(0, Math.max(...steps, 1), L, W - 100, false);
      const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
      for (const t of y.ticks) svg.append(el("line", { class: "axis", x1: L, x2: W - 100, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, digits(t)));
      for (const t of x.ticks) svg.append(el("text", { x: x(t), y: H - B + 18, "text-anchor": "middle" }, t));
      for (const l of lines) {
        svg.append(el("polyline", { points: l.rows.map((r) => `${x(r.step)},${y(r[l.key])}`).join(" "), fill: "none", stroke: l.color, "stroke-width": l.width }));
        if (l.label) svg.append(el("text", { x: W - 92, y: y(l.rows[l.rows.length - 1][l.key]) + 4, style: `fill:${l.color}` }, l.label));
      }
      svg.append(el("text", { class: "label", x: L, y: 8 }, title));
      box.append(el("figure", {}, svg));
    };
    const known = (rows, key) => rows.filter((r) => r[key] !== null && r[key] !== undefined);
    for (const curve of f.curves) {
      const steps = curve.rows.map((r) => r.step), key = curve.key;
      const trained = { key, rows: known(curve.rows, key), color: "var(--c5)", width: 1.5 };
      const held = { key: "validation_loss", rows: known(curve.rows, "validation_loss"), color: "var(--c1)", width: 2, label: "held out" };
      const title = `${curve.step}: ${curve.title} by step, nats per token`;
      const groups = curve.held_out_apart ? [[title, [trained]], [`${curve.step}: cross-entropy on held-out data by step, nats per token`, [held]]] : [[title, [trained, held]]];
      for (const [text, lines] of groups) {
        const drawn = lines.filter((l) => l.rows.length);
        if (drawn.length) plot(text, steps, drawn);
      }
    }
  }

  function architectures(f) {
    const box = section(f, "What inference costs");
    box.append(table([{ key: "architecture", title: "architecture", text: true }, { key: "models", title: "models", text: true }, ...f.columns],
      f.rows.map((r) => ({ cells: { ...r.cells, architecture: r.architecture, models: r.models.join(", ") } }))));
  }

  // The making of a model against what it saves; days by the load that the reader enters.
  function amortization(f) {
    if (!f) return;
    const box = section(f, "When compressing has paid for itself");
    const out = el("div", {});
    let daily = null;  // million tokens a day
    const days = (tokens) => tokens.value === null || tokens.value === undefined ? tokens : daily > 0 ? { ...tokens, value: tokens.value / daily, help: "at the load above" } : { value: null, reason: "enter a load above" };
    const draw = () => out.replaceChildren(table([{ key: "model", title: "model", text: true }, { key: "one_off", title: "making it, J" }, { key: "saved", title: "saved, J per 1M tokens" }, { key: "tokens", title: "paid back after, M tokens" }, { key: "days", title: "days" }],
      f.rows.map((r) => ({ cells: { ...r, model: name(r.model), days: days(r.tokens) } }))));
    const input = el("input", { type: "number", step: "any", min: 0, placeholder: "unknown", "aria-label": "load, million tokens a day" });
    input.addEventListener("input", () => { daily = input.value.trim() === "" ? null : Number(input.value); draw(); });
    box.append(el("div", { class: "inputs" }, el("label", { title: "yours" }, "load, million tokens a day", input)), out);
    draw();
  }

  // Carbon and cost from measured or modelled joules and the reader's assumptions. Only derived numbers change.
  function derived(d) {
    if (!d || !d.rows.length) return;
    const box = section(d, "What that means in carbon and money");
    const inputs = el("div", { class: "inputs" }), out = el("div", {});
    const values = Object.fromEntries(d.assumptions.map((a) => [a.key, a.value])), titles = Object.fromEntries(d.assumptions.map((a) => [a.key, a.title]));
    const draw = () => {
      const unknown = (reason) => ({ value: null, reason });
      // A number of joules times a factor: its range and its marks stay on it.
      const derivedNumber = (j, keys) => {
        if (!j || j.value === null || j.value === undefined) return unknown("energy is unknown");
        for (const needed of keys) if (values[needed] === null || values[needed] === undefined) return unknown(`${titles[needed]} is unknown: enter one above`);
        const factor = keys.reduce((product, key) => product * values[key], 1 / 3.6e6);
        const range = j.range ? { low: j.range.low * factor, high: j.range.high * factor } : null;
        return { value: j.value * factor, range, marks: j.marks, provenance: "assumed", help: `joules × ${keys.map((key) => titles[key]).join(" × ")}` };
      };
      // (E · I + M) per million tokens, a range because M is one.
      const sci = (j, tps) => {
        const operational = derivedNumber(j, ["pue", "intensity"]);
        if (operational.value === null) return operational;
        const { low, high } = operational.range || { low: operational.value, high: operational.value };
        for (const needed of ["embodied_low", "embodied_high"]) if (values[needed] === null || values[needed] === undefined) return unknown(`${titles[needed]} is unknown: enter one above`);
        if (!tps || !(tps.value > 0)) return unknown("how long a million tokens take is unknown");
        const hours = 1e6 / tps.value / 3600;
        return { value: null, range: { low: low + values.embodied_low * hours, high: high + values.embodied_high * hours }, marks: operational.marks, provenance: "assumed",
          help: "metered energy × PUE × grid, and the hardware for as long as it generates" };
      };
      const rows = d.rows.map((r) => ({ cells: { architecture: r.architecture, joules: r.joules, location: derivedNumber(r.joules, ["pue", "intensity"]), market: derivedNumber(r.joules, ["pue", "market"]),
        sci: sci(r.joules, r.tokens_per_second), water: derivedNumber(r.joules, ["water"]), cost: derivedNumber(r.joules, ["pue", "price"]) } }));
      out.replaceChildren(table([{ key: "architecture", title: "architecture", text: true }, { key: "joules", title: d.joules_title }, { key: "location", title: "gCO2e, location-based" }, { key: "market", title: "gCO2e, market-based" },
        { key: "sci", title: "SCI, gCO2e per 1M tokens" }, { key: "water", title: "water, L" }, { key: "cost", title: `cost, ${d.currency}` }], rows));
    };
    for (const a of d.assumptions) {
      const input = el("input", { type: "number", step: "any", value: a.value, placeholder: "unknown", "aria-label": a.title });
      input.addEventListener("input", () => {
        const v = input.value.trim() === "" ? null : Number(input.value);
        if (v === null || (Number.isFinite(v) && v >= 0)) { values[a.key] = v; draw(); }
      });
      inputs.append(el("label", { title: a.source || "" }, a.title, input));
    }
    box.append(inputs, out);
    draw();
  }

  function provenance(p) {
    const box = section({ finding: "Where every number comes from", description: "Hashes, meters, machine and the exact options of each step; report.json holds the same in full." }, "");
    const list = (object) => table([{ key: "k", title: "", text: true }, { key: "v", title: "", text: true }], Object.entries(object).map(([k, v]) => ({ cells: { k, v: el("code", {}, typeof v === "object" ? JSON.stringify(v) : String(v)) } })));
    box.append(behind("machine", list(p.machine)));
    if (p.meters.length) box.append(behind("meters", table([{ key: "name", title: "meter", text: true }, { key: "scope", title: "scope", text: true }, { key: "provenance", title: "provenance", text: true }, { key: "detail", title: "detail", text: true }], p.meters.map((m) => ({ cells: m })))));
    if (p.files.length) box.append(behind("files", table([{ key: "path", title: "file", text: true }, { key: "bytes", title: "size", unit: "bytes" }, { key: "sha256", title: "SHA-256", text: true }], p.files.map((f) => ({ cells: { ...f, bytes: { value: f.bytes }, sha256: el("code", {}, f.sha256) } })))));
    box.append(behind("steps and options", table([{ key: "step", title: "step", text: true }, { key: "key", title: "key", text: true }, { key: "options", title: "options", text: true }], p.steps.map((s) => ({ cells: { step: s.step, key: el("code", {}, s.key), options: el("code", {}, JSON.stringify(s.options)) } })))));
    if (p.warnings.length) box.append(el("h3", {}, "Warnings"), el("ul", { class: "note" }, ...p.warnings.map((w) => el("li", {}, w))));
  }

  // ---- the page, in order -------------------------------------------------------------------------------------------
  const overview = section(R.table, "Every model beside the baseline");
  overview.append(table([{ key: "model", title: "model", text: true }, ...R.columns], R.models.map((m) => ({ class: m.role === "baseline" ? "baseline" : null, cells: { model: name(m.name), ...m.cells } }))));
  if (R.figures.tradeoff) tradeoff(R.figures.tradeoff);
  if (R.figures.architectures) architectures(R.figures.architectures);
  if (R.figures.comparisons) comparisons(R.figures.comparisons);
  if (R.figures.steps) steps(R.figures.steps);
  if (R.figures.layer_error) layers(R.figures.layer_error);
  if (R.figures.training) training(R.figures.training);
  amortization(R.figures.amortization);
  derived(R.figures.derived);
  provenance(R.provenance);
  document.getElementById("foot").append(`frugal ${R.frugal} · ${R.started} · drawn from journal.jsonl (${R.journal_sha256.slice(0, 16)}…) · `,
    el("span", {}, "run again with "), el("code", {}, R.command || "frugal run"));
  document.documentElement.dataset.drawn = "yes";
})();
