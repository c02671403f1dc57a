"""The tables of one shard: what the source has, whether logical replication can carry it, and the same made anew.

A target gets columns first, then rows, then constraints and indexes: an index is made faster at once than row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

KINDS = {
    "p": "is partitioned", "f": "is a foreign table", "v": "is a view", "m": "is a materialized view",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``definition`` is the text behind its name in CREATE TABLE."""

    name: str
    definition: str
    generated: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``later`` are the statements after the copy, ``key`` the columns that identify a row."""

    name: str
    columns: tuple[Column, ...]
    options: str
    key: tuple[str, ...]
    later: tuple[str, ...]
    guarded: bool
    problems: tuple[str, ...]

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that are copied: all but generated ones."""
        return tuple(column.name for column in self.columns if not column.generated)


@dataclass(frozen=True, slots=True)
class Shape:
    """All tables of a shard's schema. ``problems`` are reasons why it cannot be moved."""

    schema: str
    tables: tuple[Table, ...]
    sequences: tuple[tuple[str, str], ...]
    """Name, and the statement that makes it; empty where an identity column does."""
    grants: tuple[str, ...]
    problems: tuple[str, ...]

    def identifier(self, table: str) -> sql.Identifier:
        """A table of the shard, quoted."""
        return sql.Identifier(self.schema, table)


_TABLES = """
select c.oid, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity,
    coalesce(array_to_string(c.reloptions, ', '), ''),
    exists (select from pg_inherits where inhrelid = c.oid or inhparent = c.oid),
    exists (select from pg_rewrite where ev_class = c.oid),
    exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
        where t.tgrelid = c.oid and n.nspname = 'mapscope_node' and p.proname = 'guard' and t.tgenabled in ('O', 'A')),
    (select string_agg(t.tgname, ', ') from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        join pg_namespace n on n.oid = p.pronamespace
        where t.tgrelid = c.oid and not t.tgisinternal and n.nspname <> 'mapscope_node')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'f', 'v', 'm') order by c.relname
"""
_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity,
    a.attgenerated, case when a.attcollation <> t.typcollation then format('%%I.%%I', cn.nspname, co.collname) end,
    pg_get_serial_sequence(quote_ident(%(schema)s) || '.' || quote_ident(%(table)s), a.attname)
from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = a.attrelid
    and d.adnum = a.attnum left join pg_collation co on co.oid = a.attcollation
    left join pg_namespace cn on cn.oid = co.collnamespace
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
_CONSTRAINTS = """
select conname, contype, pg_get_constraintdef(oid), confrelid <> 0 and
    (select relnamespace from pg_class where oid = confrelid) <> connamespace
from pg_constraint where conrelid = %s and contype in ('p', 'u', 'x', 'c', 'f')
order by position(contype::text in 'puxcf'), conname
"""
_INDEXES = """
select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisreplident, c.relname, i.indisvalid,
    exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')),
    i.indisprimary,
    array(select a.attname::text from unnest(i.indkey) with ordinality k(number, place) join pg_attribute a
        on a.attrelid = i.indrelid and a.attnum = k.number order by k.place)
from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = %s order by c.relname
"""
_SEQUENCES = """
select c.relname, format_type(s.seqtypid, null), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, s.seqcycle,
    exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'i')
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s order by c.relname
"""
_GRANTS = """
select format('grant %%s on %%s %%s to %%s%%s', a.privilege_type, o.kind, o.name,
    case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
    case when a.is_grantable then ' with grant option' else '' end)
from (
    select 'schema' kind, quote_ident(nspname) name, nspacl acl, nspowner owner from pg_namespace where nspname = %(s)s
    union all
    select case c.relkind when 'S' then 'sequence' else 'table' end, format('%%I.%%I', n.nspname, c.relname), c.relacl,
        c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(s)s and c.relkind in ('r', 'S')
) o, aclexplode(o.acl) a where a.grantee <> o.owner order by 1
"""


async def read(connection: AsyncConnection[TupleRow], schema: str) -> Shape:
    """What lies in a schema; its ``problems`` say what cannot be moved."""
    cursor = await connection.execute(_TABLES, (schema,))
    tables = [await _table(connection, schema, row) for row in await cursor.fetchall()]
    cursor = await connection.execute(_SEQUENCES, (schema,))
    sequences = tuple((row[0], "" if row[8] else _sequence(schema, row)) for row in await cursor.fetchall())
    cursor = await connection.execute(_GRANTS, {"s": schema})
    grants = tuple(row[0] for row in await cursor.fetchall())
    problems = [f"{schema}.{table.name} {problem}" for table in tables for problem in table.problems]
    if not tables:
        problems.append(f"there is no table in schema {schema}")
    return Shape(schema, tuple(tables), sequences, grants, tuple(problems))


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _sequence(schema: str, row: TupleRow) -> str:
    name, kind, step, low, high, start, cache, cycle, _ = row
    return (
        f"create sequence {_quoted(schema, name)} as {kind} increment {step} minvalue {low} maxvalue {high} "
        f"start {start} cache {cache} {'cycle' if cycle else 'no cycle'}"
    )


async def _table(connection: AsyncConnection[TupleRow], schema: str, row: TupleRow) -> Table:
    oid, name, kind, persistence, identity, row_security, options, inherits, rules, guarded, triggers = row
    problems: list[str] = []
    if kind != "r":
        return Table(name, (), "", (), (), guarded=False, problems=(f"{KINDS[kind]}: that cannot be moved",))
    if persistence != "p":
        problems.append("is unlogged or temporary: logical replication does not carry it")
    if inherits:
        problems.append("inherits or is inherited from: that cannot be moved")
    if row_security or rules or triggers:
        what = "row security" if row_security else "rules" if rules else f"triggers ({triggers})"
        problems.append(f"has {what}, which a move does not carry")
    if not guarded:
        problems.append("has no guard, so clients could write to it behind a fence (mapscope growth setup makes it)")
    later: list[str] = []
    whole = _quoted(schema, name)
    cursor = await connection.execute(_CONSTRAINTS, (oid,))
    for constraint, _, definition, outside in await cursor.fetchall():
        if outside:
            problems.append(f"refers to a table outside the shard ({constraint})")
        later.append(f"alter table {whole} add constraint {_quoted(constraint)} {definition}")
    primary: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    cursor = await connection.execute(_INDEXES, (oid,))
    for _, definition, replica, index, valid, of_constraint, is_primary, columns in await cursor.fetchall():
        if not valid:
            problems.append(f"has an index that is not valid ({index}): drop it or make it anew")
        if not of_constraint:
            later.append(definition)
        if is_primary:
            primary = tuple(columns)
        if replica and identity == "i":
            chosen = tuple(columns)
            later.append(f"alter table {whole} replica identity using index {_quoted(index)}")
    if identity == "f":
        later.append(f"alter table {whole} replica identity full")
    key = chosen if identity == "i" else primary if identity == "d" else ()
    if not key and identity != "f":
        problems.append(
            "has no replica identity: while it is published, every UPDATE and DELETE of its clients would fail "
            "(add a primary key, or ALTER TABLE … REPLICA IDENTITY)"
        )
    columns, owned = await _columns(connection, schema, name, oid)
    later.extend(owned)
    return Table(name, columns, options, key or primary, tuple(later), guarded, tuple(problems))


async def _columns(
    connection: AsyncConnection[TupleRow], schema: str, table: str, oid: int
) -> tuple[tuple[Column, ...], list[str]]:
    """The columns, and the statements that tie their sequences to them."""
    found: list[Column] = []
    owned: list[str] = []
    cursor = await connection.execute(_COLUMNS, {"schema": schema, "table": table, "oid": oid})
    for name, kind, not_null, default, identity, generated, collation, sequence in await cursor.fetchall():
        parts = [kind]
        if collation:
            parts.append(f"collate {collation}")
        if generated:
            parts.append(f"generated always as ({default}) stored")
        elif identity:
            when = "always" if identity == "a" else "by default"
            parts.append(f"generated {when} as identity (sequence name {sequence})")
        elif default is not None:
            parts.append(f"default {default}")
            if sequence:
                owned.append(f"alter sequence {sequence} owned by {_quoted(schema, table, name)}")
        if not_null:
            parts.append("not null")
        found.append(Column(name, " ".join(parts), bool(generated)))
    return tuple(found), owned


_SIGNATURE = """
select coalesce(string_agg(concat_ws(' ', c.relname, a.attnum - (select count(*) from pg_attribute g
    where g.attrelid = a.attrelid and g.attisdropped and g.attnum < a.attnum), a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated), ', ' order by c.relname, a.attnum), '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where n.nspname = %s and c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
"""


async def signature(connection: AsyncConnection[TupleRow], schema: str) -> str:
    """Tables, columns and types of a schema as one text: equal where rows of one fit into the other."""
    cursor = await connection.execute(_SIGNATURE, (schema,))
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def make_empty(connection: AsyncConnection[TupleRow], shape: Shape) -> None:
    """Inside a transaction: the schema with its sequences and tables, without constraints and indexes."""
    await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(shape.schema)))
    for _, statement in shape.sequences:
        if statement:
            await connection.execute(statement.encode())
    for table in shape.tables:
        columns = ", ".join(f"{_quoted(column.name)} {column.definition}" for column in table.columns)
        options = f" with ({table.options})" if table.options else ""
        await connection.execute(f"create table {_quoted(shape.schema, table.name)} ({columns}){options}".encode())


async def finish(connection: AsyncConnection[TupleRow], shape: Shape, shard: int) -> None:
    """Inside a transaction: constraints, indexes, replica identities, rights and the guard; then statistics."""
    foreign = [statement for table in shape.tables for statement in table.later if " FOREIGN KEY " in statement]
    for table in shape.tables:
        for statement in table.later:
            if statement not in foreign:
                await connection.execute(statement.encode())
    for statement in (*foreign, *shape.grants):
        await connection.execute(statement.encode())
    await guard(connection, shape, shard)
    for table in shape.tables:
        await connection.execute(sql.SQL("analyze {}").format(shape.identifier(table.name)))


async def guard(connection: AsyncConnection[TupleRow], shape: Shape, shard: int) -> None:
    """Puts the trigger on each table that compares the writer's epoch with the node's."""
    for table in shape.tables:
        await connection.execute(
            sql.SQL(
                "create or replace trigger mapscope_guard before insert or update or delete or truncate on {} "
                "for each statement execute function mapscope_node.guard({})"
            ).format(shape.identifier(table.name), sql.Literal(str(shard)))
        )


async def set_sequences(source: AsyncConnection[TupleRow], target: AsyncConnection[TupleRow], shape: Shape) -> None:
    """Gives the target's sequences the values of the source's: logical replication does not carry them."""
    for name, _ in shape.sequences:
        cursor = await source.execute(sql.SQL("select last_value, is_called from {}").format(shape.identifier(name)))
        value = await cursor.fetchone()
        assert value is not None
        await target.execute("select setval(%s::regclass, %s, %s)", (_quoted(shape.schema, name), *value))
