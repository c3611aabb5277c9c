// The opinions of the acting user about movies: reactions, ratings, watchlist, viewings. Loaded once, changed through the functions
// here, each of which shows a toast with undo and announces the change. Used by the movie page and all cards.

import { h } from "./dom.js";
import { call, getAll, mine } from "./api.js";
import { announceChange, bus } from "./settings.js";
import { act, saveAtRest, toast } from "./status.js";
import { t } from "./texts.js";

let opinions = null;
let viewings = null;

/** Forgets what was loaded; called when another user signs in. */
export function forgetOpinions() {
  opinions = null;
  viewings = null;
}

async function loadOpinions() {
  const options = (key) => [mine(`/${key}`), key, { query: { limit: 1000 }, maxPages: 5 }];
  const [reactions, ratings, bookmarks] = await Promise.all(
    ["reactions", "ratings", "bookmarks"].map((key) => getAll(...options(key))),
  );
  return {
    reactions: new Map(reactions.map((item) => [item.movie_id, item.reaction])),
    ratings: new Map(ratings.map((item) => [item.movie_id, item.rating])),
    bookmarks: new Set(bookmarks.map((item) => item.movie_id)),
  };
}

/** Returns the reactions, ratings and watchlist of the user; the same promise for all callers. */
function getOpinions() {
  opinions ??= loadOpinions().catch((error) => {
    opinions = null;
    throw error;
  });
  return opinions;
}

/** Returns the number of viewings by movie; apart from the opinions, as no button waits for it. */
function getViewings() {
  const load = async () => {
    const list = await getAll(mine("/viewings"), "viewings", { query: { limit: 1000 }, maxPages: 5 });
    const counts = new Map();
    for (const { movie_id: id } of list) counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  };
  viewings ??= load().catch((error) => {
    viewings = null;
    throw error;
  });
  return viewings;
}

/** Returns the ids of the movies that the user has judged or seen. */
export async function getKnownMovies() {
  const [{ reactions, ratings }, seen] = await Promise.all([getOpinions(), getViewings()]);
  return new Set([...reactions.keys(), ...ratings.keys(), ...seen.keys()]);
}

async function countViewing(id, change) {
  const counts = await viewings?.catch(() => null);
  const count = (counts?.get(id) ?? 0) + change;
  if (count > 0) counts?.set(id, count);
  else counts?.delete(id);
}

async function putReaction(id, reaction) {
  if (reaction) await call("PUT", mine(`/reactions/${id}`), { body: { reaction } });
  else await call("DELETE", mine(`/reactions/${id}`));
  const { reactions } = await getOpinions();
  if (reaction) reactions.set(id, reaction);
  else reactions.delete(id);
  announceChange("reaction", { id, reaction });
}

/** Sets the reaction to a movie; null removes it. */
export async function setReaction(movie, reaction) {
  const before = (await getOpinions()).reactions.get(movie.id) ?? null;
  await putReaction(movie.id, reaction);
  const key = reaction ? `toast.${reaction}` : "toast.reaction_removed";
  toast(t(key, { title: movie.title }), { undo: () => putReaction(movie.id, before) });
}

async function putRating(id, rating) {
  if (rating) await call("PUT", mine(`/ratings/${id}`), { body: { rating } });
  else await call("DELETE", mine(`/ratings/${id}`));
  const { ratings } = await getOpinions();
  if (rating) ratings.set(id, rating);
  else ratings.delete(id);
  announceChange("rating", { id, rating });
}

/** Rates a movie in half stars; 0 removes the rating. */
async function setRating(movie, rating) {
  const before = (await getOpinions()).ratings.get(movie.id) ?? 0;
  await putRating(movie.id, rating);
  const text = rating
    ? t("toast.rated", { title: movie.title, stars: rating })
    : t("toast.rating_removed", { title: movie.title });
  toast(text, { undo: () => putRating(movie.id, before) });
}

async function putBookmark(id, isOn) {
  await call(isOn ? "PUT" : "DELETE", mine(`/bookmarks/${id}`));
  const { bookmarks } = await getOpinions();
  if (isOn) bookmarks.add(id);
  else bookmarks.delete(id);
  announceChange("bookmark", { id, isOn });
}

/** Puts a movie on the watchlist or takes it off. */
async function setBookmark(movie, isOn) {
  await putBookmark(movie.id, isOn);
  const text = t(isOn ? "toast.bookmarked" : "toast.bookmark_removed", { title: movie.title });
  toast(text, { undo: () => putBookmark(movie.id, !isOn) });
}

/** Records a viewing; `day` is null if it is unknown. */
export async function addViewing(movie, day) {
  const viewing = await call("POST", mine("/viewings"), { body: { movie_id: movie.id, day } });
  await countViewing(movie.id, 1);
  announceChange("viewing", { id: movie.id });
  const { bookmarks } = await getOpinions();
  const takeOff = { label: t("toast.take_off"), run: () => act(null, () => setBookmark(movie, false)) };
  toast(t("toast.seen", { title: movie.title }), {
    undo: () => removeViewing(movie.id, viewing.id),
    next: bookmarks.has(movie.id) ? takeOff : undefined,
  });
}

/** Removes a viewing. */
export async function removeViewing(movieId, viewingId) {
  await call("DELETE", mine(`/viewings/${viewingId}`));
  await countViewing(movieId, -1);
  announceChange("viewing", { id: movieId });
}

/** A button with two states that changes when the opinion changes anywhere on the page. */
function toggle({ label, icon, iconOn = icon, event, isOn, change, className = "" }) {
  const symbol = h("span", { "aria-hidden": "true" }, icon);
  const button = h(
    "button",
    { type: "button", class: `toggle ${className}`, "aria-pressed": "false" },
    symbol,
    h("span", {}, label),
  );
  const show = async () => {
    const on = isOn(await getOpinions());
    button.setAttribute("aria-pressed", String(on));
    symbol.textContent = on ? iconOn : icon;
  };
  button.addEventListener("click", () =>
    act(button, async () => {
      await change(!isOn(await getOpinions()));
    }),
  );
  const update = () => {
    if (button.isConnected) show().catch(() => {});
    else bus.removeEventListener(event, update);
  };
  show()
    .catch(() => {})
    .finally(() => bus.addEventListener(event, update));
  return button;
}

/** The buttons like, superlike and dislike of a movie. */
export function reactionButtons(movie) {
  const icons = { like: "♥", superlike: "★", dislike: "✕" };
  return Object.entries(icons).map(([reaction, icon]) =>
    toggle({
      label: t(`action.${reaction}`),
      icon,
      event: "reaction",
      className: reaction,
      isOn: ({ reactions }) => reactions.get(movie.id) === reaction,
      change: (on) => setReaction(movie, on ? reaction : null),
    }),
  );
}

/** The button like of a movie, for cards. */
export function likeButton(movie) {
  return reactionButtons(movie)[0];
}

/** The watchlist button of a movie. */
export function bookmarkButton(movie) {
  return toggle({
    label: t("action.watchlist"),
    icon: "+",
    iconOn: "✓",
    event: "bookmark",
    className: "bookmark",
    isOn: ({ bookmarks }) => bookmarks.has(movie.id),
    change: (on) => setBookmark(movie, on),
  });
}

/** The rating control: a slider in half stars, drawn as stars. */
export function ratingControl(movie) {
  const valueText = (value) => (value ? t("rating.stars", { stars: value }) : t("rating.none"));
  const input = h("input", { type: "range", min: 0, max: 5, step: 0.5, "aria-label": t("rating.label") });
  const text = h("output", {}, "");
  const block = h(
    "div",
    { class: "stars" },
    h("div", { class: "stars-control" }, h("span", { class: "stars-drawn", "aria-hidden": "true" }), input),
    text,
  );
  const show = (value) => {
    input.value = value;
    input.setAttribute("aria-valuetext", valueText(value));
    block.style.setProperty("--stars", value);
    text.textContent = valueText(value);
  };
  const reload = async () => show((await getOpinions()).ratings.get(movie.id) ?? 0);
  input.addEventListener("input", () => show(Number(input.value)));
  const isMoving = saveAtRest(input, (value) => setRating(movie, value), () => reload().catch(() => {}));
  const update = () => {
    if (block.isConnected) isMoving() || reload();
    else bus.removeEventListener("rating", update);
  };
  show(0);
  reload()
    .catch(() => {})
    .finally(() => bus.addEventListener("rating", update));
  return block;
}
