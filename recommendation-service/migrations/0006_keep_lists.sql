-- Lists as they were made, so that they can be shown again and gone on with. They are kept for a while, and
-- so many of them; what they are made of is the service's own, so the body is one document.
create table recommendation_list (
    list_id    uuid primary key,
    user_id    bigint not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    body       jsonb not null
);
-- All lists of somebody who is erased.
create index recommendation_list_user on recommendation_list (user_id);
-- Lists that have had their time, and the oldest.
create index recommendation_list_expiry on recommendation_list (expires_at);
create index recommendation_list_age on recommendation_list (created_at desc);
