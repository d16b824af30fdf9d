// Numbers and elements of the dashboard. SPDX-License-Identifier: MIT

export const price = (value) => (value ? (value / 10000).toFixed(4).replace(/(\.\d\d)00$/, "$1") : "–");

export const whole = (value) => Math.round(value).toLocaleString("en-US");

export const money = (value) => whole(value / 10000);

/** A number in few characters. */
export function short(value) {
  for (const [limit, scale, unit] of [[1e15, 1e15, "P"], [1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]]) {
    if (Math.abs(value) >= limit) return (value / scale).toFixed(Math.abs(value / scale) < 100 ? 1 : 0) + unit;
  }
  return Math.abs(value) < 10 && value % 1 ? value.toFixed(1) : whole(value);
}

/** A duration in ns in few characters. */
export function took(ns) {
  for (const [scale, unit] of [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"], [60e9, "min"], [3600e9, "h"]]) {
    const scaled = ns / scale;
    if (unit === "h" || scaled < (scale < 1e9 ? 1000 : 100)) {
      return `${scaled.toFixed(scale === 1 || scaled >= 100 || scale >= 1e9 ? 0 : scaled >= 10 ? 1 : 2)} ${unit}`;
    }
  }
  return "";
}

/** Good, warn or bad: what a state means for who watches. */
export function mood(state) {
  if (["good", "up", "running", "none"].includes(state)) return "good";
  if (["gapped", "stale", "lost", "rejected", "failed", "gone", "link down", "detached", "changed"].includes(state)) return "bad";
  return "warn";
}

/** An element with attributes and children; text is never read as HTML. */
export function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "text", "path", "line", "title", "defs", "marker", "circle"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A table: head is a list of words, rows are lists of texts or [text, class]. */
export function table(element, caption, head, rows) {
  const cell = (kind) => (value) => (Array.isArray(value) ? make(kind, { class: value[1] }, value[0]) : make(kind, {}, String(value)));
  const th = head.map((word) => make("th", { scope: "col" }, word));
  element.replaceChildren(
    make("caption", {}, caption), make("thead", {}, make("tr", {}, ...th)),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell("td"))))),
  );
}
