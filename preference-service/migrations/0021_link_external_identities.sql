-- Logins by other issuers (OpenID Connect). An account is linked to an issuer's subject, never to an address, which may get
-- another owner.
alter table user_account
    -- When the owner proved to read mail at the present address: by a link, or by an issuer that vouches for it. Null:
    -- unproven, also of addresses from before verification was required.
    add column email_verified_at timestamptz;

create table external_identity (
    id           bigint generated always as identity primary key,
    user_id      bigint not null references user_account on delete cascade,
    -- The provider's name in the settings, for display; the issuer and the subject identify.
    provider     text not null,
    issuer       text not null,
    subject      text not null,
    -- The address that the issuer stated last.
    email        text,
    created_at   timestamptz not null default now(),
    used_at      timestamptz not null default now(),
    constraint external_identity_taken unique (issuer, subject),
    constraint external_identity_issuer_length check (char_length(issuer) between 1 and 500),
    constraint external_identity_subject_length check (char_length(subject) between 1 and 255)
);
create index external_identity_by_user on external_identity (user_id);

-- Logins that wait for their callback. Only hashes are stored; the browser's cookie has what the nonce and the code verifier
-- are derived from.
create table oidc_login (
    state_hash   bytea primary key,
    browser_hash bytea not null,
    provider     text not null,
    return_to    text not null,
    -- The user who links the identity; null: a login.
    user_id      bigint references user_account on delete cascade,
    expires_at   timestamptz not null,
    constraint oidc_login_state_length check (octet_length(state_hash) = 32),
    constraint oidc_login_browser_length check (octet_length(browser_hash) = 32)
);
create index oidc_login_by_end on oidc_login (expires_at);
create index oidc_login_by_user on oidc_login (user_id) where user_id is not null;
