// Goroutines of the profiles: those in loops over maps, and all by where they stand.

import { useMemo } from "preact/hooks";
import { count, plural } from "../format.ts";
import { base, Mark, place, Told } from "../kinds/bits.tsx";
import { type Field, Grid } from "../kinds/grid.tsx";
import { Part } from "../parts/section.tsx";
import { type Goroutines as Rows, type Loop, NO_TYPE } from "./model.ts";

function wait(minutes: number | null): string {
  return minutes === null ? "–" : `${count(minutes)} min`;
}

export function Loops({ rows, rest }: { rows: readonly Loop[]; rest: number }) {
  const all = useMemo(() => rows.map((_, row) => row), [rows]);
  const of = (row: number) => rows[row] as Loop;
  const fields = useMemo<Field[]>(
    () => [
      { id: "goroutines", head: "goroutines", numeric: true, order: (row) => of(row).goroutines, cell: (row) => count(of(row).goroutines) },
      { id: "wait", head: "longest wait", numeric: true, order: (row) => of(row).wait_minutes ?? -1, cell: (row) => wait(of(row).wait_minutes) },
      { id: "state", head: "state", order: (row) => of(row).state ?? "", cell: (row) => of(row).state ?? "–" },
      {
        id: "function",
        head: "loop and type of the map",
        wide: true,
        order: (row) => of(row).function,
        cell: (row) => (
          <>
            <span class="mono">{of(row).function}</span> <span class="dim">{place(of(row).file, of(row).line)}</span>
            <span class="dim k-below mono">{of(row).type ?? NO_TYPE}</span>
          </>
        ),
      },
      { id: "lasting", head: "stays", order: (row) => (of(row).lasting ? 1 : 0), cell: (row) => (of(row).lasting ? <Mark tone="warn">lasting</Mark> : "–") },
      { id: "told", head: "told", order: (row) => of(row).told, cell: (row) => <Told how={of(row).told} /> },
    ],
    [rows],
  );
  if (!rows.length) return null;
  return (
    <Part
      id="loops"
      title="In loops over maps"
      lead={`${plural(rows.reduce((sum, one) => sum + one.goroutines, 0), "goroutine")} whose frame is inside a loop over a map, told from the machine code (P7).`}
    >
      <Grid id="in-loops" label="Goroutines in loops over maps" rows={all} fields={fields} sort="goroutines" text={(row) => `${of(row).function} ${of(row).type ?? ""} ${of(row).state ?? ""}`} />
      {rest ? <p class="dim">{plural(rest, "more loop")}: <code>-f json</code> lists them.</p> : null}
    </Part>
  );
}

export function Goroutines({ rows }: { rows: readonly Rows[] }) {
  if (!rows.length) return null;
  return (
    <Part id="goroutines" title="Goroutines">
      {rows.map((one, at) => (
        <One key={at} id={`goroutines-${at}`} rows={one} />
      ))}
    </Part>
  );
}

function One({ id, rows }: { id: string; rows: Rows }) {
  const { groups } = rows;
  const all = useMemo(() => groups.map((_, row) => row), [groups]);
  const of = (row: number) => groups[row] as Rows["groups"][number];
  const fields = useMemo<Field[]>(
    () => [
      { id: "count", head: "goroutines", numeric: true, order: (row) => of(row).goroutines, cell: (row) => count(of(row).goroutines) },
      { id: "wait", head: "longest wait", numeric: true, order: (row) => of(row).wait_minutes ?? -1, cell: (row) => wait(of(row).wait_minutes) },
      { id: "state", head: "state", order: (row) => of(row).state ?? "", cell: (row) => of(row).state ?? "–" },
      {
        id: "function",
        head: "where",
        wide: true,
        order: (row) => of(row).function,
        cell: (row) => (
          <>
            <span class="mono">{of(row).function}</span> <span class="dim">{place(of(row).file, of(row).line)}</span>
          </>
        ),
      },
    ],
    [rows],
  );
  return (
    <>
      <h3>
        {plural(rows.total, "goroutine")} in <span class="mono">{base(rows.origin)}</span> <span class="dim">({rows.kind})</span>
      </h3>
      <Grid id={id} label={`Goroutines of ${base(rows.origin)}`} rows={all} fields={fields} sort="count" text={(row) => `${of(row).function} ${of(row).state ?? ""}`} />
      {rows.rest ? <p class="dim">{plural(rows.rest, "more place")}: <code>-f json</code> lists them.</p> : null}
    </>
  );
}
