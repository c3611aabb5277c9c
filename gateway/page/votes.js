// The deck of a group whose members vote on their own devices: votes are stored in the group, and the list for tonight follows
// them as they arrive. Used by the deck.

import { fill, h } from "./dom.js";
import { call, callerId, get } from "./api.js";
import { act, actionButton, announce, empty, toastError } from "./status.js";
import { DECK_SIZE, tonight, turn } from "./deck.js";
import { withFacts } from "./tiles.js";
import { t } from "./texts.js";

const POLL_MILLISECONDS = 4000;

/** Plays the deck of a group: `movies` are its list, best first. Resolves when the first card is shown. */
export async function playShared(place, { groupId, members, movies, signal }) {
  const path = `/groups/${groupId}/votes`;
  const me = members.find((member) => member.id === callerId()) ?? members[0];
  const byId = new Map(movies.map((movie) => [movie.id, movie]));
  let timer;
  signal.addEventListener("abort", () => clearInterval(timer));

  const load = async () => {
    const { votes } = await get(path, {}, signal);
    const unknown = votes.filter((vote) => !byId.has(vote.movie_id)).map((vote) => ({ id: vote.movie_id }));
    for (const movie of await withFacts(unknown, signal)) byId.set(movie.id, movie);
    return votes;
  };
  const hasVoted = (vote, id) => vote.yes.includes(id) || vote.no.includes(id);

  /** The next cards: what others have voted on, then the list. */
  const nextCards = (votes) => {
    const open = votes.filter((vote) => !hasVoted(vote, me.id)).map((vote) => byId.get(vote.movie_id));
    const known = new Set(votes.map((vote) => vote.movie_id));
    const fresh = movies.filter((movie) => !known.has(movie.id));
    return [...open, ...fresh].filter(Boolean).slice(0, DECK_SIZE);
  };

  const store = (movie, yes) =>
    call("PUT", `${path}/${movie.id}`, { body: { yes } }).catch((error) =>
      toastError(error, { name: movie.title, repeat: () => store(movie, yes) }),
    );

  const vote = (votes) => {
    clearInterval(timer);
    const cards = nextCards(votes);
    if (!cards.length) return showResult(votes);
    const stored = [];
    const onVote = (movie, yes) => stored.push(store(movie, yes));
    const done = async () => {
      await Promise.all(stored);
      await act(null, async () => showResult(await load()));
      place.querySelector("h2")?.focus();
      announce(t("deck.tonight"));
    };
    return turn(place, me, cards, done, { onVote, hint: t("deck.shared_keys") });
  };

  const showResult = (votes) => {
    let shown = "";
    const show = (current) => {
      const text = JSON.stringify(current);
      if (text === shown) return;
      shown = text;
      const yes = new Map(current.map((item) => [item.movie_id, new Set(item.yes)]));
      const yesOf = (movie) => members.filter((member) => yes.get(movie.id)?.has(member.id));
      const missing = members.filter((member) => !current.some((item) => hasVoted(item, member.id)));
      const again = actionButton(t("deck.again"), async () => vote(await load()), "button");
      const forget = actionButton(
        t("deck.forget"),
        async () => {
          await call("DELETE", path);
          vote(await load());
        },
        "button",
      );
      const waiting = missing.length
        ? t("deck.waiting", { names: missing.map((member) => member.name).join(", ") })
        : t("deck.all_voted");
      const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
      const voted = current.map((item) => byId.get(item.movie_id)).filter(Boolean);
      tonight(place, members, voted, yesOf, [
        h("p", { class: "hint", role: "status" }, waiting),
        h("div", { class: "inline-form" }, again, forget),
      ]);
      // A new vote must not take the focus away.
      [...place.querySelectorAll("a, button, h2")].find((item) => item.textContent === focused)?.focus();
    };
    show(votes);
    clearInterval(timer);
    timer = setInterval(async () => {
      if (!place.isConnected) return clearInterval(timer);
      // A vote that is late arrives with the next request.
      return load().then(show, () => {});
    }, POLL_MILLISECONDS);
  };

  const votes = await load();
  if (!movies.length && !votes.length) return fill(place, empty(t("foryou.nothing")));
  setTimeout(() => vote(votes));
  return undefined;
}
