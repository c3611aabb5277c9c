// The dialog "why?": the parts of a movie's score as bars, each of which starts where the last one ended, down to the score.
// Opened from "for you" and from lists of a group.

import { h, openDialog, s } from "./dom.js";
import { t } from "./texts.js";

const DIGITS = 4;
const VISIBLE = 0.00005;
const WIDTH = 100;

/** The name of a part of a score, which is that of the strategy it comes from. */
export function partName(name) {
  const key = name === "base" ? "why.base_model" : `why.${name}`;
  const text = t(key);
  return text === key ? name : text;
}

/** Adds the difference that rounding leaves, so that the amounts add up exactly to what is shown. */
function complete(parts, score) {
  const rest = score - parts.reduce((sum, part) => sum + part.amount, 0);
  const shown = parts.filter((part) => Math.abs(part.amount) >= VISIBLE);
  return Math.abs(rest) >= VISIBLE ? [...shown, { name: t("why.rounding"), amount: rest }] : shown;
}

function bar(start, end, low, span, className) {
  const x = (value) => ((value - low) / span) * WIDTH;
  const left = Math.min(x(start), x(end));
  return s(
    "svg",
    { class: "why-bar", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("line", { x1: x(0), x2: x(0), y1: 0, y2: 10, class: "axis" }),
    s("rect", { x: left, y: 1.5, width: Math.max(Math.abs(x(end) - x(start)), 0.6), height: 7, class: className }),
  );
}

function amountText(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(DIGITS);
}

/** A table whose rows are the amounts and whose last row is their sum, the score. */
function waterfall(parts, score) {
  const rows = complete(parts, score);
  let sum = 0;
  const steps = rows.map((part) => {
    const start = sum;
    sum += part.amount;
    return { ...part, start, end: sum };
  });
  const ends = [0, score, ...steps.map((step) => step.end)];
  const low = Math.min(...ends);
  const span = Math.max(...ends) - low || 1;
  return h(
    "table",
    { class: "why" },
    h(
      "tbody",
      {},
      steps.map((step) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", dir: "auto" }, step.href ? h("a", { href: step.href }, step.name) : step.name),
          h("td", { class: "why-cell" }, bar(step.start, step.end, low, span, step.amount < 0 ? "minus" : "plus")),
          h("td", { class: "number" }, amountText(step.amount)),
        ),
      ),
    ),
    h(
      "tfoot",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "row" }, t("why.score")),
        h("td", { class: "why-cell" }, bar(0, score, low, span, "total")),
        h("td", { class: "number" }, score.toFixed(DIGITS)),
      ),
    ),
  );
}

/** Opens the explanation of a recommended movie. */
export function openWhy(movie) {
  const parts = movie.contributions.map((part) => ({ name: partName(part.name), amount: part.amount }));
  const because = movie.because ?? [];
  const sources = because.map((item) => ({ name: item.title, amount: item.share, href: `#/film/${item.id}` }));
  if (movie.others?.films)
    sources.push({ name: t("why.others", { count: movie.others.films }), amount: movie.others.share });
  if (movie.base !== undefined) sources.push({ name: t("why.base"), amount: movie.base });
  const dialog = openDialog(
    t("foryou.why_for", { title: movie.title }),
    h("p", { dir: "auto" }, movie.reason),
    h("h3", {}, t("why.parts")),
    waterfall(parts, movie.score),
    because.length > 0 && [h("h3", {}, t("why.movies")), waterfall(sources, movie.score)],
    h("p", { class: "hint" }, t("why.adds_up")),
  );
  dialog.addEventListener("click", (event) => event.target.closest("a") && dialog.close());
}
