// "For you" (`#/`): rails with reasons, the diversity slider, and the live chart. Loaded by the router.

import { debounce, fill, h, uniqueId } from "./dom.js";
import { get, getLocal, isAborted, mine, readEvents } from "./api.js";
import { contentLanguage, bus, formatNumber, recall, remember } from "./settings.js";
import { act, empty, failed, load } from "./status.js";
import { bookmarkButton, getKnownMovies, likeButton, setReaction } from "./actions.js";
import { card, rail, withFacts } from "./tiles.js";
import { openWhy, partName } from "./why.js";
import { t } from "./texts.js";

const RAIL_SIZE = 18;
// More than a row shows, as some are shown above it or are known.
const FETCHED = 36;
const BECAUSE_RAILS = 2;
const SLIDER_MILLISECONDS = 90;
const RECONNECT_MILLISECONDS = 3000;
const GEMS = { vote_average_min: 7.5, vote_count_max: 12000, limit: 60 };

function recommendations(query, signal) {
  return getLocal(mine("/recommendations"), { limit: FETCHED, explain: true, ...query }, signal);
}

function notInterested(movie) {
  const button = h("button", { type: "button", class: "link" }, t("foryou.dislike"));
  button.addEventListener("click", () => act(button, () => setReaction(movie, "dislike")));
  return button;
}

function cardOptions(movie) {
  const why =
    movie.contributions?.length > 0 &&
    h("button", { type: "button", class: "link", onclick: () => openWhy(movie) }, t("foryou.why"));
  return { note: movie.reason, actions: [why, notInterested(movie)] };
}

function section(title, body, { detail, controls, hasSuggestions = true } = {}) {
  const id = uniqueId("section");
  return h(
    "section",
    { class: hasSuggestions ? "section suggestions-rail" : "section", "aria-labelledby": id },
    h(
      "div",
      { class: "section-head" },
      h("h2", { id, dir: "auto" }, title),
      detail && h("span", { class: "hint" }, detail),
      controls,
    ),
    body,
  );
}

function focusLast(item) {
  [...item.querySelectorAll("button")].at(-1)?.focus();
}

/** Hides a card; the focus, if it is in it, goes to the next one of the row. */
function hideItem(item) {
  const hadFocus = item.contains(document.activeElement);
  item.hidden = true;
  if (!hadFocus) return false;
  const others = [...item.parentElement.children].filter((other) => !other.hidden);
  const isAfter = (other) => item.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
  const next = others.find(isAfter) ?? others.at(-1);
  if (next) focusLast(next);
  return true;
}

/** Scrolls a row to a card that is shown again: by itself the row would keep its other cards in place. */
function scrollToItem(item, hadFocus) {
  const row = item.parentElement;
  row.scrollTo({ left: Math.min(row.scrollLeft, item.offsetLeft - row.offsetLeft), behavior: "instant" });
  if (hadFocus) focusLast(item);
}

/**
 * Chooses which cards of the suggestions are shown: no movie twice, none that the user had judged or seen when the view was
 * opened, and none that they dislike since. Returns the function that does it again, for a row that has loaded.
 */
function arrangeRails(main, signal) {
  let known = new Set();
  const disliked = new Set();
  const arrange = () => {
    const shown = new Set();
    for (const list of main.querySelectorAll(".suggestions-rail .rail")) {
      let count = 0;
      for (const item of list.children) {
        const id = Number(item.querySelector("[data-movie]").dataset.movie);
        item.hidden = known.has(id) || disliked.has(id) || shown.has(id) || count >= RAIL_SIZE;
        if (item.hidden) continue;
        shown.add(id);
        count += 1;
      }
      list.closest("section").classList.toggle("no-cards", count === 0);
    }
  };
  const left = new Set();
  const update = ({ detail: { id, reaction } }) => {
    const items = [...main.querySelectorAll(`[data-movie="${id}"]`)].map((element) => element.closest("li"));
    if (reaction === "dislike") {
      disliked.add(id);
      for (const item of items) if (!item.hidden && hideItem(item)) left.add(item);
      return arrange();
    }
    if (!disliked.delete(id)) return undefined;
    for (const item of items) item.hidden = false;
    arrange();
    for (const item of items) if (!item.hidden) scrollToItem(item, left.delete(item));
    return undefined;
  };
  getKnownMovies().then(
    (ids) => {
      known = ids;
      arrange();
    },
    () => {},
  );
  bus.addEventListener("reaction", update);
  signal.addEventListener("abort", () => bus.removeEventListener("reaction", update));
  return arrange;
}

function likeableOptions(movie) {
  const options = cardOptions(movie);
  return { ...options, actions: [likeButton(movie), ...options.actions] };
}

function recommendationRail(body) {
  if (!body.recommendations.length) return empty(t("foryou.nothing"));
  return rail(body.recommendations, likeableOptions);
}

/** True if popularity is the largest part of a score: no reason for a movie that is shown because few know it. */
function isByPopularity({ contributions = [] }) {
  return contributions.toSorted((a, b) => b.amount - a.amount)[0]?.name === "popularity";
}

/** The least popular of the good matches that are rated well. */
async function hiddenGems(signal) {
  const { recommendations: matches } = await recommendations(GEMS, signal);
  const gems = matches
    .sort((a, b) => a.popularity - b.popularity)
    .slice(0, FETCHED)
    .sort((a, b) => b.score - a.score);
  if (!gems.length) return empty(t("foryou.nothing"));
  return rail(gems, (movie) => ({ ...cardOptions(movie), note: isByPopularity(movie) ? undefined : movie.reason }));
}

function strategyName(name) {
  return name === "blend" ? t("foryou.blend") : partName(name);
}

/** The first rail, whose list follows the diversity slider while it moves. */
function topPicks(arrange, signal) {
  const body = h("div", { "aria-live": "polite" });
  let running = new AbortController();
  const show = (keep) => {
    running.abort();
    running = new AbortController();
    const either = AbortSignal.any([signal, running.signal]);
    return load(
      body,
      either,
      async () => {
        const list = await recommendations({ diversity: slider.value === "0" ? undefined : slider.value }, either);
        return [
          recommendationRail(list),
          h(
            "p",
            { class: "hint" },
            t("foryou.model", { strategy: strategyName(list.model.strategy) }),
            !list.fresh_as_of && ` · ${t("foryou.start")}`,
          ),
        ];
      },
      { keep, rows: 1, onShown: arrange },
    );
  };
  const follow = debounce(() => show(true), SLIDER_MILLISECONDS);
  const slider = h("input", {
    type: "range",
    id: uniqueId("diversity"),
    min: 0,
    max: 1,
    step: 0.05,
    value: recall("diversity", 0),
    "aria-describedby": "diversity-hint",
    oninput: () => {
      remember("diversity", Number(slider.value));
      follow();
    },
  });
  const controls = h(
    "div",
    { class: "diversity" },
    h("label", { for: slider.id }, t("foryou.diversity")),
    slider,
    h("span", { id: "diversity-hint", class: "hint" }, t("foryou.diversity_hint")),
  );
  show(false);
  return section(t("foryou.top"), body, { controls });
}

function simpleRail(title, arrange, signal, produce, options = {}) {
  const body = h("div");
  load(body, signal, produce, { onShown: arrange });
  return section(title, body, options);
}

/** The rails of movies that are like those the user liked last. */
function becauseRails(arrange, signal) {
  const block = h("div");
  const produce = async () => {
    const { reactions } = await get(mine("/reactions"), { limit: 20, language: contentLanguage() }, signal);
    const liked = reactions.filter((item) => item.reaction !== "dislike" && item.title).slice(0, BECAUSE_RAILS);
    const bodies = await Promise.all(
      liked.map((item) => getLocal(`/movies/${item.movie_id}/similar`, { limit: FETCHED }, signal)),
    );
    return bodies.map(
      (body, index) =>
        body.similar.length > 0 &&
        section(t("foryou.because", { title: liked[index].title }), rail(body.similar, cardOptions)),
    );
  };
  load(block, signal, produce, { onShown: arrange });
  return block;
}

function choice(label, names, value, change) {
  const id = uniqueId("choice");
  return h(
    "span",
    { class: "choice" },
    h("label", { for: id }, label),
    h(
      "select",
      { id, value, onchange: (event) => change(event.currentTarget.value) },
      names.map((name) => h("option", { value: name }, t(`foryou.${name}`))),
    ),
  );
}

function place(entry) {
  const movie = { ...entry.movie, id: entry.movie.id ?? entry.movie.movie_id };
  return h(
    "li",
    {},
    h("span", { class: "rank", "aria-hidden": "true" }, entry.rank),
    card(movie, { note: t("foryou.count", { count: formatNumber(entry.count) }), actions: [bookmarkButton(movie)] }),
  );
}

async function showChart(body, chart, signal) {
  if (!chart.data.length) return fill(body, empty(t("foryou.chart_empty")));
  const facts = await withFacts(
    chart.data.map((entry) => ({ ...entry.movie })),
    signal,
  );
  return fill(
    body,
    h(
      "ol",
      { class: "rail chart" },
      chart.data.map((entry, index) => place({ ...entry, movie: facts[index] })),
    ),
  );
}

/** The chart: follows the event stream, and connects again when the stream ends. */
function liveChart(signal) {
  const body = h("div", { "aria-live": "off" });
  const state = h("span", { class: "live" });
  const choices = { metric: recall("metric", "bookmarks"), window: recall("window", "week") };
  let running = new AbortController();
  const follow = async () => {
    running.abort();
    running = new AbortController();
    const either = AbortSignal.any([signal, running.signal]);
    while (!either.aborted) {
      try {
        await readEvents("/charts/top", {
          query: { ...choices, limit: 10, language: contentLanguage() },
          signal: either,
          onEvent: (event) => {
            state.textContent = t("foryou.live");
            state.classList.add("on");
            if (event.name === "chart")
              showChart(body, event.data, either).catch(
                (error) => isAborted(error) || fill(body, failed(error, follow)),
              );
          },
        });
      } catch (error) {
        if (isAborted(error)) return;
        if (error.kind !== "offline") fill(body, failed(error, follow));
        if (error.kind !== "offline" && error.kind !== "away") return;
      }
      state.classList.remove("on");
      state.textContent = t("foryou.reconnecting");
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MILLISECONDS));
    }
  };
  const change = (name) => (value) => {
    choices[name] = value;
    remember(name, value);
    follow();
  };
  follow();
  const controls = h(
    "div",
    { class: "chart-controls" },
    state,
    choice(t("foryou.metric"), ["bookmarks", "likes", "watches"], choices.metric, change("metric")),
    choice(t("foryou.window"), ["day", "week", "all"], choices.window, change("window")),
  );
  return section(t("foryou.chart"), body, { controls, hasSuggestions: false });
}

/** Shows the rails. */
export function render({ main, signal }) {
  const arrange = arrangeRails(main, signal);
  fill(
    main,
    h("h1", {}, t("foryou.title")),
    topPicks(arrange, signal),
    becauseRails(arrange, signal),
    liveChart(signal),
    simpleRail(t("foryou.trending"), arrange, signal, async () => {
      const page = await getLocal(
        "/movies",
        { sort_by: "popularity", include: "genres,duration", page_size: 2 * FETCHED },
        signal,
      );
      return rail(page.data, (movie) => ({ actions: [notInterested(movie)] }));
    }),
    simpleRail(t("foryou.gems"), arrange, signal, () => hiddenGems(signal), { detail: t("foryou.gems_detail") }),
  );
}
