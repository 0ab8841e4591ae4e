"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const charts = []; // every uPlot of the page

  // ---- colours, dashes and shapes: each run has the same ones everywhere

  const COLOURS = 6;
  const SHAPES = ["circle", "square", "up", "diamond", "down", "cross"];
  let nth = 0;
  const looks = D.runs.map((r) => {
    if (r.role === "real") return { name: "real", dash: [7, 4], shape: "circle" };
    if (r.role === "bound") return { name: "soft", dash: [2, 3], shape: "cross" };
    const k = nth++;
    const round = Math.floor(k / COLOURS);
    return { name: "c" + (k % COLOURS), dash: [[], [8, 3], [4, 3], [10, 3, 3, 3]][round % 4], shape: SHAPES[k % SHAPES.length] };
  });
  const css = {};
  const readTheme = () => {
    const s = getComputedStyle(root);
    for (const n of ["bg", "card", "line", "grid", "text", "soft", "accent", "real", "c0", "c1", "c2", "c3", "c4", "c5"]) css[n] = s.getPropertyValue("--" + n).trim();
  };
  readTheme();

  const state = { on: D.runs.map(() => true), hot: -1, view: null };
  const colour = (i) => css[looks[i].name] + (state.hot >= 0 && state.hot !== i ? "38" : "");
  // close is whether so few policies are left that each can be shown in full.
  const close = () => state.on.filter((on, i) => on && !D.runs[i].role).length <= 2;

  const SVG = "http://www.w3.org/2000/svg";
  const svg = (name, attributes) => {
    const e = document.createElementNS(SVG, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
  };
  const outline = (shape, x, y, r) => {
    switch (shape) {
      case "square": return [[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]];
      case "up": return [[x, y - 1.25 * r], [x + 1.15 * r, y + 0.85 * r], [x - 1.15 * r, y + 0.85 * r]];
      case "down": return [[x, y + 1.25 * r], [x + 1.15 * r, y - 0.85 * r], [x - 1.15 * r, y - 0.85 * r]];
      case "diamond": return [[x, y - 1.35 * r], [x + 1.35 * r, y], [x, y + 1.35 * r], [x - 1.35 * r, y]];
      case "cross": {
        const t = r * 0.42;
        return [[x - r, y - t], [x - t, y - t], [x - t, y - r], [x + t, y - r], [x + t, y - t], [x + r, y - t], [x + r, y + t], [x + t, y + t], [x + t, y + r], [x - t, y + r], [x - t, y + t], [x - r, y + t]];
      }
    }
    return null; // a circle
  };
  const drawSwatches = (within) => {
    for (const box of within.querySelectorAll("[data-swatch]")) {
      const look = looks[+box.dataset.swatch];
      const c = css[look.name];
      box.replaceChildren(svg("line", { x1: 0, y1: 6, x2: 22, y2: 6, stroke: c, "stroke-width": 2, "stroke-dasharray": look.dash.join(" ") }));
      const points = outline(look.shape, 11, 6, 4);
      box.append(points ? svg("polygon", { points: points.map((p) => p.join(",")).join(" "), fill: c }) : svg("circle", { cx: 11, cy: 6, r: 4, fill: c }));
    }
  };

  // ---- words

  const number = (v) => {
    if (v === null || v === undefined || Number.isNaN(v)) return "–";
    const digits = v >= 100 || v === Math.round(v) ? 0 : v < 1 ? 2 : 1;
    return v.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: digits });
  };
  const wait = (s) => {
    if (s < 1) return s === 0 ? "0 s" : number(s) + " s";
    if (s < 120) return number(Math.round(s * 10) / 10) + " s";
    if (s < 7200) return number(Math.round(s / 6) / 10) + " min";
    return number(Math.round(s / 360) / 10) + " h";
  };
  const tick = (s) => (s < 60 ? number(s) + " s" : s < 3600 ? number(s / 60) + " min" : number(s / 3600) + " h");
  const SPANS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const two = (n) => String(n).padStart(2, "0");
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const dayOf = (x) => {
    if (!D.clock) return "day " + (1 + Math.floor(x / 86400));
    const d = new Date((D.day + x) * 1000);
    return DAYS[d.getUTCDay()] + " " + d.getUTCDate() + " " + MONTHS[d.getUTCMonth()];
  };
  const clockOf = (x, seconds) => {
    const s = ((Math.round(x) % 86400) + 86400) % 86400;
    return two(Math.floor(s / 3600)) + ":" + two(Math.floor(s / 60) % 60) + (seconds ? ":" + two(s % 60) : "");
  };
  const momentOf = (x, step) => dayOf(x) + ", " + clockOf(x, step < 60);

  // ---- what all charts have

  const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const axis = (more) => Object.assign({
    stroke: () => css.soft, font: FONT, ticks: { stroke: () => css.line, width: 1, size: 4 }, grid: { stroke: () => css.grid, width: 1 },
  }, more);
  const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6];
  const fromZero = (u, low, high) => [0, Math.max(1, (high || 0) * 1.06)];

  // make builds a chart in its box: as large as that is, with a tip, and with keys.
  const make = (box, options, data, keys) => {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const u = new uPlot(Object.assign({
      width: Math.max(200, box.clientWidth), height: box.clientHeight, legend: { show: false }, padding: [8, 24, 0, 0],
    }, options), data, box);
    box.append(tip);
    u.tip = tip;
    u.box = box;
    charts.push(u);
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Chart: " + box.dataset.name + ". " + keys.about);
    box.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || !keys.press(u, e)) return;
      e.preventDefault();
      tip.setAttribute("aria-live", "polite");
    });
    box.addEventListener("mousemove", () => tip.removeAttribute("aria-live"));
    box.addEventListener("blur", () => { tip.hidden = true; });
    let wide = box.clientWidth;
    new ResizeObserver(() => {
      if (root.dataset.printing || box.clientWidth === 0 || (box.clientWidth === wide && u.height === box.clientHeight)) return;
      wide = box.clientWidth;
      u.setSize({ width: box.clientWidth, height: box.clientHeight });
      if (u.resized) u.resized();
    }).observe(box);
    return u;
  };

  const cell = (text, name) => {
    const td = document.createElement("td");
    td.textContent = text;
    if (name) td.className = name;
    return td;
  };
  // swatchCell shows a run's look in a tip.
  const swatchCell = (i) => {
    const td = document.createElement("td");
    const box = svg("svg", { viewBox: "0 0 22 12", width: 22, height: 12, "data-swatch": i });
    td.append(box);
    return td;
  };
  const showTip = (u, left, top, title, rows) => {
    const tip = u.tip;
    const head = document.createElement("b");
    head.textContent = title;
    const table = document.createElement("table");
    for (const cells of rows) {
      const tr = document.createElement("tr");
      tr.append(...cells);
      table.append(tr);
    }
    tip.replaceChildren(head, table);
    tip.hidden = false;
    drawSwatches(tip);
    const over = u.over.getBoundingClientRect(), box = u.box.getBoundingClientRect();
    const x = over.left - box.left + left, y = over.top - box.top + top;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    let to = x + 14;
    if (to + w > box.width) to = x - w - 14;
    tip.style.left = Math.max(0, Math.min(to, box.width - w)) + "px";
    tip.style.top = Math.max(-8, Math.min(y - h / 2, box.height - h)) + "px";
  };

  // ---- over time

  // What is named first is drawn last, on top; what is only there to compare with at the bottom.
  const below = (i) => (D.runs[i].role ? 0 : 1);
  const inOrder = D.runs.map((r, i) => i).sort((a, b) => below(a) - below(b) || b - a);
  const timed = inOrder.filter((i) => Object.keys(D.runs[i].lines).length > 0);
  const ends = (i) => {
    const r = D.runs[i];
    return D.start + r.from + r.step * Math.max(...Object.values(r.lines).map((l) => l.mean.length));
  };
  const whole = timed.length ? [Math.min(...timed.map((i) => D.start + D.runs[i].from)), Math.max(...timed.map(ends))] : [0, 1];
  const finest = timed.length ? Math.min(...timed.map((i) => D.runs[i].step)) : 1;
  const KINDS = [["c-launched", "launched"], ["c-busy", "busy"], ["c-queue", "queue"]];
  const PER_RUN = 4; // series: the line, its highest, its lowest, and one more
  const timeCharts = [];

  // gridOf are the columns of a view: as wide as some pixels, and never narrower than a moment.
  const gridOf = (width) => {
    const [a, b] = state.view;
    const most = Math.max(40, Math.floor(width / 2.5));
    const w = finest * Math.max(1, Math.ceil((b - a) / most / finest));
    const first = whole[0] + Math.floor((a - whole[0]) / w) * w;
    const n = Math.ceil((b - first) / w);
    return { w, first, n };
  };
  // put is a run's line in those columns.
  const put = (run, line, g) => {
    const mean = new Array(g.n).fill(null), high = new Array(g.n).fill(null), low = new Array(g.n).fill(null);
    if (!line) return { mean, high, low };
    const from = D.start + run.from, len = line.mean.length;
    for (let k = 0; k < g.n; k++) {
      const lo = (g.first + k * g.w - from) / run.step, hi = lo + g.w / run.step;
      const i0 = Math.max(0, Math.floor(lo + 1e-6)), i1 = Math.min(len, Math.ceil(hi - 1e-6));
      if (i0 >= i1) continue;
      let sum = 0, share = 0, most = -Infinity, least = Infinity;
      for (let i = i0; i < i1; i++) {
        const part = Math.min(hi, i + 1) - Math.max(lo, i);
        sum += part * line.mean[i];
        share += part;
        if (line.high && line.high[i] > most) most = line.high[i];
        if (line.low && line.low[i] < least) least = line.low[i];
      }
      mean[k] = sum / share;
      if (line.high) { high[k] = most; low[k] = least; }
    }
    return { mean, high, low };
  };
  const timeData = (kind, width) => {
    const g = gridOf(width);
    const xs = Array.from({ length: g.n }, (_, k) => g.first + (k + 0.5) * g.w);
    const data = [xs];
    for (const i of timed) {
      const p = put(D.runs[i], D.runs[i].lines[kind], g);
      const more = kind === "launched" ? put(D.runs[i], D.runs[i].lines.service, g).mean : p.mean;
      data.push(kind === "queue" ? p.high : p.mean, p.high, p.low, more);
    }
    data.w = g.w;
    return data;
  };
  const showSeries = (u) => {
    timed.forEach((i, k) => {
      const at = 1 + k * PER_RUN;
      const full = state.on[i] && close() && u.kind !== "queue";
      u.setSeries(at, { show: state.on[i] });
      u.setSeries(at + 1, { show: full });
      u.setSeries(at + 2, { show: full });
      u.setSeries(at + 3, { show: full && u.kind === "launched" });
    });
  };
  const rangeText = () => {
    const [a, b] = state.view;
    byId("range").textContent = momentOf(a, finest) + " – " + momentOf(b, finest);
  };
  const setView = (a, b) => {
    const least = Math.min(whole[1] - whole[0], 12 * finest);
    let wide = Math.min(Math.max(b - a, least), whole[1] - whole[0]);
    a = Math.min(Math.max((a + b - wide) / 2, whole[0]), whole[1] - wide);
    state.view = [a, a + wide];
    for (const u of timeCharts) drawView(u);
    rangeText();
  };
  const drawView = (u) => {
    const data = timeData(u.kind, u.width);
    u.step = data.w;
    u.batch(() => {
      u.setData(data, false);
      u.setScale("x", { min: state.view[0], max: state.view[1] });
    });
  };
  const zoom = (by) => {
    const [a, b] = state.view, mid = (a + b) / 2, half = ((b - a) / 2) * by;
    setView(mid - half, mid + half);
  };
  const pan = (by) => {
    const [a, b] = state.view, d = (b - a) * by;
    const move = Math.min(Math.max(d, whole[0] - a), whole[1] - b);
    setView(a + move, b + move);
  };
  const timeTip = (u) => {
    const { left, top, idx } = u.cursor;
    if (idx === null || idx === undefined || left < 0 || u !== pointed) {
      u.tip.hidden = true;
      return;
    }
    const x = u.data[0][idx] - u.step / 2;
    const rows = [];
    timed.map((i, k) => [i, k]).sort((a, b) => a[0] - b[0]).forEach(([i, k]) => {
      if (!state.on[i] || !D.runs[i].lines[u.kind]) return;
      const at = 1 + k * PER_RUN;
      const main = u.data[at][idx], high = u.data[at + 1][idx], low = u.data[at + 2][idx];
      if (main === null || main === undefined) return;
      let more = "";
      if (u.kind === "queue") more = "at most";
      else if (high !== low) more = number(low) + " to " + number(high);
      rows.push([swatchCell(i), cell(short(D.runs[i].name, 60)), cell(number(main), "n"), cell(more, "n soft")]);
      const service = u.data[at + 3][idx];
      if (u.kind === "launched" && D.runs[i].lines.service && close()) rows.push([cell(""), cell("in service", "soft"), cell(number(service), "n soft"), cell("")]);
    });
    const to = x + u.step;
    showTip(u, left, top, momentOf(x, u.step) + " – " + (dayOf(x) === dayOf(to) ? clockOf(to, u.step < 60) : momentOf(to, u.step)), rows);
  };
  let pointed = null; // the chart that the pointer or the keys are on
  const timeKeys = {
    about: "Left and right tell the values, with Shift they move, plus and minus zoom, Escape shows all.",
    press: (u, e) => {
      pointed = u;
      const n = u.data[0].length;
      switch (e.key) {
        case "ArrowLeft": case "ArrowRight": {
          const by = e.key === "ArrowLeft" ? -1 : 1;
          if (e.shiftKey) { pan(by * 0.25); return true; }
          const was = u.cursor.idx;
          const idx = was === null || was === undefined || u.cursor.left < 0 ? Math.floor(n / 2) : Math.min(n - 1, Math.max(0, was + by));
          const left = u.valToPos(u.data[0][idx], "x");
          for (const o of timeCharts) o.setCursor({ left, top: o.over.clientHeight / 2 });
          return true;
        }
        case "+": case "=": zoom(0.5); return true;
        case "-": zoom(2); return true;
        case "Escape": case "0": setView(...whole); return true;
      }
      return false;
    },
  };
  const DAY = 86400;
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 182 * DAY, 364 * DAY];
  const ROOM = D.clock ? 96 : 76, LITTLE_ROOM = 44; // pixels for a label, and for one without its weekday
  // stepOf is how far labels are from each other: with room, but where that leaves fewer than
  // three of them, as on a phone, as far as leaves three.
  const stepOf = (low, high, width) => {
    const room = (by) => (by / (high - low)) * width;
    const labels = (by) => Math.floor(high / by) - Math.ceil(low / by) + 1;
    const usual = STEPS.find((by) => room(by) >= ROOM) || STEPS[STEPS.length - 1];
    if (labels(usual) >= 3) return usual;
    return STEPS.filter((by) => room(by) >= LITTLE_ROOM && labels(by) >= 3).pop() || usual;
  };
  const timeAxis = () => axis({
    incrs: (u, at, low, high, width) => [stepOf(low, high, width)],
    space: 1, size: 34,
    values: (u, splits, at, room, by) => splits.map((x) => (x % DAY !== 0 ? clockOf(x, by < 60) : D.clock && room < ROOM ? dayOf(x).slice(4) : dayOf(x))),
  });
  const timeChart = (id, kind) => {
    const box = byId(id);
    const series = [{}];
    const bands = [];
    timed.forEach((i, k) => {
      const line = { spanGaps: false, points: { show: false } };
      const at = 1 + k * PER_RUN;
      const stroke = () => colour(i);
      series.push(Object.assign({}, line, {
        label: D.runs[i].name, stroke, width: D.runs[i].role ? 1.5 : 1.75, dash: looks[i].dash,
        fill: kind === "queue" ? () => (close() ? colour(i).slice(0, 7) + "22" : "transparent") : undefined,
      }));
      series.push(Object.assign({}, line, { stroke, width: 0 }), Object.assign({}, line, { stroke, width: 0 }));
      series.push(Object.assign({}, line, { stroke, width: 1.25, dash: [3, 3] }));
      bands.push({ series: [at + 1, at + 2], fill: () => colour(i).slice(0, 7) + "26" });
    });
    const u = make(box, {
      series, bands,
      scales: { x: { time: false }, y: { range: fromZero } },
      axes: [timeAxis(), axis({ incrs: COUNTS, size: 56, space: 24, values: (v, splits) => splits.map(number) })],
      cursor: {
        y: false, points: { show: false }, sync: { key: "time", scales: ["x", null] }, drag: { x: true, y: false, setScale: false, dist: 4 },
        bind: { dblclick: () => () => setView(...whole) },
      },
      hooks: {
        setCursor: [timeTip],
        setSelect: [(c) => {
          const none = { left: 0, top: 0, width: 0, height: 0 };
          if (c !== pointed) { // it only shows what is chosen in another one
            c.setSelect(none, false);
            return;
          }
          if (c.select.width < 4) return;
          const a = c.posToVal(c.select.left, "x"), b = c.posToVal(c.select.left + c.select.width, "x");
          c.setSelect(none, false);
          setView(a, b);
        }],
      },
    }, timeData(kind, box.clientWidth), timeKeys);
    u.kind = kind;
    u.resized = () => drawView(u);
    u.over.addEventListener("mouseenter", () => { pointed = u; });
    u.over.addEventListener("mousedown", () => { pointed = u; });
    u.over.addEventListener("mouseleave", () => { u.tip.hidden = true; });
    timeCharts.push(u);
    showSeries(u);
    return u;
  };

  // ---- how long jobs waited

  const bent = (s) => Math.log10(1 + s), straight = (x) => Math.pow(10, x) - 1; // near none as it is, far off by powers
  const TICKS = [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800, 432000, 864000];
  const waited = inOrder.filter((i) => D.runs[i].waits.length > 0);
  const waitsChart = () => {
    const box = byId("c-waits");
    const reset = document.querySelector('[data-reset="c-waits"]');
    const xs = D.grid.map(bent);
    const all = [0, Math.max(xs[xs.length - 1], bent(1))];
    const data = [xs].concat(waited.map((i) => xs.map((_, k) => (k < D.runs[i].waits.length ? D.runs[i].waits[k] : null))));
    const setX = (u, a, b) => {
      const min = Math.max(all[0], a), max = Math.min(all[1], b);
      u.setScale("x", { min, max });
      reset.hidden = min <= all[0] && max >= all[1];
    };
    const by = (u, f) => {
      const { min, max } = u.scales.x, mid = (min + max) / 2, half = Math.max(0.02, ((max - min) / 2) * f);
      setX(u, mid - half, mid + half);
    };
    const u = make(box, {
      series: [{}].concat(waited.map((i) => ({ label: D.runs[i].name, stroke: () => colour(i), width: 2, dash: looks[i].dash, points: { show: false } }))),
      scales: { x: { time: false, range: (c, a, b) => [a, b] }, y: { range: () => [0, 101] } },
      axes: [axis({
        size: 34,
        splits: (c, at, low, high) => {
          const out = [];
          let last = -Infinity;
          for (const t of TICKS) {
            const x = bent(t), px = ((x - low) / (high - low)) * (c.width - 70);
            if (x < low - 1e-9 || x > high + 1e-9 || px - last < 46) continue;
            out.push(x);
            last = px;
          }
          if (out.length > 1) return out;
          return Array.from({ length: 5 }, (_, k) => bent(Math.round(straight(low + ((k + 0.5) / 5) * (high - low)) * 10) / 10));
        },
        values: (c, splits) => splits.map((x) => tick(Math.round(straight(x) * 100) / 100)),
      }), axis({ size: 56, space: 36, incrs: [1, 2, 5, 10, 20, 25, 50], values: (c, splits) => splits.map((v) => v + " %") })],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 4 }, bind: { dblclick: () => () => setX(u, ...all) } },
      hooks: {
        setCursor: [(c) => {
          const { left, top, idx } = c.cursor;
          if (idx === null || idx === undefined || left < 0) { c.tip && (c.tip.hidden = true); return; }
          const rows = waited.map((i, k) => [i, c.data[k + 1][idx] ?? 100]).filter(([i]) => state.on[i]).sort((a, b) => b[1] - a[1])
            .map(([i, v]) => [swatchCell(i), cell(short(D.runs[i].name, 60)), cell((v >= 99.995 ? "100" : v.toFixed(v > 99 ? 2 : 1)) + " %", "n")]);
          showTip(c, left, top, "begun within " + wait(D.grid[idx]), rows);
        }],
        setSelect: [(c) => {
          if (c.select.width < 4) return;
          const a = c.posToVal(c.select.left, "x"), b = c.posToVal(c.select.left + c.select.width, "x");
          c.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          setX(c, a, b);
        }],
      },
    }, data, {
      about: "Left and right tell the values, plus and minus zoom, Escape shows all.",
      press: (c, e) => {
        const n = c.data[0].length, was = c.cursor.idx;
        switch (e.key) {
          case "ArrowLeft": case "ArrowRight": {
            const to = was === null || was === undefined || c.cursor.left < 0 ? Math.floor(n / 2) : Math.min(n - 1, Math.max(0, was + (e.key === "ArrowLeft" ? -1 : 1)));
            c.setCursor({ left: c.valToPos(c.data[0][to], "x"), top: c.over.clientHeight / 2 });
            return true;
          }
          case "+": case "=": by(c, 0.5); return true;
          case "-": by(c, 2); return true;
          case "Escape": case "0": setX(c, ...all); return true;
        }
        return false;
      },
    });
    u.over.addEventListener("mouseleave", () => { u.tip.hidden = true; });
    reset.addEventListener("click", () => setX(u, ...all));
    setX(u, ...all);
    u.showRuns = () => waited.forEach((i, k) => u.setSeries(k + 1, { show: state.on[i] }));
    return u;
  };

  // ---- cost against wait

  const pointsChart = () => {
    const box = byId("c-points");
    const pick = byId("measure");
    pick.value = D.wait;
    let near = -1;
    const has = (p) => p.waits[pick.value] !== undefined;
    const spots = () => D.points.map((p, i) => i).filter((i) => has(D.points[i]) && D.points[i].cost !== null && (D.points[i].run < 0 || state.on[D.points[i].run]));
    const lines = () => D.points.filter((p) => has(p) && p.cost === null && (p.run < 0 || state.on[p.run]));
    const y = (p) => p.waits[pick.value];
    const frontier = () => {
      const sorted = D.points.filter((p) => !p.bound && p.cost !== null && has(p)).sort((a, b) => a.cost - b.cost || y(a) - y(b));
      const out = [];
      for (const p of sorted) if (!out.length || y(p) < y(out[out.length - 1])) out.push(p);
      return out;
    };
    const limit = () => (D.limits.wait > 0 && (D.limits.measure || D.measures[0]) === pick.value ? D.limits.wait : 0);
    const extent = () => {
      const ps = spots().map((i) => D.points[i]);
      const cs = ps.map((p) => p.cost), ws = ps.concat(lines()).map(y);
      if (D.limits.cost > 0) cs.push(D.limits.cost);
      if (limit()) ws.push(limit());
      const lo = Math.min(...cs), hi = Math.max(...cs), pad = Math.max((hi - lo) * 0.12, hi * 0.02, 0.01);
      return cs.length ? { x: [Math.max(0, lo - pad), hi + pad], y: [-0.05 * Math.max(1, ...ws), Math.max(1, ...ws) * 1.12] } : { x: [0, 1], y: [0, 1] };
    };
    const dataNow = () => {
      const sorted = D.points.filter((p) => p.cost !== null && has(p)).sort((a, b) => a.cost - b.cost);
      return sorted.length ? [sorted.map((p) => p.cost), sorted.map(y)] : [[0, 1], [null, null]];
    };
    const at = (u, p, px) => [u.valToPos(p.cost, "x", px), u.valToPos(y(p), "y", px)];
    const lookOf = (p) => (p.run >= 0 ? { c: colour(p.run), shape: looks[p.run].shape, r: 5.5 } : p.mark ? { c: css.accent, shape: "diamond", r: 5.5 } : null);
    const draw = (u) => {
      const { ctx, bbox } = u, k = devicePixelRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      const line = (x0, y0, x1, y1, stroke, dash, wide) => {
        ctx.beginPath();
        ctx.setLineDash(dash.map((d) => d * k));
        ctx.lineWidth = wide * k;
        ctx.strokeStyle = stroke;
        ctx.moveTo(x0, y0);
        ctx.lineTo(x1, y1);
        ctx.stroke();
      };
      ctx.font = FONT.replace("12px", 12 * k + "px");
      ctx.textBaseline = "middle";
      const right = bbox.left + bbox.width, bottom = bbox.top + bbox.height;
      for (const p of lines()) {
        const py = u.valToPos(y(p), "y", true), c = p.run >= 0 ? colour(p.run) : css.soft;
        line(bbox.left, py, right, py, c, [7, 4], 1.5);
      }
      ctx.textAlign = "left";
      if (limit()) {
        const py = u.valToPos(limit(), "y", true);
        line(bbox.left, py, right, py, css.accent, [4, 4], 1);
      }
      if (D.limits.cost > 0) {
        const px = u.valToPos(D.limits.cost, "x", true);
        line(px, bbox.top, px, bottom, css.accent, [4, 4], 1);
      }
      // The frontier: what is had for so much, as steps.
      const f = frontier();
      if (f.length > 1) {
        ctx.beginPath();
        ctx.setLineDash([]);
        ctx.lineWidth = 1.5 * k;
        ctx.lineJoin = "round";
        ctx.strokeStyle = css.soft + "b0";
        let [px, py] = at(u, f[0], true);
        ctx.moveTo(px, py);
        for (const p of f.slice(1)) {
          const [nx, ny] = at(u, p, true);
          ctx.lineTo(nx, py);
          ctx.lineTo(nx, ny);
          [px, py] = [nx, ny];
        }
        ctx.stroke();
      }
      const best = new Set(f);
      const seen = spots().map((i) => D.points[i]).sort((a, b) => !!lookOf(a) - !!lookOf(b));
      const taken = [];
      for (const p of seen) {
        const [px, py] = at(u, p, true), look = lookOf(p) || { c: best.has(p) ? css.accent : css.soft + "80", shape: "circle", r: best.has(p) ? 3.5 : 2.6 };
        const points = outline(look.shape, px, py, look.r * k);
        ctx.beginPath();
        ctx.setLineDash([]);
        if (points) { points.forEach(([a, b], n) => (n ? ctx.lineTo(a, b) : ctx.moveTo(a, b))); ctx.closePath(); }
        else ctx.arc(px, py, look.r * k, 0, 2 * Math.PI);
        ctx.fillStyle = look.c;
        ctx.fill();
        if (lookOf(p)) {
          ctx.lineWidth = 1.5 * k;
          ctx.strokeStyle = css.card;
          ctx.stroke();
          taken.push([px - 8 * k, py - 8 * k, px + 8 * k, py + 8 * k]);
        }
      }
      const write = (text, x, y0, c) => { // with a hem, for what may be under it
        ctx.lineWidth = 4 * k;
        ctx.strokeStyle = css.card;
        ctx.strokeText(text, x, y0);
        ctx.fillStyle = c;
        ctx.fillText(text, x, y0);
      };
      const along = (text, v, c, atRight) => {
        const w = ctx.measureText(text).width, x = atRight ? right - 6 * k - w : bbox.left + 6 * k, y0 = u.valToPos(v, "y", true) - 9 * k;
        taken.push([x, y0 - 8 * k, x + w, y0 + 8 * k]);
        write(text, x, y0, c);
      };
      for (const p of lines()) along(short(p.name, 30), y(p), p.run >= 0 ? colour(p.run) : css.soft, true);
      if (limit()) along("at most " + wait(limit()), limit(), css.accent, false);
      // Names where there is room for them: what is marked first.
      const clash = (r) => taken.some((t) => r[0] < t[2] && r[2] > t[0] && r[1] < t[3] && r[3] > t[1]) || r[0] < bbox.left || r[2] > right || r[1] < bbox.top || r[3] > bottom;
      const named = seen.filter(lookOf).sort((a, b) => !!b.mark - !!a.mark).slice(0, 14);
      for (const p of named) {
        const [px, py] = at(u, p, true);
        if (px < bbox.left || px > right || py < bbox.top || py > bottom) continue;
        for (const most of [30, 16]) {
          const text = short(p.mark || p.name, most), w = ctx.measureText(text).width, h = 15 * k, gap = 11 * k, near = 0.7 * gap, far = gap + 0.7 * h;
          const places = [
            [px - w / 2, py - gap - h], [px + gap, py - h / 2], [px - w / 2, py + gap], [px - gap - w, py - h / 2],
            [px + near, py - far], [px + near, py + near], [px - near - w, py - far], [px - near - w, py + near],
          ];
          const spot = places.map(([x, y0]) => [x, y0, x + w, y0 + h]).find((r) => !clash(r));
          if (!spot) continue;
          taken.push(spot);
          write(text, spot[0], spot[1] + h / 2, state.hot >= 0 && p.run !== state.hot ? css.soft : css.text);
          break;
        }
      }
      ctx.restore();
    };
    const money = (v) => (D.cost.unit === "$" || D.cost.unit === "€" || D.cost.unit === "£" ? D.cost.unit + number(v) : number(v) + (D.cost.unit ? " " + D.cost.unit : ""));
    const tell = (u, i) => {
      near = i;
      ring.hidden = i < 0;
      if (i < 0) { u.tip.hidden = true; return; }
      const p = D.points[i], [px, py] = at(u, p, false);
      ring.style.left = px + "px";
      ring.style.top = py + "px";
      const rows = [];
      if (p.mark && p.mark !== p.name) rows.push([cell(p.mark), cell("")]);
      for (const [k, v] of p.settings) rows.push([cell(short(k, 80), "soft"), cell(short(v, 120), "v")]);
      rows.push([cell(D.cost.label, "soft"), cell(money(p.cost), "n")]);
      for (const m of D.measures) if (p.waits[m] !== undefined) rows.push([cell("wait " + m, "soft"), cell(wait(p.waits[m]), "n")]);
      showTip(u, px, py, short(p.name, 120), rows);
    };
    const nearest = (u) => {
      let best = -1, least = 28 * 28;
      for (const i of spots()) {
        const [px, py] = at(u, D.points[i], false), d = (px - u.cursor.left) ** 2 + (py - u.cursor.top) ** 2;
        if (d < least) { least = d; best = i; }
      }
      return best;
    };
    const ring = document.createElement("div");
    ring.className = "ring";
    ring.hidden = true;
    const home = (u) => {
      const e = extent();
      u.batch(() => {
        u.setData(dataNow(), false);
        u.setScale("x", { min: e.x[0], max: e.x[1] });
        u.setScale("y", { min: e.y[0], max: e.y[1] });
      });
    };
    const by = (u, f) => {
      u.batch(() => {
        for (const s of ["x", "y"]) {
          const { min, max } = u.scales[s], mid = (min + max) / 2, half = ((max - min) / 2) * f;
          u.setScale(s, { min: mid - half, max: mid + half });
        }
      });
    };
    const start = extent();
    const u = make(box, {
      series: [{}, { paths: () => null, points: { show: false } }],
      scales: { x: { time: false, range: () => start.x }, y: { range: () => start.y } },
      axes: [
        axis({ size: 34, space: 64, label: D.cost.label + (D.cost.unit ? ", " + D.cost.unit : ""), labelSize: 20, labelFont: FONT, values: (c, splits) => splits.map(number) }),
        axis({ size: 58, space: 36, incrs: SPANS, values: (c, splits) => splits.map((v) => (v < 0 ? "" : tick(v))) }),
      ],
      cursor: { points: { show: false }, drag: { x: true, y: true, setScale: false, dist: 6, uni: 20 }, bind: { dblclick: () => () => home(u) } },
      hooks: {
        draw: [draw],
        setCursor: [(c) => { if (c.tip && c.cursor.left >= 0) tell(c, nearest(c)); }],
        setSelect: [(c) => {
          const s = c.select;
          if (s.width < 6 || s.height < 6) return;
          const x = [c.posToVal(s.left, "x"), c.posToVal(s.left + s.width, "x")], v = [c.posToVal(s.top + s.height, "y"), c.posToVal(s.top, "y")];
          c.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          c.batch(() => { c.setScale("x", { min: x[0], max: x[1] }); c.setScale("y", { min: v[0], max: v[1] }); });
        }],
      },
    }, dataNow(), {
      about: "Left and right go from point to point, plus and minus zoom, Escape shows all.",
      press: (c, e) => {
        switch (e.key) {
          case "ArrowLeft": case "ArrowRight": {
            const order = spots().sort((a, b) => D.points[a].cost - D.points[b].cost);
            if (!order.length) return true;
            const was = order.indexOf(near);
            tell(c, order[was < 0 ? 0 : Math.min(order.length - 1, Math.max(0, was + (e.key === "ArrowLeft" ? -1 : 1)))]);
            return true;
          }
          case "+": case "=": by(c, 0.5); return true;
          case "-": by(c, 2); return true;
          case "Escape": case "0": home(c); return true;
        }
        return false;
      },
    });
    u.over.append(ring);
    u.over.addEventListener("mouseleave", () => tell(u, -1));
    pick.addEventListener("change", () => { tell(u, -1); home(u); });
    u.showRuns = () => { tell(u, -1); u.redraw(); };
    home(u);
    return u;
  };

  // ---- all together

  if (timed.length) {
    state.view = whole.slice();
    for (const [id, kind] of KINDS) timeChart(id, kind);
    setView(...whole);
    const tools = byId("tools");
    tools.hidden = false;
    tools.addEventListener("click", (e) => {
      const act = { earlier: () => pan(-0.5), later: () => pan(0.5), in: () => zoom(0.5), out: () => zoom(2), all: () => setView(...whole) }[e.target.dataset.do];
      if (act) act();
    });
  }
  if (waited.length) waitsChart();
  if (byId("c-points")) pointsChart();
  drawSwatches(document);

  const applyRuns = () => {
    document.querySelectorAll(".chip").forEach((c) => c.setAttribute("aria-pressed", String(state.on[+c.dataset.run])));
    for (const u of charts) {
      if (timeCharts.includes(u)) u.batch(() => showSeries(u));
      else if (u.showRuns) u.showRuns();
    }
  };
  const setHot = (i) => {
    if (state.hot === i) return;
    state.hot = i;
    for (const u of charts) u.redraw(false, false);
  };
  document.querySelectorAll(".chip").forEach((chip) => {
    const i = +chip.dataset.run;
    chip.disabled = false;
    chip.title = "Click to hide or show, double-click for this one alone";
    chip.addEventListener("click", () => { state.on[i] = !state.on[i]; applyRuns(); });
    chip.addEventListener("dblclick", () => { state.on = state.on.map((_, k) => k === i); applyRuns(); });
    chip.addEventListener("mouseenter", () => { if (state.on[i]) setHot(i); });
    chip.addEventListener("mouseleave", () => setHot(-1));
  });

  // Light and dark: as the machine has it, until somebody says otherwise.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const repaint = () => {
    readTheme();
    drawSwatches(document);
    for (const u of charts) u.redraw(false, true);
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
  };
  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; repaint(); });
  system.addEventListener("change", repaint);
  repaint();

  const copy = byId("copy");
  if (copy) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      const said = (text) => { copy.textContent = text; };
      const choose = () => { getSelection().selectAllChildren(byId("snippet")); said("Selected"); };
      if (navigator.clipboard) navigator.clipboard.writeText(byId("snippet").textContent).then(() => said("Copied"), choose);
      else choose();
    });
  }

  // On paper: light, as wide as a page, and every table open.
  const PAPER = 660;
  let before = null;
  addEventListener("beforeprint", () => {
    if (before) return;
    before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open])")] };
    root.dataset.printing = "yes";
    root.dataset.theme = "light";
    before.closed.forEach((d) => { d.open = true; });
    for (const u of charts) {
      u.tip.hidden = true;
      u.setSize({ width: PAPER, height: u.height });
      if (u.resized) u.resized();
    }
    repaint();
  });
  addEventListener("afterprint", () => {
    if (!before) return;
    if (before.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    before.closed.forEach((d) => { d.open = false; });
    delete root.dataset.printing;
    before = null;
    for (const u of charts) {
      u.setSize({ width: u.box.clientWidth, height: u.box.clientHeight });
      if (u.resized) u.resized();
    }
    repaint();
  });
  root.dataset.drawn = "yes";
})();
