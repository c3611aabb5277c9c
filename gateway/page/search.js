// The search box of the header: suggestions of movies, people and keywords while typing (ARIA combobox). Used by the shell
// and by fields that choose a movie, person or keyword.

import { data, debounce, fill, h, uniqueId } from "./dom.js";
import { getLocal, isAborted } from "./api.js";
import { announce } from "./status.js";
import { t } from "./texts.js";

const TYPING_MILLISECONDS = 120;
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&#x27;": "'" };

/** Returns the text of a highlight with its marked parts as elements. Nothing in it is parsed as HTML. */
export function marked(highlight) {
  const decode = (text) => text.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, (entity) => ENTITIES[entity]);
  return (highlight ?? "").split(/(<em>.*?<\/em>)/).map((part) => {
    const inner = /^<em>(.*)<\/em>$/.exec(part);
    return inner ? h("mark", {}, decode(inner[1])) : decode(part);
  });
}

/** The address of the movies with a keyword: by name, which can be read, unless the grammar would misread it. */
export function keywordAddress({ id, name }) {
  const isPlain = !/[,|"]/.test(name) && !/^\d+$/.test(name);
  return `#/discover?keywords=${encodeURIComponent(isPlain ? name : id)}`;
}

/** The address of a suggestion. */
function addressOf(item) {
  if (item.type === "movie") return `#/film/${item.id}`;
  if (item.type === "person") return `#/person/${item.id}`;
  if (item.type === "question") return `#/search?${new URLSearchParams({ q: item.text, words: 1 })}`;
  return keywordAddress(item);
}

/**
 * A combobox. `suggest(text, signal)` returns items `{label, detail, highlight, group, ...}`; `choose(item)` is called with
 * the chosen one; `submit(text)`, if given, with the text when Enter is pressed without a choice.
 */
export function combobox({ label, placeholder, suggest, choose, submit, className = "" }) {
  const listId = uniqueId("list");
  const input = h("input", {
    type: "search",
    role: "combobox",
    class: "combobox-input",
    "aria-label": label,
    placeholder,
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": listId,
    dir: "auto",
    maxlength: 200,
  });
  const list = h("div", { role: "listbox", id: listId, class: "suggestions", "aria-label": label, hidden: true });
  let options = [];
  let active = -1;
  let controller = new AbortController();

  const close = () => {
    controller.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (index) => {
    options[active]?.element.setAttribute("aria-selected", "false");
    active = index;
    const option = options[index];
    if (!option) return input.removeAttribute("aria-activedescendant");
    option.element.setAttribute("aria-selected", "true");
    option.element.scrollIntoView({ block: "nearest" });
    return input.setAttribute("aria-activedescendant", option.element.id);
  };
  const pick = (option) => {
    close();
    choose(option.item, input);
  };
  const show = (items) => {
    options = items.map((item) => {
      const element = h(
        "div",
        { role: "option", id: uniqueId("option"), "aria-selected": "false", class: "suggestion" },
        h("span", { dir: "auto", class: "suggestion-name" }, item.label),
        item.detail && h("span", { class: "suggestion-detail" }, item.detail),
      );
      const option = { item, element };
      element.addEventListener("pointerdown", (event) => event.preventDefault());
      element.addEventListener("click", () => pick(option));
      return option;
    });
    const groups = new Map();
    for (const option of options)
      groups.set(option.item.group, [...(groups.get(option.item.group) ?? []), option.element]);
    fill(
      list,
      [...groups].map(([name, elements]) =>
        h(
          "div",
          { role: "group", "aria-label": name },
          name && h("div", { class: "suggestion-group", "aria-hidden": "true" }, name),
          elements,
        ),
      ),
    );
    options = [...list.querySelectorAll("[role=option]")].map((element) =>
      options.find((option) => option.element === element),
    );
    active = -1;
    list.hidden = options.length === 0;
    input.setAttribute("aria-expanded", String(options.length > 0));
    announce(options.length ? t("search.suggestions", { count: options.length }) : t("search.nothing_short"));
  };
  const update = debounce(async () => {
    const text = input.value.trim();
    controller.abort();
    if (!text) return close();
    controller = new AbortController();
    const { signal } = controller;
    try {
      const items = await suggest(text, signal);
      if (!signal.aborted && document.activeElement === input) show(items);
    } catch (error) {
      if (!isAborted(error)) close();
    }
    return undefined;
  }, TYPING_MILLISECONDS);

  input.addEventListener("input", update);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const count = options.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) return;
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark(active === -1 && step === -1 ? count - 1 : (active + step + count + 1) % (count + 1));
    } else if (event.key === "Escape") {
      if (!list.hidden) event.preventDefault();
      close();
    } else if (event.key === "Enter") {
      if (active >= 0 && options[active]) {
        event.preventDefault();
        pick(options[active]);
      } else if (submit && input.value.trim()) {
        event.preventDefault();
        close();
        submit(input.value.trim());
      }
    }
  });
  return h("div", { class: `combobox ${className}` }, input, list);
}

async function suggestAll(text, signal) {
  const body = await getLocal("/search/suggest", { q: text, limit: 8 }, signal);
  const order = ["movie", "person", "keyword"];
  const found = body.data
    .map((item) => ({
      ...item,
      group: t(`search.${item.type}s`),
      detail: item.year,
      label:
        item.highlight?.html.includes("<em>") && !item.highlight.language ? marked(item.highlight.html) : item.name,
    }))
    .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
  // A text of several words may be a request, which no suggestion would show.
  return [...found, { type: "question", text, label: t("search.ask", { query: text }), group: t("search.questions") }];
}

/** The search box of the header. `/` focuses it. */
export function searchBox() {
  const box = combobox({
    label: t("search.label"),
    placeholder: t("search.placeholder"),
    className: "search",
    suggest: suggestAll,
    choose: (item, input) => {
      input.value = "";
      input.blur();
      location.hash = addressOf(item);
    },
    submit: (text) => {
      location.hash = `#/search?q=${encodeURIComponent(text)}`;
    },
  });
  return h("search", {}, box);
}

/** Writes the query of the current address into the search box, unless somebody is typing there. */
export function showQuery(query) {
  const input = document.querySelector(".search .combobox-input");
  if (input && input !== document.activeElement) input.value = query;
}

/** Focuses the search box when `/` is pressed outside of a field. */
export function focusOnSlash(event) {
  const isField = event.target.closest?.(
    "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable], dialog",
  );
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isField) return;
  const input = document.querySelector(".search .combobox-input");
  if (!input) return;
  event.preventDefault();
  input.focus();
  input.select();
}

/** A combobox that finds a movie and calls `choose(movie)`. */
export function movieChooser(label, choose) {
  return combobox({
    label,
    placeholder: label,
    suggest: async (text, signal) => {
      const body = await getLocal("/search", { q: text, page_size: 6, facets: false }, signal);
      return body.data.map((movie) => ({
        ...movie,
        label: data(movie.title),
        detail: movie.release_date?.slice(0, 4),
      }));
    },
    choose,
  });
}

/** A combobox that finds people or keywords and calls `choose({id, name})`. */
export function nameChooser(kind, label, choose) {
  return combobox({
    label,
    placeholder: label,
    suggest: async (text, signal) => {
      const body = await getLocal(`/${kind}`, { q: text, page_size: 8 }, signal);
      return body.data.map((item) => ({ ...item, label: item.name, detail: item.movie_count }));
    },
    choose: (item, input) => {
      input.value = "";
      choose(item);
    },
  });
}
