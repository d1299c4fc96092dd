// What moves: the feed, the tables, the charts, an exchange's tokens. Everything here that shows data sets text or
// numbers; nothing builds markup from it.
"use strict";

(() => {
  const REFRESH_MS = 1500; // between an event of the feed and the figures that follow from it
  const SETTLE_MS = 2000; // until whatever counts records knows of one
  const RECONNECT_MS = 3000;
  const ARMED_MS = 4000; // within which a second press ends a request
  const MOST_CHARACTERS = 200000; // in one pane of a running stream
  const PLOT_WIDTH = 600;

  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  // Numbers, told as the server tells them.

  function duration(seconds) {
    if (seconds >= 0.00005 && seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} m ${String(Math.floor(seconds) % 60).padStart(2, "0")} s`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
  }

  function size(count) {
    if (count === null || count === undefined) return "–";
    let value = count;
    for (const unit of ["B", "kB", "MB"]) {
      if (value < 1000) return `${value.toFixed(value >= 10 || unit === "B" ? 0 : 1)} ${unit}`;
      value /= 1000;
    }
    return `${value.toFixed(1)} GB`;
  }

  function brief(count) {
    if (count === null || count === undefined) return "–";
    if (count < 10000) return count.toLocaleString("en-US", { maximumFractionDigits: 0 });
    const [unit, one] = count < 1e6 ? ["k", 1e3] : count < 1e9 ? ["M", 1e6] : ["G", 1e9];
    return `${(count / one).toFixed(count / one >= 100 ? 0 : 1).replace(/\.0$/, "")}${unit}`;
  }

  // Rows.

  function state(row) {
    if (row.is_inflight) return "flying";
    if (row.state) return row.state;
    if (row.outcome === "client_gone" || row.outcome === "cancelled") return "left";
    if (row.status_code >= 400 || row.error_message) return "failed";
    return row.outcome && row.outcome !== "done" ? "left" : "good";
  }

  function word(row) {
    if (row.is_inflight) return "in flight";
    return row.error_message || (row.outcome && row.outcome !== "done" ? row.outcome.replaceAll("_", " ") : "ok");
  }

  function tokens(row) {
    if (row.tokens !== undefined) return row.tokens;
    const { input_total: taken = null, output_total: made = null } = row.usage ?? {};
    return taken === null && made === null ? "–" : `${brief(taken)} / ${brief(made)}`;
  }

  function stamp(at) {
    const date = typeof at === "number" ? new Date(at * 1000) : new Date(at);
    return Number.isNaN(date.getTime()) ? String(at) : date.toISOString();
  }

  function fill(tr, row) {
    const cell = (name) => find(`[data-cell="${name}"]`, tr);
    const at = stamp(row.timestamp);
    const address = `/logs/${encodeURIComponent(row.id)}`;
    const was = row.mapped_model && row.original_model && row.mapped_model !== row.original_model;
    tr.dataset.id = row.id;
    cell("mark").dataset.state = state(row);
    say(cell("code"), row.is_inflight ? "" : String(row.status_code ?? ""));
    say(cell("word"), word(row));
    cell("link").href = address;
    cell("time").dateTime = at;
    cell("time").title = at;
    say(cell("time"), at.slice(11, 19));
    say(cell("source"), row.source_ip ?? "–");
    const service = find(`select[name="service"] option[value="${CSS.escape(row.service_type ?? "-")}"]`);
    say(cell("service"), service?.textContent ?? row.service_type ?? "–");
    say(cell("method"), row.method ?? "");
    say(cell("path"), row.path ?? "");
    say(cell("model"), row.mapped_model || row.original_model || "–");
    cell("was").hidden = !was;
    say(cell("old"), was ? row.original_model : "");
    if (row.is_inflight) {
      say(cell("provider"), row.provider ?? "–");
      cell("watch").href = address;
      tick(cell("elapsed"), row.elapsed_ms ?? row.duration_ms ?? 0);
    } else {
      say(cell("in"), size(row.request_size));
      say(cell("out"), size(row.response_size));
      say(cell("tokens"), tokens(row));
      say(cell("duration"), duration((row.duration_ms ?? 0) / 1000));
    }
  }

  class Rows {
    constructor(kind) {
      this.table = find(`table[data-rows="${kind}"]`);
      this.body = this.table.tBodies[0];
      this.empty = find(`[data-empty="${kind}"]`);
      this.template = find(`template[data-row="${kind}"]`);
      this.most = Number(this.table.dataset.most || 200);
      this.settle();
    }

    get(id) {
      return [...this.body.rows].find((tr) => tr.dataset.id === id);
    }

    make(row) {
      const tr = this.template.content.firstElementChild.cloneNode(true);
      fill(tr, row);
      return tr;
    }

    // Newest first; an id begins with the time it was made.
    put(row) {
      const there = this.get(row.id);
      if (there) {
        fill(there, row);
        return;
      }
      const after = [...this.body.rows].find((tr) => tr.dataset.id < row.id);
      const tr = this.make(row);
      tr.classList.add("fresh");
      this.body.insertBefore(tr, after ?? null);
      while (this.body.rows.length > this.most) this.drop(this.body.rows[this.body.rows.length - 1]);
    }

    remove(id) {
      const tr = this.get(id);
      if (tr) this.drop(tr);
      return Boolean(tr);
    }

    drop(tr) {
      const focused = tr.contains(document.activeElement);
      tr.remove();
      if (focused) find("main").focus({ preventScroll: true });
    }

    show(rows) {
      const wanted = new Set(rows.map((row) => row.id));
      for (const tr of [...this.body.rows]) if (!wanted.has(tr.dataset.id)) this.drop(tr);
      rows.forEach((row, index) => {
        let tr = this.get(row.id);
        if (tr) fill(tr, row);
        else tr = this.make(row);
        if (this.body.rows[index] !== tr) this.body.insertBefore(tr, this.body.rows[index] ?? null);
      });
      this.settle();
    }

    settle() {
      this.table.hidden = this.body.rows.length === 0;
      this.empty.hidden = this.body.rows.length > 0;
    }
  }

  // Time that passes.

  const ticking = new WeakMap();

  function tick(element, ms) {
    element.dataset.ms = String(ms);
    ticking.set(element, performance.now() - ms);
    say(element, duration(ms / 1000));
  }

  function tellElapsed() {
    for (const element of all("[data-ms]")) {
      if (!ticking.has(element)) tick(element, Number(element.dataset.ms));
      else say(element, duration((performance.now() - ticking.get(element)) / 1000));
    }
  }

  // The feed.

  class Feed {
    constructor(address, listeners, opened, closed) {
      this.address = address;
      this.listeners = listeners;
      this.opened = opened;
      this.closed = closed;
      this.light = find("[data-feed]");
      this.open();
    }

    open() {
      if (this.source) return;
      const source = new EventSource(this.address);
      this.source = source;
      source.onopen = () => {
        this.tell("live", "live");
        this.opened?.();
      };
      source.onerror = () => {
        this.tell("waiting", "reconnecting");
        if (source.readyState !== EventSource.CLOSED) return;
        this.close();
        if (this.closed) this.closed();
        else this.again = setTimeout(() => this.open(), RECONNECT_MS);
      };
      for (const [name, listener] of Object.entries(this.listeners)) {
        source.addEventListener(name, (event) => {
          let value = {};
          try {
            value = JSON.parse(event.data) ?? {};
          } catch {
            // A listener that needs more than the event's name finds nothing in it.
          }
          listener(value);
        });
      }
    }

    close() {
      clearTimeout(this.again);
      this.source?.close();
      this.source = null;
    }

    tell(kind, words) {
      if (!this.light) return;
      this.light.dataset.feed = kind;
      say(find("[data-words]", this.light), words);
    }
  }

  // A hidden page holds no connection: browsers allow few to one server.
  function whileVisible(feed) {
    document.addEventListener("visibilitychange", () => (document.hidden ? feed.close() : feed.open()));
    window.addEventListener("pagehide", () => feed.close());
    window.addEventListener("pageshow", (event) => event.persisted && feed.open());
  }

  // The first page.

  function overview() {
    const flying = new Rows("flying");
    const ended = new Rows("ended");
    const charts = find("[data-charts]");
    const alerts = find("[data-alerts]");
    const gone = new Set();
    let fresh = new Map(); // rows heard of since what is there now was last asked for
    let queue = [];
    let drawing = 0;
    let waiting = 0;
    let count = Number(find('[data-total="flying"]').textContent);
    let drawn = performance.now();
    let shown = "";
    let counted = -Infinity; // when a record was added to the totals
    let unsure = false; // whether an answer with totals may not have known of that
    let settling = 0;

    function add(key) {
      const element = find(`[data-total="${key}"]`);
      if (!element || element.dataset.value === "") return;
      element.dataset.value = String(Number(element.dataset.value) + 1);
      say(element, brief(Number(element.dataset.value)));
    }

    function tellCount() {
      say(find('[data-total="flying"]'), String(count));
      say(find("[data-said]"), count === 1 ? "1 request" : `${count} requests`);
    }

    function draw() {
      drawing = 0;
      const events = queue;
      queue = [];
      for (const [name, row] of events) {
        if (name !== "request_completed") {
          if (gone.has(row.id)) continue;
          if (!flying.get(row.id)) count += 1;
          const begun = { ...row, is_inflight: true };
          flying.put(begun);
          fresh.set(row.id, begun);
        } else {
          if (gone.has(row.id)) continue;
          gone.add(row.id);
          if (gone.size > 1000) gone.delete(gone.values().next().value);
          flying.remove(row.id);
          fresh.delete(row.id);
          count = Math.max(flying.body.rows.length, count - 1);
          ended.put({ ...row, is_inflight: false });
          for (const key of ["all", "day", row.service_type]) add(key);
          counted = performance.now();
        }
      }
      settle();
      flying.settle();
      ended.settle();
      tellCount();
      waiting ||= setTimeout(() => refresh(false), REFRESH_MS);
    }

    // Totals that may lack what was added meanwhile are asked for once more, as soon as nothing is added.
    function settle() {
      clearTimeout(settling);
      if (unsure) settling = setTimeout(() => refresh(true), SETTLE_MS);
    }

    function hear(name, row) {
      if (!row.id) return;
      queue.push([name, row]);
      drawing ||= requestAnimationFrame(draw);
    }

    function showAlerts(found) {
      const told = JSON.stringify(found);
      if (told === shown) return;
      shown = told;
      const items = found.map((alert) => {
        const item = find('template[data-row="alert"]').content.firstElementChild.cloneNode(true);
        const since = find('[data-cell="since"]', item);
        item.dataset.severity = alert.severity;
        say(find('[data-cell="text"]', item), alert.text);
        say(find('[data-cell="remedy"]', item), alert.remedy);
        say(since, `Since ${alert.since.slice(11, 19)}.`);
        since.dateTime = since.title = alert.since;
        return item;
      });
      find("ul", alerts).replaceChildren(...items);
      alerts.hidden = items.length === 0;
    }

    async function refresh(withTotals) {
      clearTimeout(waiting);
      waiting = 0;
      fresh = new Map();
      const known = performance.now() - SETTLE_MS;
      let now;
      try {
        const answer = await fetch(`/now?span=${charts.dataset.span}${withTotals ? "&totals=1" : ""}`);
        if (!answer.ok) return;
        now = await answer.json();
      } catch {
        return; // the feed tells that nobody is there
      }
      for (const row of now.in_flight) fresh.delete(row.id);
      const inFlight = [...[...fresh.values()].reverse(), ...now.in_flight].filter((row) => !gone.has(row.id));
      flying.show(inFlight);
      ended.show(now.latest);
      count = Math.max(inFlight.length, now.count_in_flight - (now.in_flight.length - inFlight.length));
      tellCount();
      for (const [key, total] of Object.entries(now.totals ?? {})) {
        const element = find(`[data-total="${key}"]`);
        element.dataset.value = String(total);
        say(element, brief(total));
      }
      if (now.totals) unsure = counted > known;
      settle();
      showAlerts(now.alerts);
      for (const chart of now.charts) drawChart(chart);
      drawn = performance.now();
      shift();
    }

    function drawChart(chart) {
      const figure = find(`[data-chart="${chart.key}"]`, charts);
      say(find("[data-figure]", figure), chart.figure);
      say(find("[data-top]", figure), chart.top);
      say(find("[data-bottom]", figure), chart.bottom);
      find("[data-summary]", figure).setAttribute("aria-label", `${chart.title}: ${chart.summary}`);
      for (const shape of chart.shapes) find(`[data-shape="${shape.key}"]`, figure).setAttribute("d", shape.d);
    }

    // Charts move to the left as time passes, whether or not anything happens.
    function shift() {
      const slots = (performance.now() - drawn) / 1000 / Number(charts.dataset.slotS);
      const x = (-slots * PLOT_WIDTH) / Number(charts.dataset.slots);
      for (const group of all("[data-shift]", charts)) group.setAttribute("transform", `translate(${x.toFixed(2)} 0)`);
    }

    const feed = new Feed(
      "/api/live",
      {
        new_request: (row) => hear("new_request", row),
        request_routed: (row) => hear("request_routed", row),
        request_completed: (row) => hear("request_completed", row),
        alerts: (told) => showAlerts(told.alerts ?? []),
      },
      () => refresh(true),
    );
    whileVisible(feed);
    find("[data-refresh]").addEventListener("click", () => refresh(true));
    tellCount();
    setInterval(shift, 1000);
  }

  // The log: says that there is more, and moves nothing under the reader's eyes.

  function log() {
    const newer = find("[data-newer]");
    let count = 0;
    const feed = new Feed("/api/live", {
      request_completed: () => {
        count += 1;
        newer.hidden = false;
        say(find("[data-words]", newer), `Show ${brief(count)} newer`);
      },
    });
    whileVisible(feed);
  }

  // One exchange in flight.

  function* spoken(document) {
    const text = (value) => (typeof value === "string" ? value : "");
    const list = (value) => (Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []);
    function* message(one) {
      if (!one || typeof one !== "object") return;
      yield ["reasoning", text(one.reasoning_content) || text(one.reasoning) || text(one.thinking)];
      yield ["text", text(one.content) || text(one.text)];
      for (const part of [...list(one.content), ...list(one.parts)]) yield ["text", text(part.text)];
      yield ["tool", text(one.partial_json)];
      for (const call of list(one.tool_calls)) yield ["tool", text(call.function?.name) + text(call.function?.arguments)];
    }
    if (!document || typeof document !== "object") return;
    for (const choice of list(document.choices)) yield* message(choice.delta ?? choice.message ?? choice);
    for (const candidate of list(document.candidates)) yield* message(candidate.content);
    if (typeof document.delta === "string") yield ["text", document.delta];
    else yield* message(document.delta);
    yield* message(document.message);
    yield ["text", text(document.response)];
  }

  class Pane {
    constructor(element) {
      this.element = element;
      this.length = 0;
      this.queue = [];
      this.drawing = 0;
    }

    add(kind, text) {
      if (!text) return;
      const last = this.queue[this.queue.length - 1];
      if (last && last[0] === kind) last[1] += text;
      else this.queue.push([kind, text]);
      this.drawing ||= requestAnimationFrame(() => this.draw());
    }

    draw() {
      this.drawing = 0;
      const element = this.element;
      const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
      for (const [kind, words] of this.queue) {
        const shown = words.slice(-MOST_CHARACTERS);
        const span = document.createElement("span");
        span.className = kind;
        span.textContent = shown;
        element.append(span);
        this.length += shown.length;
      }
      this.queue = [];
      while (this.length > MOST_CHARACTERS && element.childNodes.length > 1) {
        this.length -= element.firstChild.textContent.length;
        element.firstChild.remove();
      }
      if (atEnd) element.scrollTop = element.scrollHeight;
    }
  }

  function watch(root) {
    const id = root.dataset.watch;
    const says = new Pane(find("[data-said-text]"));
    const sent = new Pane(find("[data-raw-text]"));
    const told = find("[data-told]");
    let rest = "";
    let received = 0;
    let pieces = 0;
    let spoke = false;

    function hear(text) {
      const lines = (rest + text).split(/\r\n|\n|\r/);
      rest = lines.pop().slice(-1000000);
      for (const line of lines) {
        // An event, a line of JSON, or a line of a list that has a document on each.
        const data = line.startsWith("data:") ? line.slice(5).trim() : line.replace(/^\[|[,\]]$/g, "");
        if (!data.startsWith("{")) continue;
        let document;
        try {
          document = JSON.parse(data);
        } catch {
          continue;
        }
        for (const [kind, words] of spoken(document)) {
          spoke ||= Boolean(words);
          says.add(kind, words);
        }
      }
    }

    function over(words) {
      feed.close();
      feed.tell("over", "ended");
      for (const element of all("[data-ms]", root)) element.removeAttribute("data-ms");
      for (const button of all("[data-end]", root)) button.hidden = true;
      const link = document.createElement("a");
      link.href = location.pathname;
      link.textContent = "Show what was recorded";
      told.replaceChildren(`${words} `, link);
    }

    const feed = new Feed(
      `/api/logs/${encodeURIComponent(id)}/live`,
      {
        piece: ({ direction, text }) => {
          if (direction !== "response" || typeof text !== "string") return;
          received += text.length;
          pieces += 1;
          say(find("[data-received]", root), size(received));
          hear(text);
          sent.add("text", text);
          if (!spoke && pieces > 3) sent.element.closest("details").open = true;
        },
        skipped: () => say(told, "A part was left out: this page could not keep up."),
        ended: (row) => {
          hear("\n");
          if (!spoke && pieces) sent.element.closest("details").open = true;
          const mark = find('[data-cell="mark"]', root);
          mark.dataset.state = row.status_code === undefined ? "left" : state(row);
          say(find('[data-cell="code"]', mark), String(row.status_code ?? ""));
          say(find('[data-cell="word"]', mark), row.status_code === undefined ? "ended" : word(row));
          over("It has ended.");
        },
      },
      null,
      () => over("It is not in flight any more."),
    );
    window.addEventListener("pagehide", () => feed.close());
  }

  // Ending a request takes two presses, so that no slip of a finger does it.

  async function end(button) {
    const words = button.textContent;
    const id = button.closest("[data-id], [data-watch]").dataset;
    if (button.dataset.armed === undefined) {
      button.dataset.armed = "";
      say(button, "Really end?");
      setTimeout(() => {
        if (button.dataset.armed === undefined || button.disabled) return;
        delete button.dataset.armed;
        say(button, words);
      }, ARMED_MS);
      return;
    }
    button.disabled = true;
    say(button, "Ending");
    let answer;
    try {
      answer = await fetch(`/api/inflight/${encodeURIComponent(id.id ?? id.watch)}/end`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Requested-With": "netrunner" },
        body: "{}",
      });
    } catch {
      answer = { ok: false, status: 0 };
    }
    if (answer.ok) return;
    button.disabled = false;
    delete button.dataset.armed;
    say(button, answer.status === 404 ? "Already over" : "Could not end it");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-end]");
    if (button) end(button);
  });

  // Light and dark.

  function themes() {
    const root = document.documentElement;
    const button = find("[data-theme-switch]");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const tell = () => say(find("[data-words]", button), isDark() ? "Light theme" : "Dark theme");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // It holds for this page, then.
      }
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  }

  themes();
  if (find("[data-charts]") && find('table[data-rows="flying"]')) overview();
  if (find("[data-newer]")) log();
  if (find("[data-watch]")) watch(find("[data-watch]"));
  if (find("[data-ms], [data-rows]")) setInterval(tellElapsed, 1000);
})();
