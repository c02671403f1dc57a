// Every map of the heap, however many: the server filters, sorts and cuts, the page shows one cut.

import { useState } from "preact/hooks";
import { count } from "../format.ts";
import { useAnswer, useSettled } from "./asked.ts";
import { AddressLink, Answer, Size } from "./parts.tsx";
import type { MapsPage, ServedSource } from "./source.ts";

const ROWS = 50;
const STATES = ["", "steady", "growing", "growing-same-size", "empty", "small"];
const COLUMNS = [
  ["type", "type"],
  ["address", "address"],
  ["count", "entries"],
  ["bytes", "bytes"],
  ["waste", "waste"],
] as const;

/** The table with its filters and pages. */
export function AllMaps({ source }: { source: ServedSource }) {
  const [typed, type] = useState("");
  const search = useSettled(typed);
  const [state, choose] = useState("");
  const [sort, by] = useState("waste");
  const [falling, fall] = useState(true);
  const [offset, go] = useState(0);
  const query = new URLSearchParams({ sort, order: falling ? "descending" : "ascending", limit: String(ROWS), offset: String(offset) });
  if (search) query.set("search", search);
  if (state) query.set("state", state);
  const asked = useAnswer<MapsPage>(source, `api/maps?${query}`, true);
  const order = (name: string) => {
    fall(name === sort ? !falling : name !== "type" && name !== "address");
    by(name);
    go(0);
  };
  return (
    <section id="every-map" class="asked-panel" aria-labelledby="every-map-head">
      <h2 id="every-map-head">Every map</h2>
      <p class="asked-filters">
        <label for="every-search">Type holds</label>{" "}
        <input
          id="every-search"
          value={typed}
          maxLength={200}
          spellcheck={false}
          onInput={(event) => {
            type(event.currentTarget.value);
            go(0);
          }}
        />{" "}
        <label for="every-state">State</label>{" "}
        <select
          id="every-state"
          value={state}
          onChange={(event) => {
            choose(event.currentTarget.value);
            go(0);
          }}
        >
          {STATES.map((word) => (
            <option key={word} value={word}>
              {word || "any"}
            </option>
          ))}
        </select>
      </p>
      <Answer asked={asked}>
        {(page) => (
          <>
            <div class="asked-scroll" tabIndex={0} role="region" aria-label="Every map, a page of the table">
              <table>
                <thead>
                  <tr>
                    {COLUMNS.map(([name, words]) => (
                      <th
                        key={name}
                        scope="col"
                        class={name === "type" || name === "address" ? "" : "asked-number"}
                        aria-sort={name === sort ? (falling ? "descending" : "ascending") : "none"}
                      >
                        <button type="button" class="quiet" onClick={() => order(name)}>
                          {words}
                          <span aria-hidden="true">{name === sort ? (falling ? " ↓" : " ↑") : ""}</span>
                        </button>
                      </th>
                    ))}
                    <th scope="col">state</th>
                    <th scope="col" class="asked-number">
                      retains
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {page.maps.map((row) => (
                    <tr key={row.address}>
                      <td>
                        <a href={`#map/${row.address}`}>
                          <code>{row.type ?? "map of unknown type"}</code>
                        </a>
                      </td>
                      <td>
                        <AddressLink at={row.address} />
                      </td>
                      <td class="asked-number">{count(row.count)}</td>
                      <td class="asked-number">
                        <Size of={row.bytes.total} />
                      </td>
                      <td class="asked-number">
                        <Size of={row.waste_bytes} />
                      </td>
                      <td>{row.state}</td>
                      <td class="asked-number">{row.retained_bytes === null ? "" : <Size of={row.retained_bytes} />}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <p class="asked-pages">
              <button type="button" id="every-back" disabled={!offset} onClick={() => go(Math.max(offset - ROWS, 0))}>
                Back
              </button>{" "}
              <span id="every-where">
                {page.maps.length ? `${count(page.offset + 1)} to ${count(page.offset + page.maps.length)} of ` : ""}
                {count(page.matching)} maps
              </span>{" "}
              <button type="button" id="every-on" disabled={offset + ROWS >= page.matching} onClick={() => go(offset + ROWS)}>
                On
              </button>
            </p>
          </>
        )}
      </Answer>
    </section>
  );
}
