// The swipe deck of a group: each member says yes or no to the same movies; it ends in a list for tonight. Members vote on
// their own devices (votes.js), or in turn on this one, whose votes stay on this page. Neither is a like or dislike. Used by
// "together".

import { data, fill, h } from "./dom.js";
import { call, callerId } from "./api.js";
import { contentLanguage, formatNumber } from "./settings.js";
import { announce, empty, load } from "./status.js";
import { bookmarkButton, getKnownMovies } from "./actions.js";
import { picture, withFacts, yearOf } from "./tiles.js";
import { t } from "./texts.js";

export const DECK_SIZE = 10;
const LIST_SIZE = 60;
const SWIPE_PIXELS = 90;
const DEVICES = ["own", "turns"];
const METHODS = ["average", "least_misery", "fairness"];

/** Lets a card be dragged to the left (no) or right (yes). */
function draggable(element, vote) {
  let start = null;
  const move = (event) => {
    if (start === null) return;
    const distance = event.clientX - start;
    element.style.setProperty("--drag", `${distance}px`);
    element.dataset.side = Math.abs(distance) < SWIPE_PIXELS ? "" : distance > 0 ? "yes" : "no";
  };
  element.addEventListener("pointerdown", (event) => {
    start = event.clientX;
    element.setPointerCapture(event.pointerId);
    element.classList.add("dragging");
  });
  element.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, (event) => {
      if (start === null) return;
      const distance = event.clientX - start;
      start = null;
      element.classList.remove("dragging");
      if (name === "pointerup" && Math.abs(distance) >= SWIPE_PIXELS) vote(distance > 0);
      else element.style.setProperty("--drag", "0px");
      element.dataset.side = "";
    });
  }
}

/** Votes by arrow keys while `place` is shown; returns a function that ends that. */
function listenToKeys(place, vote, back) {
  const listen = (event) => {
    if (!place.isConnected) return document.removeEventListener("keydown", listen);
    if (event.target.closest?.("input, select, textarea, dialog, .rail")) return undefined;
    if (event.key === "ArrowRight") vote(true);
    else if (event.key === "ArrowLeft") vote(false);
    else if (event.key === "Backspace") back();
    else return undefined;
    return event.preventDefault();
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

/**
 * One turn: the member answers for each movie; `done(votes)` gets a map from id to yes or no. `onVote(movie, yes)` is called
 * for each answer.
 */
export function turn(place, member, movies, done, { onVote = () => {}, hint = t("deck.keys") } = {}) {
  const votes = new Map();
  let index = 0;
  const back = () => {
    index = Math.max(index - 1, 0);
    show();
  };
  const vote = (yes) => {
    votes.set(movies[index].id, yes);
    onVote(movies[index], yes);
    index += 1;
    if (index < movies.length) return show();
    stopKeys();
    return done(votes);
  };
  const show = () => {
    const movie = movies[index];
    const swipe = h("div", { class: "swipe" }, picture(movie, { large: true }));
    draggable(swipe, vote);
    const no = h("button", { type: "button", class: "button danger", onclick: () => vote(false) }, "✕ ", t("deck.no"));
    const yes = h(
      "button",
      { type: "button", class: "button primary", onclick: () => vote(true) },
      "♥ ",
      t("deck.yes"),
    );
    const view = h(
      "div",
      { class: "deck", role: "group", "aria-label": t("deck.turn", { name: member.name }) },
      h(
        "p",
        { class: "deck-turn" },
        data(t("deck.turn", { name: member.name }), "strong"),
        ` · ${index + 1} / ${movies.length}`,
      ),
      h("h2", { dir: "auto" }, movie.title, yearOf(movie) && h("span", { class: "year" }, ` ${yearOf(movie)}`)),
      swipe,
      h("p", { class: "note", dir: "auto" }, movie.reason),
      h(
        "div",
        { class: "deck-buttons" },
        no,
        h("button", { type: "button", class: "button", disabled: index === 0, onclick: back }, t("deck.back")),
        yes,
      ),
      h("p", { class: "hint" }, hint),
    );
    fill(place, view);
    yes.focus({ preventScroll: true });
    announce(`${movie.title}, ${index + 1} / ${movies.length}`);
  };
  const stopKeys = listenToKeys(place, vote, back);
  show();
}

/** Between two turns: the device changes hands, so that no member sees the votes of another. */
function handOver(place, member, ready) {
  const button = h(
    "button",
    { type: "button", class: "button primary", onclick: ready },
    t("deck.ready", { name: member.name }),
  );
  fill(place, h("div", { class: "deck" }, h("h2", { dir: "auto" }, t("deck.pass", { name: member.name })), button));
  button.focus();
}

// True if the acting user has judged and seen nothing, so that a share says nothing of them. Of others this page cannot know.
let isUnknown = false;

function likingBars(movie, members) {
  return h(
    "ul",
    { class: "likings" },
    movie.members.map((item) => {
      const name = members.find((member) => member.id === item.user_id)?.name ?? item.user_id;
      return h(
        "li",
        {},
        data(name),
        isUnknown && item.user_id === callerId()
          ? h("span", { class: "unknown" }, t("deck.unknown"))
          : [
              h("meter", { min: 0, max: 1, value: item.liking, "aria-label": t("deck.fits", { name }) }),
              h("span", { class: "number" }, `${formatNumber(item.liking * 100)} %`),
            ],
      );
    }),
  );
}

/**
 * The list for tonight: first what most members want, then by the score for the group. `yesOf(movie)` returns the members who
 * want it; `below` is shown under the list.
 */
export function tonight(place, members, movies, yesOf, below) {
  const sorted = movies
    .map((movie) => ({ movie, yes: yesOf(movie) }))
    .sort((a, b) => b.yes.length - a.yes.length || (b.movie.score ?? 0) - (a.movie.score ?? 0));
  const wanted = sorted.filter((item) => item.yes.length > 0);
  const row = ({ movie, yes }, index) =>
    h(
      "li",
      { class: "tonight" },
      h("span", { class: "rank" }, index + 1),
      h(
        "a",
        { class: "tonight-picture", href: `#/film/${movie.id}`, tabindex: -1, "aria-hidden": "true" },
        picture(movie),
      ),
      h(
        "div",
        {},
        h(
          "h3",
          {},
          h("a", { href: `#/film/${movie.id}`, dir: "auto" }, movie.title),
          yearOf(movie) && h("span", { class: "year" }, ` ${yearOf(movie)}`),
        ),
        h(
          "p",
          {},
          yes.length === members.length
            ? h("strong", {}, t("deck.all"))
            : t("deck.some", { names: yes.map((member) => member.name).join(", ") }),
        ),
        movie.members && likingBars(movie, members),
        movie.reason && h("p", { class: "note", dir: "auto" }, movie.reason),
        bookmarkButton(movie),
      ),
    );
  fill(
    place,
    h("h2", { tabindex: -1 }, t("deck.tonight")),
    wanted.length ? h("ol", { class: "tonight-list" }, wanted.map(row)) : empty(t("deck.nothing")),
    below,
  );
}

function showTonight(place, members, movies, turns, again) {
  const yesOf = (movie) => members.filter((_, index) => turns[index].get(movie.id));
  const button = h("button", { type: "button", class: "button", onclick: again }, t("deck.again"));
  tonight(place, members, movies, yesOf, button);
  place.querySelector("h2").focus();
  announce(t("deck.tonight"));
}

/** Plays all turns on this device with the next movies of the list. */
function play(place, members, movies, start) {
  const deck = movies.slice(start, start + DECK_SIZE);
  const turns = [];
  const next = () => {
    const member = members[turns.length];
    if (!member)
      return showTonight(place, members, deck, turns, () =>
        play(place, members, movies, start + DECK_SIZE < movies.length ? start + DECK_SIZE : 0),
      );
    const begin = () =>
      turn(place, member, deck, (votes) => {
        turns.push(votes);
        next();
      });
    return turns.length ? handOver(place, member, begin) : begin();
  };
  next();
}

/**
 * Returns the deck of a group. `body` names the group or its users for the request; only members of a group may vote on their
 * own devices.
 */
export function renderDeck({ title, body, members, signal }) {
  const place = h("div");
  const method = h(
    "select",
    { id: "method" },
    METHODS.map((name) => h("option", { value: name }, t(`deck.${name}`))),
  );
  const begin = () =>
    load(place, signal, async () => {
      const list = await call("POST", "/recommendations/group", {
        query: { language: contentLanguage() },
        body: { ...body, method: method.value, limit: LIST_SIZE },
        signal,
      });
      if (!list.recommendations.length) return empty(t("foryou.nothing"));
      const movies = await withFacts(list.recommendations, signal);
      const inner = h("div");
      if (devices?.value === "own") {
        const { playShared } = await import("./votes.js");
        await playShared(inner, { groupId: body.group_id, members, movies, signal });
      } else setTimeout(() => play(inner, members, movies, 0));
      return inner;
    });
  const devices =
    body.group_id &&
    h(
      "select",
      { id: "devices" },
      DEVICES.map((name) => h("option", { value: name }, t(`deck.${name}`))),
    );
  method.addEventListener("change", begin);
  devices?.addEventListener("change", begin);
  getKnownMovies().then(
    (ids) => {
      isUnknown = ids.size === 0;
    },
    () => {},
  );
  begin();
  return [
    h("h1", { dir: "auto" }, title),
    h("p", { class: "hint" }, members.map((member) => member.name).join(", ")),
    // On a phone the choices would push the first card out of sight.
    h(
      "details",
      { class: "deck-options", open: innerWidth > 600 },
      h("summary", {}, t("deck.options")),
      h("p", { class: "choice" }, h("label", { for: "method" }, t("deck.method")), method),
      devices && h("p", { class: "choice" }, h("label", { for: "devices" }, t("deck.devices")), devices),
    ),
    place,
  ];
}
