// The button "more" below a grid that continues by cursor. Used by search results, discover and the watchlist.

import { h } from "./dom.js";
import { act } from "./status.js";
import { card } from "./tiles.js";
import { t } from "./texts.js";

/** Appends the next page to a grid; `next(cursor)` returns a page `{data, next_cursor}`. */
export function moreButton(list, cursor, next, options = () => ({})) {
  if (!cursor) return null;
  let position = cursor;
  const button = h("button", { type: "button", class: "button more" }, t("action.more"));
  button.addEventListener("click", () =>
    act(button, async () => {
      const body = await next(position);
      const items = body.data.map((movie) => h("li", {}, card(movie, options(movie))));
      list.append(...items);
      items[0]?.querySelector("a")?.focus();
      position = body.next_cursor;
      if (!position) button.remove();
    }),
  );
  return button;
}
