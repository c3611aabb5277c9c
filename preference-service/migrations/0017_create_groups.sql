-- People who agreed to decide together. Joining is consent to what lists for the group reveal, so that nobody is a member
-- without having accepted an invitation.
create table user_group (
    id         bigint generated always as identity primary key,
    -- Also a member. When the owner leaves, the member who joined first owns the group.
    owner_id   bigint not null references user_account on delete cascade,
    name       text not null,
    created_at timestamptz not null default now(),
    constraint user_group_name_length check (char_length(name) between 1 and 100)
);
create index user_group_by_owner on user_group (owner_id);

create table group_member (
    group_id  bigint not null references user_group on delete cascade,
    user_id   bigint not null references user_account on delete cascade,
    joined_at timestamptz not null default clock_timestamp(),
    primary key (group_id, user_id)
);
create index group_member_by_user on group_member (user_id);

-- Only the hash of a code is stored.
create table group_invitation (
    id         bigint generated always as identity primary key,
    group_id   bigint not null references user_group on delete cascade,
    code_hash  bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    uses_left  int not null,
    constraint group_invitation_code unique (code_hash),
    constraint group_invitation_code_length check (octet_length(code_hash) = 32),
    constraint group_invitation_uses check (uses_left >= 0)
);
create index group_invitation_by_group on group_invitation (group_id);
