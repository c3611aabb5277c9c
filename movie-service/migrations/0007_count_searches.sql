-- Searches by query and day: numbers alone, nothing about who searched.
create table search_count (
    day   date not null,
    query text not null,
    count bigint not null,
    primary key (day, query),
    constraint search_count_positive check (count > 0)
);
