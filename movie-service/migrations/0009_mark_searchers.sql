-- Popular queries are those of several users, over all days, restarts and replicas: each user sets one of 64 bits of a query,
-- always the same one, so that the bits are at most as many as the users and do not tell who they are. Counts of earlier
-- releases have none, and are not shown.
alter table search_count add column searchers bigint not null default 0;
