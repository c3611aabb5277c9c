-- The languages that movies are stored with, beside their own; movies are read again if one is missing.
alter table feed_cursor add column languages text[] not null default '{}';
