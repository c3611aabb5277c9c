-- Deliveries whose movie cannot be found now are kept with their payload and applied later: when a movie of that title comes
-- into the catalogue, and from time to time.
alter table webhook_delivery
    add column payload  bytea,
    add column due_at   timestamptz,
    add column attempts smallint not null default 0;
create index webhook_delivery_due on webhook_delivery (due_at) where due_at is not null;
create index webhook_delivery_by_title on webhook_delivery (lower(title)) where due_at is not null;
