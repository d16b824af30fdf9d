// What the dashboard draws, as SVG. SPDX-License-Identifier: MIT
import { make, mood, price, short, took, whole } from "./words.js";

const svg = (width, height, label, ...children) =>
  make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...children);

const text = (x, y, words, more = {}) => make("text", { x, y, ...more }, String(words));

/** The course of a rate. */
export function spark(values) {
  const width = 120, height = 26, most = Math.max(...values, 1e-9);
  const at = (value, i) => `${((i + 120 - values.length) * width) / 119},${(height - 1 - (value / most) * (height - 3)).toFixed(1)}`;
  const points = values.map(at).join("L");
  const drawn = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" });
  if (values.length > 1) {
    const left = ((120 - values.length) * width) / 119;
    drawn.append(make("path", { class: "area", d: `M${left},${height}L${points}L${width + 1},${height}Z` }), make("path", { d: `M${points}` }));
  }
  return drawn;
}

const edges = (buckets) => [...buckets, Infinity];
const label = (ns) => (ns === Infinity ? "more" : `≤ ${took(ns)}`);

/** Stages by steps of latency: the darker, the more of the last samples. */
export function heat(look, fresh) {
  const stages = Object.keys(look.steps), columns = look.buckets_ns.length + 1;
  const left = 66, cell = 27, height = 22, right = 300, width = left + cell * columns + right;
  const drawn = svg(width, 22 + height * stages.length, "Latency by stage");
  look.buckets_ns.forEach((ns, i) => {
    if (i % 3 === 0) drawn.append(text(left + cell * (i + 1), 12, took(ns).replace(/\.0+ /, " "), { "text-anchor": "middle" }));
  });
  const head = ["p50", "p99", "p99.9", "max"];
  head.forEach((word, i) => drawn.append(text(width - right + 72 * (i + 1), 12, word, { "text-anchor": "end" })));
  stages.forEach((stage, row) => {
    const y = 20 + row * height, most = Math.max(...fresh[stage], 1), latency = look.latency_ns[stage];
    drawn.append(text(0, y + 15, stage, { class: "ink" }));
    fresh[stage].forEach((cnt, i) => {
      const tone = cnt ? 0.12 + 0.88 * Math.sqrt(cnt / most) : 0.035;
      const box = make("rect", { x: left + i * cell + 1, y, width: cell - 2, height: height - 3, rx: 3 });
      box.style.fill = `rgba(var(--heat), ${tone.toFixed(3)})`;
      box.append(make("title", {}, `${stage} ${label(edges(look.buckets_ns)[i])}: ${whole(cnt)} samples`));
      drawn.append(box);
    });
    ["p50", "p99", "p999", "max"].forEach((key, i) =>
      drawn.append(text(width - right + 72 * (i + 1), y + 15, latency.cnt ? took(latency[key]) : "–", { class: "ink mono", "text-anchor": "end" })));
  });
  return drawn;
}

/** The steps of one stage as columns, with where its percentiles lie. */
export function histogram(look, fresh, stage) {
  const width = 520, height = 300, low = 272, counts = fresh[stage], most = Math.max(...counts, 1), step = width / counts.length;
  const drawn = svg(width, height, `Histogram of ${stage}`, make("line", { class: "axis", x1: 0, x2: width, y1: low, y2: low }));
  counts.forEach((cnt, i) => {
    const tall = cnt ? Math.max(1.5, (cnt / most) * (low - 24)) : 0;
    const column = make("rect", { class: "column", x: i * step + 1, y: low - tall, width: step - 2, height: tall, rx: 2 });
    column.append(make("title", {}, `${label(edges(look.buckets_ns)[i])}: ${whole(cnt)}`));
    drawn.append(column);
    if (i % 3 === 0 && i < counts.length - 1) drawn.append(text((i + 1) * step, low + 15, took(look.buckets_ns[i]).replace(/\.0+ /, " "), { "text-anchor": "middle" }));
  });
  const place = (ns) => (Math.max(0, Math.min(counts.length, 1 + 3 * Math.log10(Math.max(ns, 1) / 10))) * step).toFixed(1);
  for (const [key, word, y] of [["p50", "p50", 10], ["p99", "p99", 22], ["p999", "p99.9", 34]]) {
    if (!look.latency_ns[stage].cnt) continue;
    const x = place(look.latency_ns[stage][key]), end = x > width - 90;
    drawn.append(make("line", { class: "line t", x1: x, x2: x, y1: y, y2: low }),
      text(Number(x) + (end ? -4 : 4), y + 3, `${word} ${took(look.latency_ns[stage][key])}`, { class: "ink", "text-anchor": end ? "end" : "start" }));
  }
  return drawn;
}

// the states of a feed channel (docs/feed.md): place, and from where to where it goes
const STATES = {
  waiting: [62, 38], good: [230, 38], ended: [398, 38], holding: [62, 112], stale: [398, 112], requesting: [62, 186], snapshot: [230, 186],
  gapped: [398, 186],
};
const EDGES = [
  ["waiting", "good"], ["waiting", "holding"], ["good", "holding"], ["good", "gapped"], ["good", "stale"], ["good", "ended"],
  ["holding", "requesting"], ["holding", "snapshot"], ["holding", "gapped"], ["requesting", "good"], ["requesting", "snapshot"],
  ["requesting", "gapped"], ["snapshot", "good"], ["gapped", "snapshot"], ["stale", "holding"], ["ended", "waiting"],
];

/** The states of a channel: where it is, and the ways it lately took. */
export function machine(channel) {
  const drawn = svg(460, 224, `State of the channel: ${channel.state}`);
  const taken = new Set(channel.changes.map((change) => `${change.from} ${change.to}`));
  for (const [from, to] of EDGES) {
    const [x1, y1] = STATES[from], [x2, y2] = STATES[to];
    const used = taken.has(`${from} ${to}`) || taken.has(`${to} ${from}`);
    // what would run through the state between them goes around it
    const way = y1 === y2 && Math.abs(x1 - x2) > 200 && y1 !== 112 ? `Q230,${y1 + (y1 < 112 ? -64 : 64)} ${x2},${y2}` : `L${x2},${y2}`;
    drawn.append(make("path", { class: used ? "edge used" : "edge", d: `M${x1},${y1}${way}` }));
  }
  for (const [name, [x, y]] of Object.entries(STATES)) {
    const now = channel.state === name ? ` now ${mood(name)}` : "";
    drawn.append(make("g", { class: `node${now}` }, make("rect", { x: x - 52, y: y - 15, width: 104, height: 30, rx: 8 }), text(x, y + 4, name)));
  }
  return drawn;
}

/** Best bid and ask: how much stands there, and how they went. */
export function book(row, past) {
  const width = 520, height = 190, drawn = svg(width, height, "Best bid and ask");
  const most = Math.max(row.bid_qty, row.ask_qty, 1), middle = width / 2;
  const side = (qty, cnt, px, kind, sign) => {
    const long = (qty / most) * (middle - 8), x = sign < 0 ? middle - 4 - long : middle + 4, anchor = sign < 0 ? "end" : "start";
    drawn.append(make("rect", { class: kind, x, y: 22, width: long, height: 26, rx: 4, opacity: 0.3 }),
      text(middle + sign * 10, 15, px ? price(px) : "none", { class: "ink mono", "text-anchor": anchor }),
      text(middle + sign * 10, 39, `${whole(qty)} in ${whole(cnt)}`, { class: "ink mono", "text-anchor": anchor }));
  };
  side(row.bid_qty, row.bid_cnt, row.bid_px, "bid", -1);
  side(row.ask_qty, row.ask_cnt, row.ask_px, "ask", 1);
  const seen = past.filter((each) => each.bid_px && each.ask_px);
  if (seen.length < 2) return drawn;
  const prices = seen.flatMap((each) => [each.bid_px, each.ask_px]);
  const low = Math.min(...prices), span = Math.max(Math.max(...prices) - low, 1), top = 66, bottom = height - 12;
  const y = (px) => (bottom - ((px - low) / span) * (bottom - top)).toFixed(1);
  const x = (i) => ((i * (width - 62)) / (seen.length - 1)).toFixed(1);
  const steps = (key) => seen.map((each, i) => (i ? `H${x(i)}V${y(each[key])}` : `M${x(0)},${y(each[key])}`)).join("");
  drawn.append(make("path", { class: "line b", d: steps("bid_px") }), make("path", { class: "line a", d: steps("ask_px") }),
    text(width - 56, y(low + span), price(low + span), { class: "mono", dy: 4 }), text(width - 56, y(low), price(low), { class: "mono", dy: 4 }));
  return drawn;
}

/** The levels of a book by price: how much stands there, and how much down to there. */
export function depth(levels) {
  const width = 520, height = 176, low = 148, top = 14, drawn = svg(width, height, "Depth of the book", make("line", { class: "axis", x1: 0, x2: width, y1: low, y2: low }));
  const sides = { bid: [], ask: [] };
  for (const side of ["bid", "ask"]) {
    let sum = 0;
    for (const [px, qty, cnt] of levels[side]) sides[side].push({ px, qty, cnt, sum: (sum += qty) });
  }
  const all = [...sides.bid, ...sides.ask];
  if (!all.length) return drawn.append(text(width / 2, 84, "no levels", { "text-anchor": "middle" })), drawn;
  const first = Math.min(...all.map((each) => each.px)), last = Math.max(...all.map((each) => each.px));
  const tick = Math.max(1, Math.min(...["bid", "ask"].flatMap((side) => sides[side].slice(1).map((each, i) => Math.abs(each.px - sides[side][i].px)))));
  const pad = Number.isFinite(tick) ? tick : 100, span = last - first + 2 * pad, most = Math.max(...all.map((each) => each.sum));
  const x = (px) => (((px - first + pad) / span) * width).toFixed(1), y = (sum) => (low - (sum / most) * (low - top)).toFixed(1);
  const thick = Math.max(2, Math.min(10, (0.6 * pad * width) / span));
  for (const [side, edge] of [["bid", first - pad], ["ask", last + pad]]) {
    const rows = sides[side];
    if (!rows.length) continue;
    const steps = rows.map((each, i) => `${i ? `H${x(each.px)}` : ""}V${y(each.sum)}`).join("");
    drawn.append(make("path", { class: side, opacity: 0.16, d: `M${x(rows[0].px)},${low}${steps}H${x(edge)}V${low}Z` }),
      make("path", { class: `line ${side[0]}`, d: `M${x(rows[0].px)},${low}${steps}H${x(edge)}` }));
    for (const each of rows) {
      const tall = low - y(each.qty), box = make("rect", { class: side, x: x(each.px) - thick / 2, y: low - tall, width: thick, height: tall, rx: 1.5, opacity: 0.75 });
      box.append(make("title", {}, `${price(each.px)}: ${whole(each.qty)} in ${whole(each.cnt)}, ${whole(each.sum)} down to here`));
      drawn.append(box);
    }
    const end = rows[rows.length - 1], is_bid = side === "bid";
    drawn.append(text(is_bid ? 0 : width, low + 14, price(end.px), { class: "mono", "text-anchor": is_bid ? "start" : "end" }),
      text(is_bid ? 0 : width, 10, `${whole(end.sum)} in ${whole(rows.length)} levels`, { class: "ink mono", "text-anchor": is_bid ? "start" : "end" }));
  }
  if (sides.bid.length && sides.ask.length) {
    const middle = (sides.bid[0].px + sides.ask[0].px) / 2, at = x(middle);
    drawn.append(make("line", { class: "line t", x1: at, x2: at, y1: top, y2: low }),
      text(at, low + 14, price(middle), { class: "ink mono", "text-anchor": "middle" }));
  }
  return drawn;
}

/** A bar of several parts; each [share, class]. */
export function bar(parts, title) {
  const drawn = make("div", { class: "bar", role: "img", "aria-label": title, title });
  for (const [share, kind] of parts) {
    const part = make("i", { class: kind });
    part.style.width = `${Math.min(100, share * 100)}%`;
    drawn.append(part);
  }
  return drawn;
}

export { short };
