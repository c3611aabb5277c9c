// Requests to the gateway: session, problems, event streams. All other modules reach the network only through this one.
// A 401 refreshes the session once for all waiting requests; if that fails, the visitor is shown the sign-in form.

import { contentLanguage, recall, remember } from "./settings.js";

/** `mode` is mock or jwt; null until the session is loaded, whose request must not name a user beside the cookies. */
export const session = { mode: null, user: null };
let askForSignIn = async () => false;
let refreshing = null;

// The time within which the refresh of another tab counts as this one's.
const REFRESH_MILLISECONDS = 5000;

/** Sets the function that lets the visitor sign in again; it resolves to true if they did. */
export function onExpired(ask) {
  askForSignIn = ask;
}

/** A request that failed. `kind`: offline, limited, expired, away, missing, problem. */
export class ApiError extends Error {
  constructor(kind, { status = 0, problem = null, retryAfter = null } = {}) {
    super(problem?.detail || problem?.title || kind);
    this.kind = kind;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
    this.errors = problem?.errors ?? [];
    this.requestId = problem?.request_id ?? null;
  }
}

/** True if an error only says that the request was given up on purpose. */
export function isAborted(error) {
  return error?.name === "AbortError";
}

function kindOf(status) {
  if (status === 429) return "limited";
  if (status === 401) return "expired";
  if (status === 404) return "missing";
  if (status === 502 || status === 503 || status === 504) return "away";
  return "problem";
}

async function failure(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A body that is no problem document adds nothing.
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || problem?.retry_after || null;
  return new ApiError(kindOf(response.status), { status: response.status, problem, retryAfter });
}

async function send(method, url, { headers, body, signal }) {
  try {
    return await fetch(url, { method, headers, body, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError("offline");
  }
}

function requestHeaders(extra, hasJson) {
  const headers = { "X-Marquee": "page", ...extra };
  if (hasJson) headers["Content-Type"] = "application/json";
  if (session.mode === "mock") headers.Authorization = "Bearer page";
  return headers;
}

/** Refreshes the session, unless another tab has just done so: a refresh token is valid once. */
async function refreshOnce() {
  if (Date.now() - recall("refreshed", 0) < REFRESH_MILLISECONDS) return true;
  const response = await send("POST", "/session/refresh", { headers: requestHeaders() });
  if (response.ok) remember("refreshed", Date.now());
  return response.ok;
}

/** Refreshes the session; requests that expire at the same time, also in other tabs, share one refresh. */
function refresh() {
  const run = () => (navigator.locks ? navigator.locks.request("marquee-refresh", refreshOnce) : refreshOnce());
  refreshing ??= run().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function respond(method, url, options) {
  const response = await send(method, url, options);
  if (response.status !== 401 || session.mode === "mock") return response;
  if (await refresh()) {
    const repeated = await send(method, url, options);
    if (repeated.status !== 401) return repeated;
  }
  // Without a user nothing expired: the request was under way when the visitor signed out.
  if (session.user && (await askForSignIn())) return send(method, url, options);
  return response;
}

/** Returns `path` with the query parameters that have a value. */
function withQuery(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parameters.set(name, value);
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

/** Sends a request to `/api/v1` and returns the response if it is a success; throws `ApiError` otherwise. */
export async function request(method, path, { query, body, form, headers, signal } = {}) {
  const url = withQuery(`/api/v1${path}`, query);
  const response = await respond(method, url, {
    headers: requestHeaders(headers, body !== undefined),
    body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
    signal,
  });
  if (!response.ok) throw await failure(response);
  return response;
}

/** Sends a request and returns the JSON body; null if there is none. */
export async function call(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

/** Gets a resource. */
export function get(path, query, signal) {
  return call("GET", path, { query, signal });
}

/** Gets a resource with titles and names in the language of the page. */
export function getLocal(path, query, signal) {
  return get(path, { language: contentLanguage(), ...query }, signal);
}

/** Gets all pages of a list that continues by cursor, `maxPages` at most. */
export async function getAll(path, key, { query = {}, signal, maxPages = 10 } = {}) {
  const items = [];
  let cursor;
  for (let page = 0; page < maxPages; page += 1) {
    const body = await get(path, { ...query, cursor }, signal);
    items.push(...body[key]);
    cursor = body.next_cursor;
    if (!cursor) break;
  }
  return items;
}

/** Gets the state of the gateway's dependencies; it is the same body whether all of them are ready or not. */
export async function getReadiness(signal) {
  const response = await send("GET", "/health/ready", { headers: requestHeaders(), signal });
  return response.json();
}

/** The id of the user for whom the gateway acts; in mock mode always the first. */
export function callerId() {
  return session.mode === "mock" ? 1 : session.user.id;
}

/** Returns the path of the acting user's resource. */
export function mine(path = "") {
  return `/users/${session.user?.id}${path}`;
}

function parseEvent(block) {
  let name = "message";
  const lines = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) lines.push(line.slice(5).trimStart());
  }
  return lines.length ? { name, data: JSON.parse(lines.join("\n")) } : null;
}

/** Reads an event stream until it ends; calls `onEvent({name, data})` for each event. */
export async function readEvents(path, { query, signal, onEvent }) {
  const response = await request("GET", path, { query, signal, headers: { Accept: "text/event-stream" } });
  if (response.status === 204 || !response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      if (isAborted(error) || signal?.aborted) throw new DOMException("aborted", "AbortError");
      throw new ApiError("offline");
    }
    if (chunk.done) return;
    buffer += chunk.value.replaceAll("\r", "");
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const event of blocks.map(parseEvent)) if (event) onEvent(event);
  }
}

async function sessionRequest(method, path, body) {
  const response = await send(method, path, {
    headers: requestHeaders({}, body !== undefined),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/** Loads the session; in mock mode the acting user is the remembered one, or the first. */
export async function loadSession() {
  const body = await sessionRequest("GET", "/session");
  session.mode = body.mode;
  session.user = await withName(body.user);
  if (session.mode === "mock") session.user = await loadActor(recall("actor", 1));
  else if (session.user) remember("signed_in", true);
  else if (recall("signed_in")) await resume();
  return session;
}

/** Returns the account of a session's user, with the role of the session; null if there is none. */
async function withName(user) {
  return user && { ...(await get(`/users/${user.id}`)), role: user.role };
}

/** Resumes a session whose access token ran out while the page was closed. */
async function resume() {
  if (await refresh()) session.user = await withName((await sessionRequest("GET", "/session")).user);
  remember("signed_in", session.user ? true : null);
}

/** Returns a user as the acting administrator of mock mode; null if there is no such user. */
export async function loadActor(id) {
  try {
    const user = await get(`/users/${id}`);
    return { ...user, role: "admin" };
  } catch (error) {
    if (error.kind === "missing") return null;
    throw error;
  }
}

/** Signs in; the cookies are set by the response. */
export async function signIn(username, password) {
  await sessionRequest("POST", "/session", { username, password });
  remember("signed_in", true);
  await loadSession();
}

/** Signs out and forgets the user. */
export async function signOut() {
  await sessionRequest("DELETE", "/session");
  remember("signed_in", null);
  session.user = null;
}
