"""The tables of the controller, and what each node has to refuse clients that do not know the shard's owner.

Control database, schema ``mapscope_control``: ``meta`` (version, and a random name of this store, which is in the name
of everything that a move makes), ``controller`` (one row: the token), ``route``, ``move``, ``step``.

Node, schema ``mapscope_node``: ``shard`` (what this node knows of a shard: epoch, state, the highest token seen) and
the functions that compare a client's epoch with it. ``guard`` is called by a trigger on each table of a shard, so a
client that never heard of routes is refused too. A row stays when the shard has gone: it remembers the token.
"""

from __future__ import annotations

import secrets

import psycopg
from psycopg import AsyncConnection

from mapscope.growth.trouble import FENCED, NOT_HERE, GrowthError

VERSION = 1
WRITERS = 0x6D736377
READERS = 0x6D736372
CONTROLLER = 0x6D736363
"""First keys of advisory locks, "mscw", "mscr" and "mscc"; the second key is the shard.

Writers and readers share them.
"""

_CONTROL = """
create schema if not exists mapscope_control;
create table if not exists mapscope_control.meta (
    only_one boolean primary key default true check (only_one), version int not null, store text not null);
create table if not exists mapscope_control.controller (
    only_one boolean primary key default true check (only_one), token bigint not null, holder text not null,
    since timestamptz not null default clock_timestamp());
create table if not exists mapscope_control.route (
    shard int primary key, node text not null, epoch bigint not null check (epoch > 0),
    changed timestamptz not null default clock_timestamp());
create table if not exists mapscope_control.move (
    id bigint generated always as identity primary key, shard int not null references mapscope_control.route,
    source text not null, target text not null check (target <> source), epoch bigint not null, state text not null,
    reason text not null default '', restarts int not null default 0, fences int not null default 0,
    fence_lsn pg_lsn, started timestamptz not null default clock_timestamp(),
    changed timestamptz not null default clock_timestamp());
create unique index if not exists one_move_a_shard on mapscope_control.move (shard)
    where state not in ('cleaned', 'abandoned');
create table if not exists mapscope_control.step (
    id bigint generated always as identity primary key, move bigint not null references mapscope_control.move,
    state text not null, seconds double precision not null, figures jsonb not null default '{}',
    at timestamptz not null default clock_timestamp());
create index if not exists step_of_move on mapscope_control.step (move);
grant usage on schema mapscope_control to public;
grant select on mapscope_control.route to public;
"""

_NODE = f"""
create schema if not exists mapscope_node;
create table if not exists mapscope_node.shard (
    shard int primary key, epoch bigint not null, token bigint not null default 0,
    state text not null check (state in ('owner', 'fenced', 'incoming', 'gone')), move text not null default '');

create or replace function mapscope_node.enter_write(the_shard int, the_epoch bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
declare
    found_epoch bigint;
    found_state text;
begin
    perform pg_advisory_xact_lock_shared({WRITERS}, the_shard);
    if current_setting('transaction_isolation') = 'read committed' then
        select epoch, state into found_epoch, found_state from mapscope_node.shard where shard = the_shard;
    else  -- the snapshot is older than the lock: only a row lock notices a fence that came between
        select epoch, state into found_epoch, found_state from mapscope_node.shard where shard = the_shard for share;
    end if;
    if found_state is distinct from 'owner' and not (found_state = 'fenced' and found_epoch = the_epoch) then
        raise exception using errcode = '{NOT_HERE}', message = format(
            'shard %s is not held by this node (%s)', the_shard, coalesce(found_state, 'unknown'));
    elsif found_state = 'fenced' then
        raise exception using errcode = '{FENCED}', message = format('shard %s is being switched', the_shard);
    elsif the_epoch is not null and the_epoch <> found_epoch then
        raise exception using errcode = '{NOT_HERE}', message = format(
            'shard %s has epoch %s here, the route was of epoch %s', the_shard, found_epoch, the_epoch);
    end if;
end $body$;

create or replace function mapscope_node.enter_read(the_shard int, the_epoch bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
declare
    found_epoch bigint;
    found_state text;
begin
    perform pg_advisory_xact_lock_shared({READERS}, the_shard);
    select epoch, state into found_epoch, found_state from mapscope_node.shard where shard = the_shard;
    if found_state is null or found_state not in ('owner', 'fenced') or found_epoch <> the_epoch then
        raise exception using errcode = '{NOT_HERE}', message = format(
            'shard %s is not held by this node at epoch %s', the_shard, the_epoch);
    end if;
end $body$;

create or replace function mapscope_node.guard() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $body$
begin
    perform mapscope_node.enter_write(
        tg_argv[0]::int, nullif(current_setting('mapscope.epoch_' || tg_argv[0], true), '')::bigint);
    return null;
end $body$;
grant usage on schema mapscope_node to public;
"""


async def install_control(connection: AsyncConnection) -> str:
    """Makes what is missing in the control database and gives the store's name. GrowthError for a newer version."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s, 1)", (CONTROLLER,))
        await connection.execute(_CONTROL)
        await connection.execute(
            "insert into mapscope_control.meta (version, store) values (%s, %s) on conflict do nothing",
            (VERSION, secrets.token_hex(4)),
        )
        await connection.execute(
            "insert into mapscope_control.controller (token, holder) values (0, '') on conflict do nothing"
        )
    return await store_name(connection)


async def store_name(connection: AsyncConnection) -> str:
    """The store's name. GrowthError where there are no tables of a controller, or newer ones."""
    try:
        cursor = await connection.execute("select version, store from mapscope_control.meta")
    except psycopg.errors.UndefinedTable:
        raise GrowthError("the control database knows no store yet", "run mapscope growth setup first") from None
    found = await cursor.fetchone()
    assert found is not None
    if found[0] > VERSION:
        raise GrowthError(
            f"the control database has version {found[0]}, this mapscope knows {VERSION}", "use a newer mapscope"
        )
    return str(found[1])


async def install_node(connection: AsyncConnection) -> None:
    """Makes what is missing on a node."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s, 1)", (CONTROLLER,))
        await connection.execute(_NODE)


async def ensure_node(connection: AsyncConnection) -> None:
    """As ``install_node`` where a node has nothing yet; one that has something is left as it is."""
    cursor = await connection.execute("select to_regclass('mapscope_node.shard') is not null")
    if (await cursor.fetchone()) != (True,):
        await install_node(connection)
