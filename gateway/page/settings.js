// Settings that the browser remembers: language, colours, region, and in mock mode the acting user. Read by all views.
// Storage may be refused (private windows); settings then last as long as the page.

const PREFIX = "marquee.";
const memory = new Map();

export const bus = new EventTarget();

/** Announces that something changed: `reaction`, `rating`, `bookmark`, `viewing`, `session`, `language`. */
export function announceChange(name, detail) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Returns a remembered value, or `fallback`. */
export function recall(name, fallback = null) {
  if (memory.has(name)) return memory.get(name) ?? fallback;
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Remembers a value; null forgets it. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    memory.delete(name);
  } catch {
    memory.set(name, value);
  }
}

/** The language of the page: `en` or `ko`. */
export function language() {
  return recall("language") ?? (navigator.language?.startsWith("ko") ? "ko" : "en");
}

/** The display language of titles and names. A code without a region would also filter by original language. */
export function contentLanguage() {
  return language() === "ko" ? "ko-KR" : "en-US";
}

/** The region for watch providers, ISO 3166-1. */
export function region() {
  return recall("region") ?? (language() === "ko" ? "KR" : "US");
}

/** Applies `light`, `dark` or `auto` colours. */
export function applyTheme(theme = recall("theme", "auto")) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Returns `light` or `dark`: the colours that are shown now. */
export function shownTheme() {
  const theme = recall("theme", "auto");
  if (theme !== "auto") return theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Returns a date in the language of the page; the text itself if it is no date. */
export function formatDate(text, options = { year: "numeric", month: "short", day: "numeric" }) {
  const date = new Date(text?.length === 10 ? `${text}T00:00:00Z` : text);
  if (!text || Number.isNaN(date.getTime())) return text ?? "";
  const zone = text.length === 10 ? { timeZone: "UTC" } : {};
  return new Intl.DateTimeFormat(language(), { ...options, ...zone }).format(date);
}

/** Returns a number in the language of the page. */
export function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

// TMDB's code for Cantonese is none of ISO 639.
const TMDB_LANGUAGES = { cn: "yue" };

/** Returns the name of a language or region, or its code if it has none. */
export function displayName(type, code) {
  try {
    return new Intl.DisplayNames([language()], { type }).of((type === "language" && TMDB_LANGUAGES[code]) || code) ?? code;
  } catch {
    return code;
  }
}

/** Returns today's date in the visitor's time zone, or that of `days` later, YYYY-MM-DD. */
export function today(days = 0) {
  const now = new Date();
  now.setDate(now.getDate() + days);
  const pad = (value) => String(value).padStart(2, "0");
  return `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`;
}
