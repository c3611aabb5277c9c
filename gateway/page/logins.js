// Logins by other providers: the buttons of the sign-in view, the reasons of refused logins, and the tab of "me" that links and
// unlinks identities.

import { data, field, fill, h } from "./dom.js";
import { call, get, mine } from "./api.js";
import { formatDate } from "./settings.js";
import { actionButton, load, toast } from "./status.js";
import { t } from "./texts.js";

const REFUSALS = new Set([
  "state",
  "issuer",
  "denied",
  "code",
  "token",
  "no_email",
  "account_exists",
  "linked",
  "administrator",
  "suspended",
  "rate_limited",
  "too_many",
  "unavailable",
]);

/** The buttons of the providers, which lead away and back to the present view; empty without providers. */
export function loginButtons() {
  const block = h("div", { class: "chips" });
  get("/auth/oidc")
    .then(({ providers }) => {
      const query = new URLSearchParams({ return_to: `/${location.hash}` });
      fill(
        block,
        providers.map(({ name, label, login }) =>
          h("a", { class: "button", href: `${login}?${query}`, "data-provider": name }, t("logins.with", { name: label })),
        ),
      );
    })
    // The password form works without them.
    .catch(() => {});
  return block;
}

/** Tells why a login by a provider was refused, once, and removes the code from the address. */
export function reportRefusal() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  const code = new URLSearchParams(query).get("login_error");
  if (!code) return;
  history.replaceState(null, "", `#${path}`);
  toast(t(`logins.refused_${REFUSALS.has(code) ? code : "token"}`), { isError: true });
}

/** Shows the tab. */
export function render({ body, signal }) {
  const list = h("div");
  const links = h("div", { class: "chips" });
  const password = h("input", { name: "current_password", type: "password", autocomplete: "current-password" });
  const proof = () => ({ current_password: password.value || undefined });
  const row = (identity, labels, reload) => {
    const unlink = async () => {
      await call("DELETE", mine(`/identities/${identity.id}`), { body: proof() });
      await reload();
    };
    return h(
      "li",
      { class: "panel" },
      h(
        "p",
        {},
        data(labels.get(identity.provider) ?? identity.provider, "strong"),
        identity.email && [" · ", data(identity.email)],
        ` · ${formatDate(identity.created_at)}`,
      ),
      actionButton(t("logins.unlink"), unlink, "button small danger"),
    );
  };
  const link = async (provider) => {
    const options = { body: { provider, return_to: "/#/me/logins", ...proof() } };
    const { authorization_url: url } = await call("POST", mine("/identities"), options);
    location.assign(url);
  };
  const proofField = field(t("account.password"), password, { name: "current_password", hint: t("device.password") });
  const reload = () =>
    load(
      list,
      signal,
      async () => {
        const [{ identities }, { providers }] = await Promise.all([
          get(mine("/identities"), {}, signal),
          get("/auth/oidc", {}, signal),
        ]);
        const labels = new Map(providers.map(({ name, label }) => [name, label]));
        fill(
          links,
          providers.map(({ name, label }) => actionButton(t("logins.link", { name: label }), () => link(name), "button")),
        );
        // Nothing that needs the password.
        proofField.hidden = !providers.length && !identities.length;
        if (!identities.length) return h("p", { class: "hint" }, t("logins.none"));
        return h(
          "ul",
          { class: "plain" },
          identities.map((identity) => row(identity, labels, reload)),
        );
      },
      { keep: list.childElementCount > 0 },
    );
  fill(body, h("p", {}, t("logins.lead")), list, proofField, links);
  return reload();
}
