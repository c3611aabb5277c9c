// A request in words ("90s Korean thrillers under two hours"): what was understood, as filters that open in discover, and the
// movies. Used by the results page, when a search finds nothing or on request.

import { data, h } from "./dom.js";
import { call } from "./api.js";
import { contentLanguage, displayName, formatDate, region } from "./settings.js";
import { announce, empty, load } from "./status.js";
import { grid } from "./tiles.js";
import { t } from "./texts.js";

const LIMIT = 24;
const CODES = { original_language: "language", country: "region", region: "region" };

/** The filters by their names in discover, where `language` is the original language. */
function filtersOf(understood) {
  const { language, ...rest } = understood.filters;
  return language ? { ...rest, original_language: language } : rest;
}

function valueText(name, value) {
  if (CODES[name]) return displayName(CODES[name], value);
  if (name.startsWith("release_date")) return formatDate(value);
  return String(value).replaceAll(",", ", ").replaceAll("|", " | ");
}

function chip([name, value]) {
  return h("li", { class: "chip" }, `${t(`filter.${name}`)}: `, data(valueText(name, value)));
}

function discoverLink(filters, sort) {
  const [sortBy, order] = (sort ?? "").split(".");
  const known = sortBy === "release_date" || sortBy === "popularity" ? { sort_by: sortBy, order } : {};
  return h(
    "a",
    { class: "button small", href: `#/discover?${new URLSearchParams({ ...filters, ...known })}` },
    t("words.discover"),
  );
}

function reading(body) {
  const filters = filtersOf(body.understood);
  const entries = Object.entries(filters);
  return [
    (entries.length > 0 || body.understood.like.length > 0) &&
      h(
        "ul",
        { class: "chips" },
        entries.map(chip),
        body.understood.like.map((movie) =>
          h("li", {}, h("a", { class: "chip", href: `#/film/${movie.id}` }, `${t("words.like")} `, data(movie.title))),
        ),
      ),
    body.relaxed.length > 0 && h("p", { class: "hint" }, t("words.relaxed", { names: body.relaxed.join(", ") })),
    body.not_understood.length > 0 &&
      h("p", { class: "hint" }, t("words.not_understood"), " ", data(body.not_understood.join(", "))),
    entries.length > 0 && h("p", {}, discoverLink(filters, body.understood.sort)),
  ];
}

function followUps(body) {
  if (!body.suggestions.length) return null;
  return h(
    "ul",
    { class: "chips follow-ups" },
    body.suggestions.map((text) =>
      h(
        "li",
        {},
        h("a", { class: "chip", href: `#/search?${new URLSearchParams({ q: text, words: 1 })}`, dir: "auto" }, text),
      ),
    ),
  );
}

/** Returns the section for a message; it loads at once. `missed` is shown if there is no movie for it. */
export function wordsSection(message, signal, missed) {
  const place = h("div", { "aria-live": "polite" });
  load(place, signal, async () => {
    const body = await call("POST", "/recommendations/query", {
      query: { language: contentLanguage() },
      body: { message, limit: LIMIT, region: region() },
      signal,
    });
    announce(t("search.count", { count: body.data.length }));
    return [
      reading(body),
      body.data.length > 0 && grid(body.data, (movie) => ({ note: movie.reason })),
      !body.data.length && empty([missed, t("words.nothing")].filter(Boolean).join(" ")),
      followUps(body),
    ];
  });
  return h("section", { class: "section" }, h("h2", {}, t("words.title")), place);
}
