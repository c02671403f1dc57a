// A table that is searched, filtered and sorted; a row opens its details below it.

import type { ComponentChildren } from "preact";
import { Fragment } from "preact";
import { useMemo, useState } from "preact/hooks";
import { count, plural } from "../format.ts";
import { usePrinting } from "../parts/printing.ts";

/** One column. `order` gives what rows are sorted by; text sorts upwards first, numbers downwards. */
export interface Field {
  readonly id: string;
  readonly head: string;
  readonly order?: (row: number) => number | string;
  readonly cell: (row: number) => ComponentChildren;
  readonly numeric?: boolean;
  readonly wide?: boolean;
}

/** A filter over the values of a column. */
export interface Filter {
  readonly id: string;
  readonly label: string;
  readonly of: (row: number) => string;
}

const PAGE = 50;
const PRINTED = 100;

export function Grid({
  id,
  label,
  rows,
  fields,
  sort,
  first = "",
  text,
  filters = [],
  details,
  keys,
  open: opened,
  setOpen,
}: {
  id: string;
  label: string;
  rows: readonly number[];
  fields: readonly Field[];
  sort: string;
  /** What the search begins with. */
  first?: string;
  /** What the search looks in; without it there is none. */
  text?: (row: number) => string;
  filters?: readonly Filter[];
  details?: (row: number) => ComponentChildren;
  /** The attribute `data-key` of a row, by which others find it. */
  keys?: (row: number) => string;
  open?: number | null;
  setOpen?: (row: number | null) => void;
}) {
  const [words, setWords] = useState(first);
  const [chosen, setChosen] = useState<Record<string, string>>({});
  const [by, setBy] = useState({ id: sort, down: true });
  const [shown, setShown] = useState(PAGE);
  const [own, setOwn] = useState<number | null>(null);
  const open = opened === undefined ? own : opened;
  const change = setOpen ?? setOwn;

  const found = useMemo(() => {
    const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const kept = rows.filter((row) => {
      for (const filter of filters) {
        const value = chosen[filter.id];
        if (value && filter.of(row) !== value) return false;
      }
      if (!wanted.length || !text) return true;
      const inside = text(row).toLowerCase();
      return wanted.every((word) => inside.includes(word));
    });
    const order = fields.find((field) => field.id === by.id)?.order;
    if (order) {
      const values = new Map(kept.map((row) => [row, order(row)]));
      const sign = by.down ? -1 : 1;
      kept.sort((a, b) => {
        const [x, y] = [values.get(a) ?? 0, values.get(b) ?? 0];
        return x === y ? a - b : sign * (x < y ? -1 : 1);
      });
    }
    return kept;
  }, [rows, words, chosen, by, fields, filters, text]);

  const at = open === null ? -1 : found.indexOf(open);
  const printing = usePrinting();
  const visible = found.slice(0, Math.max(printing ? PRINTED : shown, at + 1));
  return (
    <div class="k-grid" id={id}>
      <div class="filters">
        {text ? (
          <label>
            <span>Search</span>
            <input type="search" value={words} placeholder="words" onInput={(event) => setWords(event.currentTarget.value)} />
          </label>
        ) : null}
        {filters.map((filter) => (
          <label key={filter.id}>
            <span>{filter.label}</span>
            <select
              value={chosen[filter.id] ?? ""}
              onChange={(event) => setChosen({ ...chosen, [filter.id]: event.currentTarget.value })}
              data-filter={filter.id}
            >
              <option value="">all</option>
              {[...new Set(rows.map(filter.of))].sort().map((value) => (
                <option key={value} value={value}>
                  {value}
                </option>
              ))}
            </select>
          </label>
        ))}
        <output class="dim k-count">
          {found.length === rows.length ? plural(rows.length, "row") : `${count(found.length)} of ${plural(rows.length, "row")}`}
        </output>
      </div>
      <div class="table-box k-rows" role="region" aria-label={label} tabIndex={0}>
        <table>
          <caption class="k-hidden">{label}</caption>
          <thead>
            <tr>
              {details ? (
                <th class="k-opener">
                  <span class="k-hidden">Details</span>
                </th>
              ) : null}
              {fields.map((field) => (
                <th
                  key={field.id}
                  scope="col"
                  class={field.numeric ? "right" : undefined}
                  aria-sort={by.id !== field.id ? undefined : by.down ? "descending" : "ascending"}
                >
                  {field.order ? (
                    <button
                      type="button"
                      class="head"
                      data-sort={field.id}
                      onClick={() => setBy({ id: field.id, down: by.id === field.id ? !by.down : !!field.numeric })}
                    >
                      {field.head}
                      <span aria-hidden="true" class="k-arrow">
                        {by.id !== field.id ? "↕" : by.down ? "↓" : "↑"}
                      </span>
                    </button>
                  ) : (
                    field.head
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {visible.map((row) => (
              <Fragment key={row}>
                <tr
                  class={row === open ? "k-row k-open" : "k-row"}
                  data-key={keys?.(row)}
                  onClick={(event) => {
                    if (!details || (event.target as Element).closest("button, a, summary")) return;
                    if (String(getSelection() ?? "")) return;
                    change(row === open ? null : row);
                  }}
                >
                  {details ? (
                    <td class="k-opener">
                      <button
                        type="button"
                        class="twist"
                        aria-expanded={row === open}
                        aria-label={`Details of row ${found.indexOf(row) + 1}`}
                        onClick={() => change(row === open ? null : row)}
                      >
                        <span aria-hidden="true">{row === open ? "▾" : "▸"}</span>
                      </button>
                    </td>
                  ) : null}
                  {fields.map((field) => (
                    <td key={field.id} class={[field.numeric && "right num", field.wide && "k-wide"].filter(Boolean).join(" ")}>
                      {field.cell(row)}
                    </td>
                  ))}
                </tr>
                {details && row === open ? (
                  <tr class="k-details">
                    <td colSpan={fields.length + 1}>
                      <div class="k-inside">{details(row)}</div>
                    </td>
                  </tr>
                ) : null}
              </Fragment>
            ))}
            {found.length ? null : (
              <tr>
                <td class="dim" colSpan={fields.length + 1}>
                  Nothing matches.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      {visible.length < found.length ? (
        <button type="button" class="k-more" onClick={() => setShown(visible.length + 4 * PAGE)}>
          Show {count(Math.min(4 * PAGE, found.length - visible.length))} more of {count(found.length - visible.length)}
        </button>
      ) : null}
    </div>
  );
}
