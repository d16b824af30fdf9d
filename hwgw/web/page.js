// The dashboard of hwgw serve: takes looks as server-sent events and draws them. SPDX-License-Identifier: MIT
import * as charts from "./charts.js";
import { make, money, mood, price, short, table, took, whole } from "./words.js";

const $ = (id) => document.getElementById(id);
const RATES = {
  "packets/s": ["mold.frames"], "messages/s": ["itch.messages"], "book updates/s": ["book.updates"], "hook calls/s": ["strategy.calls"],
  "orders/s": ["order.encoded"], "fills/s": ["session.executed"], "refused/s": "risk.refused_", "lost/s": ["rx.", "net.", "mold.", "itch.", "order."],
};
const NO_LOSS = new Set(["mold.drop_duplicate"]);
const KEPT = 120, HEAT_LOOKS = 20;

let source = null, looks = [], held = false, session = { control: false, needs_token: false };

function total(counters, kind, name) {
  if (name === "lost/s") {
    return Object.entries(counters).reduce((sum, [key, value]) =>
      sum + (key.includes(".drop_") && !NO_LOSS.has(key) && kind.some((stage) => key.startsWith(stage)) ? value : 0), 0);
  }
  if (typeof kind === "string") {
    return Object.entries(counters).reduce((sum, [key, value]) => sum + (key.startsWith(kind) ? value : 0), 0);
  }
  return counters[kind[0]];
}

/** What is kept of a look for the course of things. */
function digest(look) {
  const totals = {};
  for (const [name, kind] of Object.entries(RATES)) totals[name] = total(look.counters, kind, name);
  return { time_ns: look.time_ns, totals, steps: look.steps, books: look.books };
}

function rates(name) {
  const found = [];
  for (let i = 1; i < looks.length; i++) {
    const seconds = (looks[i].time_ns - looks[i - 1].time_ns) / 1e9;
    if (seconds > 0) found.push(Math.max(0, (looks[i].totals[name] - looks[i - 1].totals[name]) / seconds));
  }
  return found;
}

/** The mean of the last few: single looks jump. */
const recent = (values) => (values.length ? values.slice(-4).reduce((a, b) => a + b, 0) / Math.min(4, values.length) : 0);

function tiles() {
  const made = Object.keys(RATES).map((name) => {
    const values = rates(name).slice(-KEPT), now = recent(values);
    const alarm = name === "lost/s" && now > 0;
    return make("div", { class: alarm ? "tile alarm" : "tile" }, make("div", { class: "label" }, name),
      make("div", { class: "number" }, short(now)), charts.spark(values));
  });
  $("tiles").replaceChildren(...made);
}

/** Samples of the last looks by stage and step; all of them when there are none. */
function fresh(look) {
  const before = looks[Math.max(0, looks.length - 1 - HEAT_LOOKS)], found = {};
  for (const [stage, steps] of Object.entries(look.steps)) {
    const last = before && before.time_ns < look.time_ns ? steps.map((cnt, i) => Math.max(0, cnt - before.steps[stage][i])) : steps;
    found[stage] = last.some((cnt) => cnt) ? last : steps;
  }
  return found;
}

function chips(look) {
  const first = look.pipelines[0] || {}, beat = look.heartbeat_age_ns, late = beat === null || beat > 1e9;
  const words = [
    [look.running ? "running" : "not running", look.running ? "good" : "bad"],
    [`feed ${first.feed}`, mood(first.feed)], [`session ${first.session}${first.reconciling ? ", reconciling" : ""}`, first.reconciling ? "warn" : mood(first.session)], [`receive ${first.receive}`, mood(first.receive)],
    [late ? "control process silent" : `beat ${took(beat)}`, late ? "bad" : "good"],
  ];
  $("chips").replaceChildren(...words.map(([word, kind]) => make("span", { class: `chip ${kind}` }, word)));
  const halts = look.halts.map((row) => `${row.reason}: ${row.text}`);
  halts.push(...Object.entries(look.instrument_halts).map(([symbol, row]) => `${symbol}, ${row.reason}: ${row.text}`));
  banner(halts.length ? `HALTED  ${halts.join("; ")}` : "");
  document.title = `${look.halts.length ? "HALTED " : ""}${look.name}: hwgw`;
  $("clock").textContent = new Date(look.time_ns / 1e6).toLocaleTimeString("en-GB");
}

function banner(words) {
  if ($("banner").textContent !== words) $("banner").textContent = words;
  $("banner").hidden = !words;
}

/** Choices of a select, without a change where nothing changed. */
function offer(select, names) {
  if (names.length === select.options.length && names.every((name, i) => select.options[i].value === name)) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
}

function feed(look) {
  const channel = look.channels[0];
  if (!channel) return;
  $("feed-note").textContent = `channel ${channel.channel} at ${whole(channel.next_seq)} of session ${channel.session || "?"}; `
    + `${whole(channel.missing_cnt)} missing, ${whole(channel.held_cnt)} held, ${whole(channel.repairs)} repairs`;
  $("feed").replaceChildren(charts.machine(channel));
  const keys = ["frames", "first", "late", "missed"];
  table($("lines"), "Lines", ["line", "packets", "first with", "late with", "jumped over"],
    Object.entries(channel.lines).map(([name, row]) => [name, ...keys.map((key) => whole(row[key]))]));
  $("changes").replaceChildren(...channel.changes.slice(-12).reverse().map((change) => make("li", {},
    `${new Date(change.ts_ns / 1e6).toLocaleTimeString("en-GB")}.${String(Math.floor(change.ts_ns / 1e3) % 1000000).padStart(6, "0")} ${change.from} → `,
    make("span", { class: mood(change.to) }, change.to), ` at ${whole(change.next_seq)}`)));
}

function row(name, drawn, number, under) {
  const made = make("div", { class: "row" }, make("span", {}, name), drawn, make("span", { class: "number" }, number));
  if (under) made.append(make("span", { class: "under" }, under));
  return made;
}

function ledgers(look) {
  $("ledger").replaceChildren(...Object.entries(look.ledgers).map(([name, each]) => {
    const lost = Object.entries(each.dropped), all = Math.max(each.total, 1);
    const parts = [[each.used / all, "good"], ...lost.map(([, cnt], i) => [cnt / all, `d${Math.min(i, 3)}`])];
    const under = lost.map(([cause, cnt]) => `${cause} ${whole(cnt)}`).join(", ");
    return row(name, charts.bar(parts, `${name}: ${whole(each.used)} of ${whole(each.total)} used`), `${each.exact ? "" : "in flight  "}${short(each.used)} of ${short(each.total)}`, under);
  }));
}

function book(look) {
  offer($("symbol"), Object.keys(look.books));
  const symbol = $("symbol").value, each = look.books[symbol];
  if (!each) return;
  const flags = [each.good ? "good" : "not good", each.trading ? "trading" : "not trading", ...(each.crossed ? ["crossed"] : [])];
  $("book-note").textContent = `${flags.join(", ")}; last ${price(each.last_px)}; position ${whole(each.position)}; ${short(each.update_cnt)} updates`;
  $("book").replaceChildren(charts.book(each, looks.map((past) => past.books[symbol])));
  const levels = look.depth[symbol];
  $("depth").replaceChildren(levels ? charts.depth(levels) : make("p", { class: "quiet" }, "No deeper levels: publish.depth in gateway.yaml shows them."));
}

function limits(look) {
  const amount = (value, unit) => short(unit === "money" ? value / 10000 : value);
  const sorted = [...look.usage].sort((a, b) => (b.ratio ?? 1e9) - (a.ratio ?? 1e9)).slice(0, 12);
  $("limits").replaceChildren(...sorted.map((each) => {
    const ratio = each.ratio ?? 1, kind = each.ratio === null || ratio >= 0.9 ? "bad" : ratio >= 0.7 ? "warn" : "good";
    const part = each.ratio === null ? "over" : `${(100 * ratio).toFixed(1)} %`;
    return row(`${each.scope === "account" ? "account " : ""}${each.of} ${each.limit}`, charts.bar([[ratio, kind]], part), `${part}  ${amount(each.used, each.unit)} of ${amount(each.allowed, each.unit)}`);
  }), ...(sorted.length ? [] : [make("p", {}, "No limits are in force: nothing passes.")]));
}

function risk(look) {
  const refused = Object.entries(look.refused).sort((a, b) => b[1] - a[1]), most = Math.max(...refused.map(([, cnt]) => cnt), 1);
  const made = refused.map(([reason, cnt]) => row(reason, charts.bar([[cnt / most, "warn"]], `${reason} ${whole(cnt)}`), whole(cnt)));
  if (!made.length) made.push(make("p", { class: "quiet" }, "Nothing was refused."));
  for (const [rule, each] of Object.entries(look.breakers)) {
    const last = each.trips ? `tripped ${whole(each.trips)} times, last by ${each.of}` : "never tripped";
    made.push(row(`breaker ${rule}`, charts.bar([[each.trips ? 1 : 0, "bad"]], last), last, `${each.kind} of ${each.scope}: ${each.action}`));
  }
  $("risk").replaceChildren(...made);
}

function orders(look) {
  const path = { wanted: "strategy.intents", passed: "risk.passed", sent: "order.encoded", accepted: "session.accepted", filled: "session.filled",
    canceled: "session.canceled", replaced: "session.replaced", rejected: "session.rejected" };
  const open = look.pipelines.reduce((sum, each) => sum + each.open_orders, 0);
  const cells = [...Object.entries(path).map(([name, key]) => [name, look.counters[key]]), ["open now", open]];
  $("flow").replaceChildren(...cells.map(([name, cnt]) => make("div", {}, make("div", { class: "quiet" }, name), make("div", { class: "number" }, short(cnt)))));
  table($("strategies"), "Strategies", ["strategy", "armed", "passed", "refused", "fills", "shares", "PnL"], Object.entries(look.strategies).map(
    ([name, each]) => [name, [each.armed ? "yes" : "NO", each.armed ? "good" : "bad"], whole(each.passed), whole(each.refused), whole(each.fills),
      whole(each.executed_qty), [money(each.pnl), each.pnl < 0 ? "bad" : "good"]]));
  table($("positions"), "Positions", ["symbol", "position", "fills", "open buys", "open sells", "cash"], Object.entries(look.positions).map(
    ([name, each]) => [name, whole(each.position), whole(each.fills), whole(each.open_buys), whole(each.open_sells), money(each.cash)]));
}

function host(look) {
  const first = look.pipelines[0] || {}, placed = look.placement, clock = look.clock;
  const kept = ["privileges_dropped", "calls_filtered"].filter((name) => !look.confined[name]).map((name) => `not ${name.replace("_", " ")}`);
  const rows = {
    Receive: look.receive, Version: look.version, Up: took(look.up_seconds * 1e9),
    Processes: `control ${look.control_pid}, data ${look.data_pid}`,
    Pipeline: `${first.state}, ${first.cpu >= 0 ? `cpu ${first.cpu}` : "not pinned"}${first.fifo_priority ? `, SCHED_FIFO ${first.fifo_priority}` : ""}`,
    Memory: `${whole(placed.locked_kib / 1024)} MiB locked, ${whole(placed.huge_kib / 1024)} MiB on huge pages${placed.reason ? `; not had: ${placed.reason}` : ""}`,
    Confined: kept.join(", ") || "fully",
    Limits: look.limits_generation ? `generation ${look.limits_generation}, hash ${look.limits_hash.slice(0, 16)}` : "none",
    Journal: look.journal.map((each) => `${whole(each.records)} records, ${whole(each.waiting_bytes)} of ${short(each.ring_bytes)} bytes waiting${each.error ? `, error ${each.error}` : ""}`).join("; ") || "none",
    Clock: `${clock.synchronized ? "disciplined" : "not disciplined"}, error at most ${took(clock.error_ns_max)}; TSC ${(clock.tsc_hz / 1e6).toFixed(1)} MHz`,
  };
  $("host").replaceChildren(...Object.entries(rows).flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)]));
}

function draw(look) {
  chips(look);
  const samples = fresh(look);
  offer($("stage"), Object.keys(look.steps));
  tiles();
  $("latency").replaceChildren(charts.heat(look, samples));
  const stage = $("stage").value;
  $("histogram-note").textContent = `${short(samples[stage].reduce((a, b) => a + b, 0))} samples shown, ${short(look.latency_ns[stage].cnt)} since the start`;
  $("histogram").replaceChildren(charts.histogram(look, samples, stage));
  feed(look); ledgers(look); book(look); limits(look); risk(look); orders(look); host(look);
  document.body.dataset.drawn = String(look.time_ns);
}

let newest = null;
function take(look) {
  if (look.error) return banner(look.error);
  newest = look;
  if (looks.length && look.time_ns < looks[looks.length - 1].time_ns) looks = [];
  looks.push(digest(look));
  if (looks.length > KEPT + 1) looks.shift();
  if (!held && !document.hidden) draw(look);
}

function watch(name) {
  if (source) source.close();
  looks = [];
  source = new EventSource(`/events?gateway=${encodeURIComponent(name)}`);
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => { banner("No connection to hwgw serve; trying again."); if (source.readyState === EventSource.CLOSED) setTimeout(start, 2000); };
}

async function ask(path, body) {
  const answer = await fetch(path, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {});
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.status);
  return value;
}

async function start() {
  try {
    session = await ask("/api/session");
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) history.replaceState(null, "", location.pathname);
    if (!session.may_see && token) { await ask("/api/login", { token }); session.may_see = true; }
    if (!session.may_see) { if (!$("login-dialog").open) $("login-dialog").showModal(); return; }
    const known = await ask("/api/gateways");
    $("halt").hidden = !known.control;
    offer($("gateway"), known.gateways);
    if (!known.gateways.length) { banner("No gateway on this host."); setTimeout(start, 2000); return; }
    banner("");
    watch($("gateway").value);
  } catch (error) { banner(error.message); setTimeout(start, 2000); }
}

function openHalt() {
  if ($("halt").hidden || !$("gateway").value) return;
  $("halt-name").textContent = $("gateway").value;
  $("halt-confirm").value = ""; $("halt-said").textContent = ""; $("halt-go").disabled = true;
  $("halt-dialog").showModal();
  $("halt-reason").focus();
}

$("halt").addEventListener("click", openHalt);
$("halt-cancel").addEventListener("click", () => $("halt-dialog").close());
$("halt-confirm").addEventListener("input", () => { $("halt-go").disabled = $("halt-confirm").value !== $("gateway").value; });
$("halt-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("halt-go").disabled) return;
  try {
    const said = await ask("/api/halt", { gateway: $("gateway").value, confirm: $("halt-confirm").value, reason: $("halt-reason").value });
    if (said.not_recorded) throw new Error(`Halted, but not on record: ${said.not_recorded}`);
    $("halt-dialog").close();
  } catch (error) { $("halt-said").textContent = error.message; }
});
$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("/api/login", { token: $("login-token").value });
    $("login-token").value = "";
    $("login-dialog").close();
    start();
  } catch (error) { $("login-said").textContent = error.message; }
});
$("gateway").addEventListener("change", () => watch($("gateway").value));
for (const id of ["stage", "symbol"]) $(id).addEventListener("change", () => newest && draw(newest));

function hold() {
  held = !held;
  $("hold").setAttribute("aria-pressed", String(held));
  $("hold").textContent = held ? "Held" : "Hold";
  if (!held && newest) draw(newest);
}
$("hold").addEventListener("click", hold);

function theme() {
  const order = ["", "light", "dark"], now = document.documentElement.dataset.theme || "";
  const next = order[(order.indexOf(now) + 1) % order.length];
  if (next) document.documentElement.dataset.theme = next; else delete document.documentElement.dataset.theme;
  $("theme").textContent = next ? next[0].toUpperCase() + next.slice(1) : "Theme";
  try { localStorage.setItem("theme", next); } catch { /* private windows keep nothing */ }
}
$("theme").addEventListener("click", theme);
try { const kept = localStorage.getItem("theme"); if (kept) { document.documentElement.dataset.theme = kept; $("theme").textContent = kept[0].toUpperCase() + kept.slice(1); } } catch { /* likewise */ }

const KEYS = { g: () => $("gateway").focus(), s: () => $("stage").focus(), b: () => $("symbol").focus(), t: theme, h: openHalt, " ": hold };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, dialog, textarea")) return;
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && newest && !held) draw(newest); });
start();
