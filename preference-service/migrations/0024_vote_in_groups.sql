-- Votes of a group's members on what to see together. They end with the membership, and count for a day.
create table group_vote (
    group_id bigint not null,
    user_id  bigint not null,
    movie_id bigint not null,
    yes      boolean not null,
    voted_at timestamptz not null default now(),
    primary key (group_id, user_id, movie_id),
    foreign key (group_id, user_id) references group_member on delete cascade
);
