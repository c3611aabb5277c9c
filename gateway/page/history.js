// The history as a plot: viewings by month, and the movies of a chosen month below. A tab of "me".

import { fill, h, s } from "./dom.js";
import { getAll, mine } from "./api.js";
import { contentLanguage, formatDate, formatNumber } from "./settings.js";
import { empty, load } from "./status.js";
import { grid, withFacts } from "./tiles.js";
import { moreButton } from "./more.js";
import { t } from "./texts.js";

const BAR = 14;
const GAP = 4;
const HEIGHT = 160;
const FOOT = 34;
const LEFT = 34;
const MAX_CARDS = 60;

/** Returns every month from the first to the last with its viewings. */
function byMonth(viewings) {
  const counts = new Map();
  for (const viewing of viewings) {
    if (viewing.day) counts.set(viewing.day.slice(0, 7), [...(counts.get(viewing.day.slice(0, 7)) ?? []), viewing]);
  }
  const months = [...counts.keys()].sort();
  if (!months.length) return [];
  const all = [];
  let [year, month] = months[0].split("-").map(Number);
  for (let name = months[0]; name <= months.at(-1);) {
    all.push({ name, viewings: counts.get(name) ?? [] });
    month += 1;
    if (month > 12) [year, month] = [year + 1, 1];
    name = `${year}-${String(month).padStart(2, "0")}`;
  }
  return all;
}

function monthText(name) {
  return formatDate(`${name}-01`, { year: "numeric", month: "long" });
}

function axis(top, width) {
  return [0, Math.ceil(top / 2), top]
    .filter((value, index, all) => all.indexOf(value) === index)
    .map((value) => {
      const y = HEIGHT - (value / top) * (HEIGHT - 12);
      return [
        s("line", { x1: LEFT, x2: width, y1: y, y2: y, class: "grid-line" }),
        s("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, formatNumber(value)),
      ];
    });
}

/** A bar for each month. Each is a button by mouse; the select beside the plot does the same by keyboard. */
function plot(months, choose) {
  const top = Math.max(...months.map((month) => month.viewings.length));
  // The year below a single bar is wider than the bar.
  const width = LEFT + Math.max(months.length * (BAR + GAP), 40) + GAP;
  const bars = months.map((month, index) => {
    const height = (month.viewings.length / top) * (HEIGHT - 12);
    const x = LEFT + GAP + index * (BAR + GAP);
    const isYear = index === 0 || month.name.endsWith("-01");
    return [
      isYear && s("text", { x, y: HEIGHT + 18, class: "year-label" }, month.name.slice(0, 4)),
      s("rect", { x, y: HEIGHT - height, width: BAR, height, rx: 2, class: "month" }),
      s(
        "rect",
        { x: x - GAP / 2, y: 0, width: BAR + GAP, height: HEIGHT, class: "target", onclick: () => choose(month.name) },
        s("title", {}, `${monthText(month.name)}: ${formatNumber(month.viewings.length)}`),
      ),
    ];
  });
  return h(
    "div",
    { class: "plot", tabindex: 0, role: "region", "aria-label": t("me.history") },
    s(
      "svg",
      {
        viewBox: `0 0 ${width} ${HEIGHT + FOOT}`,
        width,
        height: HEIGHT + FOOT,
        role: "img",
        "aria-label": t("history.plot", {
          months: months.length,
          count: months.reduce((sum, month) => sum + month.viewings.length, 0),
        }),
      },
      axis(top, width),
      bars,
    ),
  );
}

function cardOptions(movie) {
  const day = movie.day ? formatDate(movie.day) : t("seen.unknown_day");
  const stars = movie.rating && t("rating.stars", { stars: movie.rating });
  return { heading: "h2", note: [day, stars].filter(Boolean).join(" · ") };
}

function picture(viewings, signal) {
  const months = byMonth(viewings);
  const undated = viewings.filter((viewing) => !viewing.day);
  const newest = viewings.toSorted((a, b) => (b.day ?? "").localeCompare(a.day ?? ""));
  const movies = h("div", { class: "section" });
  const choose = (name) => {
    select.value = name;
    const month = months.find((item) => item.name === name)?.viewings ?? [];
    const chosen = { all: newest, undated }[name] ?? month;
    const page = async (start) => {
      const items = chosen.slice(start, start + MAX_CARDS).map((item) => ({ ...item, id: item.movie_id }));
      const end = start + MAX_CARDS;
      return { data: await withFacts(items, signal), next_cursor: end < chosen.length ? end : null };
    };
    return load(movies, signal, async () => {
      const first = await page(0);
      const list = grid(first.data, cardOptions);
      return [list, moreButton(list, first.next_cursor, page, cardOptions)];
    });
  };
  const used = months.filter((month) => month.viewings.length).reverse();
  const select = h(
    "select",
    { "aria-label": t("history.month"), onchange: () => choose(select.value) },
    used.map((month) => h("option", { value: month.name }, `${monthText(month.name)} (${month.viewings.length})`)),
    h("option", { value: "all" }, `${t("history.all")} (${viewings.length})`),
    undated.length > 0 && h("option", { value: "undated" }, `${t("seen.unknown_day")} (${undated.length})`),
  );
  choose(used[0]?.name ?? "undated");
  return [
    h("p", {}, t("history.total", { count: formatNumber(viewings.length) })),
    months.length > 0 && plot(months, choose),
    h("div", { class: "inline-form" }, h("label", { class: "choice" }, h("span", {}, t("history.month")), select)),
    movies,
  ];
}

/** Shows the history. */
export function render({ body, signal }) {
  return load(body, signal, async () => {
    const viewings = await getAll(mine("/viewings"), "viewings", {
      query: { limit: 1000, language: contentLanguage() },
      signal,
    });
    if (!viewings.length)
      return empty(t("history.empty"), h("a", { class: "button", href: "#/me/import" }, t("me.import")));
    const block = h("div");
    fill(block, picture(viewings, signal));
    // The newest month is at the right end, which a narrow window would not show.
    requestAnimationFrame(() => {
      const frame = block.querySelector(".plot");
      if (frame) frame.scrollLeft = frame.scrollWidth;
    });
    return block;
  });
}
