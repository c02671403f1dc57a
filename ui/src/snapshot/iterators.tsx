// Iterators over maps: open loops, ended ones, and what only they keep.

import { useMemo } from "preact/hooks";
import { count, duration, plural } from "../format.ts";
import { Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import { MapLink } from "./findings.tsx";
import type { Iterator, Model } from "./model.ts";

export function Iterators({ model }: { model: Model }) {
  const { iterators, iterators_rest: rest } = model.values;
  return (
    <Part id="iterators" title="Iterators">
      {iterators.length ? (
        <IteratorTable model={model} iterators={iterators} />
      ) : (
        <p class="dim">No goroutine is inside a range over a map, and no iterator lies on the heap.</p>
      )}
      {rest ? <p class="dim">and {plural(rest, "more")} that keep less</p> : null}
    </Part>
  );
}

export function IteratorTable({ model, iterators }: { model: Model; iterators: readonly Iterator[] }) {
  const rows = useMemo(() => iterators.map((_, at) => at), [iterators]);
  const columns = useMemo(() => columnsOf(model, iterators), [model, iterators]);
  return <Table label="Table of iterators" rows={rows} columns={columns} noun="iterator" />;
}

/** A function with the last part of its file's name alone. */
function short(frame: string): string {
  return frame.replace(/\((?:.*\/)?([^/()]+:\d+)\)$/, "($1)");
}

function columnsOf(model: Model, iterators: readonly Iterator[]): TableColumn[] {
  const at = (row: number) => iterators[row] as Iterator;
  return [
    { id: "address", label: "Iterator", by: (row) => at(row).address, cell: (row) => <span class="mono">{at(row).address}</span> },
    { id: "map", label: "Map", by: (row) => at(row).map, cell: (row) => <MapLink address={at(row).map} model={model} /> },
    {
      id: "keeps",
      label: "Keeps alone",
      right: true,
      by: (row) => at(row).pinned_bytes,
      cell: (row) => <Bytes n={at(row).pinned_bytes} />,
    },
    {
      id: "walked",
      label: "Walked",
      right: true,
      by: (row) => at(row).position / Math.max(at(row).positions, 1),
      cell: (row) => (
        <span class="num">
          {count(at(row).position)} of {count(at(row).positions)}
        </span>
      ),
    },
    {
      id: "detached",
      label: "Left behind",
      right: true,
      by: (row) => at(row).detached_bytes,
      cell: (row) =>
        at(row).detached ? (
          <span title={at(row).detached ?? ""}>
            <Bytes n={at(row).detached_bytes} />
          </span>
        ) : (
          <span class="dim">nothing</span>
        ),
    },
    { id: "state", label: "State", by: (row) => at(row).state, cell: (row) => `${at(row).state}, ${at(row).liveness}` },
    {
      id: "goroutine",
      label: "Goroutine",
      by: (row) => at(row).goroutine ?? 0,
      cell: (row) => {
        const { goroutine, wait_reason: why, wait_seconds: long, status } = at(row);
        return goroutine === null ? "on the heap" : `${goroutine}: ${why ?? status ?? ""}${(long ?? 0) < 1 ? "" : `, ${duration(long ?? 0)}`}`;
      },
    },
    { id: "loop", label: "Loop", wide: true, by: (row) => at(row).frame ?? "~", cell: (row) => <span class="mono" title={at(row).frame ?? ""}>{short(at(row).frame ?? "")}</span> },
    { id: "type", label: "Type", wide: true, by: (row) => at(row).type ?? "~", cell: (row) => <span class="mono" title={at(row).type ?? ""}>{at(row).type ?? "?"}</span> },
  ];
}
