// The table of maps: searched, filtered, sorted; a row opens the map's page.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { bytes, count, plural } from "../format.ts";
import type { Column } from "../pack.ts";
import { Bytes, Count } from "../parts/numbers.tsx";
import { Field, Part } from "../parts/section.tsx";
import { type Order, Table, type TableColumn } from "../parts/table.tsx";
import { type Route, note } from "../route.ts";
import type { Model } from "./model.ts";

const FILTERS = ["type", "owner", "state", "generation", "rule"] as const;
type Filter = (typeof FILTERS)[number];
type Chosen = Record<Filter | "search", string>;
const NONE: Chosen = { search: "", type: "", owner: "", state: "", generation: "", rule: "" };
const WORDS: Record<Filter, string> = {
  type: "Type",
  owner: "Owner",
  state: "State",
  generation: "Family",
  rule: "Rule",
};
const MOST_CHOICES = 200;
const BY_BYTES: Order = { id: "bytes", down: true };

export function Maps({ model, route }: { model: Model; route: Route }) {
  const [chosen, choose] = useState<Chosen>(() => filtersOf(route));
  const [order, setOrder] = useState<Order>(() => orderOf(route));
  const applied = useRef(route);
  // Only what comes later than the page: what the reader has chosen by then must stay.
  useLayoutEffect(() => {
    if (applied.current === route) return;
    applied.current = route;
    if (route.path[0] !== "maps") return;
    choose(filtersOf(route));
    setOrder(orderOf(route));
  }, [route]);
  const rows = useMemo(() => matching(model, chosen), [model, chosen]);
  const columns = useMemo(() => columnsOf(model), [model]);
  const rest = model.values.maps_rest;
  const settle = (now: Chosen) => {
    choose(now);
    note("maps", queryOf(now, order));
  };
  return (
    <Part id="maps" title="Maps">
      <form class="filters" onSubmit={(event) => event.preventDefault()} aria-label="Which maps">
        <Field id="maps-search" label="Search">
          <input
            id="maps-search"
            type="search"
            value={chosen.search}
            placeholder="type, owner or address"
            onInput={(event) => choose({ ...chosen, search: event.currentTarget.value })}
            onChange={(event) => settle({ ...chosen, search: event.currentTarget.value })}
          />
        </Field>
        {FILTERS.map((name) => (
          <Field key={name} id={`maps-${name}`} label={WORDS[name]}>
            <select
              id={`maps-${name}`}
              value={chosen[name]}
              onChange={(event) => settle({ ...chosen, [name]: event.currentTarget.value })}
            >
              <option value="">all</option>
              {choices(model, name, chosen[name]).map((word) => (
                <option key={word} value={word}>
                  {word.length > 60 ? `${word.slice(0, 57)}…` : word}
                </option>
              ))}
            </select>
          </Field>
        ))}
        <button type="button" onClick={() => settle(NONE)}>
          Clear
        </button>
      </form>
      <p class="dim" role="status" id="maps-count">
        {plural(rows.length, "map")} of {count(model.maps.rows)}, <Bytes n={sum(model.maps.col("total_bytes"), rows)} />
        {rest.maps ? ` · ${plural(rest.maps, "smaller map")} of ${bytes(rest.bytes)} in all are not listed` : ""}
      </p>
      <Table label="Table of maps" rows={rows} columns={columns} first={order} noun="map" />
    </Part>
  );
}

/** What a route to this part asks for; another one asks for nothing. */
function filtersOf(route: Route): Chosen {
  const given = { ...NONE };
  if (route.path[0] !== "maps") return given;
  for (const name of ["search", ...FILTERS] as const) given[name] = route.query.get(name) ?? "";
  return given;
}

function orderOf(route: Route): Order {
  return { ...BY_BYTES, id: (route.path[0] === "maps" && route.query.get("sort")) || BY_BYTES.id };
}

/** The route that asks for this. */
function queryOf(chosen: Chosen, order: Order): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["search", ...FILTERS] as const) if (chosen[name]) query.set(name, chosen[name]);
  if (order.id !== BY_BYTES.id) query.set("sort", order.id);
  return query;
}

function sum(column: Column, rows: readonly number[]): number {
  return rows.reduce((total, row) => total + column.number(row), 0);
}

function textOf(model: Model, name: Filter, row: number): string {
  if (name === "type") return model.typeOf(row);
  if (name === "owner") return model.maps.col("owner").text(row) ?? "not known";
  if (name === "rule") return model.maps.col("rules").text(row) ?? "";
  return model.maps.col(name).text(row) ?? "";
}

function fitsFilter(model: Model, name: Filter, wanted: string, row: number): boolean {
  if (!wanted) return true;
  const text = textOf(model, name, row);
  if (name === "rule") return text.split(" ").includes(wanted);
  return name === "state" && wanted === "growing" ? text.startsWith(wanted) : text === wanted;
}

function matching(model: Model, chosen: Chosen): number[] {
  const search = chosen.search.trim().toLowerCase();
  const address = model.maps.col("address");
  const out: number[] = [];
  for (let row = 0; row < model.maps.rows; row++) {
    if (!FILTERS.every((name) => fitsFilter(model, name, chosen[name], row))) continue;
    if (search) {
      const text = `${textOf(model, "type", row)} ${textOf(model, "owner", row)} ${address.hex(row)}`.toLowerCase();
      if (!text.includes(search)) continue;
    }
    out.push(row);
  }
  return out;
}

/** Words to choose from, those of the largest maps first. */
function choices(model: Model, name: Filter, kept: string): string[] {
  const words = new Set<string>();
  for (let row = 0; row < model.maps.rows && words.size < MOST_CHOICES; row++) {
    for (const word of name === "rule" ? textOf(model, name, row).split(" ") : [textOf(model, name, row)]) if (word) words.add(word);
  }
  if (kept) words.add(kept);
  const out = [...words];
  return name === "rule" ? out.sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))) : out;
}

function columnsOf(model: Model): TableColumn[] {
  const { maps } = model;
  const address = maps.col("address");
  const number = (id: string, label: string, name: string): TableColumn => ({
    id,
    label,
    right: true,
    by: (row) => maps.col(name).number(row),
    cell: (row) => <Bytes n={maps.col(name).number(row)} />,
  });
  return [
    {
      id: "address",
      label: "Address",
      by: (row) => address.number(row),
      cell: (row) => (
        <a class="mono" href={`#map/${address.hex(row)}`}>
          {address.hex(row)}
        </a>
      ),
    },
    {
      id: "count",
      label: "Entries",
      right: true,
      by: (row) => maps.col("count").number(row),
      cell: (row) => <Count n={maps.col("count").number(row)} />,
    },
    number("bytes", "Bytes", "total_bytes"),
    number("waste", "Waste", "waste_bytes"),
    {
      ...number("retained", "Retained", "retained_bytes"),
      cell: (row) => (maps.col("held").number(row) ? <Bytes n={maps.col("retained_bytes").number(row)} /> : <span class="dim">?</span>),
    },
    {
      id: "state",
      label: "State",
      by: (row) => maps.col("state").text(row) ?? "",
      cell: (row) => <span class={`tag state-${maps.col("state").text(row)}`}>{maps.col("state").text(row)}</span>,
    },
    {
      id: "rules",
      label: "Rules",
      by: (row) => maps.col("rules").text(row) ?? "~",
      cell: (row) => maps.col("rules").text(row) ?? "",
    },
    {
      id: "type",
      label: "Type",
      wide: true,
      by: (row) => model.typeOf(row),
      cell: (row) => (
        <span class="mono" title={model.typeOf(row)}>
          {model.typeOf(row)}
          {maps.col("confidence").text(row) === "exact" ? "" : " ~"}
        </span>
      ),
    },
    {
      id: "owner",
      label: "Owner",
      wide: true,
      by: (row) => maps.col("owner").text(row) ?? "~",
      cell: (row) => <span title={maps.col("owner").text(row) ?? ""}>{maps.col("owner").text(row) ?? "not known"}</span>,
    },
    {
      id: "family",
      label: "Family",
      by: (row) => maps.col("generation").text(row) ?? "",
      cell: (row) => maps.col("generation").text(row) ?? "",
    },
  ];
}
