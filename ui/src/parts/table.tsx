// A table of any length: only the rows in the window are in the page. Sorted by its heads.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { plural } from "../format.ts";
import { usePrinting } from "./printing.ts";

export interface TableColumn {
  readonly id: string;
  readonly label: string;
  readonly cell: (row: number) => ComponentChildren;
  /** What it is sorted by; none: it is not. Numbers begin with the largest. */
  readonly by?: (row: number) => number | string;
  readonly right?: boolean;
  readonly wide?: boolean;
}

export interface Order {
  readonly id: string;
  readonly down: boolean;
}

const HEIGHT = 30;
const ABOVE = 8;
const PRINTED = 100;

export function Table({
  label,
  rows,
  columns,
  first,
  noun = "row",
}: {
  label: string;
  rows: readonly number[];
  columns: readonly TableColumn[];
  /** The order to begin with; another one replaces the reader's. */
  first?: Order | undefined;
  noun?: string;
}) {
  const [order, setOrder] = useState<Order | undefined>(first);
  useLayoutEffect(() => setOrder(first), [first?.id, first?.down]);
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const printing = usePrinting();
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    setTop(0);
  }, [sorted]);
  const window = 24;
  const from = printing ? 0 : Math.max(0, Math.floor(top / HEIGHT) - ABOVE);
  const to = printing ? Math.min(sorted.length, PRINTED) : Math.min(sorted.length, from + window + 2 * ABOVE);
  const sort = (column: TableColumn) => {
    const numbers = sorted.length > 0 && typeof column.by?.(sorted[0] ?? 0) === "number";
    setOrder({ id: column.id, down: order?.id === column.id ? !order.down : numbers });
  };
  return (
    <>
      <div
        class="table-box"
        ref={box}
        tabIndex={0}
        role="region"
        aria-label={label}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <table aria-rowcount={sorted.length + 1}>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map((column) => (
                <th
                  key={column.id}
                  scope="col"
                  class={column.right ? "right" : ""}
                  aria-sort={order?.id === column.id ? (order.down ? "descending" : "ascending") : undefined}
                >
                  {column.by ? (
                    <button type="button" class="head" onClick={() => sort(column)}>
                      {column.label}
                      <span aria-hidden="true">{order?.id === column.id ? (order.down ? " ▾" : " ▴") : ""}</span>
                    </button>
                  ) : (
                    column.label
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {from > 0 ? <Gap columns={columns.length} height={from * HEIGHT} /> : null}
            {sorted.slice(from, to).map((row, at) => (
              <tr key={row} aria-rowindex={from + at + 2} data-row={row}>
                {columns.map((column) => (
                  <td key={column.id} class={`${column.right ? "right" : ""} ${column.wide ? "wide" : ""}`}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
            {!printing && to < sorted.length ? <Gap columns={columns.length} height={(sorted.length - to) * HEIGHT} /> : null}
          </tbody>
        </table>
        {sorted.length ? null : <p class="none">Nothing matches.</p>}
      </div>
      {printing && to < sorted.length ? <p class="dim">and {plural(sorted.length - to, noun)} more, not printed</p> : null}
    </>
  );
}

function Gap({ columns, height }: { columns: number; height: number }) {
  return (
    <tr aria-hidden="true" class="gap">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}

function inOrder(rows: readonly number[], columns: readonly TableColumn[], order: Order | undefined): readonly number[] {
  const by = columns.find((column) => column.id === order?.id)?.by;
  if (!order || !by) return rows;
  const keyed = rows.map((row) => [by(row), row] as const);
  keyed.sort(([a, i], [b, j]) => {
    const way = typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
    return (order.down ? -way : way) || i - j;
  });
  return keyed.map(([, row]) => row);
}
