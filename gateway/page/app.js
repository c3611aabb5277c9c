// The entry module of the page: shell (header, navigation, settings) and routes. Views are loaded when they are first shown.

import { fill, h } from "./dom.js";
import { ApiError, loadSession, onExpired, session } from "./api.js";
import { askAgain, leave, showBanner, signInView } from "./account.js";
import { applyTheme, bus, language, remember, shownTheme } from "./settings.js";
import { actionButton, announce, failed, loading, undoOnKey } from "./status.js";
import { reportRefusal } from "./logins.js";
import { focusOnSlash, searchBox, showQuery } from "./search.js";
import { t } from "./texts.js";

const ROUTES = [
  { pattern: /^\/$/, module: "./foryou.js", nav: "foryou" },
  { pattern: /^\/film\/(\d+)$/, module: "./film.js" },
  { pattern: /^\/person\/(\d+)$/, module: "./results.js", part: "renderPerson" },
  { pattern: /^\/search$/, module: "./results.js", nav: "search" },
  { pattern: /^\/discover$/, module: "./discover.js", nav: "discover" },
  { pattern: /^\/me(?:\/(\w+))?$/, module: "./me.js", nav: "me" },
  { pattern: /^\/together(?:\/(\d+))?$/, module: "./together.js", nav: "together" },
  { pattern: /^\/device$/, module: "./device.js" },
  { pattern: /^\/admin(?:\/(\w+))?$/, module: "./admin.js", nav: "admin", isAdmin: true },
];
const PRELOAD_MILLISECONDS = 1500;
const STAFF = new Set(["admin", "moderator"]);
let controller = new AbortController();
let shownPath = null;

/** Splits the hash into path and query. */
function readAddress() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  return { path, query: new URLSearchParams(query) };
}

function navigation(current) {
  const items = [
    ["foryou", "#/"],
    ["discover", "#/discover"],
    ["together", "#/together"],
    ["me", "#/me"],
  ];
  if (STAFF.has(session.user?.role)) items.push(["admin", "#/admin"]);
  return h(
    "nav",
    { "aria-label": t("nav.label") },
    items.map(([name, href]) =>
      h("a", { href, "aria-current": name === current ? "page" : undefined }, t(`nav.${name}`)),
    ),
  );
}

function settingsButtons() {
  const other = language() === "en" ? ["ko", "한국어"] : ["en", "English"];
  const languageButton = h(
    "button",
    {
      type: "button",
      class: "quiet",
      lang: other[0],
      onclick: () => {
        remember("language", other[0]);
        draw();
      },
    },
    other[1],
  );
  const dark = shownTheme() === "dark";
  const themeButton = h(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-label": t("nav.theme"),
      title: t("nav.theme"),
      "aria-pressed": String(dark),
      onclick: () => {
        remember("theme", shownTheme() === "dark" ? "light" : "dark");
        applyTheme();
        themeButton.setAttribute("aria-pressed", String(shownTheme() === "dark"));
      },
    },
    "◐",
  );
  const out =
    session.mode === "jwt" &&
    session.user &&
    actionButton(t("account.sign_out"), leave, "quiet");
  return h("div", { class: "settings" }, languageButton, themeButton, out);
}

function showHeader() {
  const header = document.getElementById("header");
  const hasUser = Boolean(session.user);
  fill(
    header,
    h("a", { class: "brand", href: "#/" }, "Marquee"),
    hasUser && searchBox(),
    hasUser && navigation(),
    settingsButtons(),
  );
}

function markNavigation(current) {
  const nav = document.querySelector("#header nav");
  nav?.replaceWith(navigation(current));
  document.querySelector("#header nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function showFooter() {
  fill(
    document.getElementById("footer"),
    h("p", {}, t("footer.tmdb")),
    h("p", {}, h("a", { href: "/swagger/" }, t("footer.api"))),
  );
}

function noSuchPage() {
  return h(
    "section",
    { class: "state" },
    h("h1", {}, t("state.no_page")),
    h("p", {}, h("a", { href: "#/" }, t("nav.foryou"))),
  );
}

function setTitle(main) {
  const heading = main.querySelector("h1");
  document.title = heading ? `${heading.textContent} · Marquee` : "Marquee";
}

function focusHeading(main, isFirst) {
  const heading = main.querySelector("h1");
  if (!heading) return;
  if (isFirst) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

/** Loads the module of a route; without a connection that fails like a request. */
async function loadView(route) {
  try {
    return await import(route.module);
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError("offline");
    throw error;
  }
}

/** Loads the other views while nothing else is to be done, so that they open at once, also without a connection. */
function preloadViews() {
  const idle = window.requestIdleCallback ?? ((action) => setTimeout(action, PRELOAD_MILLISECONDS));
  idle(() => ROUTES.forEach((route) => import(route.module).catch(() => {})));
}

/** Shows the view of the current address. */
async function show() {
  const { path, query } = readAddress();
  const main = document.getElementById("main");
  const isFirst = shownPath === null;
  const isSamePath = shownPath === path;
  shownPath = path;
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  if (!session.user) {
    fill(main, signInView());
    setTitle(main);
    return focusHeading(main, isFirst);
  }
  const route = ROUTES.find((item) => item.pattern.test(path) && (!item.isAdmin || STAFF.has(session.user.role)));
  markNavigation(route?.nav);
  showQuery((path === "/search" && query.get("q")) || "");
  if (!route) return fill(main, noSuchPage());
  if (!isSamePath) fill(main, loading(2));
  try {
    const view = await loadView(route);
    if (signal.aborted) return undefined;
    const parameters = route.pattern.exec(path).slice(1);
    await view[route.part ?? "render"]({ main, parameters, query, signal });
  } catch (error) {
    if (signal.aborted) return undefined;
    if (!(error instanceof ApiError)) console.error(error);
    fill(main, failed(error, show));
  }
  if (signal.aborted) return undefined;
  setTitle(main);
  if (!isSamePath) {
    if (!isFirst) scrollTo(0, 0);
    focusHeading(main, isFirst);
    if (!isFirst) announce(document.title);
  }
  return undefined;
}

/** Draws everything anew: at the start, and after a change of language or user. */
function draw() {
  shownPath = null;
  document.documentElement.lang = language();
  document.getElementById("skip").textContent = t("nav.skip");
  showBanner(document.getElementById("banner"));
  showHeader();
  showFooter();
  return show();
}

/** Loads the session and draws the page; a failure has a retry. */
async function start() {
  document.documentElement.lang = language();
  const main = document.getElementById("main");
  fill(main, loading(2));
  try {
    await loadSession();
  } catch (error) {
    showHeader();
    fill(main, failed(error, start));
    return;
  }
  reportRefusal();
  await draw();
  preloadViews();
}

applyTheme();
onExpired(askAgain);
addEventListener("hashchange", show);
addEventListener("keydown", focusOnSlash);
addEventListener("keydown", undoOnKey);
bus.addEventListener("session", draw);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
start();
