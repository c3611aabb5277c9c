// A request in words ("90s Korean thrillers under two hours"): what was understood, as filters that open in discover, and the
// movies. Used by the results page, when a search finds nothing or on request.

import { data, h } from "./dom.js";
import { call } from "./api.js";
import { contentLanguage, displayName, region } from "./settings.js";
import { empty, load } from "./status.js";
import { grid } from "./tiles.js";
import { t } from "./texts.js";

const LIMIT = 24;
const CODES = { original_language: "language", country: "region", region: "region" };

/** The filters by their names in discover, where `language` is the original language. */
function filtersOf(understood) {
  const { language, ...rest } = understood.filters;
  return language ? { ...rest, original_language: language } : rest;
}

function chip([name, value]) {
  const text = CODES[name] ? displayName(CODES[name], value) : value;
  return h("li", { class: "chip" }, `${t(`filter.${name}`)}: `, data(String(text)));
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
    { class: "chips" },
    body.suggestions.map((text) =>
      h(
        "li",
        {},
        h("a", { class: "chip", href: `#/search?${new URLSearchParams({ q: text, words: 1 })}`, dir: "auto" }, text),
      ),
    ),
  );
}

/** Returns the section for a message; it loads at once. */
export function wordsSection(message, signal) {
  const place = h("div", { "aria-live": "polite" });
  load(place, signal, async () => {
    const body = await call("POST", "/recommendations/query", {
      query: { language: contentLanguage() },
      body: { message, limit: LIMIT, region: region() },
      signal,
    });
    return [
      reading(body),
      body.data.length ? grid(body.data, (movie) => ({ note: movie.reason })) : empty(t("words.nothing")),
      followUps(body),
    ];
  });
  return h("section", { class: "section" }, h("h2", {}, t("words.title")), place);
}
